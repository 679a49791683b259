//! Why a task failed, through shared memory: a panic's place and text, or the kernel's own error.

use super::mirror::Failure;
use crate::control::MESSAGE_BYTES_MAX;
use crate::control::entry::State;
use crate::control::worker::{ERROR, FAULT, Message};
use crate::sync::Relaxed;

/// Parent: copies a failed task's message; nothing in it is believed beyond its being bytes.
pub(crate) fn read_message(message: &Message) -> Failure {
    // Relaxed throughout: published by the entry's state (A4).
    let bytes = message.bytes.load(Relaxed).min(MESSAGE_BYTES_MAX as u64) as usize;
    let place = (message.place.load(Relaxed) as usize).min(bytes);
    let kind = message.kind.load(Relaxed);
    let mut text = Vec::with_capacity(MESSAGE_BYTES_MAX);
    for word in &message.text {
        text.extend(word.load(Relaxed).to_ne_bytes());
    }
    text.truncate(bytes);
    if kind == ERROR {
        return Failure::Returned(text);
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Failure::Panicked { location: lossy(&text[..place]), message: lossy(&text[place..]) }
}

/// Parent: the fault that a worker which died holding the lease `state` has left behind, as operand and byte.
pub(crate) fn read_fault(message: &Message, state: State) -> Option<(usize, u64)> {
    // Relaxed throughout: its writer is dead, and the kernel has said so.
    let ours = message.kind.load(Relaxed) == FAULT && message.text[0].load(Relaxed) == state.0;
    ours.then(|| (message.place.load(Relaxed) as usize, message.bytes.load(Relaxed)))
}

/// Worker: leaves a message for the parent, before the entry's state says that it failed.
pub(crate) fn write_message(message: &Message, kind: u32, place: usize, text: &[u8]) {
    let bytes = text.len().min(MESSAGE_BYTES_MAX);
    for (word, bytes) in message.text.iter().zip(text[..bytes].chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), Relaxed);
    }
    message.kind.store(kind, Relaxed);
    message.place.store(place.min(bytes) as u32, Relaxed);
    message.bytes.store(bytes as u64, Relaxed);
}
