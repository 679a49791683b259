//! A worker that dies, or stands still, after any instruction of its way from wake-up through claims and tasks back to sleep.
//!
//! The test traces the worker's thread, lets it take `k` single instructions, and ends or freezes it there. Some points spread over the
//! whole way by default; `SHMPOOL_STEP_STRIDE=1 cargo test --release --test death_step -- --nocapture` takes every instruction.
#![cfg(target_arch = "x86_64")] // reads registers
#![allow(unsafe_code)] // `ptrace`

shmpool::test_workers!();

mod common;

use std::ptr;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread::Scope;
use std::time::{Duration, Instant};

use common::{pool_of, signal, stop, wait_until, wait_until_healed, watchdog};
use shmpool::{Array, ErrorKind, Future, Handle, LentMut, Pool};

/// Single steps of one test unless a stride is given: at some 30 µs a step, a few seconds. The way to a point is walked anew for each,
/// so that is many points of an optimised build and a dozen without optimisation, where the way is ten times as long.
const N_STEPS: u64 = 150_000;

/// The stride that somebody has asked for.
fn wanted_stride() -> Option<u64> {
    std::env::var("SHMPOOL_STEP_STRIDE").ok()?.parse().ok()
}

/// How many instructions lie between two points of a way of `n_steps`.
fn stride(n_steps: u64) -> usize {
    wanted_stride().unwrap_or(n_steps * n_steps / 2 / N_STEPS).max(1) as usize
}

/// Seconds after which a test has to have ended: some minutes, or a day of every single instruction.
fn patience() -> u64 {
    if wanted_stride().is_some() { 24 * 3600 } else { 300 }
}

/// A worker's thread that this thread traces, stopped between two instructions.
struct Traced {
    pid: u32,
    tid: i32,
}

impl Traced {
    /// Stops the worker. `None`, with a word about it, where tracing is forbidden.
    fn attach(pid: u32) -> Option<Traced> {
        let traced = Traced { pid, tid: working_thread(pid) };
        wait_until("the worker sleeps for good", || sleeps_for_good(pid, traced.tid));
        if traced.request(libc::PTRACE_SEIZE, ptr::null_mut()) != 0 {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
            eprintln!("skipped: this system does not let a process trace its children");
            return None;
        }
        assert_eq!(traced.request(libc::PTRACE_INTERRUPT, ptr::null_mut()), 0);
        assert!(libc::WIFSTOPPED(traced.wait()));
        Some(traced)
    }

    fn request(&self, request: libc::c_uint, data: *mut libc::c_void) -> libc::c_long {
        // SAFETY: of the requests used here only GETREGS writes, and it gets a place for what it writes.
        unsafe { libc::ptrace(request, self.tid, ptr::null_mut::<libc::c_void>(), data) }
    }

    /// Waits for the thread's next stop, or its end.
    fn wait(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: a place for the status. The thread is ours to wait for; the process's own end is left to the pool.
        assert_eq!(unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL) }, self.tid);
        status
    }

    /// Takes one instruction. A system call that sleeps is one.
    fn step(&self) {
        assert_eq!(self.request(libc::PTRACE_SINGLESTEP, ptr::null_mut()), 0);
        let status = self.wait();
        assert!(libc::WIFSTOPPED(status), "the worker has ended by itself: {status:#x}");
    }

    /// True if the next instruction is the futex call in which idle workers sleep.
    fn is_about_to_sleep(&self) -> bool {
        // SAFETY: plain numbers, all zero is a value.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        assert_eq!(self.request(libc::PTRACE_GETREGS, (&raw mut registers).cast()), 0);
        let wait_bitset = libc::FUTEX_WAIT_BITSET as u64;
        if registers.rax != libc::SYS_futex as u64 || registers.rsi & 0x7f != wait_bitset {
            return false;
        }
        // SAFETY: reads a word of the worker, not of this process.
        let code =
            unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.tid, registers.rip as *mut libc::c_void, 0) };
        code & 0xffff == 0x050f // `syscall`
    }

    /// Steps through a job that is about to be submitted: `n_steps` instructions, or less if the job `has_ended` and the worker goes
    /// to sleep before. Returns how many it were.
    fn step_through(&self, n_steps: u64, has_ended: impl Fn() -> bool) -> u64 {
        for step in 0..n_steps {
            if self.is_about_to_sleep() && has_ended() {
                return step;
            }
            self.step();
        }
        n_steps
    }

    /// Ends the process where it stands.
    fn kill(self) {
        signal(self.pid, libc::SIGKILL);
        // The traced thread is this thread's to bury before the pool learns of the death.
        while libc::WIFSTOPPED(self.wait()) {}
    }

    /// Lets it run on.
    fn release(self) {
        assert_eq!(self.request(libc::PTRACE_DETACH, ptr::null_mut()), 0);
    }
}

/// The thread of a worker that runs tasks: in a test program not the main one.
fn working_thread(pid: u32) -> i32 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let works = |tid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
        *tid != pid.cast_signed() && name.starts_with("shmpool-w") && !name.starts_with("shmpool-watch")
    };
    let tid = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    threads.filter_map(tid).find(works).expect("a live worker has it")
}

/// True once a worker sleeps without a time-out: it has given its memory back and waits for nothing but work, so that its next way does
/// not begin with something else.
fn sleeps_for_good(pid: u32, tid: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).unwrap_or_default();
    let mut words = call.split(' ');
    // Number, then arguments: address, operation, value, time-out.
    words.next() == Some(&libc::SYS_futex.to_string()) && words.nth(3) == Some("0x0")
}

/// Runs `job` on a thread of its own; what it returns comes through the channel.
fn submit<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: impl FnOnce() -> R + Send + 'scope,
) -> Receiver<R> {
    let (sender, receiver) = mpsc::channel();
    scope.spawn(move || sender.send(job()));
    receiver
}

/// True once something is in the channel, which it leaves there; gives the submitting thread a moment to put it there.
fn has_arrived<R>(receiver: &Receiver<R>, kept: &Mutex<Option<R>>) -> bool {
    let mut kept = kept.lock().unwrap();
    if kept.is_none() {
        *kept = receiver.recv_timeout(Duration::from_millis(2)).ok();
    }
    kept.is_some()
}

/// What came, or comes, through the channel.
fn result_of<R>(receiver: &Receiver<R>, kept: Mutex<Option<R>>) -> R {
    kept.into_inner().unwrap().unwrap_or_else(|| receiver.recv().unwrap())
}

/// Instructions of the way of a worker of `pool` through `job`, undisturbed. `None` where tracing is forbidden.
fn measure<R: Send>(pool: &Pool, job: impl FnOnce() -> R + Send) -> Option<u64> {
    let traced = Traced::attach(pool.worker_pids()[0])?;
    std::thread::scope(|scope| {
        let (receiver, kept) = (submit(scope, job), Mutex::new(None));
        let n_steps = traced.step_through(u64::MAX, || has_arrived(&receiver, &kept));
        traced.release();
        Some(n_steps)
    })
}

fn report(test: &str, n_points: u64, n_steps: u64, start: Instant) {
    println!(
        "{test}: {n_points} points of a way of {n_steps} instructions, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(n_points > 1, "too few points to mean anything");
}

#[test]
fn a_worker_killed_after_any_instruction_loses_nothing_and_does_nothing_twice() {
    let test = "a_worker_killed_after_any_instruction_loses_nothing_and_does_nothing_twice";
    let _watchdog = watchdog(test, patience());
    let (start, pool) = (Instant::now(), pool_of(1));
    let new = || pool.zeros::<u64>(3).unwrap();
    let update = |mut ys: Array<u64>| {
        let updated = pool.call().grain(1).update(&mut ys, |y| *y += 1);
        (ys, updated)
    };
    let Some(n_steps) = measure(&pool, || update(new())) else { return };
    let (mut n_points, mut n_blamed) = (0, 0);
    for n in (0..n_steps).step_by(stride(n_steps)) {
        let traced = Traced::attach(pool.worker_pids()[0]).expect("it worked before");
        let pid = traced.pid;
        let (ys, updated) = std::thread::scope(|scope| {
            let (receiver, kept) = (submit(scope, || update(new())), Mutex::new(None));
            traced.step_through(n, || has_arrived(&receiver, &kept));
            traced.kill();
            result_of(&receiver, kept)
        });
        let mut done = Vec::from_iter(std::iter::once(0..3));
        if let Err(error) = updated {
            let is_death =
                matches!(error.kind(), ErrorKind::WorkerDied { deaths, .. } if deaths.0[0].pid == pid);
            let report = error.report().unwrap();
            assert!(is_death && report.n_failed == 1, "killed after {n} instructions: {error}");
            done.clone_from(&report.done);
            n_blamed += 1;
        }
        for (i, &y) in ys.iter().enumerate() {
            let is_done = done.iter().any(|range| range.contains(&(i as u64)));
            assert!(y == 1 || y == 0 && !is_done, "killed after {n} instructions: task {i} ran {y} times");
        }
        wait_until_healed(&pool, &[pid]);
        n_points += 1;
    }
    report(test, n_points, n_steps, start);
    assert!(n_blamed < n_points, "most of the way lies outside tasks");
}

#[test]
fn a_worker_killed_after_any_instruction_of_a_theft_loses_nothing() {
    let test = "a_worker_killed_after_any_instruction_of_a_theft_loses_nothing";
    let _watchdog = watchdog(test, patience());
    let (start, pool) = (Instant::now(), pool_of(2));
    let xs = pool.array_from(&[10_u64, 20, 30, 40]).unwrap();
    let map = || pool.call().grain(1).map(&xs, |x| x + 1);
    // The other worker is stopped, so that its leases are there to be stolen.
    let other = |pid| pool.worker_pids().into_iter().find(|&other| other != pid).expect("there are two");
    let stopped = other(pool.worker_pids()[0]);
    stop(stopped);
    let n_steps = measure(&pool, map);
    signal(stopped, libc::SIGCONT);
    let Some(n_steps) = n_steps else { return };
    let mut n_points = 0;
    for n in (0..n_steps).step_by(stride(n_steps)) {
        let traced = Traced::attach(pool.worker_pids()[0]).expect("it worked before");
        let (pid, stopped) = (traced.pid, other(traced.pid));
        stop(stopped);
        let ys = std::thread::scope(|scope| {
            let (receiver, kept) = (submit(scope, map), Mutex::new(None));
            traced.step_through(n, || has_arrived(&receiver, &kept));
            traced.kill();
            signal(stopped, libc::SIGCONT);
            result_of(&receiver, kept)
        });
        assert_eq!(*ys.unwrap(), [11, 21, 31, 41], "killed after {n} instructions");
        wait_until_healed(&pool, &[pid]);
        n_points += 1;
    }
    report(test, n_points, n_steps, start);
}

#[test]
fn a_worker_frozen_after_any_instruction_blocks_nobody_and_no_task_runs_twice() {
    let test = "a_worker_frozen_after_any_instruction_blocks_nobody_and_no_task_runs_twice";
    let _watchdog = watchdog(test, patience());
    let (start, pool) = (Instant::now(), pool_of(2));
    let pids = pool.worker_pids();
    let update = |progress: &dyn Fn(shmpool::Progress)| {
        let mut ys = pool.zeros::<u64>(4).unwrap();
        pool.call().grain(1).progress(progress).update(&mut ys, |y| *y += 1).map(|()| ys)
    };
    stop(pids[1]);
    let n_steps = measure(&pool, || update(&|_| {}));
    signal(pids[1], libc::SIGCONT);
    let Some(n_steps) = n_steps else { return };
    let mut n_points = 0;
    for n in (0..n_steps).step_by(stride(n_steps)) {
        let traced = Traced::attach(pids[0]).expect("it worked before");
        stop(pids[1]);
        let n_done = Mutex::new(0);
        let ys = std::thread::scope(|scope| {
            let note = |progress: shmpool::Progress| *n_done.lock().unwrap() = progress.n_done;
            let (receiver, kept) = (submit(scope, move || update(&note)), Mutex::new(None));
            traced.step_through(n, || has_arrived(&receiver, &kept));
            // Frozen it holds one lease at most, of one task, and the other worker does the rest.
            signal(pids[1], libc::SIGCONT);
            wait_until("all but one task are done", || {
                *n_done.lock().unwrap() >= 3 || has_arrived(&receiver, &kept)
            });
            traced.release();
            result_of(&receiver, kept)
        });
        assert_eq!(*ys.unwrap(), [1; 4], "frozen after {n} instructions");
        n_points += 1;
    }
    report(test, n_points, n_steps, start);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

#[test]
fn a_worker_killed_after_any_instruction_of_submitted_tasks_runs_none_twice_and_loses_none() {
    let test = "a_worker_killed_after_any_instruction_of_submitted_tasks_runs_none_twice_and_loses_none";
    let _watchdog = watchdog(test, patience());
    let (start, pool) = (Instant::now(), pool_of(1));
    let count = |mut runs: LentMut<'_, u64>, n: usize| {
        runs[0] += 1;
        vec![7_u8; n]
    };
    // A short result, and one for which the worker asks for room: without optimisation that is a way of a day.
    let sizes: &[usize] = if cfg!(debug_assertions) { &[10] } else { &[10, 3000] };
    let run = || {
        let runs: Vec<_> = sizes.iter().map(|_| Handle::new(pool.zeros::<u64>(1).unwrap())).collect();
        let submit = |(runs, &n): (&Handle<Array<u64>>, &usize)| {
            pool.submit_on(runs.write().unwrap(), count, n).unwrap()
        };
        let futures: Vec<_> = runs.iter().zip(sizes).map(submit).collect();
        let results: Vec<_> = futures.iter().map(Future::result).collect();
        (runs.iter().map(|runs| runs.read().unwrap()[0]).collect::<Vec<_>>(), results)
    };
    let Some(n_steps) = measure(&pool, run) else { return };
    let (mut n_points, mut n_blamed) = (0, 0);
    for n in (0..n_steps).step_by(stride(n_steps)) {
        let traced = Traced::attach(pool.worker_pids()[0]).expect("it worked before");
        let pid = traced.pid;
        let (runs, results) = std::thread::scope(|scope| {
            let (receiver, kept) = (submit(scope, run), Mutex::new(None));
            traced.step_through(n, || has_arrived(&receiver, &kept));
            traced.kill();
            result_of(&receiver, kept)
        });
        for ((times, result), size) in runs.into_iter().zip(results).zip(sizes) {
            match result {
                Ok(bytes) => {
                    assert!(times == 1 && bytes == vec![7; *size], "killed after {n} instructions: {times}");
                }
                Err(error) => {
                    let is_death =
                        matches!(error.kind(), ErrorKind::TaskDied { deaths, .. } if deaths.0[0].pid == pid);
                    assert!(is_death && times <= 1, "killed after {n} instructions: {times}, {error}");
                    n_blamed += 1;
                }
            }
        }
        wait_until_healed(&pool, &[pid]);
        n_points += 1;
    }
    report(test, n_points, n_steps, start);
    assert!(n_blamed <= n_points, "one task dies with one worker");
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
}
