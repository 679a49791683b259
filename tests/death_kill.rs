//! Workers killed from outside, anywhere and at any time: nothing is lost, nothing is wrong, nobody hangs, the pool heals.
//!
//! `SHMPOOL_SOAK_SECONDS=3600 cargo test --release --test death_kill -- --nocapture` for longer than the few seconds by default.

shmpool::test_workers!();

mod common;

use std::ops::Range;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Random, pool_of, signal, wait_until, wait_until_healed, watchdog};
use shmpool::{Array, ErrorKind, Pool};

/// How long each soak runs.
fn soak_time() -> Duration {
    let seconds = std::env::var("SHMPOOL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// What a soak has done to its pool.
#[derive(Default)]
struct Kills {
    kills: u64,
    stops: u64,
}

/// Kills workers until `end` hangs up. One kill for every few finished jobs: a worker needs a millisecond to start, and kills that come
/// faster would meet nothing else.
fn kill_at_random(pool: &Pool, end: &mpsc::Receiver<()>, seed: u64) -> Kills {
    let mut random = Random::new(seed);
    let mut done = Kills::default();
    let mut next_job = 0;
    while end.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
        if pool.stats().unwrap().n_jobs < next_job {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        std::thread::sleep(Duration::from_micros(random.below(2000)));
        let pids = pool.worker_pids();
        let Some(&pid) = pids.get(random.below(pids.len().max(1) as u64) as usize) else { continue };
        match random.below(4) {
            0 => {
                signal(pid, libc::SIGSTOP);
                std::thread::sleep(Duration::from_micros(random.below(1000)));
                signal(pid, if random.below(2) == 0 { libc::SIGCONT } else { libc::SIGKILL });
                signal(pid, libc::SIGKILL);
                done.stops += 1;
            }
            1 => pids.iter().for_each(|&pid| signal(pid, libc::SIGKILL)),
            _ => signal(pid, libc::SIGKILL),
        }
        done.kills += 1;
        next_job = pool.stats().unwrap().n_jobs + 1 + random.below(3);
    }
    done
}

/// Runs `job` again and again, with its number, while workers are killed; returns the kills and how many jobs ran.
fn soak(pool: &Pool, seed: u64, job: impl Fn(u64)) -> (Kills, u64) {
    let (alive, end) = mpsc::channel();
    std::thread::scope(|scope| {
        let killer = scope.spawn(move || kill_at_random(pool, &end, seed));
        let start = Instant::now();
        let mut n_jobs = 0;
        while start.elapsed() < soak_time() {
            job(n_jobs);
            n_jobs += 1;
        }
        drop(alive);
        (killer.join().unwrap(), n_jobs)
    })
}

fn report(test: &str, pool: &Pool, (Kills { kills, stops }, n_jobs): (Kills, u64), n_tasks: u64) {
    let n_deaths = pool.stats().unwrap().n_deaths;
    println!(
        "{test}: {n_jobs} jobs, {n_tasks} tasks, {kills} kills ({stops} after a stop), {n_deaths} deaths, every output right"
    );
    assert!(n_deaths > 0 && kills > 0, "{test} has killed nobody");
}

#[test]
fn random_kills_lose_no_task_of_a_map() {
    let test = "random_kills_lose_no_task_of_a_map";
    let _watchdog = watchdog(test, 60 + soak_time().as_secs());
    let pool = pool_of(2);
    let n = 20_000;
    let done = soak(&pool, 0x5eed, |job| {
        let xs = pool.array_with(n, |i| i as u64 + job).unwrap();
        let ys = pool.call().grain(5).map(&xs, |x| x.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap();
        let right = |(&y, &x): (&u64, &u64)| y == x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(ys.iter().zip(&xs).position(|pair| !right(pair)), None, "job {job}");
    });
    let n_tasks = done.1 * n as u64 / 5;
    report(test, &pool, done, n_tasks);
    wait_until_healed(&pool, &[]);
}

#[test]
fn random_kills_run_no_task_of_an_update_twice() {
    let test = "random_kills_run_no_task_of_an_update_twice";
    let _watchdog = watchdog(test, 60 + soak_time().as_secs());
    let pool = pool_of(3);
    let n = 3000;
    let done = soak(&pool, 0xfeed, |job| {
        let mut ys = pool.array_with(n, |i| i as u64).unwrap();
        let updated = pool.call().grain(1).update(&mut ys, |y| *y += 1_000_000);
        let done: Vec<Range<u64>> = match &updated {
            Ok(()) => std::iter::once(0..n as u64).collect(),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WorkerDied { .. }), "job {job}: {error}");
                error.report().unwrap().done.clone()
            }
        };
        for (i, &y) in ys.iter().enumerate() {
            let times = (y - i as u64) / 1_000_000;
            let is_done = done.iter().any(|range| range.contains(&(i as u64)));
            assert!(times == 1 || times == 0 && !is_done, "job {job}: element {i} was updated {times} times");
        }
    });
    let n_tasks = done.1 * n as u64;
    report(test, &pool, done, n_tasks);
}

#[test]
fn random_kills_leave_reductions_and_concurrent_jobs_right() {
    let test = "random_kills_leave_reductions_and_concurrent_jobs_right";
    let _watchdog = watchdog(test, 60 + soak_time().as_secs());
    let pool = pool_of(2);
    let n = 300_000;
    let xs: Array<u64> = pool.array_with(n, |i| i as u64).unwrap();
    let done = soak(&pool, 0xbeef, |job| {
        std::thread::scope(|scope| {
            let (pool, xs) = (&pool, &xs);
            scope.spawn(move || {
                let sum = pool.reduce(xs, 0_u64, |sum, x| sum + x, |a, b| a + b).unwrap();
                assert_eq!(sum, (n as u64 - 1) * n as u64 / 2, "job {job}");
            });
            let table = pool.call().grain(50).from_fn([100, 300], |[y, x]| (y * 1000 + x) as u32).unwrap();
            let wrong = (0..30_000).find(|i| table[*i] as usize != i / 300 * 1000 + i % 300);
            assert_eq!(wrong, None, "job {job}");
        });
    });
    let n_tasks = done.1 * (600 + n as u64 / 65_536 + 2);
    report(test, &pool, done, n_tasks);
}

#[test]
fn idle_workers_that_are_killed_are_replaced_and_counted() {
    let _watchdog = watchdog("idle_workers_that_are_killed_are_replaced_and_counted", 60);
    let pool = pool_of(3);
    for round in 1..=5 {
        let pids = pool.worker_pids();
        pids.iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        wait_until_healed(&pool, &pids);
        let stats = pool.stats().unwrap();
        assert_eq!((stats.n_deaths, stats.n_workers), (3 * round, 3));
        assert_eq!(*pool.map(&pool.array_from(&[1, 2, 3]).unwrap(), |x| x + 1).unwrap(), [2, 3, 4]);
    }
}

#[test]
fn a_job_that_begins_while_every_worker_dies_is_done_all_the_same() {
    let _watchdog = watchdog("a_job_that_begins_while_every_worker_dies_is_done_all_the_same", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(1000, |i| i as u32).unwrap();
    for _ in 0..50 {
        pool.worker_pids().iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        let ys = pool.call().grain(1).map(&xs, |x| x ^ 0xff).unwrap();
        assert!(ys.iter().zip(&xs).all(|(&y, &x)| y == x ^ 0xff));
    }
}

#[test]
fn the_lease_of_a_stopped_worker_waits_and_a_kill_sets_it_free() {
    let _watchdog = watchdog("the_lease_of_a_stopped_worker_waits_and_a_kill_sets_it_free", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(200, |i| i as u32).unwrap();
    let stopped = pool.worker_pids()[0];
    std::thread::scope(|scope| {
        let (ended, end) = mpsc::channel();
        let (pool, xs) = (&pool, &xs);
        scope.spawn(move || {
            let ys = pool.call().grain(1).map(xs, |x| {
                std::thread::sleep(Duration::from_millis(1));
                x + 1
            });
            ended.send(ys).unwrap();
        });
        std::thread::sleep(Duration::from_millis(20));
        signal(stopped, libc::SIGSTOP);
        // The other worker does all that the stopped one does not hold; what that is depends on where it was.
        assert!(
            end.recv_timeout(Duration::from_millis(400)).is_err(),
            "nobody had the stopped worker's lease"
        );
        signal(stopped, libc::SIGKILL);
        let ys = end.recv().unwrap().unwrap();
        assert!(ys.iter().zip(xs).all(|(&y, &x)| y == x + 1));
    });
    assert_eq!(pool.stats().unwrap().n_deaths, 1);
}

#[test]
fn a_worker_that_is_stopped_and_goes_on_loses_nothing() {
    let _watchdog = watchdog("a_worker_that_is_stopped_and_goes_on_loses_nothing", 60);
    let pool = pool_of(2);
    let pids = pool.worker_pids();
    let xs = pool.array_with(20_000, |i| i as u32).unwrap();
    let (alive, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let pids = &pids;
        scope.spawn(move || {
            let mut random = Random::new(7);
            while end.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                let pid = pids[random.below(2) as usize];
                signal(pid, libc::SIGSTOP);
                std::thread::sleep(Duration::from_micros(random.below(1500)));
                signal(pid, libc::SIGCONT);
                std::thread::sleep(Duration::from_micros(random.below(1500)));
            }
        });
        for _ in 0..100 {
            let ys = pool.call().grain(3).map(&xs, |x| x * 2).unwrap();
            assert!(ys.iter().zip(&xs).all(|(&y, &x)| y == x * 2));
        }
        drop(alive);
    });
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
    assert_eq!(pool.worker_pids(), pids);
}

#[test]
fn a_terminated_group_of_workers_is_replaced_after_a_while() {
    let _watchdog = watchdog("a_terminated_group_of_workers_is_replaced_after_a_while", 60);
    let pool = pool_of(2);
    let pids = pool.worker_pids();
    pids.iter().for_each(|&pid| signal(pid, libc::SIGTERM));
    wait_until("both have died", || pool.stats().unwrap().n_deaths == 2);
    wait_until_healed(&pool, &pids);
    assert_eq!(*pool.map(&pool.array_from(&[7]).unwrap(), |x| x).unwrap(), [7]);
}

#[test]
fn an_interrupt_from_the_terminal_is_the_parents_affair() {
    let _watchdog = watchdog("an_interrupt_from_the_terminal_is_the_parents_affair", 60);
    let pool = pool_of(1);
    let pids = pool.worker_pids();
    let xs = pool.array_with(50, |i| i as u32).unwrap();
    for _ in 0..20 {
        signal(pids[0], libc::SIGINT);
        assert_eq!(*pool.call().grain(1).map(&xs, |x| x).unwrap(), *xs);
    }
    assert_eq!(pool.worker_pids(), pids);
}
