//! The worker-written segment, byte by byte: every word in it is a claim that the parent checks.

use std::mem::{offset_of, size_of};

use super::{MESSAGE_BYTES_MAX, N_ENTRIES, N_JOBS, N_WORKERS_MAX};
use crate::park::Bed;
use crate::sync::{AtomicU32, AtomicU64};

/// The whole segment. All-zero is its start.
#[repr(C, align(4096))]
pub(crate) struct WorkerControl {
    pub(crate) entries: [EntryWords; N_ENTRIES],
    pub(crate) heads: [RingHead; N_WORKERS_MAX],
    pub(crate) slots: [WorkerSlot; N_WORKERS_MAX],
    pub(crate) jobs: [JobProgress; N_JOBS],
    /// Of submitted tasks, by listener.
    pub(crate) listeners: [JobProgress; 2],
    pub(crate) messages: [Message; N_ENTRIES],
}

/// Who has a lease, and the task its owner is at. A line of its own: neighbours belong to other workers.
///
/// | offset | field    | written by                                    | meaning                                         |
/// |-------:|----------|-----------------------------------------------|-------------------------------------------------|
/// |      0 | `state`  | whoever may move it (`task/README.md`)        | `control::entry::State`                            |
/// |      8 | `cursor` | its owner; the parent before it is pending    | `control::entry::Cursor`: next task, started or not |
/// |     16 | `began_ns` | its owner; the parent before it is pending  | of a submitted task with a time limit: when it began (`sys::clock`); 0: not yet |
#[repr(C, align(64))]
pub(crate) struct EntryWords {
    pub(crate) state: AtomicU64,
    pub(crate) cursor: AtomicU64,
    pub(crate) began_ns: AtomicU64,
}

/// What the workers write of one ring; its cells and its tail are in the parent's segment.
/// Two lines per word: adjacent-line prefetch also causes false sharing.
///
/// | offset | field  | written by        | meaning                                       |
/// |-------:|--------|-------------------|-----------------------------------------------|
/// |      0 | `head` | any live consumer | hints passed so far; never wraps, reset only with its segment |
#[repr(C, align(128))]
pub(crate) struct RingHead {
    pub(crate) head: AtomicU64,
}

/// A worker about itself.
///
/// | offset | field    | written by                            | meaning                                       |
/// |-------:|----------|---------------------------------------|-----------------------------------------------|
/// |      0 | `parked` | the worker; the parent after its death | 1: asleep or about to be, and without a lease |
/// |      8 | `idle_ns` | likewise                             | for how long it had nothing to do, but for the present while |
/// |     16 | `idle_since_ns` | likewise                       | since when it has nothing to do (`sys::clock`); 0: it has |
#[repr(C, align(128))]
pub(crate) struct WorkerSlot {
    pub(crate) parked: AtomicU32,
    pub(crate) idle_ns: AtomicU64,
    pub(crate) idle_since_ns: AtomicU64,
    /// What it sleeps on beside the epoch; of no bytes, unless the back-end of `park` is another.
    pub(crate) bed: Bed,
}

/// The word that the caller of a job sleeps on.
///
/// | offset | field       | written by                              | meaning                                   |
/// |-------:|-------------|-----------------------------------------|-------------------------------------------|
/// |      0 | `completed` | workers add 1 a lease; the parent too   | a hint: the table says what is complete   |
#[repr(C, align(128))]
pub(crate) struct JobProgress {
    pub(crate) completed: AtomicU32,
    /// What the caller sleeps on beside it, likewise.
    pub(crate) bed: Bed,
}

/// Why a task failed, or what a submitted one returned. It belongs to the entry, so that neither the worker's next task nor its successor
/// overwrites it.
///
/// | offset | field   | written by | meaning                                            |
/// |-------:|---------|------------|----------------------------------------------------|
/// |      0 | `kind`  | the owner  | [`PANIC`], [`ERROR`], [`FAULT`], [`RESULT`] or [`IN_ROOM`] |
/// |      4 | `place` | the owner  | bytes of the panic's location, at the text's start; of a fault: the operand |
/// |      8 | `bytes` | the owner  | bytes of `text` that mean something; of a fault: the byte of the operand    |
/// |     16 | `text`  | the owner  | location and message, the kernel's own error, or the result; of a fault: the state of the lease |
#[repr(C)]
pub(crate) struct Message {
    pub(crate) kind: AtomicU32,
    pub(crate) place: AtomicU32,
    pub(crate) bytes: AtomicU64,
    pub(crate) text: [AtomicU64; MESSAGE_BYTES_MAX / 8],
}

/// The kernel panicked.
pub(crate) const PANIC: u32 = 1;
/// The kernel returned an error.
pub(crate) const ERROR: u32 = 2;
/// The kernel touched what it must not, and its worker is about to die of it.
pub(crate) const FAULT: u32 = 3;
/// A submitted task returned what stands in the text.
pub(crate) const RESULT: u32 = 4;
/// A submitted task returned what stands in the room in the data segment that its worker has asked for.
pub(crate) const IN_ROOM: u32 = 5;

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<EntryWords>() == 64);
    assert!(offset_of!(EntryWords, cursor) == 8);
    assert!(size_of::<RingHead>() == 128);
    assert!(offset_of!(WorkerSlot, idle_since_ns) == 16);
    assert!(offset_of!(RingHead, head) == 0);
    assert!(size_of::<JobProgress>() == 128 + size_of::<Bed>().next_multiple_of(128));
    assert!(size_of::<Message>() == 1024);
};
