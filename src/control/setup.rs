//! What a worker does to itself before its first task and after its last: said once by the builder, read by every worker from
//! a sealed file.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::SealFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::shm;

/// How long a worker with a finalizer has to end by itself.
pub(crate) const FINALIZER_GRACE: Duration = Duration::from_secs(10);

/// A function and its argument as bytes: the place of its trampoline, and what `task::call` makes of the argument.
pub(crate) type Prepared = (u64, Vec<u8>);

/// See the head of this file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) initializer: Option<Prepared>,
    pub(crate) finalizer: Option<Prepared>,
    /// Submitted tasks after which a worker ends, to be replaced.
    pub(crate) tasks_max: Option<u64>,
    /// `RLIMIT_DATA`.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Added to the parent's.
    pub(crate) niceness: i32,
    /// CPUs of each worker; the lists are used in turn, and none means all.
    pub(crate) affinity: Vec<Vec<usize>>,
}

impl Setup {
    /// A file with it, which nobody can change any more.
    pub(crate) fn to_file(&self) -> io::Result<OwnedFd> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let file = shm::create("shmpool-setup")?;
        let mut done = 0;
        while done < bytes.len() {
            done += rustix::io::pwrite(&file, &bytes[done..], done as u64)?;
        }
        shm::add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL)?;
        Ok(file)
    }

    pub(crate) fn from_file(file: &OwnedFd) -> io::Result<Self> {
        let mut bytes = vec![0; usize::try_from(shm::size_bytes(file)?).map_err(io::Error::other)?];
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pread(file, &mut bytes[done..], done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read() {
        let setup = Setup {
            initializer: Some((7, vec![1; 100_000])),
            memory_limit_bytes: Some(1 << 30),
            affinity: vec![vec![0], vec![1, 2]],
            ..Setup::default()
        };
        let file = setup.to_file().unwrap();
        let read = Setup::from_file(&file).unwrap();
        assert_eq!((read.initializer, read.affinity), (setup.initializer, setup.affinity));
        rustix::io::pwrite(&file, &[0], 0).unwrap_err();
    }
}
