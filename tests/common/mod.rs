//! What the test programs share.
#![allow(dead_code)] // each program uses a part of it
#![allow(unsafe_code)] // `kill`

use std::process::{Command, Output};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bytemuck::Pod;
use shmpool::Pool;

/// Ends the program with a message unless it is dropped in time: a test that hangs must not hang for ever.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

/// A watchdog for the test of this name.
pub(crate) fn watchdog(test: &'static str, seconds: u64) -> Watchdog {
    let (alive, gone) = mpsc::channel();
    std::thread::spawn(move || {
        if gone.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("watchdog: {test} has not ended after {seconds} s");
            std::process::abort();
        }
    });
    Watchdog { _alive: alive }
}

/// A pool of `n` workers.
pub(crate) fn pool_of(n: usize) -> Pool {
    Pool::builder().workers(n).capacity_bytes(256 << 20).build().unwrap()
}

/// Sends a signal; a process that is gone already is not an error.
pub(crate) fn signal(pid: u32, signal: i32) {
    // SAFETY: takes numbers only. The processes are workers of our own pools or children that we have not
    // reaped.
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

/// Waits until every worker is live, and none of `old` is among them.
pub(crate) fn wait_until_healed(pool: &Pool, old: &[u32]) {
    wait_until("the pool has healed", || {
        let pids = pool.worker_pids();
        pids.len() == pool.n_workers() && !pids.iter().any(|pid| old.contains(pid))
    });
}

/// Looks again every millisecond. Bounded by the test's watchdog; says now and then what it waits for.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let mut said = Instant::now();
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
        if said.elapsed() > Duration::from_secs(5) {
            eprintln!("still waiting until {what}");
            said = Instant::now();
        }
    }
}

/// True once a process has ended. A zombie has: who is to reap an orphan may take its time.
pub(crate) fn has_ended(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name in the second field may hold anything, but no later field holds a parenthesis.
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// True while a process is stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('T'))
}

/// Stops a process, and returns once it stands still.
pub(crate) fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    wait_until("the process has stopped", || is_stopped(pid));
}

/// Compares bytes, so that -0.0 and NaN count too, and names the first element that differs.
#[track_caller]
pub(crate) fn assert_same_bits<T: Pod + std::fmt::Debug>(
    found: &[T],
    wanted: &[T],
    context: impl Fn() -> String,
) {
    assert_eq!(found.len(), wanted.len(), "{}", context());
    if bytemuck::cast_slice::<T, u8>(found) != bytemuck::cast_slice::<T, u8>(wanted) {
        let differs = |i: &usize| bytemuck::bytes_of(&found[*i]) != bytemuck::bytes_of(&wanted[*i]);
        let i = (0..found.len()).find(differs).expect("some element differs");
        panic!("{}: element {i} is {:?}, not {:?}", context(), found[i], wanted[i]);
    }
}

/// Xorshift: kills have to differ from each other, not to be unguessable.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Names the test that a program of ours was started for.
const ALONE: &str = "SHMPOOL_TEST_ALONE";

/// True in a process that [`alone`] or [`again`] has started for this test.
pub(crate) fn is_alone(test: &str) -> bool {
    std::env::var_os(ALONE).is_some_and(|alone| alone == test)
}

/// This test program again, to run one test in a process of its own.
pub(crate) fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, test);
    command
}

/// Runs `body` in a process of its own, for what is global: limits, descriptors, signal actions. `set_up` may
/// change how it starts.
pub(crate) fn alone(test: &str, set_up: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    let mut command = again(test);
    set_up(&mut command);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert!(status.success(), "{status}\n{}\n{}", text(stdout), text(stderr));
}

/// Where the mapping with this memfd name lies in the calling process.
pub(crate) fn mapping(name: &str) -> Option<std::ops::Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains(&format!("/memfd:{name} ")))?;
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    Some(address(start)?..address(end)?)
}
