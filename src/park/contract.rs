//! What every back-end must do, seen with real processes over shared memory; and what `raw_sync` cannot.
//!
//! Processes are forked, do nothing but sleep, wake and end, and are killed and reaped by whoever holds them.
#![allow(unsafe_code)] // fork, and values in shared memory

use std::num::NonZeroU32;
use std::ops::Deref;
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

use super::ANY;
use super::backend::{Backend, Futexes};
use super::bit;
#[cfg(feature = "raw-sync")]
use super::events::Events;
use crate::sync::{AcqRel, Acquire, AtomicU32};
use crate::sys::shm;

/// How long to wait before saying that something hangs. What does not hang ends within milliseconds.
const HANGS: Duration = Duration::from_secs(3);

/// What all processes of a test share.
#[repr(C)]
struct Room<B: Backend> {
    word: AtomicU32,
    other: AtomicU32,
    beds: [B::Bed; 8],
}

struct Shared<B: Backend> {
    map: MmapRaw,
    _room: std::marker::PhantomData<fn() -> Room<B>>,
}

impl<B: Backend> Shared<B> {
    fn new() -> Self {
        let (memory, size) = (shm::create("contract").unwrap(), size_of::<Room<B>>());
        shm::set_size(&memory, size as u64).unwrap();
        let map = MmapOptions::new().len(size).map_raw(&memory).unwrap();
        let shared = Shared { map, _room: std::marker::PhantomData };
        shared.beds.iter().try_for_each(B::make).unwrap();
        shared
    }

    /// Sleeps until `word` is no longer `value`.
    fn sleep_while(&self, word: &AtomicU32, value: u32, slot: usize) {
        while word.load(Acquire) == value {
            B::sleep(word, value, bit(slot), &self.beds[slot], None);
        }
    }

    /// Changes `word` and wakes the sleepers of `slots`.
    fn change(&self, word: &AtomicU32, slots: std::ops::Range<usize>) {
        word.fetch_add(1, AcqRel);
        let bits = slots.clone().fold(0, |bits, slot| bits | bit(slot).get());
        B::wake(word, NonZeroU32::new(bits).unwrap(), self.beds[slots].iter());
    }

    /// Waits until another process has counted `word` up to `value`.
    fn await_count(&self, word: &AtomicU32, value: u32) {
        let start = Instant::now();
        while word.load(Acquire) < value {
            assert!(start.elapsed() < 10 * HANGS, "the count stays at {}", word.load(Acquire));
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl<B: Backend> Deref for Shared<B> {
    type Target = Room<B>;

    fn deref(&self) -> &Room<B> {
        // SAFETY: the mapping has room for one, on a page edge; it began as zeros, which are a room, and all of it is
        // atomics, or beds, whose back-end guards them.
        unsafe { &*self.map.as_ptr().cast() }
    }
}

/// A forked process that runs a closure and ends; killed and reaped at the latest when it is dropped.
struct Process(libc::pid_t);

impl Process {
    fn start(body: impl FnOnce()) -> Self {
        // SAFETY: the child runs the closure alone, which allocates little (the C library's allocator survives a fork), and
        // ends without running anything of its parent's.
        match unsafe { libc::fork() } {
            0 => {
                let code = i32::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err());
                crate::sys::process::exit_now(code)
            }
            pid => {
                assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
                Process(pid)
            }
        }
    }

    /// Whether it ends by itself, well.
    fn ends(&self) -> bool {
        let (start, mut status) = (Instant::now(), 0);
        while start.elapsed() < HANGS {
            // SAFETY: our own child, which nobody else waits for.
            if unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) } == self.0 {
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// Waits until it sleeps in the kernel.
    fn await_sleep(&self) {
        let start = Instant::now();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
            if stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('S')) {
                return;
            }
            assert!(start.elapsed() < 10 * HANGS, "it does not sleep: {stat}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: takes numbers and a place for the status; the process is our own child. If it is reaped already both
        // calls fail, as no other child of ours has its number while this value lives: pids are not reused so soon.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, &raw mut status, 0);
        }
    }
}

fn a_change_before_the_sleep_is_seen<B: Backend>() {
    let room = Shared::<B>::new();
    room.change(&room.word, 0..1);
    let sleeper = Process::start(|| {
        room.sleep_while(&room.word, 0, 0);
        // Nobody wakes it: the word is another one already.
        B::sleep(&room.word, 0, bit(0), &room.beds[0], None);
    });
    assert!(sleeper.ends());
}

fn a_sleeper_in_another_process_is_woken<B: Backend>() {
    let room = Shared::<B>::new();
    let sleeper = Process::start(|| room.sleep_while(&room.word, 0, 3));
    sleeper.await_sleep();
    room.change(&room.word, 3..4);
    assert!(sleeper.ends());
}

fn each_wake_reaches_the_one_that_it_names<B: Backend>() {
    let room = Shared::<B>::new();
    let sleepers: Vec<Process> = (0..3).map(|slot| Process::start(move_ref(&room, slot))).collect();
    sleepers.iter().for_each(Process::await_sleep);
    room.word.fetch_add(1, AcqRel);
    for (slot, sleeper) in sleepers.iter().enumerate().rev() {
        B::wake(&room.word, bit(slot), room.beds[slot..=slot].iter());
        assert!(sleeper.ends(), "sleeper {slot}");
    }
}

fn move_ref<B: Backend>(room: &Shared<B>, slot: usize) -> impl FnOnce() + '_ {
    move || room.sleep_while(&room.word, 0, slot)
}

fn one_call_wakes_all<B: Backend>() {
    let room = Shared::<B>::new();
    let sleepers: Vec<Process> = (0..8).map(|slot| Process::start(move_ref(&room, slot))).collect();
    sleepers.iter().for_each(Process::await_sleep);
    room.change(&room.word, 0..8);
    assert!(sleepers.iter().all(Process::ends));
}

/// 900 ms and 1.2 s: a sum of nanoseconds with a carry in it.
fn a_time_out_comes_and_not_too_often_before<B: Backend>() {
    let room = Shared::<B>::new();
    for wait in [5, 900, 1200].map(Duration::from_millis) {
        let start = Instant::now();
        let mut n_sleeps = 0;
        while let Some(left) = wait.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            B::sleep(&room.word, 0, ANY, &room.beds[0], Some(left));
            n_sleeps += 1;
        }
        assert!(n_sleeps < 100, "{n_sleeps} sleeps in {wait:?}: that is spinning");
    }
}

fn no_wake_is_lost_in_many<B: Backend>() {
    const ROUNDS: u32 = 5000;
    let room = Shared::<B>::new();
    let echo = Process::start(|| {
        for round in 0..ROUNDS {
            room.sleep_while(&room.word, round, 0);
            room.change(&room.other, 1..2);
        }
    });
    let caller = Process::start(|| {
        for round in 0..ROUNDS {
            room.change(&room.word, 0..1);
            room.sleep_while(&room.other, round, 1);
        }
    });
    room.await_count(&room.other, ROUNDS);
    assert!(echo.ends() && caller.ends());
}

/// What comes after the death of a sleeper: its successor in the same bed is woken, by somebody who does not hang.
fn life_goes_on<B: Backend>(room: &Shared<B>, slot: usize) -> bool {
    (0..3).all(|_| {
        let seen = room.word.load(Acquire);
        let successor = Process::start(|| room.sleep_while(&room.word, seen, slot));
        std::thread::sleep(Duration::from_millis(20));
        let waker = Process::start(|| room.change(&room.word, slot..slot + 1));
        waker.ends() && successor.ends()
    })
}

fn survives_a_killed_sleeper<B: Backend>() -> bool {
    let room = Shared::<B>::new();
    let sleeper = Process::start(|| room.sleep_while(&room.word, 0, 0));
    sleeper.await_sleep();
    sleeper.kill();
    life_goes_on(&room, 0)
}

/// Kills a process at some moment of a life that is nothing but sleeping and waking, until it has held whatever there is to
/// hold.
fn survives_killed_holders<B: Backend>(n_rounds: u64) -> bool {
    let room = Shared::<B>::new();
    (0..n_rounds).all(|round| {
        let busy = Process::start(|| {
            loop {
                room.change(&room.other, 0..1);
                B::sleep(&room.word, 0, bit(0), &room.beds[0], Some(Duration::from_micros(1)));
            }
        });
        room.await_count(&room.other, room.other.load(Acquire) + 1);
        std::thread::sleep(Duration::from_micros(100 + 37 * (round % 60)));
        busy.kill();
        let waker = Process::start(|| room.change(&room.other, 0..1));
        waker.ends()
    })
}

macro_rules! contract {
    ($module:ident, $backend:ident) => {
        mod $module {
            #[test]
            fn a_change_before_the_sleep_is_seen() {
                super::a_change_before_the_sleep_is_seen::<super::$backend>();
            }

            #[test]
            fn a_sleeper_in_another_process_is_woken() {
                super::a_sleeper_in_another_process_is_woken::<super::$backend>();
            }

            #[test]
            fn each_wake_reaches_the_one_that_it_names() {
                super::each_wake_reaches_the_one_that_it_names::<super::$backend>();
            }

            #[test]
            fn one_call_wakes_all() {
                super::one_call_wakes_all::<super::$backend>();
            }

            #[test]
            fn a_time_out_comes_and_not_too_often_before() {
                super::a_time_out_comes_and_not_too_often_before::<super::$backend>();
            }

            #[test]
            fn no_wake_is_lost_in_many() {
                super::no_wake_is_lost_in_many::<super::$backend>();
            }
        }
    };
}

contract!(futexes, Futexes);
#[cfg(feature = "raw-sync")]
contract!(raw_sync, Events);

#[test]
fn futexes_survive_a_killed_sleeper() {
    assert!(survives_a_killed_sleeper::<Futexes>());
}

#[test]
fn futexes_survive_killed_holders() {
    assert!(survives_killed_holders::<Futexes>(60));
}

/// Should a newer version of `raw_sync` heal this, the test says so.
#[cfg(feature = "raw-sync")]
#[test]
fn raw_sync_does_not_survive_a_killed_sleeper() {
    assert!(!survives_a_killed_sleeper::<Events>());
}

#[cfg(feature = "raw-sync")]
#[test]
fn raw_sync_does_not_survive_killed_holders() {
    // Few kills meet a holder: of 60, sometimes none does.
    assert!(!survives_killed_holders::<Events>(3000));
}
