//! A typed part of a share: what inputs and mapped files have in common.
#![allow(unsafe_code)] // slices over a share's bytes

use std::marker::PhantomData;
use std::slice;
use std::sync::Arc;

use bytemuck::Pod;

use super::shape::Shape;
use super::source::{Home, Place};
use crate::segment::Share;

/// `len` elements of a share, from `offset` bytes on; of no share if there are none.
#[derive(Debug)]
pub(crate) struct Part<T> {
    share: Option<Arc<Share>>,
    offset: usize,
    shape: Shape,
    len: usize,
    /// As in `Array`.
    _elements: PhantomData<fn() -> T>,
}

impl<T: Pod> Part<T> {
    /// `None` if the share does not reach so far, or the elements would not lie on an edge of their type.
    pub(crate) fn new(share: Option<Arc<Share>>, offset: usize, shape: Shape, len: usize) -> Option<Self> {
        const {
            assert!(size_of::<T>() > 0, "elements of an array must have a size");
            assert!(align_of::<T>() <= 64, "elements of an array must not need more than a 64-byte edge");
        }
        let end = len.checked_mul(size_of::<T>())?.checked_add(offset)?;
        let len_bytes = share.as_ref().map_or(0, |share| share.len_bytes());
        let fits = len == 0 || end <= len_bytes && offset.is_multiple_of(align_of::<T>());
        fits.then_some(Part { share, offset, shape, len, _elements: PhantomData })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn share(&self) -> Option<&Share> {
        self.share.as_deref()
    }

    /// First element; dangling if there are none.
    fn first(&self) -> *mut T {
        match &self.share {
            Some(share) if self.len > 0 => share.as_ptr().wrapping_add(self.offset).cast(),
            _ => std::ptr::dangling_mut(),
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: `new` has seen that the share has the elements' bytes, on an edge of their type (a mapping begins
        // on a page edge); they stay mapped while the share lives [S3], which `self` holds. `T: Pod` is valid for
        // every bit pattern. `&self` keeps this process from writing, and nobody else writes: of a share that workers
        // can only read the kernel sees to that; of a file that is what its opener has promised.
        unsafe { slice::from_raw_parts(self.first(), self.len) }
    }

    /// # Safety
    /// This process may write the share, nobody else has an element of it, and it is not used by anybody else while
    /// the slice lives.
    #[inline]
    pub(crate) unsafe fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and by contract.
        unsafe { slice::from_raw_parts_mut(self.first(), self.len) }
    }

    pub(crate) fn place(&self) -> Place<'_> {
        let len_bytes = (self.len * size_of::<T>()) as u64;
        match &self.share {
            Some(share) => {
                Place { home: Home::Share(share), offset: self.offset as u64, len_bytes, layout: None }
            }
            None => Place { home: Home::Nowhere, offset: 0, len_bytes, layout: None },
        }
    }
}
