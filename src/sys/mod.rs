//! The one door to the operating system.
//!
//! Thin and without policy: what to do about an error belongs to the caller, who knows what failed.

pub(crate) mod clock;
pub(crate) mod futex;
pub(crate) mod process;
pub(crate) mod shm;
pub(crate) mod socket;
