//! A process pool whose workers share memory.

mod error;

pub use error::{Death, Deaths, Error, ErrorKind, ExitReason, JobReport, Result};
