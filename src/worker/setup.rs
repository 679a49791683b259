//! What a worker does to itself before its first task and after its last.
#![allow(unsafe_code)] // calls trampolines

use crate::control::MESSAGE_BYTES_MAX;
use crate::control::handshake::EXIT_RETIRED;
use crate::control::setup::{FINALIZER_GRACE, Prepared, Setup};
use crate::sys::process;
use crate::task::call::{Answer, SingleCall};
use crate::task::codec::decode;
use crate::task::kernel::Place;
use crate::task::panics::caught;

/// Limits, priority and CPUs; then the initializer.
pub(super) fn prepare(setup: &Setup, slot: u16) -> Result<(), String> {
    if let Some(bytes) = setup.memory_limit_bytes {
        process::limit_data(bytes).map_err(|error| format!("memory limit of {bytes} bytes: {error}"))?;
    }
    if setup.niceness != 0 {
        process::add_niceness(setup.niceness)
            .map_err(|error| format!("niceness {}: {error}", setup.niceness))?;
    }
    if let Some(cpus) = setup.affinity.get(usize::from(slot) % setup.affinity.len().max(1)) {
        process::run_on(cpus).map_err(|error| format!("affinity {cpus:?}: {error}"))?;
    }
    match &setup.initializer {
        Some(initializer) => run(initializer).map_err(|why| format!("initializer: {why}")),
        None => Ok(()),
    }
}

/// The finalizer. If that, or what the program does in its own exit (handlers, destructors of thread-locals), takes too long, the
/// worker ends with `code` all the same. The supervisor sees to that when the pool ends, but of a worker that has run as many
/// tasks as it may, or had nothing to do, it knows nothing before it is gone, and nobody comes in its place.
pub(super) fn finish(setup: &Setup, code: i32) -> Result<(), String> {
    if code == EXIT_RETIRED {
        // Where there is no thread to be had, nobody watches.
        let _ = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(FINALIZER_GRACE);
            process::exit_now(code)
        });
    }
    let Some(finalizer) = &setup.finalizer else { return Ok(()) };
    run(finalizer).map_err(|why| format!("finalizer: {why}"))
}

fn run((place, argument): &Prepared) -> Result<(), String> {
    // SAFETY: the parent made the place of a `RunSingle`.
    let code = unsafe { Place(*place).single() }.ok_or("no function at this place")?;
    let mut text = [0; MESSAGE_BYTES_MAX];
    let mut no_room = |_: usize| Err("no room for more words".to_owned());
    let mut call = SingleCall { argument, lent: &[], text: &mut text, room: &mut no_room };
    // SAFETY: the parent made argument and code for each other, and the handshake has shown that both run the same
    // executable.
    match caught(|| unsafe { code(&mut call) }) {
        Ok(Ok(Answer::InText(len))) => decode::<Result<(), String>>("result", &text[..len])?,
        Ok(Ok(Answer::InRoom(_))) => unreachable!("there is no room"),
        Ok(Err(why)) => Err(why),
        Err(panic) => Err(format!("panicked at {}: {}", panic.location, panic.message)),
    }
}
