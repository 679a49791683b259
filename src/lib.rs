//! A process pool whose workers share memory.

mod error;
mod sync;

#[cfg(not(loom))]
mod sys;

#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
mod array;
#[cfg(not(loom))]
mod segment;

mod control;
mod park;
mod ring;

#[cfg(not(loom))]
mod pool;
#[cfg(not(loom))]
mod supervisor;
#[cfg(not(loom))]
mod task;
#[cfg(not(loom))]
mod worker;

pub use error::{Death, Deaths, Error, ErrorKind, ExitReason, JobReport, Result};

pub use shmpool_kernels as kernels;

#[cfg(not(loom))]
pub use {
    arena::{Arena, ArenaStats, HugePages},
    array::{Array, Shape},
    pool::{ApplyKernel, Builder, ByElement, ByTile, Call, Chained, Pool, Progress, Stats, TryMapError, ZipInputs},
    worker::init,
};
