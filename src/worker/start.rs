//! How a process finds out that it is a worker, and what it does to itself before it works.
#![allow(unsafe_code)] // environment variables of a process that has no other threads yet

use std::ffi::CString;
use std::str::FromStr;

use super::{Worker, faults};
use crate::control::handshake::VARIABLE;
use crate::error::{ErrorKind, Result};
use crate::sync::{AtomicBool, Relaxed};
use crate::sys::{process, socket};
use crate::task::panics::install_hook;

/// `init()` or a constructor has run in this process.
static INITIALISED: AtomicBool = AtomicBool::new(false);
/// This process is a worker, for good.
static WORKER: AtomicBool = AtomicBool::new(false);

/// Turns a re-executed process into a worker; in any other process it returns at once.
///
/// To be the first line of `main`: a worker is this very executable, started again, and everything before
/// `init` runs in it too. A worker never returns from here. Statics, thread-locals and the environment that
/// `main` sets up afterwards are not there when a kernel runs.
///
/// # Panics
/// Off the main thread, such as in a `#[test]`, where workers would run the tests again instead of working:
/// write [`test_workers!`](crate::test_workers) beside the imports of that file.
pub fn init() {
    if INITIALISED.load(Relaxed) {
        return;
    }
    assert!(
        process::is_main_thread(),
        "shmpool::init() must run on the main thread, first thing in `main`; \
         in a test or bench file write `shmpool::test_workers!();` beside the imports instead"
    );
    enter_if_marked(false);
    mark_initialised();
}

/// What [`test_workers!`](crate::test_workers) and the feature `constructor` put before `main`: a worker
/// becomes one there, on a thread of its own with a full stack, and never reaches `main`.
pub extern "C" fn enter_before_main() {
    // Nothing may unwind out of here: there is nobody to catch it.
    let _ = std::panic::catch_unwind(|| {
        enter_if_marked(true);
        mark_initialised();
    });
}

/// The feature `constructor`: every program that links this crate and builds a pool.
#[cfg(feature = "constructor")]
#[used]
#[unsafe(link_section = ".init_array")]
pub(crate) static CONSTRUCTOR: extern "C" fn() = enter_before_main;

/// Says that this process's workers will find their way.
fn mark_initialised() {
    INITIALISED.store(true, Relaxed);
}

/// Refuses to build a pool whose workers would not become workers.
pub(crate) fn require_init() -> Result<()> {
    if is_worker() {
        return Ok(()); // the program's `init` is where we came in
    }
    if marker().is_some() {
        // We were started as a worker, and nobody has called `init()`. Were this pool built, its workers
        // would build theirs.
        eprintln!("shmpool: a worker came to build a pool without shmpool::init() at the start of main");
        process::exit_now(EXIT_NOT_INITIALISED);
    }
    if !INITIALISED.load(Relaxed) {
        return Err(ErrorKind::NotInitialised.into());
    }
    Ok(())
}

/// True in a worker.
fn is_worker() -> bool {
    WORKER.load(Relaxed)
}

/// Becomes a worker if this process was started as one, and then never returns. `on_new_thread`: before
/// `main`, where the main thread has no name and no guard against stack overflow.
fn enter_if_marked(on_new_thread: bool) {
    let Some(marker) = marker() else { return };
    WORKER.store(true, Relaxed);
    if !process::is_single_threaded() {
        eprintln!(
            "shmpool: threads were started before shmpool::init(), which must be the first line of `main`"
        );
        process::exit_now(EXIT_START);
    }
    // SAFETY: there is no other thread that could read the environment. A program that a task starts must not
    // take itself for a worker.
    unsafe { std::env::remove_var(VARIABLE) };
    // Here, where this is the main thread: its name is the process's, and other threads inherit its signal
    // mask.
    process::reset_signals();
    process::set_name(&marker.name());
    if on_new_thread {
        let worker =
            std::thread::Builder::new().name("main".into()).stack_size(8 << 20).spawn(move || enter(&marker));
        if let Ok(worker) = worker {
            let _ = worker.join();
        }
        process::exit_now(EXIT_START);
    }
    enter(&marker);
}

/// Exit code of a worker that came to build a pool.
const EXIT_NOT_INITIALISED: i32 = 125;
/// Exit code of a worker that could not start.
const EXIT_START: i32 = 124;

/// What a worker is told through its environment.
struct Marker {
    parent: u32,
    slot: u16,
}

impl Marker {
    fn name(&self) -> CString {
        CString::new(format!("shmpool-w{}", self.slot)).unwrap_or_default()
    }
}

impl FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (parent, slot) = text.split_once(' ').ok_or(())?;
        Ok(Marker { parent: parent.parse().map_err(drop)?, slot: slot.parse().map_err(drop)? })
    }
}

fn marker() -> Option<Marker> {
    let text = std::env::var_os(VARIABLE)?;
    let marker = text.to_str().and_then(|text| text.parse().ok());
    if marker.is_none() {
        eprintln!("shmpool: {VARIABLE} is set to {text:?}, which no pool has written: unset it");
        process::exit_now(EXIT_START);
    }
    marker
}

fn enter(marker: &Marker) -> ! {
    match start(marker) {
        Ok(worker) => {
            let code = worker.run();
            // Not `exit_now`: what kernels have printed may still be buffered.
            std::process::exit(code);
        }
        Err(reason) => {
            eprintln!("shmpool: worker {} of process {}: {reason}", marker.slot, marker.parent);
            process::exit_now(EXIT_START);
        }
    }
}

fn start(marker: &Marker) -> std::result::Result<Worker, String> {
    let orphan = || process::exit_now(EXIT_START);
    if !process::die_with_parent(marker.parent).map_err(|error| format!("parent-death signal: {error}"))? {
        orphan();
    }
    let control =
        process::take_stdin().map_err(|error| format!("control socket on standard input: {error}"))?;
    process::prefer_to_be_killed();
    process::keep_heap();
    process::set_name(&marker.name());
    install_hook();
    faults::install();
    watch_parent(marker.parent);
    Worker::attach(control)
}

/// Ends this process when its parent ends, should the parent-death signal have been lost: programs that
/// change their credentials lose it. A descriptor tells; the end of a pipe could be held open by somebody
/// else's child.
fn watch_parent(parent: u32) {
    let Ok(pidfd) = process::watch(parent) else {
        process::exit_now(EXIT_START); // it is gone already
    };
    let watch = move || {
        while let Ok(false) = socket::wait_readable(&pidfd, std::time::Duration::from_secs(3600)) {}
        if !process::is_child_of(parent) {
            process::exit_now(0);
        }
        // A task has closed the descriptor, and its number may be somebody else's by now.
        std::mem::forget(pidfd);
    };
    let watcher = std::thread::Builder::new().name("shmpool-watch".into()).stack_size(32 << 10).spawn(watch);
    // Without the thread the signal remains, and the control socket.
    drop(watcher);
}
