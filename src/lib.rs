//! A process pool whose workers share memory: as fast as threads, as safe as processes.
//!
//! ```
//! use shmpool::Pool;
//!
//! fn main() -> shmpool::Result<()> {
//!     shmpool::init(); // a worker, which is this program started again, never comes back from here
//!     let pool = Pool::new()?; // one worker process per usable CPU
//!
//!     let xs = pool.array_from(&[1.0_f32, 4.0, 9.0])?; // the one copy; workers see the same memory
//!     let roots = pool.map(&xs, |x| x.sqrt())?;
//!     assert_eq!(*roots, [1.0, 2.0, 3.0]);
//!
//!     let sum = pool.reduce(&roots, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b)?;
//!     assert_eq!(sum, 6.0);
//!     Ok(())
//! }
//! ```
//!
//! # What it is
//! A [`Pool`] starts worker *processes* and runs kernels in them over [`Array`]s that lie in one
//! shared-memory [`Arena`]. Nothing is serialised: a job sends indices, never elements. A worker costs a
//! fraction of a megabyte, and any of them may die at any instruction without losing a task: it is replaced,
//! and what it had not finished runs again, or fails with an error that names the task and how its worker
//! died ([`ErrorKind::WorkerDied`]). A kernel that panics is an error value ([`ErrorKind::KernelPanicked`]).
//!
//! * Verbs: [`map`](Call::map), [`map_into`](Call::map_into), [`map_with`](Call::map_with),
//!   [`map_indexed`](Call::map_indexed), [`update`](Call::update), [`zip_map`](Call::zip_map),
//!   [`from_fn`](Call::from_fn), [`try_map`](Call::try_map), [`map_chunks`](Call::map_chunks),
//!   [`map_rows`](Call::map_rows), [`map_axis`](Call::map_axis), [`map_unzip`](Call::map_unzip) (several outputs),
//!   [`reduce`](Call::reduce), [`scan`](Call::scan), and for the kernels of [`kernels`] and your own
//!   [`apply`](Call::apply), [`apply_into`](Call::apply_into), [`iterate`](Call::iterate), [`zip_with`](Call::zip_with), [`generate`](Call::generate). They
//!   take whole arrays and [views](View) of parts of them.
//! * Single tasks: [`submit`](Call::submit) and its like have a worker call a function; the result comes from a [`Future`], from
//!   [`wait`](crate::wait()), [`as_completed`] or [`map_iter`](Call::map_iter). [`submit_on`](Call::submit_on) lends arrays to it.
//! * In the background: [`background`](Pool::background) runs any verbs while the caller goes on, over arrays that the job
//!   owns or has leased ([`Handle`]). Any call can be [cancelled](Call::cancel_token), or have a [`timeout`](Call::timeout).
//! * Start: [`init`] first thing in `main`; [`test_workers!`] in tests and benches; the feature `constructor`
//!   for libraries.
//! * Memory: [`Pool::zeros`] and its like make arrays; memory of dropped arrays is kept a while for the next
//!   ones ([`Pool::trim`]). [`Pool::input_from`] makes arrays that workers can read and nobody can spoil;
//!   [`FileArray`] maps `.npy` and raw files in place, for data larger than memory.
//!
//! # What it is not
//! Not a sandbox. Workers run as the same user as the parent: a hostile kernel can make any system call. What
//! is promised is that a kernel that runs wild *through memory* spoils at most the arrays in the arena, and
//! files opened to be written: the parent's bookkeeping and every [`Input`] lie where no worker can write,
//! and what workers write is checked before it is believed. `&[T]` of an [`Array`] rests on workers being
//! honest in one respect: they write only what a running job lends them. One that scribbles over the words
//! that workers share can make another's lease look ended: that one stops as soon as it finishes the lease,
//! but until then it writes an array that a verb has given back. Processes that a kernel starts with `vfork`,
//! or with memory shared, write on after the worker's death; nobody can see that.
//!
//! Linux 5.14 or newer.
//!
//! # Cargo features
//! None of them is on by default.
//! * `constructor`: workers become workers before `main`, for libraries that cannot put [`init`] into it.
//! * `ndarray`: `ndarray`'s views of arrays, and copies of its arrays.
//! * `raw-sync`: workers and callers sleep on events of the crate `raw_sync` instead of futexes: to compare with
//!   (`cargo bench --bench job`), never to rely on. Its events are pthread objects in shared memory and not robust: a
//!   worker that is killed at a moment when it holds the event's mutex, or wakes from it, can hang the pool for ever.

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

pub use error::{Access, Death, Deaths, Error, ErrorKind, ExitReason, Fault, JobReport, NpyError, Result};

pub use shmpool_kernels as kernels;

#[cfg(not(loom))]
pub use {
    arena::{Arena, ArenaBuilder, ArenaStats, HugePages},
    array::{
        Array, ArrayIndex, Contiguous, ContiguousMut, FileArray, Handle, Indices, Input, Lent, LentMut, Loan,
        NamedArray, NamedInfo, NpyElement, ReadLease, Shape, Source, Target, View, ViewMut, WriteLease,
    },
    pool::{
        ApplyKernel, AsCompleted, Builder, ByElement, ByTile, Call, CancelToken, Chained, Future,
        IterateKernel, Job, MapIter, OnWorkerDeath, Pool, Progress, ReturnWhen, Started, Stats, TryMapError,
        Unzip, WorkerOutput, WorkerStats, ZipInputs, ZipWith, as_completed, wait,
    },
    worker::init,
};

/// Turns the workers of a test or bench file into workers before its `main`, which is not ours, begins.
///
/// Once per file (each file in `tests/` and `benches/` is a program of its own), beside the imports. In a
/// program with a `main` of your own, call [`init`] instead. A library that can touch neither enables the
/// feature `constructor`.
///
/// ```
/// shmpool::test_workers!();
///
/// fn doubling() { // a `#[test]` in your file
///     let pool = shmpool::Pool::builder().workers(2).build().unwrap();
///     let xs = pool.array_from(&[1, 2, 3]).unwrap();
///     assert_eq!(*pool.map(&xs, |x| 2 * x).unwrap(), [2, 4, 6]);
/// }
/// # doubling();
/// ```
#[macro_export]
macro_rules! test_workers {
    () => {
        const _: () = {
            #[allow(unsafe_code)] // a place in a section is a promise about what the loader does with it
            #[used]
            #[unsafe(link_section = ".init_array")]
            static ENTER: extern "C" fn() = $crate::__private::enter_before_main;
        };
    };
}

#[doc(hidden)]
#[cfg(not(loom))]
pub mod __private {
    pub use crate::worker::enter_before_main;
}

/// The snippets of the page for people who come from other pools.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-process-pool-executor.md")]
mod from_process_pool_executor {}
