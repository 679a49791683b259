//! The life of a pool from outside: what its processes are like, and that nothing is left of them.
#![allow(unsafe_code)] // `fork`, signal actions

shmpool::test_workers!();

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{again, alone, has_ended, is_alone, pool_of, signal, wait_until, watchdog};
use shmpool::{ErrorKind, ExitReason, Pool};

/// What this process holds open, by what it leads to.
fn descriptors() -> Vec<String> {
    let link = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    // The directory that is being read is open too, but gone when its link is read.
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(link);
    let mut links: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    links.retain(|link| !link.starts_with("/proc/"));
    links.sort();
    links
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.ok()?.path().join("comm")).ok()
    };
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task").unwrap().filter_map(name).collect();
    names.sort();
    names
}

fn children() -> Vec<u32> {
    let mut pids = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        pids.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    pids
}

/// Mappings of our segments in this process.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().matches("memfd:shmpool").count()
}

#[test]
fn twenty_pools_leave_no_descriptor_thread_child_or_mapping() {
    let test = "twenty_pools_leave_no_descriptor_thread_child_or_mapping";
    let _watchdog = watchdog(test, 120);
    alone(
        test,
        |_| {},
        || {
            // What the first use of anything opens for good does not count.
            drop(pool_of(1));
            let before = (descriptors(), threads(), children(), mappings());
            for n in 0..20 {
                let pool = pool_of(1 + n % 3);
                let pids = pool.worker_pids();
                let xs = pool.array_from(&[1_u64; 1000]).unwrap();
                assert_eq!(pool.reduce(&xs, 0_u64, |sum, x| sum + x, |a, b| a + b).unwrap(), 1000);
                if n % 4 == 0 {
                    signal(pids[0], libc::SIGKILL);
                }
                drop((pool, xs));
                assert!(pids.into_iter().all(has_ended));
            }
            assert_eq!((descriptors(), threads(), children(), mappings()), before);
        },
    );
}

#[test]
fn nothing_has_a_name_in_dev_shm() {
    let _watchdog = watchdog("nothing_has_a_name_in_dev_shm", 60);
    let pool = pool_of(2);
    let xs = pool.array_from(&[1_u8; 100_000]).unwrap();
    pool.map(&xs, |x| x).unwrap();
    // Other programs may come and go there; ours would bear our name or be open here.
    if let Ok(dir) = std::fs::read_dir("/dev/shm") {
        let names = dir.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
        assert_eq!(names.filter(|name| name.contains("shmpool")).collect::<Vec<_>>(), [""; 0]);
    }
    assert!(descriptors().iter().all(|link| !link.contains("/dev/shm")));
}

#[test]
fn dropping_a_pool_whose_worker_is_stopped_does_not_hang() {
    let _watchdog = watchdog("dropping_a_pool_whose_worker_is_stopped_does_not_hang", 60);
    let pool = pool_of(2);
    let pids = pool.worker_pids();
    signal(pids[1], libc::SIGSTOP);
    drop(pool);
    assert!(pids.into_iter().all(has_ended));
}

#[test]
fn dropping_a_pool_right_after_its_workers_were_killed_does_not_hang() {
    let _watchdog = watchdog("dropping_a_pool_right_after_its_workers_were_killed_does_not_hang", 60);
    for _ in 0..20 {
        let pool = pool_of(2);
        let pids = pool.worker_pids();
        pids.iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        drop(pool);
        assert!(pids.into_iter().all(has_ended));
    }
}

#[test]
fn no_worker_outlives_a_parent_that_is_killed() {
    let test = "no_worker_outlives_a_parent_that_is_killed";
    let _watchdog = watchdog(test, 120);
    if is_alone(test) {
        // The parent to be killed: says who its workers are, and works until it is no more.
        let pool = pool_of(3);
        println!("workers: {:?}", pool.worker_pids());
        let xs = pool.array_with(1_000_000, |i| i as u32).unwrap();
        loop {
            pool.call().grain(10).map(&xs, |x| x + 1).unwrap();
        }
    }
    for stop_first in [false, true] {
        let mut parent = again(test).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        // The harness prints the test's name in front.
        let line = lines.find_map(|line| Some(line.ok()?.split_once("workers: [")?.1.to_owned())).unwrap();
        let pids: Vec<u32> = line.trim_end_matches(']').split(", ").map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), 3);
        assert!(!pids.iter().any(|&pid| has_ended(pid)));
        if stop_first {
            signal(pids[0], libc::SIGSTOP);
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_until("the workers have ended", || pids.iter().all(|&pid| has_ended(pid)));
    }
}

#[test]
fn a_forked_child_reads_arrays_and_is_refused_by_the_pool() {
    let test = "a_forked_child_reads_arrays_and_is_refused_by_the_pool";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(2);
            let xs = pool.array_from(&[3_u32, 4, 5]).unwrap();
            // SAFETY: no other thread of this process holds a lock that the child needs but the allocator's,
            // which glibc hands over.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let refused = |error: &shmpool::Error| matches!(error.kind(), ErrorKind::ForkedChild { .. });
                let owner = std::process::id();
                let right = [
                    *xs == [3, 4, 5],
                    pool.map(&xs, |x| x).is_err_and(|error| {
                        error.to_string().contains(&format!("its forked child {owner}: build a pool here"))
                            && refused(&error)
                    }),
                    pool.array_from(&[1]).is_err_and(|error| refused(&error)),
                    pool.stats().is_err_and(|error| refused(&error)),
                    {
                        drop((pool, xs));
                        true
                    },
                ];
                let wrong = right.iter().position(|right| !right).map_or(0, |i| i as i32 + 1);
                // SAFETY: ends the child without running the harness's own end a second time.
                unsafe { libc::_exit(wrong) };
            }
            let mut status = 0;
            // SAFETY: waits for the child that was just made, with a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 0, "the number of the wrong line");
            assert!(libc::WIFEXITED(status), "status {status:#x}");
            // What the child has dropped is still here.
            assert_eq!(*pool.map(&xs, |x| x + 1).unwrap(), [4, 5, 6]);
            assert_eq!(pool.stats().unwrap().n_deaths, 0);
        },
    );
}

#[test]
fn a_kernel_may_build_a_pool_of_its_own() {
    let _watchdog = watchdog("a_kernel_may_build_a_pool_of_its_own", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[4_u32]).unwrap();
    let answer = pool.map(&xs, |x| {
        let pool = pool_of(1);
        let xs = pool.array_from(&[x, x + 1]).unwrap();
        pool.map(&xs, |x| x * x).unwrap().iter().sum::<u32>()
    });
    assert_eq!(answer.unwrap()[0], 41);
}

/// Runs this program with the workers' marker set by hand; its exit code and what it has to say.
fn marked(marker: &str, stdin: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("--list").env("SHMPOOL_WORKER", marker).stdin(stdin).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_marker_set_by_hand_ends_the_program_with_a_reason() {
    let _watchdog = watchdog("a_marker_set_by_hand_ends_the_program_with_a_reason", 60);
    let (code, text) = marked("yes please", Stdio::null());
    assert_eq!(code, Some(124), "{text}");
    assert!(
        text.contains("SHMPOOL_WORKER is set to \"yes please\", which no pool has written: unset it"),
        "{text}"
    );
    // Not a child of process 1: whoever started it as a worker has gone.
    assert_eq!(marked("1 0", Stdio::null()).0, Some(124));
    // Of this process, but without a control socket, or with one that says nothing.
    let here = format!("{} 3", std::process::id());
    for stdin in [Stdio::null(), Stdio::piped()] {
        let (code, text) = marked(&here, stdin);
        assert_eq!(code, Some(124), "{text}");
        assert!(text.contains(&format!("worker 3 of process {}: ", std::process::id())), "{text}");
    }
}

#[test]
fn workers_are_named_and_start_with_a_clean_slate() {
    let test = "workers_are_named_and_start_with_a_clean_slate";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            // A host that ignores its children's ends and blocks signals must not pass that on.
            // SAFETY: plain data that is filled before it is used; this process is ours alone.
            unsafe {
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
            }
            let pool = pool_of(2);
            for pid in pool.worker_pids() {
                let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
                assert!(read("comm").starts_with("shmpool-w"), "{}", read("comm"));
                assert!(read("cmdline").starts_with("shmpool-w"), "{}", read("cmdline"));
                assert_eq!(read("oom_score_adj").trim(), "500");
            }
            let xs = pool.array_from(&[0_u8; 4]).unwrap();
            let clean = pool.call().grain(1).map(&xs, |_| {
                let marked = std::env::var_os("SHMPOOL_WORKER").is_some();
                let stdin =
                    std::fs::read_link("/proc/self/fd/0").is_ok_and(|to| to.as_os_str() == "/dev/null");
                // Fails with ECHILD where SIGCHLD is ignored.
                let program = Command::new("true").status().is_ok_and(|status| status.success());
                let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
                let unblocked = status.contains("SigBlk:\t0000000000000000\n");
                u8::from(!marked) + 2 * u8::from(stdin) + 4 * u8::from(program) + 8 * u8::from(unblocked)
            });
            let bits = "bits: no marker, /dev/null as standard input, can run programs, no signal blocked";
            assert_eq!(*clean.unwrap(), [15; 4], "{bits}");
        },
    );
}

#[test]
fn a_host_that_ignores_its_childrens_ends_learns_of_deaths_but_not_how() {
    let test = "a_host_that_ignores_its_childrens_ends_learns_of_deaths_but_not_how";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            // SAFETY: this process is ours alone.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            let pool = pool_of(2);
            let xs = pool.array_with(50, |i| i as u32).unwrap();
            let error = pool.call().grain(1).map(&xs, |x| if x == 7 { std::process::exit(3) } else { x });
            let error = error.unwrap_err();
            let ErrorKind::WorkerDied { task: 7, deaths, .. } = error.kind() else { panic!("{error}") };
            assert!(deaths.0.iter().all(|death| death.reason == ExitReason::Unknown), "{error}");
            assert_eq!(error.report().unwrap().done, [0..7, 8..50]);
        },
    );
}

#[test]
fn several_pools_live_side_by_side() {
    let _watchdog = watchdog("several_pools_live_side_by_side", 60);
    let pools: Vec<Pool> = (1..=6).map(|n| pool_of(1 + n % 2)).collect();
    let all: BTreeSet<u32> = pools.iter().flat_map(Pool::worker_pids).collect();
    assert_eq!(all.len(), pools.iter().map(Pool::n_workers).sum());
    std::thread::scope(|scope| {
        for (i, pool) in pools.iter().enumerate() {
            scope.spawn(move || {
                let xs = pool.array_with(10_000, |j| (i * j) as u64).unwrap();
                for _ in 0..20 {
                    assert!(pool.map(&xs, |x| x + 1).unwrap().iter().zip(&xs).all(|(&y, &x)| y == x + 1));
                }
            });
        }
    });
}

#[test]
fn a_pool_may_be_dropped_by_another_thread_than_built_it() {
    let _watchdog = watchdog("a_pool_may_be_dropped_by_another_thread_than_built_it", 60);
    // The thread that builds ends before the workers do: they must not take that for their parent's end.
    let pool = std::thread::spawn(|| pool_of(2)).join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let xs = pool.array_from(&[1, 2]).unwrap();
    assert_eq!(*pool.map(&xs, |x| x + 1).unwrap(), [2, 3]);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
    let pids = pool.worker_pids();
    std::thread::spawn(move || drop(pool)).join().unwrap();
    assert!(pids.into_iter().all(has_ended));
}
