//! Workers that die of a submitted task, or are killed at one: each future resolves, with what its task did or with how its
//! worker died, and no other task knows of it.
//!
//! `SHMPOOL_SOAK_SECONDS=600 cargo test --release --test death_submit soak -- --nocapture` for a long soak.
#![allow(unsafe_code)] // tasks that crash

shmpool::test_workers!();

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Random, pool_of, signal, stop, wait_until, wait_until_healed, watchdog};
use shmpool::{ErrorKind, ExitReason, Future, Handle, LentMut, OnWorkerDeath, Pool};

const SEGV: u32 = 0;
const ABORT: u32 = 1;
const EXIT: u32 = 2;
const KILL: u32 = 3;

/// Ends its worker in one of several ways; or returns its argument.
fn die(how: u32) -> u32 {
    match how {
        // SAFETY: none; that is the point.
        SEGV => unsafe { (8 as *mut u8).write_volatile(1) },
        ABORT => std::process::abort(),
        EXIT => std::process::exit(3),
        KILL => signal(std::process::id(), libc::SIGKILL),
        _ => {}
    }
    how
}

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

/// The deaths of a failed task.
#[track_caller]
fn deaths(future: &Future<u32>) -> Vec<(u32, ExitReason)> {
    match future.result().unwrap_err().kind() {
        ErrorKind::TaskDied { deaths, .. } => {
            deaths.0.iter().map(|death| (death.pid, death.reason)).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_death_fails_its_own_task_and_says_who_and_how() {
    let _watchdog = watchdog("a_death_fails_its_own_task", 60);
    let pool = pool_of(2);
    let reasons = [
        (SEGV, ExitReason::Signal(libc::SIGSEGV)),
        (ABORT, ExitReason::Signal(libc::SIGABRT)),
        (EXIT, ExitReason::Code(3)),
        (KILL, ExitReason::Signal(libc::SIGKILL)),
    ];
    for (how, reason) in reasons {
        let pids = pool.worker_pids();
        let before: Vec<Future<u32>> = (10..60).map(|n| pool.submit(die, n).unwrap()).collect();
        let dead = pool.submit(die, how).unwrap();
        let after: Vec<Future<u32>> = (10..60).map(|n| pool.submit(die, n).unwrap()).collect();
        let [(pid, found)] = deaths(&dead)[..] else { panic!("one death") };
        assert!(found == reason && pids.contains(&pid), "{found} {pid}");
        for futures in [before, after] {
            assert!(futures.iter().zip(10..).all(|(future, n)| future.result().unwrap() == n));
        }
        wait_until_healed(&pool, &[pid]);
    }
    let text = pool.submit(die, SEGV).unwrap().result().unwrap_err().to_string();
    assert!(text.starts_with("task `death_submit::die` killed its worker: 1 attempt: pid "), "{text}");
    assert!(text.ends_with("signal 11 (SIGSEGV)"), "{text}");
}

#[test]
fn retried_tasks_are_run_as_often_as_they_may() {
    let _watchdog = watchdog("retried_tasks_are_run", 60);
    let pool = Pool::builder()
        .workers(2)
        .capacity_bytes(1 << 20)
        .on_worker_death(OnWorkerDeath::Retry)
        .build()
        .unwrap();
    assert_eq!(deaths(&pool.submit(die, SEGV).unwrap()).len(), 3, "2 retries unless said");
    assert_eq!(deaths(&pool.call().retries(4).submit(die, ABORT).unwrap()).len(), 5);
    let once = pool.call().on_worker_death(OnWorkerDeath::FailTask).submit(die, EXIT).unwrap();
    assert_eq!(deaths(&once).len(), 1);
    // A task that is killed from outside until it has begun three times.
    let runs = Handle::new(pool.zeros::<u64>(1).unwrap());
    let third_time = |mut runs: LentMut<'_, u64>, (): ()| {
        runs[0] += 1;
        if runs[0] < 3 {
            thread::sleep(Duration::from_secs(100));
        }
        runs[0]
    };
    let future = pool.submit_on(runs.write().unwrap(), third_time, ()).unwrap();
    while !future.wait(Duration::from_millis(200)).unwrap() {
        let pids = pool.worker_pids();
        pids.iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        wait_until_healed(&pool, &pids);
    }
    assert_eq!(future.result().unwrap(), 3);
}

#[test]
fn a_pool_that_breaks_fails_every_task_that_has_not_ended() {
    let _watchdog = watchdog("a_pool_that_breaks", 60);
    let pool = Pool::builder()
        .workers(2)
        .capacity_bytes(1 << 20)
        .on_worker_death(OnWorkerDeath::Break)
        .build()
        .unwrap();
    let done = pool.submit(die, 10).unwrap();
    assert_eq!(done.result().unwrap(), 10);
    let running = pool.submit(sleep, 100_000).unwrap();
    wait_until("it runs", || running.is_running());
    let dead = pool.submit(die, SEGV).unwrap();
    // As many as the pool takes before it knows.
    let pending: Vec<Future<u32>> = (10..2000).map_while(|n| pool.submit(die, n).ok()).collect();
    assert_eq!(deaths(&dead).len(), 1);
    let error = running.result().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolBroken { .. }), "{error}");
    assert!(error.to_string().contains("task `death_submit::die` killed its worker: pid "), "{error}");
    for future in &pending {
        match future.result() {
            Ok(n) => assert!(n >= 10),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::PoolBroken { .. }), "{error}"),
        }
    }
    assert!(matches!(pool.submit(die, 10).unwrap_err().kind(), ErrorKind::PoolBroken { .. }));
    assert_eq!(done.result().unwrap(), 10, "what was done stays done");
    pool.shutdown(true, true).unwrap();
    pool.terminate().unwrap();
}

#[test]
fn a_pool_that_breaks_keeps_the_results_that_are_there() {
    let _watchdog = watchdog("a_pool_that_breaks_keeps_the_results", 60);
    let pool = Pool::builder()
        .workers(1)
        .capacity_bytes(1 << 20)
        .on_worker_death(OnWorkerDeath::Break)
        .build()
        .unwrap();
    // Nobody looks into the table until the pool is broken.
    pool.submit(sleep, 50).unwrap().on_done(|_| thread::sleep(Duration::from_millis(500)));
    thread::sleep(Duration::from_millis(200));
    let done = pool.submit(die, 11).unwrap();
    thread::sleep(Duration::from_millis(100));
    signal(pool.worker_pids()[0], libc::SIGKILL);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(done.result().unwrap(), 11);
    assert!(matches!(pool.submit(die, 10).unwrap_err().kind(), ErrorKind::PoolBroken { .. }));
}

#[test]
fn a_pool_that_would_break_says_why_its_workers_do_not_start() {
    let _watchdog = watchdog("a_pool_that_would_break_says_why", 60);
    let start = |code: i32| -> () { std::process::exit(code) };
    for _ in 0..20 {
        let builder =
            Pool::builder().workers(2).capacity_bytes(1 << 20).on_worker_death(OnWorkerDeath::Break);
        let error = builder.initializer(start, 7).unwrap().build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WorkerStart { .. }), "{error}");
    }
}

#[test]
fn a_pool_that_breaks_does_so_for_idle_workers_and_jobs() {
    let _watchdog = watchdog("a_pool_that_breaks_for_idle", 60);
    let breaking =
        || Pool::builder().workers(2).capacity_bytes(1 << 20).on_worker_death(OnWorkerDeath::Break);
    let is_broken = |pool: &Pool| matches!(pool.submit(die, 10), Err(error) if matches!(error.kind(), ErrorKind::PoolBroken { .. }));
    // Who is killed on the pool's own behalf, and who dies of a task that says otherwise, breaks nothing.
    let pool = breaking().build().unwrap();
    let running = pool.submit(sleep, 100_000).unwrap();
    wait_until("it runs", || running.is_running());
    running.cancel_running();
    let late = pool.call().task_timeout(Duration::from_millis(50)).submit(sleep, 100_000).unwrap();
    assert!(matches!(late.result().unwrap_err().kind(), ErrorKind::TaskTimedOut { .. }));
    let dead = pool.call().on_worker_death(OnWorkerDeath::FailTask).submit(die, SEGV).unwrap();
    assert_eq!(deaths(&dead).len(), 1);
    wait_until("three are replaced", || pool.stats().unwrap().n_deaths == 3 && pool.worker_pids().len() == 2);
    assert_eq!(pool.submit(die, 10).unwrap().result().unwrap(), 10);
    // An idle one.
    signal(pool.worker_pids()[0], libc::SIGKILL);
    wait_until("it is broken", || is_broken(&pool));
    // One at a job over arrays.
    let pool = breaking().build().unwrap();
    let xs = pool.array_from(&[SEGV]).unwrap();
    let error = pool.map(&xs, die).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolBroken { .. }), "{error}");
    assert!(error.to_string().contains("a worker died: pid "), "{error}");
    // Workers that have run as many tasks as they may.
    let pool = breaking().max_tasks_per_worker(1).build().unwrap();
    let futures: Vec<_> = (10..30).map(|n| pool.submit(die, n).unwrap()).collect();
    assert!(futures.iter().zip(10..).all(|(future, n)| future.result().unwrap() == n));
}

#[test]
fn a_task_that_takes_too_long_is_ended_and_no_other() {
    let _watchdog = watchdog("a_task_that_takes_too_long", 60);
    let pool = pool_of(2);
    let limit = Duration::from_millis(100);
    let other = pool.submit(sleep, 700).unwrap();
    let started = Instant::now();
    let late = pool.call().task_timeout(limit).submit(sleep, 100_000).unwrap();
    // These wait longer than they may run.
    let patient: Vec<Future<u64>> =
        (0..20).map(|_| pool.call().task_timeout(limit).submit(sleep, 20).unwrap()).collect();
    let error = late.result().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TaskTimedOut { limit: found, .. } if *found == limit),
        "{error}"
    );
    let elapsed = started.elapsed();
    assert!(elapsed >= limit && elapsed < Duration::from_millis(600), "{elapsed:?}");
    assert!(patient.iter().all(|future| future.result().unwrap() == 20));
    assert_eq!(other.result().unwrap(), 700, "and so does the other worker's task");
    assert_eq!(pool.stats().unwrap().n_deaths, 1);
}

#[test]
fn a_worker_that_is_stopped_and_killed_gives_its_task_back() {
    let _watchdog = watchdog("a_worker_that_is_stopped_and_killed", 60);
    let pool = Pool::builder()
        .workers(1)
        .capacity_bytes(1 << 20)
        .on_worker_death(OnWorkerDeath::Retry)
        .build()
        .unwrap();
    let pid = pool.worker_pids()[0];
    stop(pid);
    let futures: Vec<Future<u32>> = (10..100).map(|n| pool.submit(die, n).unwrap()).collect();
    assert!(!futures[0].wait(Duration::from_millis(50)).unwrap());
    signal(pid, libc::SIGKILL);
    assert!(futures.iter().zip(10..).all(|(future, n)| future.result().unwrap() == n));
}

#[test]
fn a_death_with_a_large_argument_or_result_leaves_nothing_in_the_arena() {
    let _watchdog = watchdog("a_death_with_a_large_argument", 60);
    let pool = pool_of(2);
    let crash = |bytes: Vec<u8>| -> Vec<u8> {
        std::process::exit(i32::from(bytes[0]));
    };
    for _ in 0..5 {
        let future = pool.submit(crash, vec![9; 1 << 20]).unwrap();
        assert!(matches!(future.result().unwrap_err().kind(), ErrorKind::TaskDied { .. }));
    }
    // Killed somewhere between its first byte and its last.
    let large = |n: usize| vec![1.5_f64; n];
    for round in 0..20_u64 {
        let future = pool.submit(large, 1 << 20).unwrap();
        thread::sleep(Duration::from_micros(round * 700));
        let pids = pool.worker_pids();
        pids.iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        match future.result() {
            Ok(values) => assert!(values.len() == 1 << 20 && values.iter().all(|&value| value == 1.5)),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::TaskDied { .. }), "{error}"),
        }
        drop(future);
        wait_until_healed(&pool, &pids);
    }
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
}

/// How long the soak runs.
fn soak_time() -> Duration {
    let seconds = std::env::var("SHMPOOL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// What one submitter of the soak has seen.
#[derive(Default, Debug)]
struct Seen {
    returned: AtomicU64,
    panicked: AtomicU64,
    died: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
}

/// Checks how one task of the soak ended.
fn account(seen: &Seen, kind: u64, n: u64, future: &Future<(u64, Vec<u8>)>) {
    let note = |counter: &AtomicU64| counter.fetch_add(1, SeqCst);
    match future.result() {
        Ok((found, bytes)) => {
            assert!(found == n && bytes.len() as u64 == n % 5000 && kind != 1, "wrong: {kind} {n} {found}");
            note(&seen.returned);
        }
        Err(error) => {
            match error.kind() {
                ErrorKind::TaskPanicked { message, .. } if kind == 1 && *message == n.to_string() => {
                    note(&seen.panicked)
                }
                ErrorKind::TaskDied { .. } => note(&seen.died),
                ErrorKind::Cancelled { .. } if kind == 3 || kind == 4 => note(&seen.cancelled),
                ErrorKind::TaskTimedOut { .. } if kind == 5 => note(&seen.timed_out),
                _ => panic!("{kind} {n}: {error}"),
            };
        }
    }
}

#[test]
fn soak_of_submits_cancels_timeouts_panics_and_kills() {
    let test = "soak_of_submits_cancels_timeouts_panics_and_kills";
    let _watchdog = watchdog(test, 120 + soak_time().as_secs());
    let n_fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let fds = n_fds();
    // A backtrace takes longer to print than a worker lives here.
    let builder = Pool::builder().workers(2).capacity_bytes(256 << 20).env("RUST_BACKTRACE", "0");
    let pool = builder.build().unwrap();
    let (alive, end) = mpsc::channel::<()>();
    let (seen, kills) = (Seen::default(), AtomicU64::new(0));
    thread::scope(|scope| {
        let (pool, seen, kills) = (&pool, &seen, &kills);
        scope.spawn(move || {
            let mut random = Random::new(0xdead);
            while end.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                thread::sleep(Duration::from_micros(random.below(20_000)));
                let pids = pool.worker_pids();
                if let Some(&pid) = pids.get(random.below(2) as usize) {
                    signal(pid, libc::SIGKILL);
                    kills.fetch_add(1, SeqCst);
                }
            }
        });
        let submitters: Vec<_> = (0..3_u64)
            .map(|thread| {
                scope.spawn(move || {
                    let (mut random, start, mut n) = (Random::new(thread + 77), Instant::now(), thread);
                    while start.elapsed() < soak_time() {
                        let batch: Vec<_> = (0..random.below(300) + 1)
                            .map(|_| {
                                n += 3;
                                let kind = random.below(60).min(9);
                                let call = match kind {
                                    5 => pool.call().task_timeout(Duration::from_millis(2)),
                                    6 => pool.call().on_worker_death(OnWorkerDeath::Retry),
                                    _ => pool.call(),
                                };
                                let task = |(kind, n, bytes): (u64, u64, Vec<u8>)| {
                                    match kind {
                                        1 => panic!("{n}"),
                                        2 => die((n % 4) as u32),
                                        4 | 5 => u32::from(sleep(5) == 0),
                                        _ => 0,
                                    };
                                    (n, bytes)
                                };
                                (kind, n, call.submit(task, (kind, n, vec![7; (n % 5000) as usize])).unwrap())
                            })
                            .collect();
                        for (kind, _, future) in &batch {
                            match kind {
                                3 => drop(future.cancel()),
                                4 => drop(future.cancel_running()),
                                _ => {}
                            }
                        }
                        for (kind, n, future) in &batch {
                            account(seen, *kind, *n, future);
                        }
                    }
                })
            })
            .collect();
        submitters.into_iter().for_each(|submitter| submitter.join().unwrap());
        drop(alive);
    });
    println!("{test}: {seen:?}, {kills:?} kills, {} deaths", pool.stats().unwrap().n_deaths);
    assert!(
        seen.died.load(SeqCst) > 0 && seen.panicked.load(SeqCst) > 0 && seen.returned.load(SeqCst) > 1000
    );
    pool.shutdown(true, false).unwrap();
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
    let pids = pool.worker_pids();
    drop(pool);
    wait_until("every worker is gone", || pids.iter().all(|&pid| common::has_ended(pid)));
    wait_until("every descriptor is closed", || n_fds() <= fds);
}

#[test]
fn futures_outlive_their_pool_and_know_their_end() {
    let _watchdog = watchdog("futures_outlive_their_pool", 60);
    let pool = Arc::new(pool_of(1));
    let (good, bad) = (pool.submit(die, 50).unwrap(), pool.submit(die, ABORT).unwrap());
    drop(pool);
    assert_eq!(good.result().unwrap(), 50);
    assert_eq!(deaths(&bad).len(), 1);
    assert!(!good.cancel() && !good.cancel_running());
}

/// What a task of the soak of retirement does.
fn work((kind, n): (u64, u64)) -> (u64, Vec<u8>) {
    match kind {
        0 => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
        1 => panic!("{n}"),
        2 => std::process::abort(),
        3 | 4 => drop(sleep(4)),
        5 => std::process::exit(121),
        _ => {}
    }
    (n, vec![7; if n.is_multiple_of(3) { 20_000 } else { 10 }])
}

#[test]
fn soak_of_retirement_limits_stops_and_kills() {
    let test = "soak_of_retirement_limits_stops_and_kills";
    let _watchdog = watchdog(test, 60 + 2 * soak_time().as_secs());
    let builder = Pool::builder().workers(2).capacity_bytes(256 << 20).env("RUST_BACKTRACE", "0");
    let builder = builder.max_tasks_per_worker(5).memory_limit(256 << 20);
    let builder = builder.initializer(|(): ()| (), ()).unwrap().finalizer(|(): ()| (), ()).unwrap();
    let pool = builder.build().unwrap();
    let over = AtomicBool::new(false);
    let mut ends = BTreeMap::<&str, u32>::new();
    thread::scope(|scope| {
        let (pool, over) = (&pool, &over);
        scope.spawn(move || {
            let mut random = Random::new(0xbad);
            let mut stopped = Vec::new();
            while !over.load(SeqCst) {
                thread::sleep(Duration::from_micros(random.below(20_000)));
                let pids = pool.worker_pids();
                let Some(&pid) = pids.get(random.below(2) as usize) else { continue };
                match random.below(4) {
                    0 => signal(pid, libc::SIGKILL),
                    1 => {
                        signal(pid, libc::SIGSTOP);
                        stopped.push(pid);
                    }
                    _ => {
                        let how = if random.below(2) == 0 { libc::SIGCONT } else { libc::SIGKILL };
                        for pid in stopped.drain(..).filter(|pid| pids.contains(pid)) {
                            signal(pid, how);
                        }
                    }
                }
            }
            for pid in stopped.into_iter().filter(|pid| pool.worker_pids().contains(pid)) {
                signal(pid, libc::SIGCONT);
            }
        });
        let (start, mut random, mut n) = (Instant::now(), Random::new(99), 0_u64);
        while start.elapsed() < soak_time() {
            let batch: Vec<_> = (0..random.below(60) + 1)
                .map(|_| {
                    n += 1;
                    let kind = random.below(40);
                    let call = match random.below(4) {
                        0 => pool.call().task_timeout(Duration::from_millis(2)),
                        1 => pool.call().on_worker_death(OnWorkerDeath::Retry),
                        _ => pool.call(),
                    };
                    (kind, n, call.submit(work, (kind, n)).unwrap())
                })
                .collect();
            for (kind, _, future) in &batch {
                match kind {
                    4 | 7 => drop(future.cancel_running()),
                    8 => drop(future.cancel()),
                    _ => {}
                }
            }
            for (kind, n, future) in &batch {
                let end = match future.result() {
                    Ok((found, bytes)) => {
                        assert!(found == *n && bytes.iter().all(|&byte| byte == 7), "{kind} {n}");
                        assert!(![0, 1, 2, 5].contains(kind), "{kind} {n}");
                        "returned"
                    }
                    Err(error) => match error.kind() {
                        ErrorKind::TaskPanicked { message, .. } if *message == n.to_string() => "panicked",
                        ErrorKind::TaskDied { .. } => "died",
                        ErrorKind::Cancelled { .. } if [4, 7, 8].contains(kind) => "cancelled",
                        ErrorKind::TaskTimedOut { .. } => "timed out",
                        _ => panic!("{kind} {n}: {error}"),
                    },
                };
                *ends.entry(end).or_default() += 1;
            }
        }
        over.store(true, SeqCst);
    });
    let stats = pool.stats().unwrap();
    println!("{test}: {ends:?}, {} deaths, {} retired", stats.n_deaths, stats.n_retired);
    assert_eq!(ends.len(), 5);
    pool.shutdown(true, false).unwrap();
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
}
