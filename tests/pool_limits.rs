//! Limits of the system and of the pool: what does not fit is refused by an error that says what, how much
//! and which limit, before anything is touched.

shmpool::test_workers!();

mod common;

use std::os::unix::process::CommandExt;
use std::time::Duration;

use common::{alone, pool_of, watchdog};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmpool::{Arena, Error, ErrorKind, Pool};

const MIB: u64 = 1 << 20;

/// Lowers a limit of this process.
fn limit(resource: Resource, current: u64) {
    setrlimit(resource, Rlimit { current: Some(current), ..getrlimit(resource) }).unwrap();
}

/// Checks that `error` is a [`ErrorKind::TooLarge`] of these parts.
#[track_caller]
fn check_too_large(error: &Error, what: &str, wanted_bytes: u64, limit: &str, limit_bytes: u64) {
    let ErrorKind::TooLarge { what: found, wanted_bytes: wanted, limit_bytes: left, limit: name } =
        error.kind()
    else {
        panic!("{error}");
    };
    assert_eq!((found.as_str(), *wanted, *name, *left), (what, wanted_bytes, limit, limit_bytes));
    let text = format!("{what} needs {wanted_bytes} bytes, but {limit} leaves {limit_bytes}");
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_array_beyond_the_capacity_is_refused_before_anything_is_touched() {
    let _watchdog = watchdog("an_array_beyond_the_capacity_is_refused_before_anything_is_touched", 60);
    for n in [0, 1] {
        let pool = Pool::builder().workers(n).capacity_bytes(1 << 20).redzones(false).build().unwrap();
        let error = pool.zeros::<u16>([1024, 1024]).unwrap_err();
        check_too_large(&error, "array of u16 [1024, 1024]", 2 * MIB, "the arena's capacity", MIB);
        assert_eq!(pool.stats().unwrap().arena.resident_bytes, 0);
        // The whole capacity can be used, again and again; and what a verb makes itself is refused like any
        // other.
        for _ in 0..3 {
            let xs = pool.array_with(1 << 20, |i| i as u8).unwrap();
            let error = pool.map(&xs, |x| x).unwrap_err();
            check_too_large(&error, "array of u8 [1048576]", MIB, "the arena's capacity", 0);
        }
        let half = pool.zeros::<u8>(1 << 19).unwrap();
        assert_eq!(pool.map(&half, |x| x + 1).unwrap().len(), 1 << 19);
    }
}

#[test]
fn more_than_the_machine_has_is_refused_by_name() {
    let _watchdog = watchdog("more_than_the_machine_has_is_refused_by_name", 60);
    let pool = Pool::builder().workers(0).capacity_bytes(1 << 46).build().unwrap();
    let error = pool.zeros::<u8>(1 << 45).unwrap_err();
    let ErrorKind::TooLarge { what, wanted_bytes, limit, .. } = error.kind() else { panic!("{error}") };
    assert_eq!((what.as_str(), *wanted_bytes), ("array of u8 [35184372088832]", 1 << 45));
    assert!(["available memory", "the cgroup's memory limit"].contains(limit), "{error}");
    assert_eq!(pool.stats().unwrap().arena.resident_bytes, 0);
}

#[test]
fn a_size_that_overflows_is_an_error_of_its_own() {
    let pool = pool_of(0);
    let error = pool.zeros::<u64>([1 << 31, 1 << 31]).unwrap_err();
    let text = "shape [2147483648, 2147483648] of 8-byte elements: the size in bytes overflows";
    assert_eq!(error.to_string(), text);
    assert!(matches!(error.kind(), ErrorKind::SizeOverflow { element_bytes: 8, .. }));
}

#[test]
fn a_capacity_that_no_memory_can_have_is_refused() {
    for capacity in [0, usize::MAX, 1 << 63] {
        let error = Pool::builder().workers(0).capacity_bytes(capacity).build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Option { option: "capacity", .. }), "{error}");
        assert_eq!(error.to_string(), format!("capacity: {capacity} is not a size that memory can have"));
    }
}

#[test]
fn a_file_size_limit_bounds_the_arena_and_raises_no_signal() {
    let test = "a_file_size_limit_bounds_the_arena_and_raises_no_signal";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            limit(Resource::Fsize, 64 * MIB);
            let pool = Pool::builder().workers(2).redzones(false).build().unwrap();
            assert_eq!(pool.stats().unwrap().arena.capacity_bytes, 64 * MIB);
            let error = pool.zeros::<u8>([128, 1 << 20]).unwrap_err();
            check_too_large(
                &error,
                "array of u8 [128, 1048576]",
                128 * MIB,
                "the arena's capacity",
                64 * MIB,
            );
            let xs = pool.array_with(20 << 20, |i| i as u8).unwrap();
            assert!(pool.map(&xs, |x| !x).unwrap().iter().zip(&xs).all(|(&y, &x)| y == !x));
            // Asked for by name it is an error, not a smaller one.
            let error = Arena::builder().capacity(128 << 20).create().unwrap_err();
            check_too_large(&error, "segment \"data\"", 128 * MIB, "RLIMIT_FSIZE", 64 * MIB);
        },
    );
}

#[test]
fn a_file_size_limit_below_what_a_pool_itself_needs_is_named() {
    let test = "a_file_size_limit_below_what_a_pool_itself_needs_is_named";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            limit(Resource::Fsize, MIB);
            let error = Pool::builder().workers(1).build().unwrap_err();
            let is_named =
                matches!(error.kind(), ErrorKind::TooLarge { limit: "RLIMIT_FSIZE", limit_bytes: MIB, .. });
            assert!(is_named, "{error}");
            // Without workers there are no control segments.
            assert!(Pool::builder().workers(0).build().is_ok());
        },
    );
}

#[test]
fn too_few_descriptors_are_an_error_and_leave_nothing_open() {
    let test = "too_few_descriptors_are_an_error_and_leave_nothing_open";
    let _watchdog = watchdog(test, 120);
    alone(
        test,
        |_| {},
        || {
            drop(pool_of(1)); // what the first pool opens for good
            let n_open = || std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
            let before = n_open();
            let mut n_refused = 0;
            // From none to spare up to plenty, so that each open on the way is the one that fails.
            for spare in 1..40 {
                limit(Resource::Nofile, before + spare);
                let built = Pool::builder().workers(2).capacity_bytes(1 << 20).build();
                limit(Resource::Nofile, 1024);
                match built {
                    Ok(pool) => {
                        assert_eq!(*pool.map(&pool.array_from(&[1]).unwrap(), |x| x + 1).unwrap(), [2]);
                    }
                    Err(error) => {
                        n_refused += 1;
                        let kind =
                            matches!(error.kind(), ErrorKind::Os { .. } | ErrorKind::WorkerStart { .. });
                        assert!(
                            kind && error.to_string().contains("Too many open files"),
                            "{spare} spare: {error}"
                        );
                    }
                }
                assert_eq!(n_open(), before, "{spare} spare descriptors");
            }
            assert!((5..39).contains(&n_refused), "{n_refused} of 39 pools were refused");
        },
    );
}

#[test]
fn a_replacement_needs_no_more_descriptors_than_the_dead_worker_had() {
    let test = "a_replacement_needs_no_more_descriptors_than_the_dead_worker_had";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(2);
            // Every number up to the limit is taken.
            limit(Resource::Nofile, 40);
            let files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
            assert!(!files.is_empty());
            for _ in 0..5 {
                let pids = pool.worker_pids();
                pids.iter().for_each(|&pid| common::signal(pid, libc::SIGKILL));
                common::wait_until_healed(&pool, &pids);
            }
        },
    );
}

#[test]
fn a_worker_that_cannot_be_replaced_for_a_while_is_not_missed() {
    let test = "a_worker_that_cannot_be_replaced_for_a_while_is_not_missed";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| {},
        || {
            let pool = pool_of(2);
            let pids = pool.worker_pids();
            let xs = pool.array_with(1000, |i| i as u32).unwrap();
            let mut ys = pool.zeros::<u32>(1000).unwrap();
            limit(Resource::Nofile, 4);
            // Past the supervisor's next look around, which begins under the new limit.
            std::thread::sleep(Duration::from_millis(1500));
            common::signal(pids[0], libc::SIGKILL);
            common::wait_until("it is gone", || pool.worker_pids() == pids[1..]);
            // Long enough for more attempts than a pool without any live worker would make.
            std::thread::sleep(Duration::from_secs(4));
            pool.call().grain(1).map_into(&xs, &mut ys, |x| x + 1).unwrap();
            assert!(ys.iter().zip(&xs).all(|(&y, &x)| y == x + 1));
            assert_eq!(pool.worker_pids(), pids[1..], "there is no descriptor for a new worker");
            limit(Resource::Nofile, 1024);
            common::wait_until_healed(&pool, &pids[..1]);
        },
    );
}

#[test]
fn too_few_processes_are_an_error() {
    let test = "too_few_processes_are_an_error";
    let _watchdog = watchdog(test, 60);
    // The limit does not bind root, so the process becomes somebody else, if it may and that somebody may run
    // this program.
    let set_up = |command: &mut std::process::Command| {
        command.uid(65_432);
    };
    let can_be_run = common::again("nothing has this name").uid(65_432).output();
    if !can_be_run.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: not root, or the test program is not for everybody to run");
        return;
    }
    alone(test, set_up, || {
        limit(Resource::Nproc, 5);
        let error = Pool::builder().workers(8).capacity_bytes(1 << 20).build().unwrap_err();
        let named = matches!(error.kind(), ErrorKind::WorkerStart { .. } | ErrorKind::Os { .. });
        assert!(named, "{error}");
        limit(Resource::Nproc, getrlimit(Resource::Nproc).maximum.unwrap_or(1000));
        assert!(Pool::builder().workers(2).capacity_bytes(1 << 20).build().is_ok());
    });
}
