//! What workers do first and last, what they may use, how many tasks they run, and what they say.

mod common;

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{alone, has_ended, pool_of, wait_until, watchdog};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use shmpool::{ErrorKind, ExitReason, Future, Handle, LentMut, Pool, WorkerOutput};

shmpool::test_workers!();

thread_local! {
    static SET_UP: OnceCell<String> = const { OnceCell::new() };
    static N_CALLS: Cell<u32> = const { Cell::new(0) };
}

fn set_up(text: String) {
    SET_UP.with(|cell| cell.set(text).unwrap());
}

fn was_set_up(_: ()) -> Option<String> {
    SET_UP.with(|cell| cell.get().cloned())
}

fn crash(_: ()) {
    std::process::abort();
}

fn small() -> shmpool::Builder {
    Pool::builder().workers(2).capacity_bytes(1 << 20)
}

#[test]
fn an_initializer_runs_once_in_each_worker_before_its_first_task() {
    let _watchdog = watchdog("an_initializer_runs_once", 60);
    let long = "x".repeat(100_000);
    let pool = small().initializer(set_up, long.clone()).unwrap().build().unwrap();
    for _ in 0..2 {
        let seen: Vec<Option<String>> =
            (0..20).map(|_| pool.submit(was_set_up, ()).unwrap().result().unwrap()).collect();
        assert!(seen.iter().all(|seen| seen.as_ref() == Some(&long)));
        // Those that replace others too.
        pool.submit(crash, ()).unwrap().result().unwrap_err();
        common::wait_until_healed(&pool, &[]);
    }
}

#[test]
fn an_initializer_that_fails_is_the_error_of_the_build() {
    let _watchdog = watchdog("an_initializer_that_fails", 60);
    let refuse = |n: u32| -> Result<(), String> { Err(format!("no {n}")) };
    let error = small().initializer(refuse, 7).unwrap().build().unwrap_err();
    assert!(error.to_string().ends_with("did not start: initializer: no 7"), "{error}");
    let panic = |n: u32| assert!(n == 1, "not {n}");
    let error = small().initializer(panic, 8).unwrap().build().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WorkerStart { .. }), "{error}");
    assert!(error.to_string().contains("initializer: panicked at tests/submit_workers.rs:"), "{error}");
    assert!(error.to_string().ends_with("not 8"), "{error}");
    let long = |(): ()| -> Result<(), String> { Err("ä".repeat(5000)) };
    let error = small().initializer(long, ()).unwrap().build().unwrap_err();
    assert!(error.to_string().contains("initializer: ää"), "{error}");
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    alone(
        "a_build_that_fails_leaves_nothing",
        |_| (),
        || {
            let _watchdog = watchdog("a_build_that_fails_leaves_nothing", 60);
            let build = |n: u32| {
                let odd = |n: u32| if n.is_multiple_of(2) { Ok(()) } else { Err("odd") };
                small().initializer(odd, n).unwrap().build()
            };
            drop(build(0).unwrap()); // what the first one opens for good
            let n_in = |folder: &str| std::fs::read_dir(folder).unwrap().count();
            let maps =
                || std::fs::read_to_string("/proc/self/maps").unwrap().matches("memfd:shmpool").count();
            let held = || (n_in("/proc/self/fd"), maps());
            let (before, n_threads) = (held(), n_in("/proc/self/task"));
            for _ in 0..3 {
                build(1).unwrap_err();
                let any = waitid(
                    WaitId::All,
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
                );
                assert_eq!(any.unwrap_err(), Errno::CHILD, "a worker is left");
            }
            assert_eq!(held(), before, "descriptors and mappings");
            // One that has been joined may be seen for a moment.
            wait_until("its threads are gone too", || n_in("/proc/self/task") <= n_threads);
        },
    );
}

#[test]
fn an_initializer_that_fails_later_breaks_the_pool_in_the_end() {
    alone(
        "an_initializer_that_fails_later_breaks_the_pool_in_the_end",
        |_| (),
        || {
            let _watchdog = watchdog("an_initializer_that_fails_later", 100);
            let path = std::env::temp_dir().join(format!("shmpool-initializer-{}", std::process::id()));
            std::fs::write(&path, "").unwrap();
            let open = |path: std::path::PathBuf| std::fs::read(path).map(drop);
            let pool = small().initializer(open, path.clone()).unwrap().build().unwrap();
            std::fs::remove_file(path).unwrap();
            let crashes = [0; 2].map(|_| pool.submit(crash, ()).unwrap());
            crashes.iter().for_each(|crash| drop(crash.result().unwrap_err()));
            let waiting = match pool.submit(was_set_up, ()) {
                Ok(future) => future.result().unwrap_err(),
                Err(error) => error,
            };
            assert!(matches!(waiting.kind(), ErrorKind::PoolBroken { .. }), "{waiting}");
        },
    );
}

#[test]
fn a_finalizer_runs_when_a_worker_ends_by_itself() {
    let _watchdog = watchdog("a_finalizer_runs", 60);
    let folder = std::env::temp_dir().join(format!("shmpool-finalizer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let leave = |folder: std::path::PathBuf| {
        thread::sleep(Duration::from_millis(400));
        std::fs::write(folder.join(std::process::id().to_string()), "")
    };
    let pool = small().finalizer(leave, folder.clone()).unwrap().max_tasks_per_worker(3).build().unwrap();
    let pids: HashSet<u32> =
        (0..7).map(|_| pool.submit(|(): ()| std::process::id(), ()).unwrap().result().unwrap()).collect();
    let live = pool.worker_pids();
    drop(pool);
    for pid in pids.into_iter().chain(live) {
        assert!(folder.join(pid.to_string()).exists(), "worker {pid} has left nothing");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_worker_is_replaced_after_as_many_tasks_as_it_may_run() {
    let _watchdog = watchdog("a_worker_is_replaced", 120);
    for (n_workers, max, n_tasks) in [(1, 1, 20), (1, 3, 40), (2, 1, 40), (2, 5, 200), (3, 2, 100)] {
        let pool = Pool::builder()
            .workers(n_workers)
            .capacity_bytes(1 << 20)
            .max_tasks_per_worker(max)
            .build()
            .unwrap();
        let count = |(): ()| {
            N_CALLS.set(N_CALLS.get() + 1);
            (std::process::id(), N_CALLS.get())
        };
        let futures: Vec<Future<(u32, u32)>> =
            (0..n_tasks).map(|_| pool.submit(count, ()).unwrap()).collect();
        let seen: Vec<(u32, u32)> = futures.iter().map(|future| future.result().unwrap()).collect();
        assert!(seen.iter().all(|&(_, n)| u64::from(n) <= max), "{seen:?}");
        let n_pids = seen.iter().map(|(pid, _)| pid).collect::<HashSet<_>>().len() as u64;
        assert!(n_pids >= n_tasks / max, "{n_pids} workers");
        // The last ones may not be buried yet.
        let n_known = || pool.stats().unwrap().n_retired + n_workers as u64;
        wait_until("those that have ended are counted", || n_known() >= n_pids);
        assert_eq!(pool.stats().unwrap().n_deaths, 0);
    }
    let error = small().max_tasks_per_worker(0).build().unwrap_err();
    assert!(error.to_string().starts_with("max_tasks_per_worker: 0"), "{error}");
}

#[test]
fn a_task_over_its_memory_limit_says_so_and_no_other_task_suffers() {
    let _watchdog = watchdog("a_task_over_its_memory_limit", 60);
    let pool = small().memory_limit(64 << 20).build().unwrap();
    let fill = |n: usize| vec![1_u8; n].iter().map(|&one| usize::from(one)).sum::<usize>();
    let (good, bad) = (pool.submit(fill, 1 << 20).unwrap(), pool.submit(fill, 256 << 20).unwrap());
    let error = bad.result().unwrap_err();
    let ErrorKind::TaskDied { deaths, .. } = error.kind() else { panic!("{error}") };
    let death = &deaths.0[0];
    assert!(death.out_of_memory && death.reason == ExitReason::Signal(libc::SIGABRT), "{error}");
    assert!(death.last_words.contains("memory allocation of 268435456 bytes failed"), "{death:?}");
    let text = error.to_string();
    assert!(text.contains("probably out of memory, last words: memory allocation of 268435456"), "{text}");
    assert_eq!(good.result().unwrap(), 1 << 20);
    // Arrays are not private memory.
    let pool = Pool::builder().workers(1).capacity_bytes(256 << 20).memory_limit(64 << 20).build().unwrap();
    let array = Handle::new(pool.zeros::<u8>(200 << 20).unwrap());
    let touch = |mut array: LentMut<'_, u8>, (): ()| array.fill(1);
    pool.submit_on(array.write().unwrap(), touch, ()).unwrap().result().unwrap();
}

#[test]
fn captured_output_is_in_the_error_and_nowhere_else() {
    alone(
        "captured_output_is_in_the_error_and_nowhere_else",
        |_| (),
        || {
            let _watchdog = watchdog("captured_output", 60);
            let pool = small().output(WorkerOutput::Capture).build().unwrap();
            let talk = |n: u32| -> u32 {
                println!("to standard output");
                for i in 0..n {
                    eprintln!("line {i} of {n}");
                }
                std::process::exit(4);
            };
            for n in [1, 100_000] {
                let error = pool.submit(talk, n).unwrap().result().unwrap_err();
                let ErrorKind::TaskDied { deaths, .. } = error.kind() else { panic!("{error}") };
                let words = &deaths.0[0].last_words;
                assert!(
                    words.contains(&format!("line {} of {n}\n", n - 1)) && words.len() <= 16 << 10,
                    "{words}"
                );
                assert!(error.to_string().contains("exit code 4"), "{error}");
            }
            // Workers that talk all the time wait for nobody.
            let chat = |n: u32| (0..n).for_each(|i| println!("{i}"));
            assert!((0..8).map(|_| pool.submit(chat, 20_000).unwrap()).all(|future| future.result().is_ok()));
        },
    );
}

/// Of the calling thread.
fn niceness() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
}

#[test]
fn niceness_affinity_and_environment_are_the_workers_own() {
    alone(
        "niceness_affinity_and_environment_are_the_workers_own",
        |command| {
            command.env("OMP_NUM_THREADS", "7").env_remove("MKL_NUM_THREADS").env_remove("RAYON_NUM_THREADS");
        },
        || {
            let _watchdog = watchdog("niceness_affinity_and_environment", 60);
            let pool =
                small().niceness(3).affinity([[0]]).env("SHMPOOL_TEST_WORD", "a word").build().unwrap();
            let look = |(): ()| {
                let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                let cpus =
                    status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap().to_owned();
                let names = ["SHMPOOL_TEST_WORD", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "SHMPOOL_WORKER"];
                (cpus, niceness(), names.map(|name| std::env::var(name).ok()))
            };
            let (cpus, nice, [word, omp, mkl, marker]) = pool.submit(look, ()).unwrap().result().unwrap();
            assert!(cpus.ends_with("\t0"), "{cpus}");
            assert_eq!(nice, (niceness() + 3).min(19));
            assert_eq!(word.as_deref(), Some("a word"));
            assert_eq!(omp.as_deref(), Some("7"), "what the user has set stays");
            let wanted = (thread::available_parallelism().unwrap().get() / 2).max(1).to_string();
            assert_eq!(mkl, Some(wanted));
            assert_eq!(marker, None);
            assert!(std::env::var_os("MKL_NUM_THREADS").is_none(), "ours stays as it is");
        },
    );
}

#[test]
fn the_environment_says_how_many_workers_there_are_unless_the_program_does() {
    alone(
        "the_environment_says_how_many_workers_there_are_unless_the_program_does",
        |command| {
            command.env("SHMPOOL_WORKERS", "3");
        },
        || {
            let _watchdog = watchdog("the_environment_says_how_many", 60);
            assert_eq!(Pool::builder().capacity_bytes(1 << 20).build().unwrap().n_workers(), 3);
            assert_eq!(small().build().unwrap().n_workers(), 2);
        },
    );
}

#[test]
fn unless_said_there_are_as_many_workers_as_cpus_that_may_be_used() {
    alone(
        "unless_said_there_are_as_many_workers_as_cpus_that_may_be_used",
        |command| {
            command.env_remove("SHMPOOL_WORKERS");
        },
        || {
            let _watchdog = watchdog("unless_said_there_are_as_many_workers", 60);
            let n_workers = || Pool::builder().capacity_bytes(1 << 20).build().unwrap().n_workers();
            assert_eq!(n_workers(), thread::available_parallelism().unwrap().get().min(256));
            let mut allowed = sched_getaffinity(None).unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap();
            allowed.clear();
            allowed.set(first);
            sched_setaffinity(None, &allowed).unwrap();
            assert_eq!(n_workers(), 1, "on CPU {first} alone");
        },
    );
}

#[test]
fn an_environment_that_says_no_number_is_an_error() {
    let test = "an_environment_that_says_no_number_is_an_error";
    alone(
        test,
        |command| {
            command.env("SHMPOOL_WORKERS", "many");
        },
        || {
            let error = Pool::builder().capacity_bytes(1 << 20).build().unwrap_err();
            assert_eq!(error.to_string(), "SHMPOOL_WORKERS: \"many\" is not a number of workers");
        },
    );
}

#[test]
fn a_worker_may_build_a_pool_of_its_own_which_ends_with_it() {
    let _watchdog = watchdog("a_worker_may_build_a_pool", 60);
    let pool = pool_of(1);
    let nested = |n: u64| {
        let pool = small().build().unwrap();
        let squares = (0..n).map(|n| pool.submit(|n: u64| n * n, n).unwrap().result().unwrap());
        squares.sum::<u64>()
    };
    assert_eq!(pool.submit(nested, 10).unwrap().result().unwrap(), 285);
    let pids = Arc::new(Handle::new(pool.zeros::<u32>(2).unwrap()));
    let killed = |mut pids: LentMut<'_, u32>, (): ()| -> u32 {
        let pool = small().build().unwrap();
        pids.copy_from_slice(&pool.worker_pids());
        std::process::abort();
    };
    pool.submit_on(pids.write().unwrap(), killed, ()).unwrap().result().unwrap_err();
    let pids = pids.read().unwrap().to_vec();
    assert!(pids.iter().all(|&pid| pid != 0));
    wait_until("its workers are gone", || pids.iter().all(|&pid| has_ended(pid)));
}
