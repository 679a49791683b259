//! A control segment as its type.
#![allow(unsafe_code)] // turns a mapping into a reference to its layout

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::segment::{Access, Mapping, Segment};

/// Types that may lie in a control segment: `repr(C)`, made of atomics only, all-zero legal, no destructor.
///
/// # Safety
/// The implementor promises just that: the other processes write to the memory behind the reference at any
/// time.
pub(crate) unsafe trait Layout {}

// SAFETY: atomics in `repr(C)` structs and arrays.
unsafe impl Layout for super::parent::ParentControl {}
// SAFETY: atomics in `repr(C)` structs and arrays.
unsafe impl Layout for super::worker::WorkerControl {}

/// A control segment that somebody else made, mapped here.
pub(crate) struct Mapped<T> {
    mapping: Mapping,
    layout: PhantomData<T>,
}

impl<T: Layout> Mapped<T> {
    /// Maps it for reading and writing.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Self> {
        let segment = Segment::attach("workers", fd, size_of::<T>(), Access::Shared)?;
        Ok(Mapped { mapping: segment.map_writable(size_of::<T>())?, layout: PhantomData })
    }

    /// Maps it for reading; a store through the reference would be a fault, and workers store nothing there.
    pub(crate) fn attach_read_only(fd: OwnedFd) -> Result<Self> {
        let segment = Segment::attach("parent", fd, size_of::<T>(), Access::ReadOnlyForOthers)?;
        Ok(Mapped { mapping: segment.map_read_only(size_of::<T>())?, layout: PhantomData })
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: the mapping is as large as `T`, page-aligned, and lives as long as `self`. `T: Layout` is
        // made of atomics, so that writes from other processes are no data race, and any bytes are a legal
        // value.
        unsafe { &*self.mapping.as_ptr().cast::<T>() }
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// A control segment that this process made.
pub(crate) struct Owned<T> {
    mapping: Mapping,
    layout: PhantomData<T>,
}

impl<T: Layout> Owned<T> {
    /// All-zero, writable by whoever gets the descriptor.
    pub(crate) fn create(name: &'static str) -> Result<Self> {
        Self::with_access(name, Access::Shared)
    }

    /// All-zero, writable through this mapping alone: the kernel refuses any later writable one.
    pub(crate) fn create_read_only_for_others(name: &'static str) -> Result<Self> {
        Self::with_access(name, Access::ReadOnlyForOthers)
    }

    fn with_access(name: &'static str, access: Access) -> Result<Self> {
        let mapping = Segment::create(name, size_of::<T>(), access)?;
        // A forked child of the parent must not take part in the protocol.
        mapping.dont_fork()?;
        Ok(Owned { mapping, layout: PhantomData })
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: as in `Mapped::get`.
        unsafe { &*self.mapping.as_ptr().cast::<T>() }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.mapping.segment().as_fd()
    }
}
