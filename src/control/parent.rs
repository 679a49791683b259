//! The parent-written segment, byte by byte. Workers map it read-only.

use std::mem::{offset_of, size_of};

use super::figures::Figures;
use super::{N_CELLS, N_ENTRIES, N_JOBS, N_OPERANDS, N_WORKERS_MAX, PARAMS_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::sync::{AtomicU32, AtomicU64};

/// The whole segment.
#[repr(C, align(4096))]
pub(crate) struct ParentControl {
    pub(crate) header: Header,
    pub(crate) wake: WakeWord,
    pub(crate) listener: Listener,
    /// By worker, 1: it has nothing to do for so long that it is to end, unless it finds something.
    pub(crate) dismissed: [AtomicU32; N_WORKERS_MAX],
    pub(crate) jobs: [JobSlot; N_JOBS],
    pub(crate) entries: [EntryDescriptor; N_ENTRIES],
    pub(crate) rings: [RingCells; N_WORKERS_MAX],
    pub(crate) singles: [SingleSlot; N_ENTRIES],
    pub(crate) figures: Figures,
}

/// Compared before anything else is read.
///
/// | offset | field       | written by                    | meaning                                          |
/// |-------:|-------------|-------------------------------|--------------------------------------------------|
/// |      0 | `magic`     | parent, last, with Release    | [`MAGIC`] once the segment is ready              |
/// |      8 | `layout`    | parent, before `magic`        | [`LAYOUT`]                                       |
/// |     16 | `n_workers` | parent, before `magic`        | rings that a thief looks at                      |
/// |     20 | `stop`      | parent                        | 1: workers end when they next look               |
/// |     24 | `spin_ns`   | parent, before `magic`        | how long an idle worker may spin before it sleeps |
/// |     32 | `events`    | parent                        | up to which level the parent wants events (`events`); 0: none |
#[repr(C, align(128))]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) layout: AtomicU64,
    pub(crate) n_workers: AtomicU32,
    pub(crate) stop: AtomicU32,
    pub(crate) spin_ns: AtomicU64,
    pub(crate) events: AtomicU32,
}

/// The word that all workers sleep on, each on a bit of its own.
///
/// | offset | field   | written by | meaning                             |
/// |-------:|---------|------------|-------------------------------------|
/// |      0 | `epoch` | parent     | changes whenever there is something |
#[repr(C, align(128))]
pub(crate) struct WakeWord {
    pub(crate) epoch: AtomicU32,
}

/// Whom workers tell that a submitted task has ended.
///
/// | offset | field     | written by | meaning                                                                        |
/// |-------:|-----------|------------|--------------------------------------------------------------------------------|
/// |      0 | `who`     | parent     | which word of `WorkerControl::listeners` workers count on: [`COLLECTOR`], [`CALLER`] |
/// |      4 | `wake_at` | parent     | for each: the count at which its sleeper is woken, once                        |
#[repr(C, align(128))]
pub(crate) struct Listener {
    pub(crate) who: AtomicU32,
    pub(crate) wake_at: [AtomicU32; 2],
}

/// Listener: the thread that collects results when nobody waits for one.
pub(crate) const COLLECTOR: usize = 0;
/// Listener: a caller that waits for a result, and collects all that there are.
pub(crate) const CALLER: usize = 1;

/// One call: what code runs over which arrays. Written before its first entry turns pending, constant until
/// its last is accounted for, but for `cancel` and `wake_at`.
///
/// | field          | meaning                                                                                      |
/// |----------------|----------------------------------------------------------------------------------------------|
/// | `id`           | number of the job in its pool, from 1: an entry that names another one is stale              |
/// | `code`         | place of the trampoline, relative to `ORIGIN` in `task::kernel`                                 |
/// | `n_elements`   | elements of the output (tiles of an image), the last task may have fewer than `grain`        |
/// | `grain`        | elements of one task                                                                         |
/// | `shape`        | shape of the output, for kernels that want an index                                          |
/// | `operands`     | inputs from 0, the output last (index 4); unused ones are zero                               |
/// | `flags`        | [`STREAM`], [`POPULATE`]                                                                     |
/// | `params_bytes` | how many bytes of `params` mean something                                                    |
/// | `cancel`       | 1: do not start another task                                                                 |
/// | `wake_at`      | the completion count at which the waiter is woken                                            |
#[repr(C, align(128))]
pub(crate) struct JobSlot {
    pub(crate) id: AtomicU64,
    pub(crate) code: AtomicU64,
    pub(crate) n_elements: AtomicU64,
    pub(crate) grain: AtomicU64,
    pub(crate) shape: [AtomicU64; 4],
    pub(crate) operands: [OperandSlot; N_OPERANDS],
    pub(crate) flags: AtomicU32,
    pub(crate) params_bytes: AtomicU32,
    pub(crate) cancel: AtomicU32,
    pub(crate) wake_at: AtomicU32,
    pub(crate) params: [AtomicU64; PARAMS_BYTES_MAX / 8],
}

/// Job flag: the output is too large for the cache, write it around the cache.
pub(crate) const STREAM: u32 = 1;
/// Job flag: the output's pages do not exist yet, make those of a task at once.
pub(crate) const POPULATE: u32 = 2;

/// A range of bytes in the data segment, or in the share of that number.
#[repr(C)]
pub(crate) struct OperandSlot {
    pub(crate) share: AtomicU64,
    pub(crate) offset: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// What a lease covers. Written while the entry is free, constant until it is accounted for.
///
/// | offset | field    | meaning                                 |
/// |-------:|----------|-----------------------------------------|
/// |      0 | `job_id` | the job's number                        |
/// |      8 | `job`    | its slot; [`SINGLE`]: none, see [`SingleSlot`] |
/// |     12 | `start`  | first task                              |
/// |     16 | `len`    | tasks                                   |
#[repr(C, align(32))]
pub(crate) struct EntryDescriptor {
    pub(crate) job_id: AtomicU64,
    pub(crate) job: AtomicU32,
    pub(crate) start: AtomicU32,
    pub(crate) len: AtomicU32,
}

/// In an entry, instead of a job's slot: it is a submitted task.
pub(crate) const SINGLE: u32 = u32::MAX;

/// A submitted task. Written while its entry is free, constant until it is accounted for.
///
/// | offset | field     | meaning                                                                                |
/// |-------:|-----------|----------------------------------------------------------------------------------------|
/// |      0 | `code`    | place of the trampoline                                                                |
/// |      8 | `bytes`   | size of the payload: `n_lent` records of [`Lent`](crate::task::single::LentRecord), then the argument |
/// |     16 | `offset`  | where the payload lies in the data segment; [`INLINE`]: here                           |
/// |     24 | `n_lent`  | arrays that the task works on                                                          |
/// |     28 | `flags`   | [`TIMED`]                                                                              |
/// |     32 | `payload` | the payload, if it is short                                                            |
#[repr(C, align(64))]
pub(crate) struct SingleSlot {
    pub(crate) code: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) offset: AtomicU64,
    pub(crate) n_lent: AtomicU32,
    pub(crate) flags: AtomicU32,
    pub(crate) payload: [AtomicU64; PAYLOAD_BYTES_MAX / 8],
}

/// The payload of a submitted task lies in its slot.
pub(crate) const INLINE: u64 = u64::MAX;
/// Flag of a submitted task: it has a time limit, its worker says when it begins.
pub(crate) const TIMED: u32 = 1;

/// What the parent writes of one ring; its head is in the workers' segment.
///
/// | offset | field   | meaning                                 |
/// |-------:|---------|-----------------------------------------|
/// |      0 | `tail`  | hints pushed so far; never wraps        |
/// |    128 | `cells` | entry indices                           |
#[repr(C, align(128))]
pub(crate) struct RingCells {
    pub(crate) tail: Tail,
    pub(crate) cells: [AtomicU32; N_CELLS as usize],
}

/// The tail on a line of its own: consumers poll it.
#[repr(C, align(128))]
pub(crate) struct Tail(pub(crate) AtomicU64);

/// "shmpool" and a version.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"shmpool1");

/// Changes when the layout of either segment changes.
pub(crate) const LAYOUT: u64 = {
    let sizes = [
        size_of::<Header>() as u64,
        size_of::<JobSlot>() as u64,
        size_of::<EntryDescriptor>() as u64,
        size_of::<SingleSlot>() as u64,
        size_of::<ParentControl>() as u64,
        size_of::<super::worker::WorkerControl>() as u64,
        offset_of!(ParentControl, rings) as u64,
        offset_of!(super::worker::WorkerControl, messages) as u64,
        N_ENTRIES as u64,
        N_CELLS,
    ];
    // FNV-1a over the sizes.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < sizes.len() {
        hash = (hash ^ sizes[i]).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
};

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Header>() == 128);
    assert!(offset_of!(Header, stop) == 20);
    assert!(size_of::<WakeWord>() == 128);
    assert!(size_of::<EntryDescriptor>() == 32);
    assert!(size_of::<SingleSlot>() == 512);
    assert!(offset_of!(SingleSlot, payload) == 32);
    assert!(size_of::<Listener>() == 128);
    assert!(offset_of!(RingCells, cells) == 128);
    assert!(offset_of!(JobSlot, params) % 8 == 0);
    assert!(N_CELLS.is_power_of_two());
};
