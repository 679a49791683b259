//! The one door to the operating system: thin, without policy. What failed and on what is for the caller to say.

pub(crate) mod limits;
pub(crate) mod shm;
