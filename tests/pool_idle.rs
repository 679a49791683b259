//! Workers that end when there is nothing to do, and come back when there is.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{Random, alone, wait_until, watchdog};
use shmpool::{Builder, ErrorKind, Future, Pool};

shmpool::test_workers!();

fn builder(n: usize) -> Builder {
    Pool::builder().workers(n).capacity_bytes(16 << 20)
}

fn n_live(pool: &Pool) -> usize {
    pool.stats().unwrap().n_workers
}

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

fn for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn idle_workers_end_and_come_back() {
    let _watchdog = watchdog("idle_workers_end_and_come_back", 60);
    let pool = builder(3).min_workers(1).idle_timeout(Duration::from_millis(50)).build().unwrap();
    assert_eq!(n_live(&pool), 1, "the others come with the work");
    for round in 1..=3 {
        let busy: Vec<Future<()>> = (0..3).map(|_| pool.submit(for_ever, ()).unwrap()).collect();
        // One may run its task before the pool has heard that it is there.
        wait_until("there is a worker for each task", || {
            n_live(&pool) == 3 && busy.iter().all(Future::is_running)
        });
        assert!(busy.iter().all(Future::cancel_running));
        wait_until("all were killed, and one is left", || {
            let stats = pool.stats().unwrap();
            (stats.n_deaths, stats.n_workers) == (3 * round, 1)
        });
        let xs = pool.array_from(&[1_u32; 100_000]).unwrap();
        assert_eq!(pool.map(&xs, |x| x + 1).unwrap()[99_999], 2);
    }
    thread::sleep(Duration::from_millis(300)); // for those that the map has called, and that came when it was over
    wait_until("one is left", || n_live(&pool) == 1);
    let left = pool.worker_pids();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(pool.worker_pids(), left, "that one stays");
}

#[test]
fn all_workers_may_end() {
    let _watchdog = watchdog("all_workers_may_end", 60);
    let pool = builder(2).min_workers(0).idle_timeout(Duration::from_millis(20)).build().unwrap();
    for n in 0..3 {
        wait_until("none is left", || n_live(&pool) == 0);
        assert_eq!(pool.submit(sleep, n).unwrap().result().unwrap(), n);
        wait_until("none is left", || n_live(&pool) == 0);
        assert_eq!(*pool.map(&pool.array_from(&[n]).unwrap(), |x| x + 1).unwrap(), [n + 1]);
    }
    let stats = pool.stats().unwrap();
    assert_eq!((stats.n_deaths, stats.n_tasks, stats.n_jobs), (0, 3, 3));
    assert!(stats.n_retired > 0);
}

#[test]
fn work_that_comes_while_a_worker_leaves_is_done() {
    let _watchdog = watchdog("work_that_comes_while_a_worker_leaves", 120);
    let pool = builder(2).min_workers(0).idle_timeout(Duration::from_millis(1)).build().unwrap();
    let mut random = Random::new(7);
    let until = Instant::now() + Duration::from_secs(2);
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        thread::sleep(Duration::from_micros(random.below(3000)));
        let started = Instant::now();
        if random.below(2) == 0 {
            assert_eq!(pool.submit(sleep, 0).unwrap().result().unwrap(), 0);
        } else {
            assert_eq!(*pool.map(&pool.array_from(&[1_u8]).unwrap(), |x| x + 1).unwrap(), [2]);
        }
        longest = longest.max(started.elapsed());
    }
    let stats = pool.stats().unwrap();
    eprintln!(
        "{} tasks, {} jobs, {} workers left, {longest:?} at most",
        stats.n_tasks, stats.n_jobs, stats.n_retired
    );
    assert!(stats.n_retired > 10, "{}", stats.n_retired);
    assert_eq!(stats.n_deaths, 0);
}

#[test]
fn a_pool_is_built_though_its_worker_leaves_at_once() {
    let _watchdog = watchdog("a_pool_is_built_though", 120);
    for n in 0..200 {
        let pool = builder(1).min_workers(0).idle_timeout(Duration::ZERO).build().unwrap();
        assert_eq!(pool.submit(sleep, n % 2).unwrap().result().unwrap(), n % 2);
    }
}

/// CPU time that the threads of this process have had.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let texts = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("schedstat")));
    let of_one = |text: String| text.split(' ').next()?.parse::<u64>().ok();
    Duration::from_nanos(texts.filter_map(|text| of_one(text.ok()?)).sum())
}

#[test]
fn limits_shorter_than_a_look_do_not_keep_the_supervisor_busy() {
    let test = "limits_shorter_than_a_look_do_not_keep_the_supervisor_busy";
    alone(
        test,
        |_| (),
        || {
            let _watchdog = watchdog("limits_shorter_than_a_look", 60);
            let short = Duration::from_nanos(1);
            for idle_timeout in [short, Duration::MAX] {
                let pool = builder(2).min_workers(1).idle_timeout(idle_timeout).build().unwrap();
                let busy: Vec<Future<()>> = (0..2).map(|_| pool.submit(for_ever, ()).unwrap()).collect();
                wait_until("all are busy", || busy.iter().all(Future::is_running));
                let late = (idle_timeout != short)
                    .then(|| pool.call().task_timeout(short).submit(sleep, 0).unwrap());
                let (before, started) = (cpu_time(), Instant::now());
                thread::sleep(Duration::from_millis(500));
                let (used, elapsed) = (cpu_time() - before, started.elapsed());
                assert!(busy.iter().all(Future::cancel_running));
                assert!(used < elapsed / 2, "{used:?} of CPU in {elapsed:?}");
                drop(late);
            }
        },
    );
}

#[test]
fn a_worker_that_does_not_come_to_its_end_is_ended() {
    struct Stays;
    impl Drop for Stays {
        fn drop(&mut self) {
            for_ever(());
        }
    }
    thread_local!(static STAYS: Stays = const { Stays });
    let _watchdog = watchdog("a_worker_that_does_not_come_to_its_end", 60);
    let builder = builder(1).min_workers(0).idle_timeout(Duration::from_millis(20));
    let pool = builder.build().unwrap();
    pool.submit(|(): ()| STAYS.with(|_| ()), ()).unwrap().result().unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(pool.submit(sleep, 1).unwrap().result().unwrap(), 1);
}

#[test]
fn workers_that_came_stay_without_a_timeout() {
    let _watchdog = watchdog("workers_that_came_stay", 60);
    let pool = builder(4).min_workers(2).build().unwrap();
    assert_eq!(n_live(&pool), 2);
    let xs = pool.zeros::<u8>(2).unwrap();
    pool.call().grain(1).map(&xs, |x| x + 1).unwrap();
    assert_eq!(n_live(&pool), 2, "two tasks need no third worker");
    let futures: Vec<Future<u64>> = (0..4).map(|_| pool.submit(sleep, 300).unwrap()).collect();
    wait_until("all four are there", || n_live(&pool) == 4);
    assert!(futures.iter().all(|future| future.result().unwrap() == 300));
    thread::sleep(Duration::from_millis(100));
    assert_eq!((n_live(&pool), pool.stats().unwrap().n_retired), (4, 0));
}

#[test]
fn more_than_all_cannot_always_be_there() {
    let error = builder(2).min_workers(3).build().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Option { option: "min_workers", .. }), "{error}");
    builder(0).idle_timeout(Duration::from_secs(1)).min_workers(0).build().unwrap();
}
