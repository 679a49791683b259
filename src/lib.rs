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
    arena::{Arena, ArenaBuilder, ArenaStats, HugePages},
    array::{Array, ArrayIndex, Indices, Shape},
    pool::{
        ApplyKernel, Builder, ByElement, ByTile, Call, Chained, Pool, Progress, Stats, TryMapError, ZipInputs,
    },
    worker::init,
};

/// Turns the workers of a test or bench file into workers before its `main`, which is not ours, begins.
///
/// Once per file (each file in `tests/` and `benches/` is a program of its own), beside the imports. In a program with a `main` of your own, call
/// [`init`] instead. A library that can touch neither enables the feature `constructor`.
///
/// ```
/// shmpool::test_workers!();
///
/// #[test]
/// fn doubling() {
///     let pool = shmpool::Pool::builder().workers(2).build().unwrap();
///     let xs = pool.array_from(&[1, 2, 3]).unwrap();
///     assert_eq!(*pool.map(&xs, |x| 2 * x).unwrap(), [2, 4, 6]);
/// }
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
