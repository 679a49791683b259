//! One mapped region of shared memory: a sealed memfd, and the mapping of it.
//!
//! The seals are what makes the rest sound: a segment never shrinks (so no touch inside its size can raise
//! SIGBUS) and never grows, and nobody can take that back.
//!
//! Invariants, which `SAFETY` notes cite:
//! * **S1** The file of a [`Segment`] has `size_bytes` bytes for ever: sealed against shrinking and growing.
//! * **S2** A [`Mapping`] of `n` bytes maps the file's first `n`, `n <= size_bytes`, until it is dropped;
//!   only [`Mapping::grow`] moves it, and that takes `&mut self`.
#![allow(unsafe_code)] // `mremap` in `Mapping::grow`; writes through mappings in tests

mod files;
mod share;

pub(crate) use files::Claim;
pub(crate) use share::{Share, Ticket, Use, View};

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use memmap2::{Advice, MmapOptions, MmapRaw, RemapOptions};
use rustix::fs::SealFlags;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{limits, shm};

/// Who may write a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Every process that has it.
    Shared,
    /// Its creator alone: the kernel refuses any other writable mapping, `write` and hole punching.
    ReadOnlyForOthers,
}

impl Access {
    fn seals(self) -> SealFlags {
        let fixed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        match self {
            Access::Shared => fixed,
            Access::ReadOnlyForOthers => fixed | SealFlags::FUTURE_WRITE,
        }
    }
}

/// Refuses a file that is larger than `RLIMIT_FSIZE` allows: making it would be a signal.
pub(crate) fn check_file_size(what: &str, size_bytes: usize) -> Result<()> {
    let limit_bytes = limits::file_size_max().unwrap_or(u64::MAX);
    let wanted_bytes = size_bytes as u64;
    if wanted_bytes > limit_bytes {
        let (what, limit) = (what.to_owned(), "RLIMIT_FSIZE");
        return Err(ErrorKind::TooLarge { what, wanted_bytes, limit_bytes, limit }.into());
    }
    Ok(())
}

/// A sealed memory file of a fixed size.
#[derive(Debug)]
pub(crate) struct Segment {
    name: String,
    fd: OwnedFd,
    size_bytes: usize,
}

impl Segment {
    /// Makes a segment of `size_bytes` (above 0) zero bytes, which takes no memory yet, and maps all of it
    /// writable.
    ///
    /// `name` is for messages and for `/proc/PID/maps`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond `RLIMIT_FSIZE`; [`ErrorKind::Os`] if the system refuses.
    pub(crate) fn create(name: &str, size_bytes: usize, access: Access) -> Result<Mapping> {
        assert!(size_bytes > 0, "segment {name:?} of no bytes");
        let fail = |what: &str, error: io::Error| {
            Error::os(format!("{what} segment {name:?} of {size_bytes} bytes"), error)
        };
        check_file_size(&format!("segment {name:?}"), size_bytes)?;
        let fd = shm::create(&format!("shmpool-{name}")).map_err(|error| fail("create", error.into()))?;
        shm::set_size(&fd, size_bytes as u64).map_err(|error| fail("size", error.into()))?;
        let mapping = Segment { name: name.to_owned(), fd, size_bytes }.map_writable(size_bytes)?;
        // After the mapping: FUTURE_WRITE refuses new writable ones, and this one stays writable.
        shm::add_seals(&mapping.segment.fd, access.seals()).map_err(|error| fail("seal", error.into()))?;
        Ok(mapping)
    }

    /// Takes a segment that another process made.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the file has another size or lacks a seal: its owner could then make any touch a
    /// SIGBUS.
    pub(crate) fn attach(name: &str, fd: OwnedFd, size_bytes: usize, access: Access) -> Result<Segment> {
        let fail = |error: io::Error| Error::os(format!("attach segment {name:?}"), error);
        let refuse = |why: String| fail(io::Error::new(io::ErrorKind::InvalidData, why));
        let seals = shm::seals(&fd).map_err(|error| fail(error.into()))?;
        if !seals.contains(access.seals()) {
            return Err(refuse(format!("found seals {seals:?}, wanted {:?}", access.seals())));
        }
        // After the seals: the size that is read now stays.
        let found = shm::size_bytes(&fd).map_err(|error| fail(error.into()))?;
        if found != size_bytes as u64 || size_bytes == 0 {
            return Err(refuse(format!("found {found} bytes, wanted {size_bytes}")));
        }
        Ok(Segment { name: name.to_owned(), fd, size_bytes })
    }

    /// Maps the first `len_bytes` for reading and writing.
    pub(crate) fn map_writable(self, len_bytes: usize) -> Result<Mapping> {
        self.map(len_bytes, |options, fd| options.map_raw(fd))
    }

    /// Maps the first `len_bytes` for reading; a write is a SIGSEGV.
    pub(crate) fn map_read_only(self, len_bytes: usize) -> Result<Mapping> {
        self.map(len_bytes, |options, fd| options.map_raw_read_only(fd))
    }

    fn map(
        self,
        len_bytes: usize,
        map: fn(&MmapOptions, &OwnedFd) -> io::Result<MmapRaw>,
    ) -> Result<Mapping> {
        self.check_prefix(len_bytes)?;
        let map = map(MmapOptions::new().len(len_bytes), &self.fd)
            .map_err(|error| Error::os(format!("map {len_bytes} bytes of segment {:?}", self.name), error))?;
        Ok(Mapping { segment: self, map })
    }

    /// An empty mapping would not be one at all, and one beyond the file would be a SIGBUS in waiting.
    fn check_prefix(&self, len_bytes: usize) -> Result<()> {
        if (1..=self.size_bytes).contains(&len_bytes) {
            return Ok(());
        }
        let why = format!("found a length of {len_bytes} bytes, wanted 1 to {}", self.size_bytes);
        Err(Error::os(
            format!("map segment {:?}", self.name),
            io::Error::new(io::ErrorKind::InvalidInput, why),
        ))
    }

    /// Size of the whole segment.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// How much of it has pages, in any process.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        shm::resident_bytes(&self.fd)
            .map_err(|error| Error::os(format!("stat segment {:?}", self.name), error))
    }

    /// Gives the pages of a range (multiples of the page size) back: it reads as zeros from now on.
    pub(crate) fn punch(&self, range: Range<usize>) -> Result<()> {
        shm::punch(&self.fd, range.start as u64..range.end as u64)
            .map_err(|error| Error::os(format!("give back {range:?} of segment {:?}", self.name), error))
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The mapping of a segment, or of its beginning. Never hands out references: that takes a lease.
#[derive(Debug)]
pub(crate) struct Mapping {
    segment: Segment,
    map: MmapRaw,
}

impl Mapping {
    /// The segment.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// First byte; on a page edge.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Mapped bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.map.len()
    }

    /// The place of `len_bytes` bytes at `offset`, if all of them are mapped.
    pub(crate) fn at(&self, offset: u64, len_bytes: usize) -> Option<NonNull<u8>> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(len_bytes)?;
        // Within the mapping, so the sum neither wraps nor leaves it.
        (end <= self.len_bytes()).then(|| NonNull::new(self.as_ptr().wrapping_add(offset)))?
    }

    /// Maps the first `len_bytes` in place of what is mapped now; less is left as it is.
    ///
    /// The mapping may move: every pointer into it is to be derived again.
    pub(crate) fn grow(&mut self, len_bytes: usize) -> Result<()> {
        if len_bytes <= self.len_bytes() {
            return Ok(());
        }
        self.segment.check_prefix(len_bytes)?;
        // SAFETY: `len_bytes` lies within the file, which cannot shrink [S1]. `&mut self` shows that no
        // pointer borrowed from this mapping is in use; those that were copied are the callers' to derive
        // again.
        unsafe { self.map.remap(len_bytes, RemapOptions::new().may_move(true)) }.map_err(|error| {
            Error::os(format!("map {len_bytes} bytes of segment {:?}", self.segment.name), error)
        })
    }

    /// Keeps the mapping out of this process's forked children: a touch there is a SIGSEGV.
    pub(crate) fn dont_fork(&self) -> Result<()> {
        self.advise(Advice::DontFork)
    }

    /// Keeps the mapping out of core dumps.
    pub(crate) fn dont_dump(&self) -> Result<()> {
        self.advise(Advice::DontDump)
    }

    /// Asks for huge pages. Success does not mean that there are any: see `sys::limits::shmem_huge_pages`.
    pub(crate) fn want_huge_pages(&self) -> Result<()> {
        self.advise(Advice::HugePage)
    }

    fn advise(&self, advice: Advice) -> Result<()> {
        self.map.advise(advice).map_err(|error| {
            Error::os(format!("madvise {advice:?} on segment {:?}", self.segment.name), error)
        })
    }

    /// Makes the pages of a range present and writable in this process, in one system call.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] where a touch would be a signal. A kernel before 5.14 leaves it to the touch.
    pub(crate) fn populate(&self, range: Range<usize>) -> Result<()> {
        // memmap2 checks the offset and the length, but not their sum.
        let inside = range.start <= range.end && range.end <= self.len_bytes();
        let result = match inside {
            true => self.map.advise_range(Advice::PopulateWrite, range.start, range.len()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        result.map_err(|error| {
            Error::os(format!("populate {range:?} of segment {:?}", self.segment.name), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn attach_again(mapping: &Mapping, access: Access) -> Result<Segment> {
        let fd = mapping.segment().as_fd().try_clone_to_owned().unwrap();
        Segment::attach("again", fd, mapping.segment().size_bytes(), access)
    }

    fn write(mapping: &Mapping, offset: u64, byte: u8) {
        let place = mapping.at(offset, 1).unwrap();
        // SAFETY: `at` found the byte inside the writable mapping [S2], and this test alone has the segment.
        unsafe { place.write_volatile(byte) }
    }

    fn read(mapping: &Mapping, offset: u64) -> u8 {
        let place = mapping.at(offset, 1).unwrap();
        // SAFETY: as in `write`.
        unsafe { place.read_volatile() }
    }

    #[test]
    fn two_mappings_share_the_bytes() {
        let ours = Segment::create("test", 4 * PAGE, Access::Shared).unwrap();
        let theirs = attach_again(&ours, Access::Shared).unwrap().map_writable(4 * PAGE).unwrap();
        write(&ours, 5000, 7);
        write(&theirs, 5001, 8);
        assert_eq!((read(&theirs, 5000), read(&ours, 5001)), (7, 8));
    }

    #[test]
    fn others_can_only_read_what_is_read_only_for_them() {
        let ours = Segment::create("test", PAGE, Access::ReadOnlyForOthers).unwrap();
        let error = attach_again(&ours, Access::Shared).unwrap().map_writable(PAGE).unwrap_err();
        assert!(error.to_string().contains("not permitted"), "{error}");
        ours.segment().punch(0..PAGE).unwrap_err();
        let theirs = attach_again(&ours, Access::ReadOnlyForOthers).unwrap().map_read_only(PAGE).unwrap();
        write(&ours, 0, 9);
        assert_eq!(read(&theirs, 0), 9);
    }

    #[test]
    fn nobody_can_resize_a_segment() {
        let ours = Segment::create("test", PAGE, Access::Shared).unwrap();
        shm::set_size(ours.segment(), 0).unwrap_err();
        shm::set_size(ours.segment(), 2 * PAGE as u64).unwrap_err();
    }

    #[test]
    fn attach_refuses_what_is_not_sealed_or_of_another_size() {
        let fd = shm::create("test").unwrap();
        shm::set_size(&fd, PAGE as u64).unwrap();
        let error = Segment::attach("wild", fd, PAGE, Access::Shared).unwrap_err();
        assert!(error.to_string().starts_with("attach segment \"wild\": found seals"), "{error}");

        let ours = Segment::create("test", PAGE, Access::Shared).unwrap();
        attach_again(&ours, Access::ReadOnlyForOthers).unwrap_err();
        let fd = ours.segment().as_fd().try_clone_to_owned().unwrap();
        let error = Segment::attach("small", fd, 2 * PAGE, Access::Shared).unwrap_err();
        assert_eq!(error.to_string(), "attach segment \"small\": found 4096 bytes, wanted 8192");
    }

    #[test]
    fn a_prefix_grows_to_the_whole_and_not_beyond() {
        let ours = Segment::create("test", 64 * PAGE, Access::Shared).unwrap();
        write(&ours, 63 * PAGE as u64, 5);
        attach_again(&ours, Access::Shared).unwrap().map_writable(0).unwrap_err();
        let mut theirs = attach_again(&ours, Access::Shared).unwrap().map_writable(PAGE).unwrap();
        theirs.dont_fork().unwrap();
        theirs.dont_dump().unwrap();
        assert_eq!(theirs.at(63 * PAGE as u64, 1), None);
        theirs.grow(64 * PAGE).unwrap();
        assert_eq!(read(&theirs, 63 * PAGE as u64), 5);
        theirs.grow(65 * PAGE).unwrap_err();
        theirs.grow(PAGE).unwrap();
        assert_eq!(theirs.len_bytes(), 64 * PAGE);
    }

    #[test]
    fn offsets_that_overflow_are_nowhere() {
        let ours = Segment::create("test", PAGE, Access::Shared).unwrap();
        assert!(ours.at(0, PAGE).is_some() && ours.at(PAGE as u64, 0).is_some());
        assert_eq!(ours.at(1, PAGE), None);
        assert_eq!(ours.at(u64::MAX, 2), None);
        assert_eq!(ours.at(1, usize::MAX), None);
    }

    #[test]
    fn populating_makes_pages_and_checks_the_sum() {
        let ours = Segment::create("test", 4 * PAGE, Access::Shared).unwrap();
        ours.populate(PAGE..3 * PAGE).unwrap();
        assert_eq!(ours.segment().resident_bytes().unwrap(), 2 * PAGE as u64);
        ours.populate(3 * PAGE..5 * PAGE).unwrap_err();
        ours.segment().punch(0..2 * PAGE).unwrap();
        assert_eq!(ours.segment().resident_bytes().unwrap(), PAGE as u64);
    }
}
