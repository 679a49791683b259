//! Submitted tasks whose workers lie about them, or end badly: each future resolves, with no more than the liar's harm.
#![allow(unsafe_code)] // tasks that scribble

shmpool::test_workers!();

mod common;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::{Random, mapping, pool_of, watchdog};
use shmpool::{ErrorKind, Future, Pool};

const LONG: usize = 24 << 20;
const MARK: &str = "this is the result of a liar: ";

/// Returns a long text, and leaves a thread behind that goes on writing its last byte.
fn a_text_that_changes(_: ()) -> String {
    thread::spawn(|| {
        let place = loop {
            thread::sleep(Duration::from_millis(1));
            let Some(arena) = mapping("shmpool-data").filter(|arena| arena.len() > LONG) else { continue };
            let found = (arena.start..arena.end).step_by(4096).find(|&block| {
                // SAFETY: in the mapping of this process; which bytes are there does not matter.
                let first = unsafe { std::slice::from_raw_parts(block as *const u8, 128) };
                first.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes())
            });
            if let Some(place) = found {
                break place;
            }
        };
        // The argument is decoded, the result is there.
        thread::sleep(Duration::from_millis(200));
        let last = (place + LONG - 100) as *mut u8;
        let mut random = Random::new(7);
        loop {
            for byte in [b'a', 0xff] {
                // SAFETY: in the room that was this task's.
                unsafe { last.write_volatile(byte) };
                thread::sleep(Duration::from_micros(random.below(4000)));
            }
        }
    });
    let mut text = MARK.to_owned();
    text.extend(std::iter::repeat_n('a', LONG - MARK.len()));
    text
}

#[test]
fn a_result_that_changes_while_it_is_read_is_still_a_value() {
    let _watchdog = watchdog("a_result_that_changes_while_it_is_read", 120);
    let pool = pool_of(1);
    let future = pool.submit(a_text_that_changes, ()).unwrap();
    assert!(future.wait(Duration::from_secs(60)).unwrap());
    let (start, mut n_refused, mut n_read) = (Instant::now(), 0, 0);
    while start.elapsed() < Duration::from_secs(10) && (n_refused < 5 || n_read < 20) {
        match future.result() {
            Ok(text) => assert!(std::str::from_utf8(text.as_bytes()).is_ok(), "not a text, after {n_read}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::TaskRefused { .. }), "{error}");
                n_refused += 1;
            }
        }
        n_read += 1;
    }
    assert!(n_refused > 0, "it did not change");
}

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

#[test]
fn no_limit_is_too_long() {
    let _watchdog = watchdog("no_limit_is_too_long", 60);
    let pool = pool_of(1);
    for limit in [Duration::MAX, Duration::MAX - Duration::from_nanos(1), Duration::from_secs(1 << 40)] {
        let futures: Vec<Future<u64>> =
            (0..3).map(|_| pool.call().task_timeout(limit).submit(sleep, 20).unwrap()).collect();
        assert!(futures.iter().all(|future| future.result().unwrap() == 20));
    }
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

/// Where a task with a time limit says when it began (`control/worker.rs`).
fn write_beginnings(table: usize, value: u64) {
    for entry in 0..64 {
        // SAFETY: in the mapping, whose words may hold anything.
        unsafe { ((table + 64 * entry + 16) as *mut u64).write_volatile(value) };
    }
}

#[test]
fn who_lies_about_its_beginning_is_late_all_the_same() {
    let _watchdog = watchdog("who_lies_about_its_beginning", 60);
    let pool = pool_of(1);
    for value in [0, u64::MAX] {
        let late = |value: u64| {
            write_beginnings(mapping("shmpool-workers").expect("a worker has mapped it").start, value);
            sleep(1_000_000)
        };
        let future = pool.call().task_timeout(Duration::from_millis(300)).submit(late, value).unwrap();
        let error = future.result_timeout(Duration::from_secs(10)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TaskTimedOut { .. }), "{value}: {error}");
    }
}

#[test]
fn nobody_makes_others_late() {
    let _watchdog = watchdog("nobody_makes_others_late", 60);
    let pool = pool_of(2);
    let liar = |(): ()| {
        let table = mapping("shmpool-workers").expect("a worker has mapped it").start;
        thread::spawn(move || {
            loop {
                write_beginnings(table, 1);
                thread::sleep(Duration::from_micros(100));
            }
        });
    };
    pool.submit(liar, ()).unwrap().result().unwrap();
    for _ in 0..10 {
        let call = pool.call().task_timeout(Duration::from_secs(5));
        let futures: Vec<Future<u64>> = (0..4).map(|_| call.submit(sleep, 50).unwrap()).collect();
        for future in futures {
            assert_eq!(future.result().unwrap(), 50);
        }
    }
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

/// The socket over which this worker speaks to its parent.
fn control_socket() -> i32 {
    let is_socket = |fd: &i32| {
        let (mut kind, mut len) = (0_i32, 4);
        // SAFETY: both places are as large as said.
        let done = unsafe {
            libc::getsockopt(*fd, libc::SOL_SOCKET, libc::SO_TYPE, (&raw mut kind).cast(), &raw mut len)
        };
        done == 0 && kind == libc::SOCK_SEQPACKET
    };
    (3..200).find(is_socket).expect("a worker has one")
}

/// Asks for room for the result of the task in `entry`; the answer's bytes.
fn ask_for_room(entry: u32, bytes: u64) -> Vec<u8> {
    let mut request = vec![4];
    request.extend(entry.to_ne_bytes());
    request.extend(bytes.to_ne_bytes());
    let mut answer = [0_u8; 512];
    let fd = control_socket();
    // SAFETY: both buffers are as long as said.
    unsafe {
        libc::send(fd, request.as_ptr().cast(), request.len(), 0);
        let n = libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0);
        answer[..n.max(0) as usize].to_vec()
    }
}

/// Asks again and again; how many of so many sizes it got.
fn greedy(sizes: Vec<u64>) -> usize {
    let got =
        |entry: u32| sizes.iter().filter(|&&size| ask_for_room(entry, size).first() == Some(&1)).count();
    (0..70_000).step_by(7001).chain([u32::MAX]).map(got).sum::<usize>() + got(1)
}

#[test]
fn room_is_given_once_and_comes_back() {
    let _watchdog = watchdog("room_is_given_once", 60);
    let pool = pool_of(1);
    let sizes = vec![0, 1, 5000, 1 << 20, 1 << 27, 1 << 40, i64::MAX as u64, u64::MAX - 63, u64::MAX];
    for _ in 0..3 {
        let n = pool.submit(greedy, sizes.clone()).unwrap().result().unwrap();
        assert!(n <= 1, "{n} rooms");
    }
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
    assert_eq!(pool.submit(sleep, 1).unwrap().result().unwrap(), 1);
}

#[test]
fn callbacks_are_called_though_a_worker_writes_over_the_count() {
    let _watchdog = watchdog("callbacks_are_called_though", 90);
    let pool = pool_of(2);
    let liar = |(): ()| {
        let listeners =
            mapping("shmpool-workers").expect("mapped").start + (1 << 20) + 2 * 256 * 128 + 64 * 128;
        thread::spawn(move || {
            loop {
                for word in [listeners, listeners + 128] {
                    // SAFETY: in the mapping, whose words may hold anything.
                    unsafe { (word as *mut u32).write_volatile(0) };
                }
                std::thread::yield_now();
            }
        });
    };
    pool.submit(liar, ()).unwrap().result().unwrap();
    static CALLED: AtomicU32 = AtomicU32::new(0);
    let start = Instant::now();
    let mut n = 0;
    while start.elapsed() < Duration::from_secs(5) {
        let future = pool.submit(sleep, 0).unwrap();
        future.on_done(|_| {
            CALLED.fetch_add(1, Relaxed);
        });
        n += 1;
        let _ = future.result();
        let asked = Instant::now();
        while CALLED.load(Relaxed) < n {
            thread::sleep(Duration::from_micros(50));
            assert!(asked.elapsed() < Duration::from_secs(10), "callback {n} is not called");
        }
    }
}

#[test]
fn whoever_ends_like_a_retired_worker_without_having_worked_is_not_replaced_for_ever() {
    let _watchdog = watchdog("whoever_ends_like_a_retired_worker", 60);
    let leave = |(): ()| {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            std::process::exit(121);
        });
    };
    let builder = Pool::builder().workers(1).capacity_bytes(1 << 20).initializer(leave, ()).unwrap();
    let pool = builder.build().unwrap();
    thread::sleep(Duration::from_secs(5));
    let stats = pool.stats().unwrap();
    assert!(stats.n_deaths + stats.n_retired < 20, "{stats:?}");
}
