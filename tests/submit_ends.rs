//! Ends of tasks that could be told late, or never.
#![allow(unsafe_code)] // a task that scribbles, and a forked child

shmpool::test_workers!();

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, mapping, pool_of, wait_until, watchdog};
use shmpool::{ErrorKind, Future, Handle, LentMut, OnWorkerDeath, Pool, ReturnWhen};

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

fn twice(n: u64) -> u64 {
    2 * n
}

/// Writes nonsense over entries and heads, and waits for what comes of it.
fn corrupt(n: u64) -> u64 {
    let control = mapping("shmpool-workers").unwrap();
    for word in 0..(2 << 20) / 8 {
        // SAFETY: in this worker's own writable mapping, whose words may hold anything; that this is no way to treat it is
        // what the test is about.
        unsafe { (control.start as *mut u64).wrapping_add(word).write_volatile(u64::MAX) };
    }
    sleep(100_000) + n
}

#[test]
fn a_task_that_corrupts_the_segment_whenever_it_runs_is_not_run_for_ever() {
    let _watchdog = watchdog("a_task_that_corrupts_the_segment", 60);
    let pool = pool_of(1);
    let future = pool.call().on_worker_death(OnWorkerDeath::Retry).submit(corrupt, 1).unwrap();
    let error = future.result_timeout(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ControlCorrupted { times: 3 }), "{error}");
    assert_eq!(pool.submit(twice, 4).unwrap().result().unwrap(), 8);
}

#[test]
fn a_task_is_not_taken_by_way_of_an_older_hint() {
    let _watchdog = watchdog("a_task_is_not_taken_by_way_of_an_older_hint", 60);
    let pool = pool_of(1);
    // So many that the table takes more than a few.
    let many: Vec<Future<u64>> = (0..20_000).map(|n| pool.submit(twice, n).unwrap()).collect();
    assert!(many.iter().enumerate().all(|(n, future)| future.result().unwrap() == 2 * n as u64));
    let first = pool.submit(sleep, 300).unwrap();
    wait_until("it runs", || first.is_running());
    let withdrawn = pool.submit(twice, 1).unwrap();
    let xs = pool.array_from(&[3000_u64]).unwrap();
    let job = pool.background(move |call| call.map(&xs, sleep)).unwrap();
    thread::sleep(Duration::from_millis(50)); // its lease is offered
    let behind = pool.submit(twice, 2).unwrap();
    assert!(withdrawn.cancel());
    // Were its entry that of the withdrawn one, whose hint stands before the job's, it would be done before those that came
    // before it, and nobody would look for it there.
    let last = pool.submit(twice, 3).unwrap();
    first.result().unwrap();
    assert!(!last.wait(Duration::from_millis(1500)).unwrap(), "it was not its turn");
    assert!(!behind.is_done() && !job.is_done(), "that proves nothing");
    job.wait().unwrap();
    assert_eq!((behind.result().unwrap(), last.result().unwrap()), (4, 6));
}

#[test]
fn the_time_for_which_the_program_is_stopped_is_not_that_of_a_task() {
    let test = "the_time_for_which_the_program_is_stopped_is_not_that_of_a_task";
    let _watchdog = watchdog("the_time_for_which_the_program_is_stopped", 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(1);
            let me = std::process::id();
            let limit = Duration::from_secs(3);
            let future = pool.call().task_timeout(limit).submit(sleep, 5500).unwrap();
            wait_until("it runs", || future.is_running());
            let patient = pool.call().task_timeout(limit).submit(sleep, 1000).unwrap();
            let mut stopper = std::process::Command::new("sh")
                .args(["-c", &format!("sleep 0.3; kill -STOP {me}; sleep 4; kill -CONT {me}")])
                .spawn()
                .unwrap();
            assert_eq!(future.result().unwrap(), 5500);
            assert_eq!(patient.result().unwrap(), 1000);
            stopper.wait().unwrap();
            let late = pool.call().task_timeout(Duration::from_millis(100)).submit(sleep, 100_000).unwrap();
            assert!(matches!(late.result().unwrap_err().kind(), ErrorKind::TaskTimedOut { .. }));
        },
    );
}

#[test]
fn a_callback_may_drop_the_pool() {
    let test = "a_callback_may_drop_the_pool";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(1);
            let future = pool.submit(sleep, 200).unwrap();
            let (told, tell) = mpsc::channel();
            let panicked = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                panicked(info);
                std::process::abort();
            }));
            future.on_done(move |_| {
                drop(pool);
                told.send(()).unwrap();
            });
            tell.recv().unwrap();
            assert_eq!(future.result().unwrap(), 200);
        },
    );
}

#[test]
fn a_retired_workers_finalizer_is_cut_short_too() {
    let _watchdog = watchdog("a_retired_workers_finalizer", 60);
    /// Does not end the first time.
    fn hang_once(path: String) {
        if std::fs::File::create_new(path).is_ok() {
            sleep(100_000);
        }
    }
    let been = std::env::temp_dir().join(format!("shmpool-finalizer-{}", std::process::id()));
    let pool = Pool::builder()
        .workers(1)
        .capacity_bytes(1 << 20)
        .max_tasks_per_worker(1)
        .finalizer(hang_once, been.to_str().unwrap().to_owned())
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(pool.submit(twice, 1).unwrap().result().unwrap(), 2);
    assert_eq!(pool.submit(twice, 2).unwrap().result_timeout(Duration::from_secs(25)).unwrap(), 4);
    drop(pool);
    std::fs::remove_file(been).unwrap();
}

#[test]
fn a_forked_child_waits_for_no_future() {
    let _watchdog = watchdog("a_forked_child", 60);
    let pool = pool_of(1);
    let first = pool.submit(sleep, 20_000).unwrap();
    wait_until("it runs", || first.is_running());
    let mut unordered = pool.map_iter(sleep, [20_000, 20_000]).unordered();
    // SAFETY: the child uses what it has of this thread alone, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let futures = [first.clone()];
        let done = shmpool::wait(&futures, ReturnWhen::All, None);
        let refused = matches!(first.result().unwrap_err().kind(), ErrorKind::ForkedChild { .. });
        let refused = refused && matches!(unordered.next(), Some(Err(_))) && unordered.next().is_none();
        let (told, tell) = mpsc::channel();
        first.on_done(move |future| told.send(future.result().is_err()).unwrap());
        let called = tell.try_recv() == Ok(true);
        // SAFETY: ends the child, and runs nothing of its parent's.
        unsafe { libc::_exit(i32::from(!(done == [0] && refused && called))) };
    }
    let (started, mut status) = (Instant::now(), 0);
    // SAFETY: our own child, and a status to write.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if started.elapsed() > Duration::from_secs(10) {
            common::signal(child.cast_unsigned(), libc::SIGKILL);
            panic!("the child waits");
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(status, 0);
    drop(unordered);
    pool.terminate().unwrap();
}

fn sleep_on(mut xs: LentMut<'_, u64>, ms: u64) {
    xs[0] = sleep(ms);
}

#[test]
fn after_terminate_no_array_is_lent_any_more() {
    let _watchdog = watchdog("after_terminate", 100);
    for _ in 0..40 {
        let pool = pool_of(4);
        let handles: Vec<_> = (0..4).map(|_| Handle::new(pool.zeros::<u64>(1).unwrap())).collect();
        let lend = |handle: &Handle<_>| pool.submit_on(handle.write().unwrap(), sleep_on, 100_000).unwrap();
        let futures: Vec<Future<()>> = handles.iter().map(lend).collect();
        wait_until("all run", || futures.iter().all(Future::is_running));
        pool.terminate().unwrap();
        for handle in &handles {
            drop(handle.write().unwrap());
        }
        assert!(futures.iter().all(Future::is_cancelled));
    }
}
