//! `shmpool top`.

mod common;

use std::time::{Duration, Instant};

use common::run;
use shmpool::Pool;

shmpool::test_workers!();

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[test]
fn a_running_program_is_seen_from_outside() {
    let pool = Pool::builder().workers(2).capacity_bytes(64 << 20).build().unwrap();
    let me = std::process::id().to_string();
    let busy = pool.submit(sleep, 100_000).unwrap();
    let pool_of_mine = || {
        let seen = run(["top", &me, "--json"]);
        assert_eq!(seen.code, 0, "{seen:?}");
        serde_json::from_str::<serde_json::Value>(&seen.stdout).unwrap()["pools"][0].clone()
    };
    // Written once a second.
    let until = Instant::now() + Duration::from_secs(60);
    while pool_of_mine()["n_tasks_pending"] != 1 {
        assert!(Instant::now() < until, "{}", pool_of_mine());
    }
    let seen = pool_of_mine();
    assert_eq!(seen["workers"].as_array().unwrap().len(), 2, "{seen}");
    assert!(
        seen["workers"].as_array().unwrap().iter().any(|worker| worker["busy_s"].as_f64().unwrap() > 0.0)
    );
    assert_eq!(seen["arena_capacity_bytes"], 64 << 20);
    let text = run(["top", &me]).stdout;
    assert!(text.starts_with(&format!("process {me} (")) && text.contains("2 of 2 workers: "), "{text}");
    assert!(text.contains("1 task pending of 1, 0 deaths, arena "), "{text}");
    assert_eq!(text.lines().count(), 4, "a headline, names, and two workers: {text}");
    let all = run(["top", "--once"]).stdout;
    assert!(all.contains(&format!("process {me} (")), "{all}");
    busy.cancel_running();
}

#[test]
fn nothing_to_see_is_said() {
    let nothing = run(["top", &std::process::id().to_string()]);
    // Unless the other test's pool is there at this moment.
    if nothing.stdout.is_empty() {
        let wanted = format!("process {} has no pool\n", std::process::id());
        assert_eq!((nothing.code, nothing.stderr), (0, wanted));
    }
    let gone = run(["top", "4294967295"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (3, ""));
    assert_eq!(gone.stderr, "shmpool: there is no process 4294967295\n");
}
