//! What a pool says of itself, to its own process and to others.

mod common;

use std::io;
use std::thread;
use std::time::Duration;

use common::{alone, pool_of, signal, wait_until, wait_until_healed, watchdog};
use shmpool::{ErrorKind, Pool, Stats};

shmpool::test_workers!();

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

fn burn(ms: u64) -> u64 {
    let until = std::time::Instant::now() + Duration::from_millis(ms);
    let mut n = 0_u64;
    while std::time::Instant::now() < until {
        n = std::hint::black_box(n + 1);
    }
    n
}

#[test]
fn workers_are_busy_in_tasks_and_idle_between_them() {
    let _watchdog = watchdog("workers_are_busy_in_tasks", 60);
    let pool = pool_of(1);
    let worker = || pool.stats().unwrap().workers[0];
    thread::sleep(Duration::from_millis(200));
    let before = worker();
    assert_eq!(before.pid, Some(pool.worker_pids()[0]));
    assert_eq!((before.n_starts, before.n_tasks), (1, 0));
    assert!(before.idle >= Duration::from_millis(100) && before.idle <= before.age, "{before:?}");
    pool.submit(sleep, 300).unwrap().result().unwrap();
    let slept = worker();
    let busy = slept.busy() - before.busy();
    assert!(busy >= Duration::from_millis(290), "asleep in a task is busy: {before:?} {slept:?}");
    pool.submit(burn, 300).unwrap().result().unwrap();
    let burnt = worker();
    let ran = burnt.cpu + burnt.waited_for_cpu - slept.cpu - slept.waited_for_cpu;
    assert!(ran >= Duration::from_millis(250), "{slept:?} {burnt:?}");
    assert!(slept.cpu < Duration::from_millis(290), "{slept:?}");
    assert_eq!(burnt.n_tasks, 2);
    // While a task runs.
    let long = pool.submit(sleep, 300).unwrap();
    wait_until("it runs", || long.is_running());
    let begun = worker();
    thread::sleep(Duration::from_millis(100));
    let later = worker();
    assert!(later.idle == begun.idle && later.busy() > begun.busy(), "{begun:?} {later:?}");
    long.result().unwrap();
}

#[test]
fn tasks_are_counted_where_they_were_done() {
    let _watchdog = watchdog("tasks_are_counted", 60);
    let pool = pool_of(2);
    let xs = pool.zeros::<u8>(100).unwrap();
    pool.call().grain(1).map(&xs, |x| x + 1).unwrap();
    for n in 0..10 {
        pool.submit(sleep, n % 2).unwrap().result().unwrap();
    }
    let stats = pool.stats().unwrap();
    assert_eq!(stats.workers.iter().map(|worker| worker.n_tasks).sum::<u64>(), 110);
    assert_eq!((stats.n_jobs, stats.n_jobs_open, stats.n_tasks, stats.n_tasks_pending), (1, 0, 10, 0));
    // A successor begins anew, but for what is the slot's.
    let old = pool.worker_pids();
    signal(old[0], libc::SIGKILL);
    wait_until_healed(&pool, &old[..1]);
    let after = pool.stats().unwrap();
    assert_eq!(after.workers[0].n_starts, 2);
    assert_eq!(after.workers[0].n_tasks, stats.workers[0].n_tasks);
    assert!(after.workers[0].age < after.workers[1].age);
    // What waits.
    let pending: Vec<_> = (0..20).map(|_| pool.submit(sleep, 20).unwrap()).collect();
    let depth = pool.stats().unwrap();
    assert!(depth.n_tasks_pending > 10 && depth.n_leases_open == depth.n_tasks_pending, "{depth:?}");
    drop(pending);
}

/// Pools of a process, and pools with live workers anywhere.
fn look(pid: u32) -> (Vec<(usize, u64)>, bool) {
    let of_process = Stats::of_process(pid).unwrap();
    let everywhere = Stats::of_all_processes().unwrap().iter().any(|stats| stats.pid == pid);
    (of_process.iter().map(|stats| (stats.n_workers, stats.n_jobs)).collect(), everywhere)
}

#[test]
fn other_processes_see_the_same_figures() {
    alone(
        "other_processes_see_the_same_figures",
        |_| (),
        || {
            let _watchdog = watchdog("other_processes_see_the_same", 60);
            let (pool, other) = (pool_of(2), pool_of(1));
            let xs = pool.zeros::<u8>(10).unwrap();
            pool.map(&xs, |x| x + 1).unwrap();
            // A worker is another process; its own pool's figures are written once a second.
            let me = std::process::id();
            wait_until("the figures are written", || {
                let (mut pools, everywhere) = pool.submit(look, me).unwrap().result().unwrap();
                pools.sort_unstable();
                pools == [(1, 0), (2, 1)] && everywhere
            });
            let mine = Stats::of_process(me).unwrap();
            assert_eq!(mine.iter().map(|stats| stats.workers.len()).sum::<usize>(), 3);
            assert!(mine.iter().all(|stats| stats.pid == me && stats.age < Duration::from_secs(30)));
            assert!(mine.iter().all(|stats| stats.arena.capacity_bytes == 256 << 20));
            // A worker holds its pool's descriptors and has no pool.
            assert!(Stats::of_process(pool.worker_pids()[0]).unwrap().is_empty());
            drop((pool, other));
            assert!(Stats::of_process(me).unwrap().is_empty());
            let gone = Stats::of_process(u32::MAX).unwrap_err();
            assert!(
                matches!(gone.kind(), ErrorKind::Os { error, .. } if error.kind() == io::ErrorKind::NotFound),
                "{gone}"
            );
        },
    );
}

#[test]
#[allow(unsafe_code)] // `memfd_create`
fn a_pool_of_another_version_is_no_pool_of_ours() {
    alone(
        "a_pool_of_another_version_is_no_pool_of_ours",
        |_| (),
        || {
            // SAFETY: takes a name and a number.
            let fd = unsafe { libc::memfd_create(c"shmpool-parent".as_ptr(), libc::MFD_CLOEXEC) };
            assert!(fd >= 0);
            let me = std::process::id();
            let error = Stats::of_process(me).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::OtherVersion { pid } if *pid == me), "{error}");
            assert!(Stats::of_all_processes().unwrap().iter().all(|stats| stats.pid != me));
        },
    );
}

#[test]
fn a_pool_without_workers_has_figures_too() {
    let pool = Pool::builder().workers(0).capacity_bytes(1 << 20).build().unwrap();
    let xs = pool.array_from(&[1_u8, 2]).unwrap();
    pool.map(&xs, |x| x + 1).unwrap();
    pool.submit(sleep, 0).unwrap().result().unwrap();
    let stats = pool.stats().unwrap();
    assert_eq!((stats.n_jobs, stats.n_tasks, stats.bytes_copied, stats.n_workers), (1, 1, 2, 0));
    assert!(stats.workers.is_empty());
}
