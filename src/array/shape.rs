//! The lengths of an array: one to four, in row-major order.

use std::fmt;
use std::ops::Deref;

use crate::error::{ErrorKind, Result};

/// The most dimensions that an array can have.
const NDIM_MAX: usize = 4;

/// The lengths of an array along its one to four dimensions; the last one runs fastest.
///
/// Made from a length or an array of lengths; a length may be 0. Derefs to a slice of them.
///
/// ```
/// use shmpool::Shape;
///
/// let shape = Shape::from([1080, 1920]);
/// assert_eq!((shape.len(), shape[1]), (2, 1920));
/// assert_eq!(shape.to_string(), "[1080, 1920]");
/// assert_eq!(Shape::from(7), Shape::from([7]));
/// ```
///
/// A shape of none or five dimensions does not compile:
/// ```compile_fail,E0080
/// let shape = shmpool::Shape::from([1, 2, 3, 4, 5]);
/// ```
#[derive(Clone, Copy)]
pub struct Shape {
    lens: [usize; NDIM_MAX],
    ndim: usize,
}

impl Shape {
    /// The number of elements.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`] if it does not fit into a `usize`.
    pub fn n_elements(&self) -> Result<usize> {
        self.size_bytes(1)
    }

    /// The size in bytes with elements of `element_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`] if it does not fit into a `usize`. A length of 0 makes any other fit.
    pub fn size_bytes(&self, element_bytes: usize) -> Result<usize> {
        if self.contains(&0) {
            return Ok(0);
        }
        self.iter()
            .try_fold(element_bytes, |bytes, &len| bytes.checked_mul(len))
            .ok_or_else(|| ErrorKind::SizeOverflow { shape: self.to_vec(), element_bytes }.into())
    }

    /// The same with another length along one dimension, which it has.
    pub(crate) fn with_len(mut self, axis: usize, len: usize) -> Self {
        self.lens[axis] = len;
        self
    }

    /// The position of an element in row-major order, if the index has as many dimensions as the shape and
    /// each number is below its length.
    #[inline]
    pub(crate) fn position<const N: usize>(&self, index: [usize; N]) -> Option<usize> {
        // `N` is known when compiling, so the loop unrolls: this stands in inner loops.
        if N != self.ndim {
            return None;
        }
        let mut position = 0usize;
        for (&i, &len) in index.iter().zip(&self.lens) {
            if i >= len {
                return None;
            }
            // Wraps only if the number of elements does; that of an array does not, unless a length to come
            // is 0.
            position = position.wrapping_mul(len).wrapping_add(i);
        }
        Some(position)
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.lens[..self.ndim]
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Shape {}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<usize> for Shape {
    fn from(len: usize) -> Self {
        Shape::from([len])
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(of: [usize; N]) -> Self {
        const { assert!(1 <= N && N <= NDIM_MAX, "a shape has one to four dimensions") };
        let mut lens = [0; NDIM_MAX];
        lens[..N].copy_from_slice(&of);
        Shape { lens, ndim: N }
    }
}

impl TryFrom<&[usize]> for Shape {
    type Error = crate::Error;

    fn try_from(of: &[usize]) -> Result<Self> {
        if !(1..=NDIM_MAX).contains(&of.len()) {
            let found = vec![of.len()];
            return Err(ErrorKind::Shape {
                what: "number of dimensions (at most)",
                found,
                wanted: vec![NDIM_MAX],
            }
            .into());
        }
        let mut lens = [0; NDIM_MAX];
        lens[..of.len()].copy_from_slice(of);
        Ok(Shape { lens, ndim: of.len() })
    }
}

/// A shape whose number of dimensions is known when compiling, so that a closure can take an index of as
/// many: `usize` for one length, `[usize; N]` for several.
pub trait Indices: Copy + Into<Shape> {
    /// What names one element.
    type Index;

    /// Calls `f` with the index of each element of `out` in row-major order, and stores what it returns. The
    /// first one is the element at `position`.
    fn fill<T>(self, position: usize, out: &mut [T], f: impl FnMut(Self::Index) -> T);
}

impl Indices for usize {
    type Index = usize;

    #[inline(always)]
    fn fill<T>(self, position: usize, out: &mut [T], mut f: impl FnMut(usize) -> T) {
        for (i, element) in out.iter_mut().enumerate() {
            *element = f(position + i);
        }
    }
}

impl<const N: usize> Indices for [usize; N] {
    type Index = [usize; N];

    /// A plain inner loop over the last dimension; what stands before it changes once a row.
    #[inline(always)]
    fn fill<T>(self, position: usize, mut out: &mut [T], mut f: impl FnMut([usize; N]) -> T) {
        if out.is_empty() {
            return; // and no length need be above 0
        }
        let row_len = self[N - 1];
        let (mut row, mut column) = (position / row_len, position % row_len);
        while !out.is_empty() {
            let mut index = index_of_row(self, row);
            let (now, later) = out.split_at_mut((row_len - column).min(out.len()));
            for (i, element) in now.iter_mut().enumerate() {
                index[N - 1] = column + i;
                *element = f(index);
            }
            (out, row, column) = (later, row + 1, 0);
        }
    }
}

/// The index of a row's first element.
#[inline(always)]
fn index_of_row<const N: usize>(lens: [usize; N], mut row: usize) -> [usize; N] {
    let mut index = [0; N];
    for d in (0..N - 1).rev() {
        (row, index[d]) = (row / lens[d], row % lens[d]);
    }
    index
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_that_overflow_are_errors_and_zeros_are_not() {
        assert_eq!(Shape::from([3, 4, 5]).n_elements().unwrap(), 60);
        assert_eq!(Shape::from([3, 4, 5, 0]).size_bytes(8).unwrap(), 0);
        assert_eq!(Shape::from([usize::MAX, usize::MAX, 0]).size_bytes(8).unwrap(), 0);
        assert_eq!(Shape::from(usize::MAX).n_elements().unwrap(), usize::MAX);
        let error = Shape::from([1 << 32, 1 << 31]).size_bytes(4).unwrap_err();
        let wanted = "shape [4294967296, 2147483648] of 4-byte elements: the size in bytes overflows";
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn positions_are_row_major_and_checked() {
        let shape = Shape::from([2, 3, 4]);
        assert_eq!(shape.position([0, 0, 0]), Some(0));
        assert_eq!(shape.position([1, 2, 3]), Some(23));
        for outside in [[2, 0, 0], [0, 3, 0], [0, 0, 4]] {
            assert_eq!(shape.position(outside), None, "{outside:?}");
        }
        assert_eq!(
            (shape.position([0, 0]), shape.position([0; 4]), shape.position([0; 5])),
            (None, None, None)
        );
        assert_eq!(shape.position([]), None);
        assert_eq!(
            Shape::from([usize::MAX, usize::MAX, 0]).position([usize::MAX - 1, usize::MAX - 1, 0]),
            None
        );
    }

    #[test]
    fn a_slice_makes_a_shape_of_one_to_four_dimensions() {
        assert_eq!(Shape::try_from(&[1, 2, 3, 4][..]).unwrap(), Shape::from([1, 2, 3, 4]));
        for wrong in [&[][..], &[1; 5]] {
            let error = Shape::try_from(wrong).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
        }
        assert_ne!(Shape::from([5, 0]), Shape::from([5]));
    }

    #[test]
    fn filling_nothing_calls_nothing() {
        [0, 0].fill(0, &mut [] as &mut [u8], |_| unreachable!());
        [3, 0].fill(0, &mut [] as &mut [u8], |_| unreachable!());
    }

    proptest! {
        #[test]
        fn filling_any_part_names_its_own_indices(lens in prop::array::uniform4(1..5usize), from in 0..99usize, n in 0..99usize) {
            let shape = Shape::from(lens);
            let n_elements = shape.n_elements().unwrap();
            let from = from.min(n_elements);
            let mut out = vec![usize::MAX; n.min(n_elements - from)];
            lens.fill(from, &mut out, |index| shape.position(index).unwrap());
            prop_assert!(out.iter().copied().eq(from..from + out.len()));
        }
    }
}
