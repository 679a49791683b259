#![doc = include_str!("README.md")]

pub(crate) mod entry;
#[cfg(not(loom))]
pub(crate) mod events;
pub(crate) mod figures;
#[cfg(not(loom))]
pub(crate) mod handshake;
#[cfg(not(loom))]
pub(crate) mod mapped;
pub(crate) mod parent;
#[cfg(not(loom))]
pub(crate) mod setup;
pub(crate) mod worker;

/// Places in the task table.
pub(crate) const N_ENTRIES: usize = if cfg!(loom) { 4 } else { 16 * 1024 };
/// Jobs that can be under way at once.
pub(crate) const N_JOBS: usize = 64;
/// Workers of one pool, at most.
pub(crate) const N_WORKERS_MAX: usize = 256;
/// Hints that one ring holds. A power of two.
pub(crate) const N_CELLS: u64 = if cfg!(loom) { 4 } else { 4096 };
/// Arrays of one job: four inputs and an output.
pub(crate) const N_OPERANDS: usize = 5;
/// Bytes of parameters that a job can carry.
pub(crate) const PARAMS_BYTES_MAX: usize = 4096;
/// Bytes of a submitted task's payload that its slot holds; longer ones lie in the data segment.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 480;
/// Bytes of a panic message or of a kernel's error that an entry can carry.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1008;

/// Place in the task table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryIndex(pub(crate) u32);
