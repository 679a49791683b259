//! Kernels that end their worker, in every way there is: the task is named with how its workers died, all
//! others finish.
#![allow(unsafe_code)] // kernels that misbehave need it

shmpool::test_workers!();

mod common;

use std::hint::black_box;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use common::{is_stopped, mapping, pool_of, signal, wait_until, watchdog};
use shmpool::{Array, Call, Error, ErrorKind, ExitReason, Pool};

const N: usize = 100;
const POISON: u32 = 37;

/// Maps with `f`, which ends its worker at element [`POISON`] and doubles all others: the error must name
/// that one element with `n_attempts` deaths, and everything else must be there.
#[track_caller]
fn check_poison<F>(options: impl Fn(Call<'_>) -> Call<'_>, n_attempts: usize, f: F) -> Vec<ExitReason>
where
    F: Fn(u32) -> u32 + Copy + Send + Sync + 'static,
{
    let pool = pool_of(2);
    let xs = pool.array_with(N, |i| i as u32).unwrap();
    let mut error = options(pool.call().grain(1)).map(&xs, f).unwrap_err();
    let ErrorKind::WorkerDied { task: POISON, elements: Range { start: 37, end: 38 }, deaths } = error.kind()
    else {
        panic!("{error}");
    };
    assert_eq!(deaths.0.len(), n_attempts, "{error}");
    let reasons = deaths.0.iter().map(|death| death.reason).collect();
    let report = error.report().unwrap();
    assert_eq!((report.n_failed, report.n_tasks, report.failures.len()), (1, N as u32, 0), "{error}");
    assert_eq!(report.done, [0..37, 38..N as u64], "{error}");
    let partial: Array<u32> = error.take_partial().expect("a map hands over what it has");
    let wrong = (0..N).find(|&i| i != POISON as usize && partial[i] != 2 * i as u32);
    assert_eq!(wrong, None, "{error}");
    assert_eq!(*pool.map(&xs, |x| x).unwrap(), *xs, "the pool is none the worse");
    reasons
}

/// Stores to an address that no mapping has.
fn segfault() {
    // SAFETY: none, and that is the point: the process dies here. It is a worker.
    unsafe { black_box(8 as *mut u8).write_volatile(1) };
}

/// To this very thread: sent to the process, another thread could take it, and the task would run on for a
/// moment.
fn raise(signal: i32) {
    // SAFETY: takes a number only.
    unsafe { libc::raise(signal) };
}

fn stay() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_segmentation_fault_is_named() {
    let _watchdog = watchdog("a_segmentation_fault_is_named", 60);
    let f = |x| {
        if x == POISON {
            segfault();
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Signal(libc::SIGSEGV); 3]);
}

#[test]
fn an_abort_is_named() {
    let _watchdog = watchdog("an_abort_is_named", 60);
    let f = |x| if x == POISON { std::process::abort() } else { 2 * x };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Signal(libc::SIGABRT); 3]);
}

#[test]
fn an_exit_is_a_death_whatever_its_code() {
    let _watchdog = watchdog("an_exit_is_a_death_whatever_its_code", 60);
    let f = |x| if x == POISON { std::process::exit(0) } else { 2 * x };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Code(0); 3]);
    let f = |x| if x == POISON { std::process::exit(7) } else { 2 * x };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Code(7); 3]);
}

#[test]
fn a_stack_overflow_is_a_death() {
    let _watchdog = watchdog("a_stack_overflow_is_a_death", 60);
    fn deep(x: u32) -> u32 {
        let frame = black_box([x; 1024]);
        if x == u32::MAX { 0 } else { deep(x + 1).wrapping_add(frame[x as usize % 1024]) }
    }
    let f = |x| if x == POISON { deep(0) } else { 2 * x };
    for reason in check_poison(|call| call, 3, f) {
        // Where the standard library watches the guard page, it says so and aborts.
        assert!(matches!(reason, ExitReason::Signal(libc::SIGSEGV | libc::SIGABRT)), "{reason}");
    }
}

#[test]
fn kills_from_outside_have_a_larger_budget() {
    let _watchdog = watchdog("kills_from_outside_have_a_larger_budget", 120);
    let f = |x| {
        if x == POISON {
            raise(libc::SIGKILL);
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 16, f), [ExitReason::Signal(libc::SIGKILL); 16]);
    let f = |x| {
        if x == POISON {
            raise(libc::SIGTERM);
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 16, f), [ExitReason::Signal(libc::SIGTERM); 16]);
}

#[test]
fn retries_say_how_often_a_task_may_kill() {
    let _watchdog = watchdog("retries_say_how_often_a_task_may_kill", 60);
    let f = |x| if x == POISON { std::process::exit(9) } else { 2 * x };
    for retries in [0, 1, 5] {
        let reasons = check_poison(|call| call.retries(retries), retries as usize + 1, f);
        assert!(reasons.iter().all(|&reason| reason == ExitReason::Code(9)));
    }
    let f = |x| {
        if x == POISON {
            raise(libc::SIGKILL);
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call.retries(0), 1, f), [ExitReason::Signal(libc::SIGKILL)]);
}

#[test]
fn a_task_that_becomes_another_program_is_named() {
    let _watchdog = watchdog("a_task_that_becomes_another_program_is_named", 60);
    let f = |x| {
        if x == POISON {
            let error = Command::new("true").exec();
            panic!("{error}");
        }
        2 * x
    };
    // It ends by itself, and says how.
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Code(0); 3]);
    let f = |x| {
        if x == POISON {
            let error = Command::new("sleep").arg("1000").exec();
            panic!("{error}");
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Disconnected; 3]);
}

#[test]
fn a_task_that_closes_every_descriptor_is_named() {
    let _watchdog = watchdog("a_task_that_closes_every_descriptor_is_named", 60);
    let f = |x| {
        if x == POISON {
            // SAFETY: closes what this worker owns, on purpose; it is no use from here on and is killed.
            unsafe { libc::close_range(0, u32::MAX, 0) };
            stay();
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Disconnected; 3]);
}

#[test]
fn a_task_that_unmaps_the_arena_is_named() {
    let _watchdog = watchdog("a_task_that_unmaps_the_arena_is_named", 60);
    let f = |x| {
        if x == POISON {
            let arena = mapping("shmpool-data").expect("a worker has mapped the arena");
            // SAFETY: none, and that is the point: the next store to the arena ends this worker.
            unsafe { libc::munmap(arena.start as *mut libc::c_void, arena.len()) };
        }
        2 * x
    };
    assert_eq!(check_poison(|call| call, 3, f), [ExitReason::Signal(libc::SIGSEGV); 3]);
}

#[test]
fn a_child_that_outlives_its_worker_neither_delays_the_job_nor_writes_to_the_arena() {
    let _watchdog =
        watchdog("a_child_that_outlives_its_worker_neither_delays_the_job_nor_writes_to_the_arena", 60);
    let f = |x| {
        if x == POISON {
            let arena = mapping("shmpool-data").expect("a worker has mapped the arena");
            // SAFETY: the child calls nothing but `usleep`, a store and `_exit`, which are safe after a fork.
            unsafe {
                if libc::fork() == 0 {
                    // It holds the control socket open for a while, and then tries to write over an input.
                    libc::usleep(300_000);
                    for i in 0..4096 {
                        (arena.start as *mut u8).add(i).write_volatile(0xee);
                    }
                    libc::_exit(0);
                }
            }
            segfault();
        }
        2 * x
    };
    let pool = pool_of(2);
    let xs = pool.array_with(N, |i| i as u32).unwrap();
    let error = pool.call().grain(1).map(&xs, f).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WorkerDied { task: POISON, deaths, .. } if deaths.0.len() == 3),
        "{error}"
    );
    std::thread::sleep(Duration::from_millis(600));
    assert!(xs.iter().enumerate().all(|(i, &x)| x == i as u32), "a dead worker's child wrote to the arena");
}

#[test]
fn a_task_that_stops_itself_waits_for_somebody_to_decide() {
    let _watchdog = watchdog("a_task_that_stops_itself_waits_for_somebody_to_decide", 60);
    let f = |x| {
        if x == POISON {
            raise(libc::SIGSTOP);
        }
        2 * x
    };
    let pool = pool_of(2);
    let xs = pool.array_with(N, |i| i as u32).unwrap();
    let stopped = || pool.worker_pids().into_iter().find(|&pid| is_stopped(pid));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| pool.call().grain(1).retries(0).map(&xs, f).unwrap_err());
        wait_until("a worker has stopped", || stopped().is_some());
        let pid = stopped().expect("it does not go on by itself");
        assert!(!job.is_finished());
        signal(pid, libc::SIGKILL);
        let error = job.join().unwrap();
        let ErrorKind::WorkerDied { task: POISON, deaths, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((deaths.0[0].pid, deaths.0[0].reason), (pid, ExitReason::Signal(libc::SIGKILL)));
        // Continued instead of killed, it is a task like any other.
        let job = scope.spawn(|| pool.call().grain(1).map(&xs, f).unwrap());
        wait_until("a worker has stopped", || stopped().is_some());
        signal(stopped().expect("it does not go on by itself"), libc::SIGCONT);
        assert!(job.join().unwrap().iter().zip(&xs).all(|(&y, &x)| y == 2 * x));
    });
}

#[test]
fn several_poisoned_elements_are_told_apart() {
    let _watchdog = watchdog("several_poisoned_elements_are_told_apart", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(N, |i| i as u32).unwrap();
    let error = pool.call().grain(1).map(&xs, |x| match x {
        10 => std::process::exit(10),
        11 => panic!("eleven"),
        50 => std::process::abort(),
        99 => std::process::exit(99),
        x => x,
    });
    let error = error.unwrap_err();
    let report = error.report().unwrap();
    let reason = |kind: &ErrorKind| match kind {
        ErrorKind::WorkerDied { task, deaths, .. } => (*task, deaths.0.len(), Some(deaths.0[0].reason)),
        ErrorKind::KernelPanicked { task, .. } => (*task, 0, None),
        kind => panic!("{kind}"),
    };
    let found: Vec<_> = std::iter::once(error.kind()).chain(&report.failures).map(reason).collect();
    let wanted = [
        (10, 3, Some(ExitReason::Code(10))),
        (11, 0, None),
        (50, 3, Some(ExitReason::Signal(libc::SIGABRT))),
        (99, 3, Some(ExitReason::Code(99))),
    ];
    assert_eq!(found, wanted);
    assert_eq!(report.done, [0..10, 12..50, 51..99]);
    assert!(error.to_string().ends_with("(and 3 more tasks failed)"), "{error}");
}

#[test]
fn a_death_costs_at_most_its_own_task_of_a_long_lease() {
    let _watchdog = watchdog("a_death_costs_at_most_its_own_task_of_a_long_lease", 60);
    let pool = pool_of(1);
    let xs = pool.array_with(100_003, |i| i as u32).unwrap();
    let error = pool.call().grain(10).map(&xs, |x| if x == 61_234 { std::process::exit(1) } else { x + 1 });
    let mut error = error.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WorkerDied { task: 6123, .. }), "{error}");
    assert_eq!(error.report().unwrap().done, [0..61_230, 61_240..100_003]);
    let ys: Array<u32> = error.take_partial().unwrap();
    let in_task = |i: usize| (61_230..61_240).contains(&i);
    assert_eq!((0..ys.len()).find(|&i| !in_task(i) && ys[i] != xs[i] + 1), None);
}

/// The error of a verb that must not run a task twice: one death, and the exact ranges that are done.
#[track_caller]
fn check_once(error: &Error) {
    let ErrorKind::WorkerDied { task: 3, elements: Range { start: 30, end: 40 }, deaths } = error.kind()
    else {
        panic!("{error}");
    };
    assert_eq!(deaths.0.len(), 1, "{error}");
    assert_eq!(error.report().unwrap().done, [0..30, 40..N as u64], "{error}");
}

#[test]
fn an_update_is_not_run_again_and_says_what_is_done() {
    let _watchdog = watchdog("an_update_is_not_run_again_and_says_what_is_done", 60);
    for reason in [libc::SIGKILL, libc::SIGSEGV] {
        let pool = pool_of(2);
        let mut ys = pool.array_with(N, |i| [i as u32, 0, reason as u32]).unwrap();
        let error = pool.call().grain(10).update(&mut ys, |[i, times, reason]| {
            *times += 1;
            if *i == POISON {
                raise(*reason as i32);
            }
        });
        let error = error.unwrap_err();
        check_once(&error);
        for &[i, times, _] in &ys {
            // The failed task came as far as the poison.
            assert_eq!(times, u32::from(!(38..40).contains(&i)), "element {i}");
        }
    }
}

#[test]
fn map_chunks_is_not_run_again_and_says_what_is_done() {
    let _watchdog = watchdog("map_chunks_is_not_run_again_and_says_what_is_done", 60);
    let pool = pool_of(2);
    let (xs, mut out) = (pool.array_with(N, |i| i as u32).unwrap(), pool.zeros::<u32>(N).unwrap());
    let error = pool.call().grain(10).map_chunks(&xs, &mut out, |xs: &[u32], out: &mut [u32]| {
        if xs.contains(&POISON) {
            std::process::exit(3);
        }
        out.copy_from_slice(xs);
    });
    check_once(&error.unwrap_err());
    assert!(out.iter().zip(&xs).all(|(&y, &x)| y == if x / 10 == 3 { 0 } else { x }));
}

#[test]
fn an_update_that_may_be_retried_is() {
    let _watchdog = watchdog("an_update_that_may_be_retried_is", 60);
    let pool = pool_of(2);
    let mut ys = pool.zeros::<u32>(N).unwrap();
    ys[POISON as usize] = 1000;
    // The poisoned element counts its attempts in place, and lets the third one live.
    let updated = pool.call().grain(1).retries(2).update(&mut ys, |y| {
        *y += 1;
        if *y == 1001 || *y == 1002 {
            segfault();
        }
    });
    updated.unwrap();
    assert_eq!(ys[POISON as usize], 1003);
    assert_eq!(ys.iter().filter(|&&y| y == 1).count(), N - 1);
    assert_eq!(pool.stats().unwrap().n_deaths, 2);
}

#[test]
fn a_panic_is_a_value_with_message_and_place_and_the_worker_lives_on() {
    let _watchdog = watchdog("a_panic_is_a_value_with_message_and_place_and_the_worker_lives_on", 60);
    for n in [0, 2] {
        let pool = pool_of(n);
        let pids = pool.worker_pids();
        let xs = pool.array_with(N, |i| i as u32).unwrap();
        let line = line!() + 2;
        let error = pool.call().grain(1).map(&xs, |x| {
            assert_ne!(x, POISON, "no {x} please");
            2 * x
        });
        let mut error = error.unwrap_err();
        let ErrorKind::KernelPanicked { task, elements, message, location } = error.kind() else {
            panic!("{error}")
        };
        assert_eq!((*task, elements.clone()), (POISON, 37..38));
        assert!(message.contains("no 37 please"), "{message}");
        assert!(location.starts_with(&format!("{}:{line}:", file!())), "{location}");
        assert_eq!(error.report().unwrap().done, [0..37, 38..N as u64]);
        let ys: Array<u32> = error.take_partial().unwrap();
        assert!((0..N).all(|i| i == 37 || ys[i] == 2 * i as u32));
        assert_eq!(*pool.map(&xs, |x| x).unwrap(), *xs);
        assert_eq!((pool.worker_pids(), pool.stats().unwrap().n_deaths), (pids, 0));
    }
}

#[test]
fn panics_of_every_verb_are_values() {
    let _watchdog = watchdog("panics_of_every_verb_are_values", 60);
    #[track_caller]
    fn check<T>(result: shmpool::Result<T>) {
        let error = result.err().expect("the kernel panics");
        assert!(
            matches!(error.kind(), ErrorKind::KernelPanicked { message, .. } if message == "boom"),
            "{error}"
        );
    }
    for pool in [pool_of(0), pool_of(2)] {
        let xs = pool.array_with(N, |i| i as u32).unwrap();
        let mut ys = pool.zeros::<u32>(N).unwrap();
        check(pool.map(&xs, |_| -> u8 { panic!("boom") }));
        check(pool.map_into(&xs, &mut ys, |_| panic!("boom")));
        check(pool.map_with(&xs, 7_u8, |_, _| -> u8 { panic!("boom") }));
        check(pool.map_indexed(&xs, |_, _| -> u8 { panic!("boom") }));
        check(pool.update(&mut ys, |_| panic!("boom")));
        check(pool.zip_map((&xs, &ys), |_, _| -> u8 { panic!("boom") }));
        check(pool.from_fn([3, 4], |_| -> u8 { panic!("boom") }));
        check(pool.map_chunks(&xs, &mut ys, |_: &[u32], _: &mut [u32]| panic!("boom")));
        check(pool.reduce(&xs, 0_u32, |_, _| panic!("boom"), |a, _| a));
        check(pool.reduce(&xs, 0_u32, |a, _| a, |_, _| panic!("boom")));
        let failed = pool.try_map(&xs, |_| -> Result<u8, u8> { panic!("boom") });
        let Err(shmpool::TryMapError::Pool(error)) = failed else { panic!("the kernel panics") };
        check::<()>(Err(error));
    }
}

#[test]
fn failures_without_number_end_the_job_early_and_stay_bounded() {
    let _watchdog = watchdog("failures_without_number_end_the_job_early_and_stay_bounded", 60);
    for pool in [pool_of(0), pool_of(2)] {
        let xs = pool.array_with(100_000, |i| i as u32).unwrap();
        let error = pool.call().grain(1).map(&xs, |x| -> u32 { panic!("{x}") }).unwrap_err();
        let report = error.report().unwrap();
        assert!(report.n_failed >= 256 && report.n_failed < 10_000, "{} tasks failed", report.n_failed);
        assert!(report.failures.len() < 256, "{} failures kept", report.failures.len());
        assert!(report.done.is_empty());
    }
}

#[test]
fn a_long_panic_message_is_cut_and_an_odd_payload_is_named() {
    let _watchdog = watchdog("a_long_panic_message_is_cut_and_an_odd_payload_is_named", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[1_u32]).unwrap();
    let message = |result: shmpool::Result<Array<u32>>| match result.unwrap_err().kind() {
        ErrorKind::KernelPanicked { message, .. } => message.clone(),
        kind => panic!("{kind}"),
    };
    let long = message(pool.map(&xs, |_| panic!("{}", "é".repeat(5000))));
    assert!((400..1000).contains(&long.chars().count()) && long.starts_with("ééé"), "{}", long.len());
    let odd = message(pool.map(&xs, |_| std::panic::panic_any(7)));
    assert_eq!(odd, "a panic whose payload is not text");
}

#[test]
fn a_panic_in_the_progress_callback_comes_through_once_the_job_is_over() {
    let _watchdog = watchdog("a_panic_in_the_progress_callback_comes_through_once_the_job_is_over", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(1000, |i| i as u32).unwrap();
    let report = |_| panic!("the callback's own");
    let panic = catch_unwind(AssertUnwindSafe(|| {
        pool.call().grain(1).progress(&report).map(&xs, |x| {
            std::thread::sleep(Duration::from_millis(1));
            x
        })
    }));
    let panic = panic.expect_err("the callback panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the callback's own"));
    assert_eq!(*pool.map(&xs, |x| x + 1).unwrap(), xs.iter().map(|x| x + 1).collect::<Vec<_>>()[..]);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

#[test]
fn a_kernel_may_run_programs_of_its_own() {
    let _watchdog = watchdog("a_kernel_may_run_programs_of_its_own", 60);
    let pool = pool_of(2);
    let xs = pool.array_with(20, |i| i as u32).unwrap();
    let codes = pool.call().grain(1).map(&xs, |x| {
        let status = Command::new("sh").args(["-c", &format!("exit {x}")]).status();
        status.ok().and_then(|status| status.code()).unwrap_or(-1)
    });
    assert!(codes.unwrap().iter().zip(&xs).all(|(&code, &x)| code == x as i32));
}

#[test]
fn a_worker_that_crashes_between_jobs_is_replaced() {
    let _watchdog = watchdog("a_worker_that_crashes_between_jobs_is_replaced", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[1_u32]).unwrap();
    for round in 1..=5 {
        // The kernel leaves a thread behind, which crashes when the task is long done.
        let ys = pool.map(&xs, |x| {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                std::process::abort();
            });
            x + 1
        });
        assert_eq!(*ys.unwrap(), [2]);
        wait_until("the worker has died", || pool.stats().unwrap().n_deaths == round);
    }
}

#[test]
fn a_pool_whose_workers_die_without_doing_anything_gives_up_with_a_reason() {
    let _watchdog = watchdog("a_pool_whose_workers_die_without_doing_anything_gives_up_with_a_reason", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[1_u32]).unwrap();
    wait_until("the pool has given up", || {
        pool.worker_pids().iter().for_each(|&pid| signal(pid, libc::SIGSEGV));
        pool.stats().unwrap().n_deaths > 11
    });
    wait_until("it says so", || pool.map(&xs, |x| x).is_err());
    let error = pool.map(&xs, |x| x).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PoolBroken { .. }), "{error}");
    let text = "the pool is broken: 12 workers in a row ended without finishing a task";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_write_past_an_output_is_an_error_that_names_it() {
    let _watchdog = watchdog("a_write_past_an_output_is_an_error_that_names_it", 60);
    for n_workers in [0, 2] {
        let pool = Pool::builder().workers(n_workers).capacity_bytes(1 << 20).redzones(true).build().unwrap();
        let xs = pool.array_with(1000, |i| i as u32).unwrap();
        let (mut ys, zs) = (pool.zeros::<u32>(1000).unwrap(), pool.array_from(&[9_u32; 1000]).unwrap());
        let past = |xs: &[u32], ys: &mut [u32]| {
            ys.copy_from_slice(xs);
            if xs[0] == 900 {
                // SAFETY: none: one element beyond the output, and that is the point.
                unsafe { ys.as_mut_ptr().add(100).write_volatile(1) };
            }
        };
        let error = pool.call().grain(100).map_chunks(&xs, &mut ys, past).unwrap_err();
        let ErrorKind::Overrun { array: "out", byte: 4000, len_bytes: 4000 } = error.kind() else {
            panic!("{error}")
        };
        assert_eq!(error.to_string(), "a kernel wrote outside of `out`, at byte 4000 of 4000");
        assert!(*ys == *xs && zs.iter().all(|&z| z == 9), "the zone has caught it");
        // Before an input, and only once.
        let before = |xs: &[u32], ys: &mut [u32]| {
            ys.copy_from_slice(xs);
            // SAFETY: as above.
            unsafe { xs.as_ptr().cast_mut().sub(3).write_volatile(1) };
        };
        let error = pool.call().grain(1000).map_chunks(&xs, &mut ys, before).unwrap_err();
        assert_eq!(error.to_string(), "a kernel wrote outside of `xs`, at byte -12 of 4000");
        pool.map_into(&xs, &mut ys, |x| x + 1).unwrap();
        // A task that fails besides does not hide it, nor leave it to the next job.
        let both = |xs: &[u32], ys: &mut [u32]| {
            // SAFETY: as above.
            unsafe { ys.as_mut_ptr().add(xs.len()).write_volatile(1) };
            panic!("and then it panics");
        };
        let error = pool.call().grain(1000).map_chunks(&xs, &mut ys, both).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::KernelPanicked { .. }), "{error}");
        let others = &error.report().unwrap().failures;
        assert!(matches!(others[..], [ErrorKind::Overrun { array: "out", byte: 4000, .. }]), "{others:?}");
        pool.map_into(&xs, &mut ys, |x| x + 1).unwrap();
    }
}
