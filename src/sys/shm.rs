//! Memory files (memfd): make, size, seal, count and give back their pages.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, FallocateFlags, MemfdFlags, Mode, SealFlags};
use rustix::io::{Errno, Result};

/// Makes an empty memory file that nobody but this user can open, and that can be sealed.
///
/// `name` is what `/proc/PID/maps` shows; it need not be unique.
pub(crate) fn create(name: &str) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag.
        Err(Errno::INVAL) => fs::memfd_create(name, flags)?,
        other => other?,
    };
    // A memfd is open to all by default, and other processes can reach it through /proc/PID/fd.
    fs::fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
    Ok(fd)
}

/// Nobody but root can open it for writing from now on; descriptors that are open stay what they are.
pub(crate) fn forbid_writing(fd: impl AsFd) -> Result<()> {
    fs::fchmod(fd, Mode::RUSR)
}

/// The same file, opened for reading alone.
pub(crate) fn read_only(fd: impl AsFd) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    fs::open(path, fs::OFlags::RDONLY | fs::OFlags::CLOEXEC, Mode::empty())
}

/// Sets the file's size. The caller has compared it with `RLIMIT_FSIZE`: beyond that the kernel kills
/// (SIGXFSZ).
pub(crate) fn set_size(fd: impl AsFd, bytes: u64) -> Result<()> {
    fs::ftruncate(fd, bytes)
}

/// The file's size.
pub(crate) fn size_bytes(fd: impl AsFd) -> Result<u64> {
    Ok(fs::fstat(fd)?.st_size.unsigned_abs())
}

/// How much of the file has pages.
pub(crate) fn resident_bytes(fd: impl AsFd) -> Result<u64> {
    Ok(fs::fstat(fd)?.st_blocks.unsigned_abs() * 512)
}

/// Adds seals, for good if `SEAL` is among them.
pub(crate) fn add_seals(fd: impl AsFd, seals: SealFlags) -> Result<()> {
    fs::fcntl_add_seals(fd, seals)
}

/// The seals that the file has.
pub(crate) fn seals(fd: impl AsFd) -> Result<SealFlags> {
    fs::fcntl_get_seals(fd)
}

/// Gives the pages of a range back to the system: it reads as zeros from now on, in every mapping.
pub(crate) fn punch(fd: impl AsFd, range: Range<u64>) -> Result<()> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fs::fallocate(fd, mode, range.start, range.end - range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_user_can_open_a_new_file() {
        let fd = create("shmpool-test").unwrap();
        assert_eq!(fs::fstat(&fd).unwrap().st_mode & 0o777, 0o600);
    }

    #[test]
    fn punching_gives_pages_back_and_leaves_zeros() {
        let fd = create("shmpool-test").unwrap();
        set_size(&fd, 1 << 20).unwrap();
        rustix::io::pwrite(&fd, &[7; 1 << 16], 0).unwrap();
        assert_eq!(resident_bytes(&fd).unwrap(), 1 << 16);
        punch(&fd, 4096..1 << 16).unwrap();
        assert_eq!(resident_bytes(&fd).unwrap(), 4096);
        let mut two = [1; 2];
        rustix::io::pread(&fd, &mut two, 4095).unwrap();
        assert_eq!((two, size_bytes(&fd).unwrap()), ([7, 0], 1 << 20));
    }
}
