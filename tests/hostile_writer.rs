//! Workers that scribble over every byte they can write: the parent ends each job with a result or a typed
//! error, and goes on.
//!
//! What such a worker computes is worth nothing, and it may lie about what others have done; so outputs are
//! looked at only when the scribbling is over. What the parent itself wrote, no worker can touch.
#![allow(unsafe_code)] // kernels that scribble

shmpool::test_workers!();

mod common;

use std::sync::mpsc::{self, TryRecvError};

use common::{Random, mapping, pool_of, wait_until, watchdog};
use shmpool::{Error, ErrorKind, ExitReason, Pool};

/// What is written over the worker-written segment.
const RANDOM_WORDS: u32 = 0;
const ALL_ONES: u32 = 1;
const ALL_ZEROS: u32 = 2;
/// `DONE`, `FAILED`, `RUNNING` by somebody who does not exist: high nibbles that mean something, over what
/// stands there.
const PLAUSIBLE_STATES: u32 = 3;
/// Words that stand elsewhere in the segment: all legal, all out of place.
const SWAPPED_WORDS: u32 = 4;
/// Heads, cursors and counts that are a little off.
const NUDGED_WORDS: u32 = 5;
/// `RUNNING` by a live worker, which may know nothing of it.
const FORGED_OWNERS: u32 = 6;
const MODES: std::ops::Range<u32> = 0..7;

/// Bytes at the start of the segment that hold entry words, ring heads, parked flags and completion counts,
/// with some messages.
const HOT_BYTES: usize = 2 << 20;

/// Kernel: writes `mode`'s kind of nonsense over many words of the worker-written segment.
fn scribble([mode, seed]: [u32; 2]) -> u8 {
    let Some(control) = mapping("shmpool-workers") else { return 1 };
    let n_words = control.len().min(HOT_BYTES) / 8;
    let mut random = Random::new(u64::from(seed) * 2 + 1);
    for _ in 0..20_000 {
        // The first entries, and the rings' heads behind the table, are in use; the rest hardly ever is.
        let word = match random.below(3) {
            0 => random.below(64 * 8),
            1 => (1 << 20) / 8 + random.below(64 * 16),
            _ => random.below(n_words as u64),
        };
        let at = (control.start as *mut u64).wrapping_add(word as usize);
        let other = (control.start as *mut u64).wrapping_add(random.below(n_words as u64) as usize);
        // SAFETY: both words lie in this worker's own writable mapping of the segment, whose words may hold
        // anything and are read by others as atomics; that this is no way to treat it is what the test is
        // about.
        unsafe {
            let before = at.read_volatile();
            at.write_volatile(match mode {
                RANDOM_WORDS => random.next(),
                ALL_ONES => u64::MAX,
                ALL_ZEROS => 0,
                PLAUSIBLE_STATES => before & (u64::MAX >> 4) | (random.below(6) << 60),
                SWAPPED_WORDS => other.read_volatile(),
                NUDGED_WORDS => before.wrapping_add(random.below(5)).wrapping_sub(2),
                FORGED_OWNERS => {
                    let (running, owner, seq) =
                        (2 << 60, random.below(2) << 44 | 1 << 28, before & 0x0fff_ffff);
                    running | owner | seq
                }
                _ => before,
            });
        }
    }
    0
}

/// Results and typed errors are both fine while somebody scribbles; a pool that has given up is too, and ends
/// the attack.
fn survived(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ControlCorrupted { .. }
            | ErrorKind::WorkerDied { .. }
            | ErrorKind::KernelPanicked { .. }
            | ErrorKind::Interrupted { .. }
            | ErrorKind::PoolBroken { .. }
            | ErrorKind::TaskDied { .. }
            | ErrorKind::TaskPanicked { .. }
            | ErrorKind::TaskInterrupted { .. }
            | ErrorKind::TaskRefused { .. }
    )
}

#[derive(Default)]
struct Outcomes {
    n_results: u32,
    n_errors: u32,
}

impl Outcomes {
    fn count<T>(&mut self, result: shmpool::Result<T>) {
        match result {
            Ok(_) => self.n_results += 1,
            Err(error) => {
                assert!(survived(&error), "{error}");
                self.n_errors += 1;
            }
        }
    }
}

/// Attacks `pool` with `mode` while other threads run honest jobs on it.
fn attack(pool: &Pool, mode: u32, rounds: u32) -> Outcomes {
    let (alive, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let honest = scope.spawn(move || {
            let mut outcomes = Outcomes::default();
            while end.try_recv() != Err(TryRecvError::Disconnected) {
                let xs = pool.array_with(5000, |i| i as u64).unwrap();
                outcomes.count(pool.call().grain(10).map(&xs, |x| x + 1));
                let mut ys = pool.array_with(500, |i| i as u64).unwrap();
                outcomes.count(pool.call().grain(5).update(&mut ys, |y| *y += 1));
                outcomes.count(pool.reduce(&xs, 0_u64, |sum, x| sum + x, |a, b| a + b));
                let futures = (0..200_u64).map(|n| pool.submit(|n: u64| vec![n; n as usize], n));
                let futures: Vec<_> = futures.collect();
                for future in futures {
                    outcomes.count(future.and_then(|future| future.result()));
                }
            }
            outcomes
        });
        let mut outcomes = Outcomes::default();
        for round in 0..rounds {
            let orders = pool.array_with(16, |i| [mode, round * 100 + i as u32]).unwrap();
            outcomes.count(pool.call().grain(1).map(&orders, scribble));
        }
        drop(alive);
        let honest = honest.join().expect("nothing panics in the parent");
        Outcomes {
            n_results: outcomes.n_results + honest.n_results,
            n_errors: outcomes.n_errors + honest.n_errors,
        }
    })
}

#[test]
fn a_scribbling_worker_neither_hangs_nor_crashes_its_parent() {
    let _watchdog = watchdog("a_scribbling_worker_neither_hangs_nor_crashes_its_parent", 240);
    for mode in MODES {
        let pool = pool_of(2);
        let Outcomes { n_results, n_errors } = attack(&pool, mode, 10);
        println!(
            "mode {mode}: {n_results} results, {n_errors} typed errors, {} deaths",
            pool.stats().unwrap().n_deaths
        );
        // The attack is over, so the pool has recovered, or says that it has not.
        let xs = pool.array_with(100_000, |i| i as u64).unwrap();
        let after = pool.map(&xs, |x| x * 3).or_else(|error| {
            assert!(survived(&error), "{error}");
            pool.map(&xs, |x| x * 3)
        });
        match after {
            Ok(ys) => assert!(ys.iter().zip(&xs).all(|(&y, &x)| y == x * 3), "mode {mode}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::PoolBroken { .. }), "mode {mode}: {error}");
            }
        }
    }
}

#[test]
fn a_worker_that_always_lies_ends_its_job_with_an_error_that_says_so() {
    let _watchdog = watchdog("a_worker_that_always_lies_ends_its_job_with_an_error_that_says_so", 120);
    let pool = pool_of(1);
    // All ones are nothing that an honest worker writes, and every attempt at the job writes them.
    let orders = pool.array_with(1, |_| [ALL_ONES, 1]).unwrap();
    let error = pool.map(&orders, scribble).unwrap_err();
    assert!(survived(&error), "{error}");
    let xs = pool.array_with(1000, |i| i as u32).unwrap();
    wait_until("the pool works again", || pool.map(&xs, |x| x + 1).is_ok());
    assert!(pool.map(&xs, |x| x + 1).unwrap().iter().zip(&xs).all(|(&y, &x)| y == x + 1));
}

#[test]
fn a_worker_that_wakes_its_parent_all_the_time_changes_nothing() {
    let _watchdog = watchdog("a_worker_that_wakes_its_parent_all_the_time_changes_nothing", 120);
    let pool = pool_of(2);
    let leave_a_thread = |_: u8| {
        let control = mapping("shmpool-workers").expect("a worker has mapped it").start as *mut u8;
        // Where the completion counts of jobs stand, 128 bytes apart (`src/control/worker.rs`).
        let counts = control.wrapping_add((1 << 20) + 2 * 256 * 128) as usize;
        std::thread::spawn(move || {
            loop {
                for job in 0..64 {
                    let count = (counts + 128 * job) as *mut u32;
                    // SAFETY: in the mapping, which lasts as long as this worker, and legal to hold anything;
                    // lost updates are part of it.
                    unsafe {
                        count.write_volatile(count.read_volatile().wrapping_add(1));
                        libc::syscall(libc::SYS_futex, count, libc::FUTEX_WAKE, 1);
                    }
                }
            }
        });
        0_u8
    };
    pool.map(&pool.zeros::<u8>(1).unwrap(), leave_a_thread).unwrap();
    let xs = pool.array_with(1000, |i| i as u32).unwrap();
    for _ in 0..50 {
        assert!(pool.call().grain(9).map(&xs, |x| x + 1).unwrap().iter().zip(&xs).all(|(&y, &x)| y == x + 1));
    }
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

/// Kernel: leaves a thread behind that moves the heads of both rings past every hint, and makes the leases look as if
/// somebody got on with them.
fn leave_a_thief_of_hints(_: u8) -> u8 {
    let entries = mapping("shmpool-workers").expect("a worker has mapped it").start;
    std::thread::spawn(move || {
        for round in 0_u64.. {
            for ring in 0..2 {
                let head = (entries + (1 << 20) + 128 * ring) as *mut u64;
                // SAFETY: in the mapping, which lasts as long as this worker, and legal to hold anything; a head
                // that is not its own is what the parent shall notice.
                unsafe { head.write_volatile(head.read_volatile() + u64::from(round % 64 == 0)) };
            }
            for entry in 0..64 {
                let cursor = (entries + 64 * entry + 8) as *mut u64;
                // SAFETY: as above.
                unsafe { cursor.write_volatile(cursor.read_volatile() ^ 2) };
            }
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    });
    0
}

#[test]
fn hints_that_a_worker_has_stolen_hang_nobody() {
    let _watchdog = watchdog("hints_that_a_worker_has_stolen_hang_nobody", 120);
    let pool = pool_of(2);
    for round in 0..5 {
        let _ = pool.map(&pool.zeros::<u8>(1).unwrap(), leave_a_thief_of_hints);
        let xs = pool.array_with(200, |i| i as u32).unwrap();
        let slow = |x: u32| {
            std::thread::sleep(std::time::Duration::from_micros(100));
            x + 1
        };
        // Whatever the thief lets through: this returns.
        match pool.call().grain(1).map(&xs, slow) {
            Ok(_) => {}
            Err(error) => assert!(survived(&error), "round {round}: {error}"),
        }
    }
    assert!(pool.stats().unwrap().n_deaths > 0, "nobody noticed");
}

#[test]
fn the_parents_own_segment_cannot_be_written() {
    let _watchdog = watchdog("the_parents_own_segment_cannot_be_written", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[0_u8]).unwrap();
    let error = pool.map(&xs, |x| {
        let control = mapping("shmpool-parent").expect("a worker has mapped it");
        // SAFETY: none, and that is the point: the mapping is read-only, and this worker dies here.
        unsafe { (control.start as *mut u8).write_volatile(x) };
        x
    });
    let error = error.unwrap_err();
    let ErrorKind::WorkerDied { deaths, .. } = error.kind() else { panic!("{error}") };
    assert!(deaths.0.iter().all(|death| death.reason == ExitReason::Signal(libc::SIGSEGV)), "{error}");
}

#[test]
fn the_parents_own_segment_cannot_be_made_writable() {
    let _watchdog = watchdog("the_parents_own_segment_cannot_be_made_writable", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[0_u8]).unwrap();
    let codes = pool.map(&xs, |_| {
        let control = mapping("shmpool-parent").expect("a worker has mapped it");
        let (first, n_bytes) = (control.start as *mut libc::c_void, control.len());
        let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        // The descriptor that the mapping was made of, opened anew for writing.
        let path = |entry: std::fs::DirEntry| {
            let link = std::fs::read_link(entry.path()).ok()?;
            link.to_str()?.contains("memfd:shmpool-parent").then(|| entry.path())
        };
        let descriptor = std::fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| path(entry.ok()?));
        let file =
            descriptor.and_then(|path| std::fs::File::options().read(true).write(true).open(path).ok());
        let fd = file.as_ref().map_or(-1, std::os::fd::AsRawFd::as_raw_fd);
        // SAFETY: each of these is refused, and changes nothing; were one not, the test would fail.
        unsafe {
            let protected = if libc::mprotect(first, n_bytes, libc::PROT_READ | libc::PROT_WRITE) == 0 {
                0
            } else {
                errno()
            };
            let removed = if libc::madvise(first, n_bytes, libc::MADV_REMOVE) == 0 { 0 } else { errno() };
            let flags = libc::PROT_READ | libc::PROT_WRITE;
            let mapped = libc::mmap(std::ptr::null_mut(), n_bytes, flags, libc::MAP_SHARED, fd, 0);
            let mapped = if mapped == libc::MAP_FAILED { errno() } else { 0 };
            let written = if libc::write(fd, [0_u8].as_ptr().cast(), 1) == 1 { 0 } else { errno() };
            let cut = if libc::ftruncate(fd, 0) == 0 { 0 } else { errno() };
            [protected, removed, mapped, written, cut]
        }
    });
    let codes = codes.unwrap()[0];
    assert_eq!(codes[0], libc::EACCES, "mprotect");
    assert!(
        codes.iter().all(|&code| code != 0),
        "errors of mprotect, madvise, mmap, write, ftruncate: {codes:?}"
    );
}
