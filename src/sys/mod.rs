//! The one door to the operating system: thin, without policy. What failed and on what is for the caller to
//! say.

pub(crate) mod clock;
pub(crate) mod futex;
pub(crate) mod limits;
pub(crate) mod observe;
pub(crate) mod process;
pub(crate) mod shm;
pub(crate) mod socket;
