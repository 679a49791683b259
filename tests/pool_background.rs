//! Calls in the background, and calls that end early.
#![allow(unsafe_code)] // `fork`

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, has_ended, pool_of, signal, wait_until, watchdog};
use shmpool::{Access, Array, CancelToken, ErrorKind, Handle, Job, Pool};

shmpool::test_workers!();

/// A kernel that takes some milliseconds for each element.
fn slow(x: u32) -> u32 {
    thread::sleep(Duration::from_millis(5));
    x + 1
}

/// A kernel that does not end for odd elements.
fn stuck(x: u32) -> u32 {
    if x % 2 == 1 {
        loop {
            std::hint::spin_loop();
        }
    }
    x
}

/// A job of many slow tasks.
fn start_slow(pool: &Pool, n: usize) -> Job<Array<u32>> {
    let xs = pool.array_with(n, |i| i as u32).unwrap();
    pool.call().grain(1).background(move |call| call.map(&xs, slow)).unwrap()
}

#[test]
fn several_verbs_are_one_job_and_the_arrays_come_back() {
    let _watchdog = watchdog("several_verbs_are_one_job", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(100_000, |i| i as f64).unwrap();
    let job = pool
        .background(move |call| {
            let mut ys = call.map(&xs, |x| x + 1.0)?;
            call.update(&mut ys, |y| *y *= 2.0)?;
            let sum = call.reduce(&ys, 0.0, |sum, y| sum + y, |a, b| a + b)?;
            Ok((xs, ys, sum))
        })
        .unwrap();
    let (xs, ys, sum) = job.wait().unwrap();
    assert!(ys.iter().zip(&*xs).all(|(y, x)| *y == (x + 1.0) * 2.0));
    assert_eq!(sum, ys.iter().sum::<f64>());
}

#[test]
fn one_array_is_read_by_many_jobs_at_once() {
    let _watchdog = watchdog("one_array_is_read_by_many_jobs_at_once", 60);
    let pool = pool_of(2);
    let xs = Arc::new(pool.array_with(10_000, |i| i as u32).unwrap());
    // More than run at once.
    let jobs: Vec<Job<Array<u32>>> = (0..100)
        .map(|_| {
            let xs = Arc::clone(&xs);
            pool.background(move |call| call.map(&xs, |x| x ^ 1)).unwrap()
        })
        .collect();
    for job in jobs {
        let ys = job.wait().unwrap();
        assert!(ys.iter().zip(xs.iter()).all(|(y, x)| *y == x ^ 1));
    }
}

#[test]
fn jobs_that_wait_for_jobs_of_their_own_do_not_hang() {
    let _watchdog = watchdog("jobs_that_wait_for_jobs_of_their_own", 60);
    let pool = pool_of(1);
    let nested = |n: u32| {
        move |call: shmpool::Call<'_>| {
            let inner = call.background(move |call| call.from_fn([1], |_| 7_u32))?;
            Ok(n + inner.wait()?[0])
        }
    };
    let jobs: Vec<Job<u32>> = (0..80).map(|n| pool.background(nested(n)).unwrap()).collect();
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.wait().unwrap(), n as u32 + 7);
    }
}

#[test]
fn progress_grows_and_a_cancelled_job_says_what_is_done() {
    let _watchdog = watchdog("progress_grows_and_a_cancelled_job", 60);
    let pool = pool_of(2);
    let job = start_slow(&pool, 100_000);
    wait_until("ten tasks are done", || job.progress().n_done >= 10);
    assert_eq!(job.progress().n_tasks, 100_000);
    let job = job.wait_timeout(Duration::from_millis(1)).expect_err("500 s of work are not done");
    assert!(!job.is_done());
    job.cancel();
    let mut error = job.wait().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled { n_done: 10..1000, n_tasks: 100_000 }), "{error}");
    let ys = error.take_partial::<Array<u32>>().unwrap();
    let report = error.report().unwrap();
    assert_eq!((report.n_failed, report.failures.len()), (0, 0));
    for range in &report.done {
        assert!(range.clone().all(|i| ys[i as usize] == i as u32 + 1));
    }
    assert_eq!(pool.stats().unwrap().n_deaths, 0, "nobody had to die for it");
}

#[test]
fn verbs_behind_a_cancelled_one_fail_before_they_begin() {
    let _watchdog = watchdog("verbs_behind_a_cancelled_one", 60);
    let pool = pool_of(2);
    let (go, went) = mpsc::channel();
    let job = pool
        .background(move |call| {
            went.recv().unwrap();
            call.from_fn([10], |[i]| i as u32)
        })
        .unwrap();
    job.cancel();
    go.send(()).unwrap();
    let error = job.wait().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled { n_done: 0, n_tasks: 1.. }), "{error}");
}

#[test]
fn a_job_that_does_not_end_can_be_killed_and_the_pool_heals() {
    let _watchdog = watchdog("a_job_that_does_not_end_can_be_killed", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(64, |i| i as u32).unwrap();
    let job = pool.call().grain(1).background(move |call| call.map(&xs, stuck)).unwrap();
    wait_until("some are done", || job.progress().n_done >= 1);
    job.cancel_running();
    let error = job.wait().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled { n_tasks: 64, .. }), "{error}");
    assert!(pool.stats().unwrap().n_deaths >= 1);
    let ys = pool.from_fn([1000], |[i]| i as u32).unwrap();
    assert!(ys.iter().enumerate().all(|(i, y)| *y == i as u32));
}

#[test]
fn a_call_that_takes_too_long_times_out_and_the_pool_heals() {
    let _watchdog = watchdog("a_call_that_takes_too_long", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(64, |i| i as u32).unwrap();
    let start = Instant::now();
    let call = pool.call().grain(1).timeout(Duration::from_millis(100));
    let error = call.map(&xs, stuck).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut { n_tasks: 64, .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(pool.from_fn([3], |[i]| i as u32).unwrap()[..], [0, 1, 2]);
    let error = call.map(&xs, |x| x).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut { n_done: 0, .. }), "its time is up: {error}");
    let enough = pool.call().timeout(Duration::from_secs(3600));
    assert_eq!(enough.map(&xs, |x| x).unwrap()[..], xs[..]);
}

#[test]
fn the_time_of_a_background_job_is_that_of_all_its_verbs() {
    let _watchdog = watchdog("the_time_of_a_background_job", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(8, |i| i as u32).unwrap();
    let call = pool.call().grain(1).timeout(Duration::from_millis(200));
    let job = call.background(move |call| {
        (0_u64..)
            .find_map(|n| call.map(&xs, slow).err().map(|error| (n, error)))
            .ok_or_else(|| unreachable!())
    });
    let (n, error) = job.unwrap().wait().unwrap();
    assert!(n >= 1 && matches!(error.kind(), ErrorKind::TimedOut { .. }), "{n}: {error}");
}

/// By the time of the kill a worker may be at another job's task, and that of an `update` must not run twice.
#[test]
fn killing_the_workers_of_one_job_costs_no_other_job_a_task() {
    let _watchdog = watchdog("killing_the_workers_of_one_job", 120);
    let pool = pool_of(2);
    let over = AtomicBool::new(false);
    let n_updates = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut ys = pool.zeros::<u32>(64).unwrap();
            while !over.load(Ordering::Relaxed) {
                pool.call().grain(1).update(&mut ys, |y| *y += 1).unwrap();
                n_updates.fetch_add(1, Ordering::Relaxed);
            }
            assert!(ys.iter().all(|y| *y == n_updates.load(Ordering::Relaxed)));
        });
        for round in 0..40 {
            let xs = pool.array_with(64, |i| i as u32).unwrap();
            let job = pool.call().grain(1).background(move |call| {
                call.map(&xs, |x| {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(200) {}
                    x
                })
            });
            let job = job.unwrap();
            thread::sleep(Duration::from_micros(100 * round));
            job.cancel_running();
            let _ = job.wait(); // it may have been through
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(n_updates.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_time_for_which_the_program_is_stopped_does_not_count() {
    let test = "the_time_for_which_the_program_is_stopped_does_not_count";
    let _watchdog = watchdog("the_time_for_which_the_program_is_stopped", 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(1);
            let me = std::process::id();
            let xs = pool.array_with(20, |i| i as u32).unwrap();
            // Somebody types Ctrl-Z, and `fg` four seconds later.
            let mut stopper = std::process::Command::new("sh")
                .args(["-c", &format!("sleep 0.3; kill -STOP {me}; sleep 4; kill -CONT {me}")])
                .spawn()
                .unwrap();
            let call = pool.call().grain(1).timeout(Duration::from_secs(3));
            let start = Instant::now();
            let ys = call.map(&xs, |x| {
                thread::sleep(Duration::from_millis(50));
                x
            });
            assert_eq!(ys.unwrap()[..], xs[..]);
            assert!(start.elapsed() > Duration::from_secs(3), "it was not stopped at all");
            stopper.wait().unwrap();
        },
    );
}

#[test]
fn a_token_ends_calls_of_other_threads() {
    let _watchdog = watchdog("a_token_ends_calls_of_other_threads", 60);
    let (pool, token) = (pool_of(2), CancelToken::new());
    let xs = pool.array_with(100_000, |i| i as u32).unwrap();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| pool.call().grain(1).cancel_token(&token).map(&xs, slow).unwrap_err()))
            .collect();
        thread::sleep(Duration::from_millis(50));
        token.cancel();
        for call in calls {
            let error = call.join().unwrap();
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        }
    });
    assert!(token.is_cancelled());
}

/// The simplest of runtimes.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_job_can_be_awaited() {
    let _watchdog = watchdog("a_job_can_be_awaited", 60);
    let pool = pool_of(2);
    let (sum, product) = block_on(async {
        let slow = start_slow(&pool, 20);
        let quick = pool.background(|call| call.from_fn([4], |[i]| i as u32 + 1)).unwrap();
        (slow.await.unwrap().iter().sum::<u32>(), quick.await.unwrap().iter().product::<u32>())
    });
    assert_eq!((sum, product), (210, 24));
}

#[test]
fn a_panic_of_the_closure_is_its_waiters() {
    let _watchdog = watchdog("a_panic_of_the_closure", 60);
    let pool = pool_of(1);
    let job = pool.background(|_| -> shmpool::Result<()> { panic!("in the closure") }).unwrap();
    let panic = thread::spawn(move || job.wait()).join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the closure"));
    pool.background(|_| Ok(())).unwrap().wait().unwrap();
}

#[test]
fn dropping_the_pool_waits_for_its_jobs() {
    let _watchdog = watchdog("dropping_the_pool_waits", 60);
    let pool = pool_of(2);
    let jobs = [start_slow(&pool, 20), start_slow(&pool, 20)];
    drop(start_slow(&pool, 20)); // nobody wants its result
    drop(pool);
    for job in jobs {
        assert!(job.is_done());
        assert_eq!(job.wait().unwrap()[19], 20);
    }
}

#[test]
fn a_job_may_have_the_last_handle_of_its_pool() {
    let _watchdog = watchdog("a_job_may_have_the_last_handle", 60);
    let pool = Arc::new(pool_of(1));
    let pids = pool.worker_pids();
    let job = pool
        .background({
            let pool = Arc::clone(&pool);
            move |call| {
                wait_until("the others have let go of the pool", || Arc::strong_count(&pool) == 1);
                drop(pool);
                call.from_fn([1], |_| 1_u8)
            }
        })
        .unwrap();
    drop(pool);
    assert_eq!(job.wait().unwrap()[..], [1], "the pool ends with its last job");
    wait_until("its workers are gone", || pids.iter().all(|&pid| has_ended(pid)));
}

#[test]
fn a_job_of_a_job_may_have_the_last_handle_too() {
    let _watchdog = watchdog("a_job_of_a_job_may_have_the_last_handle", 60);
    let pool = Arc::new(pool_of(1));
    let pids = pool.worker_pids();
    let (go_on, wait) = mpsc::channel::<()>();
    let last = Arc::clone(&pool);
    let job = pool.background(move |call| {
        wait.recv().unwrap();
        call.background(move |_| Ok(last.n_workers()))?.wait()
    });
    drop(pool);
    go_on.send(()).unwrap();
    assert_eq!(job.unwrap().wait().unwrap(), 1);
    wait_until("its workers are gone", || pids.iter().all(|&pid| has_ended(pid)));
}

#[test]
fn no_verb_returns_while_a_worker_writes_though_its_pool_is_dropped() {
    let _watchdog = watchdog("no_verb_returns_while_a_worker_writes", 60);
    fn slow_one(x: &mut u32) {
        thread::sleep(Duration::from_millis(1));
        *x = 1;
    }
    /// How much is written when the verb has returned, and a while later.
    fn update(call: shmpool::Call<'_>, xs: &mut Array<u32>) -> (u32, u32) {
        let _ = call.grain(500).update(xs, slow_one);
        let before = xs.iter().sum();
        thread::sleep(Duration::from_millis(100));
        (before, std::hint::black_box(xs).iter().sum())
    }
    // By a job of another pool.
    let (a, b) = (pool_of(1), pool_of(1));
    let mut xs = b.zeros::<u32>(500).unwrap();
    let job = b.background(move |call| Ok(update(call, &mut xs))).unwrap();
    let job_a = a.background(move |_| {
        drop(b);
        Ok(())
    });
    job_a.unwrap().wait().unwrap();
    assert!(job.is_done(), "dropping a pool waits for its jobs, whoever does it");
    assert_eq!(job.wait().unwrap(), (500, 500));
    // By its own job, beside the verb.
    let pool = Arc::new(pool_of(1));
    let mut xs = pool.zeros::<u32>(500).unwrap();
    let (last, (go_on, wait)) = (Arc::clone(&pool), mpsc::channel::<()>());
    let job = pool.background(move |call| {
        wait.recv().unwrap();
        let pool = call.pool();
        Ok(thread::scope(|scope| {
            let verb = scope.spawn(|| update(pool.call(), &mut xs));
            thread::sleep(Duration::from_millis(50));
            drop(last);
            verb.join().unwrap()
        }))
    });
    drop(pool);
    go_on.send(()).unwrap();
    assert_eq!(job.unwrap().wait().unwrap(), (500, 500));
}

#[test]
fn a_token_that_is_asked_while_calls_begin_with_it_stops_nobody_for_good() {
    let _watchdog = watchdog("a_token_that_is_asked_while_calls_begin", 60);
    let pool = pool_of(2);
    let ys = pool.array_with(10, |i| i as u32).unwrap();
    for _ in 0..300 {
        let token = CancelToken::new();
        let xs = pool.zeros::<u8>(1).unwrap();
        let job = pool.call().cancel_token(&token).background(move |call| {
            while call.map(&xs, |x| x).is_ok() {}
            Ok(())
        });
        let job = job.unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while pool.call().cancel_token(&token).map(&ys, |y| y + 1).is_ok() {});
            }
            for _ in 0..20 {
                job.progress();
            }
            token.cancel();
        });
        job.wait().unwrap();
    }
}

#[test]
fn a_job_is_cancelled_by_itself_and_by_the_token_of_its_call() {
    let _watchdog = watchdog("a_job_is_cancelled_by_itself", 60);
    let pool = pool_of(2);
    let token = CancelToken::new();
    let start = |n: usize| {
        let xs = pool.array_with(n, |i| i as u32).unwrap();
        let job =
            pool.call().grain(1).cancel_token(&token).background(move |call| call.map(&xs, slow)).unwrap();
        wait_until("it is in its place behind the others", || job.progress().n_tasks > 0);
        job
    };
    let (b, c, a) = (start(40), start(4000), start(30));
    assert_eq!([&a, &b, &c].map(|job| job.progress().n_tasks), [30, 40, 4000], "each its own");
    a.cancel();
    assert!(matches!(a.wait().unwrap_err().kind(), ErrorKind::Cancelled { .. }));
    assert_eq!(b.wait().unwrap().len(), 40);
    token.cancel();
    assert!(matches!(c.wait().unwrap_err().kind(), ErrorKind::Cancelled { .. }));
    // A child that is cancelled leaves its parent alone.
    let xs = pool.zeros::<u8>(4).unwrap();
    let job = pool.background(move |call| {
        let child = call.background(|_| Ok(()))?;
        child.cancel();
        let _ = child.wait();
        call.map(&xs, |x| x + 1)
    });
    assert_eq!(job.unwrap().wait().unwrap()[..], [1; 4]);
}

#[test]
fn a_forked_child_asks_no_job_of_its_parent() {
    alone(
        "a_forked_child_asks_no_job_of_its_parent",
        |_| (),
        || {
            let _watchdog = watchdog("a_forked_child_asks_no_job", 60);
            let pool = pool_of(1);
            let job = start_slow(&pool, 100);
            wait_until("it runs", || job.progress().n_tasks > 0);
            // SAFETY: the child calls nothing but what is to do nothing in it, and leaves at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                job.progress();
                job.cancel_running();
                // SAFETY: never returns.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: waits for the child that was just made.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
            assert_eq!(job.wait().unwrap().len(), 100);
        },
    );
}

#[test]
fn a_panic_whose_payload_panics_costs_its_own_job_alone() {
    let _watchdog = watchdog("a_panic_whose_payload_panics", 60);
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Bomb(self.0 - 1));
            }
        }
    }
    let pool = pool_of(1);
    // Dropped before the job has ended, or after.
    for pause in [Duration::ZERO, Duration::from_millis(200)] {
        let job = pool.background(|_| -> shmpool::Result<()> { std::panic::panic_any(Bomb(2)) }).unwrap();
        thread::sleep(pause);
        drop(job);
    }
    drop(pool);
}

#[test]
fn time_without_a_pool_does_not_put_deadlines_off() {
    alone(
        "time_without_a_pool_does_not_put_deadlines_off",
        |_| (),
        || {
            let _watchdog = watchdog("time_without_a_pool", 60);
            drop(pool_of(1));
            thread::sleep(Duration::from_secs(4));
            let inline = pool_of(0);
            let xs = inline.array_with(1000, |i| i as u32).unwrap();
            thread::scope(|scope| {
                let (inline, xs, start) = (&inline, &xs, Instant::now());
                let late = scope
                    .spawn(move || inline.call().grain(1).timeout(Duration::from_millis(400)).map(xs, slow));
                thread::sleep(Duration::from_millis(50));
                let _pool = pool_of(1);
                assert!(matches!(late.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut { .. }));
                assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
            });
        },
    );
}

#[test]
fn a_worker_that_is_killed_under_a_background_job_costs_it_nothing() {
    let _watchdog = watchdog("a_worker_that_is_killed_under_a_background_job", 60);
    let pool = pool_of(2);
    let job = start_slow(&pool, 200);
    wait_until("some are done", || job.progress().n_done >= 5);
    signal(pool.worker_pids()[0], libc::SIGKILL);
    assert_eq!(job.wait().unwrap().iter().map(|&y| u64::from(y)).sum::<u64>(), (1..=200).sum());
}

#[test]
fn what_a_job_has_leased_is_busy_until_it_ends() {
    let _watchdog = watchdog("what_a_job_has_leased_is_busy", 60);
    let pool = pool_of(2);
    let input = Handle::new(pool.array_with(100, |i| i as u32).unwrap());
    let output = Handle::new(pool.zeros::<u32>(100).unwrap());
    let (from, mut to) = (input.read().unwrap(), output.write().unwrap());
    let job = pool.call().grain(1).background(move |call| call.map_into(&from, &mut to, slow)).unwrap();
    let error = input.write().unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Busy { held: Access::Read, wanted: Access::Write, .. }), "{error}");
    let error = output.read().unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Busy { held: Access::Write, wanted: Access::Read, .. }), "{error}");
    assert!(error.to_string().contains("tests/pool_background.rs:"), "{error}");
    assert_eq!(input.read().unwrap()[3], 3, "two may read");
    job.wait().unwrap();
    assert!(output.read().unwrap().iter().enumerate().all(|(i, y)| *y == i as u32 + 1));
    output.write().unwrap();
}
