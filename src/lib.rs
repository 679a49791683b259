//! A process pool whose workers share memory.

#[allow(dead_code)] // the engine's half uses it
mod arena;
#[allow(dead_code)] // the engine's half uses it
mod array;
mod error;
#[allow(dead_code)] // the engine's half uses it
mod segment;
#[allow(dead_code)] // the engine's half uses it
mod sys;

pub use arena::{Arena, ArenaBuilder, ArenaStats, HugePages};
pub use array::{Array, ArrayIndex, Indices, Shape};
pub use error::{Death, Deaths, Error, ErrorKind, ExitReason, JobReport, Result};
