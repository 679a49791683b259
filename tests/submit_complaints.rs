//! What the users of other process pools complain of, of which each has its test: those that have none elsewhere have it here.
//! `tests/README.md` says which is which.
#![allow(unsafe_code)] // signals, and tasks that do what they must not

shmpool::test_workers!();

mod common;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    again, alone, has_ended, is_alone, pool_of, signal, stop, wait_until, wait_until_healed, watchdog,
};
use serde::{Deserialize, Serialize};
use shmpool::{
    ErrorKind, ExitReason, Fault, FileArray, Future, Handle, Lent, LentMut, OnWorkerDeath, Pool, ReturnWhen,
    as_completed, wait,
};

const MIB: usize = 1 << 20;

fn double(n: u64) -> u64 {
    2 * n
}

fn for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

fn crash(_: ()) {
    std::process::abort();
}

/// Runs until the file is there: nothing else is shared between a task that runs and who has submitted it.
fn until(gate: PathBuf) -> u32 {
    while !gate.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    std::process::id()
}

/// A file that is not there yet.
struct Gate(PathBuf);

impl Gate {
    fn new(test: &str) -> Self {
        Gate(std::env::temp_dir().join(format!("shmpool-{test}-{}", std::process::id())))
    }

    fn path(&self) -> PathBuf {
        self.0.clone()
    }

    fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn small(n: usize) -> shmpool::Builder {
    Pool::builder().workers(n).capacity_bytes(4 * MIB)
}

/// The private memory of a process.
fn private_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    line.split_whitespace().nth(1).map_or(0, |kib| kib.parse::<usize>().unwrap() << 10)
}

/// Runs a future with nothing but threads.
fn block_on<F: std::future::Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

// 1: a killed worker hangs whoever waits

#[test]
fn whoever_waits_however_hears_of_a_death_within_a_second() {
    let _watchdog = watchdog("whoever_waits_however_hears_of_a_death", 60);
    let ways: [fn(Future<()>) -> shmpool::Error; 8] = [
        |future| future.result().unwrap_err(),
        |future| future.error().unwrap(),
        |future| future.result_timeout(Duration::from_secs(1000)).unwrap_err(),
        |future| {
            assert!(future.wait(Duration::from_secs(1000)).unwrap());
            future.result().unwrap_err()
        },
        |future| {
            assert_eq!(wait(std::slice::from_ref(&future), ReturnWhen::FirstError, None), [0]);
            future.result().unwrap_err()
        },
        |future| as_completed([future]).next().unwrap().result().unwrap_err(),
        |future| block_on(future).unwrap_err(),
        |future| {
            let (said, heard) = mpsc::channel();
            future.on_done(move |future| said.send(future.error().unwrap()).unwrap());
            heard.recv().unwrap()
        },
    ];
    let pool = pool_of(1);
    let took = ways.map(|way| {
        let future = pool.submit(for_ever, ()).unwrap();
        wait_until("it runs", || future.is_running());
        wait_until_healed(&pool, &[]); // it may run before its pool has heard that its worker is there
        let pid = pool.worker_pids()[0];
        let killed = thread::spawn(move || {
            // Mostly when somebody waits already, and it does not matter if not.
            thread::sleep(Duration::from_millis(20));
            signal(pid, libc::SIGKILL);
            Instant::now()
        });
        let error = way(future);
        let took = killed.join().unwrap().elapsed();
        let ErrorKind::TaskDied { deaths, .. } = error.kind() else { panic!("{error}") };
        let [death] = &deaths.0[..] else { panic!("{error}") };
        assert_eq!((death.pid, death.reason), (pid, ExitReason::Signal(libc::SIGKILL)));
        took
    });
    // A loaded machine may be late now and then; who looks once a minute is late always.
    let quickest = took.iter().min().unwrap();
    assert!(*quickest < Duration::from_secs(1), "{took:?}");
}

// 2: one dead worker makes the pool useless for ever

#[test]
fn as_many_deaths_in_a_row_as_one_likes_leave_a_pool_that_works() {
    let _watchdog = watchdog("as_many_deaths_in_a_row", 120);
    let pool = small(1).build().unwrap();
    // More than a pool whose workers die without a task would bear.
    let futures: Vec<Future<()>> = (0..30).map(|_| pool.submit(crash, ()).unwrap()).collect();
    let good = pool.submit(double, 4).unwrap();
    let pids: HashSet<u32> = futures
        .iter()
        .map(|future| match future.result().unwrap_err().kind() {
            ErrorKind::TaskDied { deaths, .. } => deaths.0[0].pid,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(pids.len(), 30, "each has cost a worker of its own");
    assert_eq!(good.result().unwrap(), 8);
    assert_eq!(pool.stats().unwrap().n_deaths, 30);
}

// 3: the error does not say who, why or which task

#[test]
fn an_error_names_the_function_the_attempts_and_of_each_the_process_and_the_signal() {
    let _watchdog = watchdog("an_error_names_the_function", 60);
    fn note_and_crash(mut pids: LentMut<'_, u32>, (): ()) {
        let n = pids.iter().position(|&pid| pid == 0).unwrap();
        pids[n] = std::process::id();
        // SAFETY: none; that is the point.
        unsafe { (8 as *mut u8).write_volatile(1) };
    }
    let pool = small(2).on_worker_death(OnWorkerDeath::Retry).build().unwrap();
    let pids = Handle::new(pool.zeros::<u32>(4).unwrap());
    let future = pool.submit_on(pids.write().unwrap(), note_and_crash, ()).unwrap();
    let text = future.result().unwrap_err().to_string();
    let [a, b, c, 0] = pids.read().unwrap()[..] else { panic!("three attempts: {text}") };
    let name = std::any::type_name_of_val(&note_and_crash);
    let why = "signal 11 (SIGSEGV)";
    let wanted =
        format!("task `{name}` killed its worker: 3 attempts: pid {a} {why}, pid {b} {why}, pid {c} {why}");
    assert_eq!(text, wanted);
    // Each asks for an error of his own.
    let (one, other) = (future.result().unwrap_err(), future.clone().error().unwrap());
    drop(one);
    assert_eq!(other.to_string(), wanted);
}

// 4: tasks are stranded where workers are recycled

#[test]
fn no_pair_of_workers_and_task_limit_strands_a_backlog_of_any_length() {
    let _watchdog = watchdog("no_pair_of_workers_and_task_limit", 120);
    for (n_workers, max) in [1, 2, 3, 4].into_iter().flat_map(|n| [1, 2, 3, 7].map(|max| (n, max))) {
        // Printing backtraces takes longer than everything else.
        let builder = small(n_workers).max_tasks_per_worker(max).env("RUST_BACKTRACE", "0");
        let pool = builder.build().unwrap();
        let at_once = max * n_workers as u64;
        let mut n_run = 0;
        // Below, at and beyond the ends at which all workers retire at once.
        for n_tasks in [1, max, at_once, at_once + 1, 2 * at_once + 1] {
            let odd_panics = |n: u64| assert!(n.is_multiple_of(2), "{n} is odd");
            let futures: Vec<Future<()>> =
                (0..n_tasks).map(|n| pool.submit(odd_panics, n).unwrap()).collect();
            // One that is cancelled counts for nobody.
            let last = pool.submit(odd_panics, 0).unwrap();
            n_run += n_tasks + u64::from(!last.cancel());
            for (n, future) in (0..).zip(&futures) {
                assert_eq!(future.result().is_ok(), n % 2 == 0, "{n_workers} {max} {n_tasks}: {n}");
            }
        }
        // Those who are left with a backlog when the pool ends.
        let futures: Vec<Future<u64>> = (0..at_once + 1).map(|n| pool.submit(double, n).unwrap()).collect();
        let (n_deaths, n_retired) = {
            let stats = pool.stats().unwrap();
            (stats.n_deaths, stats.n_retired)
        };
        assert!(n_deaths == 0 && n_retired <= (n_run + at_once + 1) / max, "{n_workers} {max}: {n_retired}");
        drop(pool);
        assert!(futures.iter().zip(0..).all(|(future, n)| future.result().unwrap() == 2 * n));
    }
}

// 5, 7: arrays are copied, once or once a worker

#[test]
fn an_array_that_is_born_in_the_arena_is_never_copied() {
    let _watchdog = watchdog("an_array_that_is_born_in_the_arena", 60);
    fn copy((xs, ys, mut out): (Lent<'_, u8>, Lent<'_, u8>, LentMut<'_, u8>), (): ()) -> (usize, usize) {
        let before = private_bytes(std::process::id());
        out[..xs.len()].copy_from_slice(&xs);
        out[xs.len()..].copy_from_slice(&ys);
        (before, private_bytes(std::process::id()))
    }
    const N: usize = 32 * MIB;
    let pool = pool_of(2);
    let xs = Handle::new(pool.from_fn([N], |[i]| (i >> 12) as u8).unwrap());
    let ys = pool.input_fill(N, |ys: &mut [u8]| ys.fill(7)).unwrap();
    let out = Handle::new(pool.zeros::<u8>(2 * N).unwrap());
    let lent = (xs.read().unwrap(), ys, out.write().unwrap());
    let (before, after) = pool.submit_on(lent, copy, ()).unwrap().result().unwrap();
    assert!(after < before + 4 * MIB, "its worker's own memory: {before} bytes, then {after}");
    let (xs, out) = (xs.read().unwrap(), out.read().unwrap());
    assert!(out[..N] == xs[..] && out[N..].iter().step_by(4096).all(|&y| y == 7));
    assert_eq!(pool.stats().unwrap().bytes_copied, 0);
    // The counter counts.
    pool.submit(|bytes: String| bytes.len(), "x".repeat(1000)).unwrap().result().unwrap();
    assert_eq!(pool.stats().unwrap().bytes_copied, 1002, "two of them are the length");
}

// 6: shared arrays come back read-only, or cannot be written by workers

#[test]
fn what_a_task_may_not_write_is_refused_by_name_and_what_it_may_is_written() {
    let _watchdog = watchdog("what_a_task_may_not_write", 60);
    let pool = small(1).build().unwrap();
    let out = Handle::new(pool.array_from(&[1_u32; 8]).unwrap());
    let raise = |mut out: LentMut<'_, u32>, by: u32| out.iter_mut().for_each(|x| *x += by);
    pool.submit_on(out.write().unwrap(), raise, 4).unwrap().result().unwrap();
    out.write().unwrap()[0] = 0; // and its owner can go on
    assert_eq!(out.read().unwrap()[..], [0, 5, 5, 5, 5, 5, 5, 5]);

    let zeros = Gate::new("read-only");
    std::fs::write(&zeros.0, [0; 32]).unwrap();
    // SAFETY: nobody else knows the file.
    let file = Handle::new(unsafe { FileArray::<u32>::open_raw(&zeros.0, 0, 8) }.unwrap());
    let error = pool.submit_on(file.write().unwrap(), raise, 4).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error}");

    // Around the types, where only the kernel is left to refuse.
    let stray = |(_, xs): (LentMut<'_, u32>, Lent<'_, u32>), i: usize| {
        // SAFETY: none; that is the point.
        unsafe { xs.as_ptr().cast_mut().add(i).write_volatile(1) };
    };
    let input = pool.input_from(&vec![0_u32; MIB]).unwrap();
    let error = pool.submit_on((out.write().unwrap(), input), stray, 3).unwrap().result().unwrap_err();
    let ErrorKind::TaskDied { deaths, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(deaths.0[0].fault, Some(Fault { array: "arrays.1", byte: 12 }), "{error}");
    assert!(error.to_string().ends_with("signal 11 (SIGSEGV) at byte 12 of `arrays.1`"), "{error}");
}

// 8, 9: memory goes before its users do

#[test]
fn memory_lasts_as_long_as_anybody_who_uses_it() {
    let _watchdog = watchdog("memory_lasts_as_long_as_anybody", 60);
    let gate = Gate::new("memory");
    let pool = pool_of(1);
    let sum_later = |xs: Lent<'_, u32>, gate: PathBuf| {
        until(gate);
        xs.iter().map(|&x| u64::from(x)).sum::<u64>()
    };
    let xs = Arc::new(pool.array_with(100_000, |_| 1_u32).unwrap());
    let ys = Arc::new(pool.array_with(100_000, |_| 2_u32).unwrap());
    let sums =
        [Arc::clone(&xs), Arc::clone(&ys)].map(|xs| pool.submit_on(xs, sum_later, gate.path()).unwrap());
    let text = pool.submit(|n: usize| "y".repeat(n), MIB).unwrap();
    // Nobody but the tasks, one of which waits for the other, has the arrays now; others take what is free.
    drop((xs, ys));
    let others = [7_u32; 10].map(|n| pool.array_with(100_000, |_| n).unwrap());
    gate.open();
    assert_eq!(sums.map(|sum| sum.result().unwrap()), [100_000, 200_000]);
    drop(pool);
    assert!(text.result().unwrap() == "y".repeat(MIB), "a result outlives its pool");
    assert!(others.iter().all(|xs| xs.iter().all(|&x| x == 7)), "and so does an array");
}

// 10: files are left in /dev/shm

/// What the lines of a program that [`again`] has started say after `word`.
fn said_after(lines: &mut Lines<BufReader<ChildStdout>>, word: &str) -> String {
    // The harness prints the test's name in front.
    lines.find_map(|line| Some(line.ok()?.split_once(word)?.1.to_owned())).unwrap()
}

fn lines_of(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn in_one_line(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// Files that a process has open or mapped: what they are called, and their inodes.
fn files_of(pid: u32) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let mut files: Vec<(String, u64)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = std::fs::read_link(&path).ok()?.to_string_lossy().into_owned();
            Some((name, std::fs::metadata(&path).ok()?.ino()))
        })
        .collect();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    files.extend(maps.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(4);
        let inode = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), inode))
    }));
    files
}

#[test]
fn nothing_is_left_of_a_program_that_is_killed_while_tasks_run() {
    let test = "nothing_is_left_of_a_program_that_is_killed_while_tasks_run";
    let _watchdog = watchdog(test, 60);
    if is_alone(test) {
        // The program to be killed: one task runs and others wait, with arrays and with values in the arena.
        let pool = pool_of(2);
        let xs = Handle::new(pool.zeros::<u8>(MIB).unwrap());
        let hold = |mut xs: LentMut<'_, u8>, (): ()| {
            xs.fill(1);
            for_ever(());
        };
        let runs = pool.submit_on(xs.write().unwrap(), hold, ()).unwrap();
        let waits: Vec<_> =
            (0..50).map(|_| pool.submit(|_: String| for_ever(()), "x".repeat(10_000)).unwrap()).collect();
        wait_until("both run", || runs.is_running() && waits[0].is_running());
        println!("pids: {}", in_one_line(&[&[std::process::id()], &pool.worker_pids()[..]].concat()));
        for_ever(());
    }
    let mut program = again(test).stdout(Stdio::piped()).spawn().unwrap();
    let pids = numbers(&said_after(&mut lines_of(&mut program), "pids: "));
    assert_eq!(pids.len(), 3);
    let files: Vec<(String, u64)> = pids.iter().flat_map(|&pid| files_of(pid)).collect();
    let named: Vec<&String> =
        files.iter().map(|(name, _)| name).filter(|name| name.starts_with("/dev/shm")).collect();
    assert!(named.is_empty(), "{named:?}");
    let ours = |(name, _): &&(String, u64)| name.starts_with("/memfd:shmpool");
    let segments: HashSet<u64> = files.iter().filter(ours).map(|(_, inode)| *inode).collect();
    assert!(segments.len() >= 3, "the data and two of control: {files:?}");

    program.kill().unwrap();
    program.wait().unwrap();
    wait_until("its workers have ended", || pids.iter().all(|&pid| has_ended(pid)));
    let is_in_use = || {
        let processes = std::fs::read_dir("/proc").unwrap();
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let mut files = pids.flat_map(files_of);
        files.any(|(name, inode)| name.starts_with("/memfd:shmpool") && segments.contains(&inode))
    };
    wait_until("nobody has its memory", || !is_in_use());
}

// 11: a map takes in all of its input, or keeps all of its results

#[test]
fn a_map_without_end_runs_in_constant_memory() {
    let test = "a_map_without_end_runs_in_constant_memory";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| (),
        || {
            let pool = small(2).build().unwrap();
            let used = || {
                let pids = pool.worker_pids();
                pids.into_iter().chain([std::process::id()]).map(private_bytes).sum::<usize>()
            };
            let echo = |text: String| text;
            let filler = "x".repeat(4096);
            let texts = || (0_u64..).map(|n| format!("{n} {filler}"));
            let check = |(n, text): (u64, shmpool::Result<String>)| {
                let text = text.unwrap();
                assert_eq!(text.split_once(' '), Some((&*n.to_string(), &*filler)));
            };
            // What the first ones need for good; then 12 MiB each way, three times, through an arena of 4.
            (0..).zip(pool.map_iter(echo, texts()).buffer(20)).take(500).for_each(check);
            let before = used();
            (0..).zip(pool.map_iter(echo, texts()).buffer(20)).take(3000).for_each(check);
            (0..).zip(pool.map_iter(echo, texts()).buffer(20).chunk(4)).take(3000).for_each(check);
            let unordered = pool.map_iter(echo, texts()).buffer(20).unordered().take(3000);
            assert!(unordered.map(Result::unwrap).all(|text| text.ends_with(&filler)));
            let after = used();
            assert!(after < before + 8 * MIB, "{before} bytes, then {after}");
            assert!(pool.stats().unwrap().n_tasks_pending <= 20);
        },
    );
}

// 13: starting workers beside threads that hold locks

/// Locked by a thread of the parent while workers start and work.
static LOCKED: Mutex<u64> = Mutex::new(1);

#[test]
fn workers_start_and_restart_beside_threads_that_hold_locks() {
    let test = "workers_start_and_restart_beside_threads_that_hold_locks";
    let _watchdog = watchdog(test, 60);
    alone(
        test,
        |_| (),
        || {
            let is_over = AtomicBool::new(false);
            let (said, heard) = mpsc::channel();
            thread::scope(|scope| {
                let is_over = &is_over;
                for _ in 0..3 {
                    // The allocator's locks and the environment's, at any moment.
                    scope.spawn(move || {
                        for n in (0..100).cycle().take_while(|_| !is_over.load(SeqCst)) {
                            assert!(vec![1_u8; n * n].len() == n * n && std::env::vars().count() > 0);
                        }
                    });
                }
                scope.spawn(move || {
                    let _all = (LOCKED.lock().unwrap(), std::io::stdout().lock());
                    said.send(()).unwrap();
                    wait_until("it is over", || is_over.load(SeqCst));
                });
                heard.recv().unwrap();
                let lock = |by: u64| {
                    println!("a worker has a standard output of its own");
                    *LOCKED.lock().unwrap() += by;
                };
                let pool = small(2).initializer(lock, 10).unwrap().build().unwrap();
                for _ in 0..5 {
                    let read = |(): ()| (*LOCKED.lock().unwrap(), std::process::id());
                    let (n, pid) = pool.submit(read, ()).unwrap().result().unwrap();
                    assert_eq!(n, 11, "as the program begins, and then the initializer");
                    signal(pid, libc::SIGKILL);
                    wait_until_healed(&pool, &[pid]);
                }
                is_over.store(true, SeqCst);
            });
        },
    );
}

// 14: Ctrl-C

/// What the terminal's SIGINT has come to in a program that handles it.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, SeqCst);
}

fn handle_interrupts(handler: libc::sighandler_t) {
    // SAFETY: this process is the test's alone, and the handler stores a word.
    unsafe { libc::signal(libc::SIGINT, handler) };
}

/// Sends SIGINT to a program and its workers, as a terminal does.
fn interrupt_group(leader: u32) {
    // SAFETY: takes numbers only. The group is that of a program of ours that has not been reaped.
    unsafe { libc::kill(-leader.cast_signed(), libc::SIGINT) };
}

#[test]
fn an_interrupt_of_the_whole_group_is_for_the_parent_to_decide() {
    let test = "an_interrupt_of_the_whole_group_is_for_the_parent_to_decide";
    let _watchdog = watchdog(test, 60);
    if is_alone(test) {
        handle_interrupts(note_interrupt as *const () as libc::sighandler_t);
        let (gate, pool) = (Gate::new("interrupt"), pool_of(2));
        let pids = pool.worker_pids();
        let futures = [0; 2].map(|_| pool.submit(until, gate.path()).unwrap());
        wait_until("both run", || futures.iter().all(Future::is_running));
        println!("ready: now");
        wait_until("somebody interrupts", || INTERRUPTED.load(SeqCst));
        gate.open();
        // It decides to let those finish,
        assert!(futures.iter().all(|future| pids.contains(&future.result().unwrap())));
        assert_eq!((pool.worker_pids(), pool.stats().unwrap().n_deaths), (pids, 0));
        // and to end these.
        let futures = [0; 3].map(|_| pool.submit(for_ever, ()).unwrap());
        wait_until("two run", || futures.iter().filter(|future| future.is_running()).count() == 2);
        pool.terminate().unwrap();
        assert!(futures.iter().all(Future::is_cancelled));
        return;
    }
    let mut program = again(test).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut lines = lines_of(&mut program);
    said_after(&mut lines, "ready: ");
    interrupt_group(program.id());
    lines.for_each(drop); // its words would have nowhere to go
    let status = program.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn an_interrupt_that_ends_the_program_ends_its_workers() {
    let test = "an_interrupt_that_ends_the_program_ends_its_workers";
    let _watchdog = watchdog(test, 60);
    if is_alone(test) {
        handle_interrupts(libc::SIG_DFL); // who starts us in the background may have had it ignored
        let pool = pool_of(2);
        let futures = [0; 2].map(|_| pool.submit(for_ever, ()).unwrap());
        wait_until("both run", || futures.iter().all(Future::is_running));
        println!("pids: {}", in_one_line(&pool.worker_pids()));
        for_ever(());
    }
    let mut program = again(test).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let pids = numbers(&said_after(&mut lines_of(&mut program), "pids: "));
    assert!(pids.len() == 2 && !pids.iter().any(|&pid| has_ended(pid)));
    interrupt_group(program.id());
    assert_eq!(program.wait().unwrap().signal(), Some(libc::SIGINT));
    wait_until("its workers have ended", || pids.iter().all(|&pid| has_ended(pid)));
}

#[test]
fn an_interrupt_while_workers_start_costs_none() {
    let test = "an_interrupt_while_workers_start_costs_none";
    let _watchdog = watchdog(test, 60);
    if is_alone(test) {
        handle_interrupts(note_interrupt as *const () as libc::sighandler_t);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    interrupt_group(std::process::id());
                    thread::sleep(Duration::from_micros(200));
                }
            });
            let check = || {
                for _ in 0..5 {
                    let pool = small(2).build().map_err(|error| error.to_string())?;
                    let result = pool.submit(double, 1).and_then(|future| future.result());
                    assert_eq!(result.map_err(|error| error.to_string())?, 2);
                    assert_eq!(pool.stats().unwrap().n_deaths, 0);
                }
                Ok::<(), String>(())
            };
            let checked = check();
            is_over.store(true, SeqCst);
            checked.unwrap();
        });
        assert!(INTERRUPTED.load(SeqCst));
        return;
    }
    let output = again(test).process_group(0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

// 15: each of N workers starts N threads

#[test]
fn what_starts_threads_in_workers_is_told_of_the_other_workers() {
    let test = "what_starts_threads_in_workers_is_told_of_the_other_workers";
    let _watchdog = watchdog(test, 60);
    // OpenMP, OpenBLAS, MKL, BLIS, Accelerate, numexpr, Numba, Rayon.
    const NAMES: [&str; 8] = [
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ];
    let unset = |command: &mut std::process::Command| {
        for name in NAMES {
            command.env_remove(name);
        }
    };
    alone(test, unset, || {
        let n_cpus = thread::available_parallelism().unwrap().get();
        for n_workers in [1, 2, n_cpus + 1] {
            let pool = small(n_workers).build().unwrap();
            let look = |(): ()| NAMES.map(|name| std::env::var(name).ok()).to_vec();
            let found = pool.submit(look, ()).unwrap().result().unwrap();
            let wanted = Some((n_cpus / n_workers).max(1).to_string());
            assert_eq!(found, vec![wanted; 8], "{n_workers} workers on {n_cpus} CPUs");
        }
    });
}

// Runners-up

/// As many bytes as anybody wants, of which few are there.
#[derive(Debug)]
struct Vast(usize);

impl Serialize for Vast {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        struct Zeros<'a>(&'a [u8]);
        impl Serialize for Zeros<'_> {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_bytes(self.0)
            }
        }
        let zeros = vec![0; MIB];
        let mut tuple = to.serialize_tuple(self.0)?;
        (0..self.0).try_for_each(|_| tuple.serialize_element(&Zeros(&zeros)))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Vast {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Vast(0))
    }
}

#[test]
fn values_beyond_four_gibibytes_are_measured_as_what_they_are() {
    let _watchdog = watchdog("values_beyond_four_gibibytes", 60);
    let pool = small(1).build().unwrap();
    let why = |error: shmpool::Error| match error.kind() {
        ErrorKind::TaskRefused { why, .. } => why.clone(),
        _ => panic!("{error}"),
    };
    // Five gibibytes, and three bytes of length for each mebibyte.
    let bytes = (5 << 10) * (MIB + 3);
    let limit = format!("array of u8 [{bytes}] needs {bytes} bytes, but the arena's capacity leaves ");
    let text = why(pool.submit(|_: Vast| (), Vast(5 << 10)).unwrap().result().unwrap_err());
    assert!(text.starts_with(&limit), "{text}");
    // What the worker has asked for, and what its parent has heard.
    let text = why(pool.submit(|(): ()| Vast(5 << 10), ()).unwrap().result().unwrap_err());
    let wanted = format!("its result of {bytes} bytes finds no room: {limit}");
    assert!(text.starts_with(&wanted), "{text}");
    assert_eq!(pool.submit(double, 1).unwrap().result().unwrap(), 2);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}

/// A value whose own code fails in a worker: on its way in, or on its way out.
#[derive(Debug, Clone, Copy)]
enum Trap {
    None,
    /// Panics, or else crashes, when it is made of bytes.
    In(bool),
    /// When it is made into bytes.
    Out(bool),
}

impl Trap {
    fn spring(panics: bool) {
        // Set for workers alone.
        if std::env::var_os("SHMPOOL_TEST_TRAP").is_some() {
            assert!(!panics, "it was a trap");
            std::process::exit(77);
        }
    }
}

impl Serialize for Trap {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Trap::Out(panics) = self {
            Trap::spring(*panics);
        }
        let number = match self {
            Trap::None => 0,
            Trap::In(panics) => 1 + u8::from(*panics),
            Trap::Out(panics) => 3 + u8::from(*panics),
        };
        to.serialize_u8(number)
    }
}

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let trap = match u8::deserialize(from)? {
            0 => Trap::None,
            n @ 1..=2 => Trap::In(n == 2),
            n @ 3..=4 => Trap::Out(n == 4),
            n => return Err(serde::de::Error::custom(n)),
        };
        if let Trap::In(panics) = trap {
            Trap::spring(panics);
        }
        Ok(trap)
    }
}

#[test]
fn a_value_whose_own_code_fails_fails_its_own_task_alone() {
    let _watchdog = watchdog("a_value_whose_own_code_fails", 60);
    let pool = small(1).env("SHMPOOL_TEST_TRAP", "1").build().unwrap();
    // Beside bytes that need room in the arena, and beside none.
    let echo = |(text, trap): (String, Trap)| (text, trap);
    for (trap, n_bytes) in [
        (Trap::In(true), 0),
        (Trap::In(true), 5000),
        (Trap::Out(true), 0),
        (Trap::Out(true), 5000),
        (Trap::In(false), 0),
        (Trap::In(false), 5000),
        (Trap::Out(false), 0),
        (Trap::Out(false), 5000),
    ] {
        let text = "x".repeat(n_bytes);
        let pids = pool.worker_pids();
        let [before, trapped, after] =
            [Trap::None, trap, Trap::None].map(|trap| pool.submit(echo, (text.clone(), trap)).unwrap());
        let error = trapped.result().unwrap_err();
        match (trap, error.kind()) {
            (Trap::In(true) | Trap::Out(true), ErrorKind::TaskPanicked { message, .. }) => {
                assert_eq!((message.as_str(), &pool.worker_pids()), ("it was a trap", &pids));
            }
            (Trap::In(false) | Trap::Out(false), ErrorKind::TaskDied { deaths, .. }) => {
                assert_eq!((deaths.0[0].pid, deaths.0[0].reason), (pids[0], ExitReason::Code(77)));
            }
            _ => panic!("{trap:?} {n_bytes}: {error}"),
        }
        assert!([before, after].iter().all(|future| future.result().unwrap().0 == text));
        if matches!(trap, Trap::In(false) | Trap::Out(false)) {
            wait_until_healed(&pool, &pids);
        }
    }
    wait_until("the arena is empty", || pool.stats().unwrap().arena.allocated_bytes == 0);
}

#[test]
fn a_pool_has_nothing_to_say_by_itself() {
    let test = "a_pool_has_nothing_to_say_by_itself";
    let _watchdog = watchdog(test, 60);
    if is_alone(test) {
        let pool = pool_of(2);
        // Memory that grows, and is given back.
        let grow = |n: usize| vec![1_u8; n].iter().step_by(4096).map(|&one| usize::from(one)).sum::<usize>();
        let bytes: Vec<usize> = [1, 64].map(|n| n * MIB).to_vec();
        assert!(pool.map_iter(grow, bytes.clone()).map(Result::unwrap).eq(bytes.iter().map(|n| n / 4096)));
        pool.submit(|n: u32| assert_eq!(n, 1, "told in the error"), 0).unwrap().result().unwrap_err();
        let pids = pool.worker_pids();
        pool.submit(crash, ()).unwrap().result().unwrap_err();
        wait_until("one has died", || pool.stats().unwrap().n_deaths == 1);
        signal(pids[0], libc::SIGTERM);
        signal(pids[1], libc::SIGTERM);
        wait_until_healed(&pool, &pids);
        pool.submit(for_ever, ()).unwrap().cancel_running();
        drop(pool);
        let pool = small(1).max_tasks_per_worker(1).build().unwrap();
        assert!(pool.map_iter(double, 0..4).map(Result::unwrap).eq([0, 2, 4, 6]));
        drop((pool.submit(double, 1).unwrap(), pool));
        return;
    }
    // Or else panics of tasks are printed too, on purpose.
    let output = again(test).env("RUST_BACKTRACE", "0").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let by_the_harness =
        |line: &&str| line.is_empty() || line.starts_with("running ") || line.starts_with("test ");
    assert_eq!(text(&output.stdout).lines().find(|line| !by_the_harness(line)), None);
}

#[test]
fn a_stopped_worker_holds_up_its_own_task_alone() {
    let _watchdog = watchdog("a_stopped_worker_holds_up_its_own_task_alone", 60);
    let (gate, pool) = (Gate::new("stopped"), pool_of(2));
    let [one, other] = [0; 2].map(|_| pool.submit(until, gate.path()).unwrap());
    wait_until("both run", || one.is_running() && other.is_running());
    let pid = pool.worker_pids()[0];
    stop(pid);
    gate.open();
    let futures: Vec<Future<u64>> = (0..500).map(|n| pool.submit(double, n).unwrap()).collect();
    assert!(futures.iter().zip(0..).all(|(future, n)| future.result().unwrap() == 2 * n));
    wait_until("the other worker's has ended", || one.is_done() || other.is_done());
    assert!(!(one.is_done() && other.is_done()), "the stopped one's has not");
    signal(pid, libc::SIGCONT);
    let mut pids = [one, other].map(|future| future.result().unwrap());
    pids.sort_unstable();
    let mut wanted = pool.worker_pids();
    wanted.sort_unstable();
    assert_eq!(pids[..], wanted[..]);
    assert_eq!(pool.stats().unwrap().n_deaths, 0);
}
