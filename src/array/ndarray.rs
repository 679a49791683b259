//! `ndarray`'s views of arrays, and copies of its arrays (feature `ndarray`).
//!
//! `ndarray` wants the product of all lengths but those that are 0 to fit into an `isize`, and an empty array here need not: the
//! views say so under `# Panics`.

use bytemuck::Pod;
use ndarray::{ArrayBase, ArrayView, ArrayViewD, ArrayViewMutD, Data, Dimension, IxDyn, ShapeBuilder};

use super::{Array, Contiguous, ContiguousMut, FileArray, Input, NamedArray, Shape, View};
use crate::arena::Arena;
use crate::error::Result;

fn view_of<A: Contiguous>(array: &A) -> ArrayViewD<'_, A::Item> {
    ArrayView::from_shape(IxDyn(array.shape()), array.elements()).expect("as many elements as the shape says")
}

macro_rules! views {
    ($($array:ident),*) => {$(
        impl<T: Pod> $array<T> {
            /// The same elements as `ndarray` sees them; nothing is copied. Feature `ndarray`.
            ///
            /// # Panics
            /// For an empty array of which the other lengths are too large for `ndarray`: their product is above `isize::MAX`.
            pub fn as_ndarray(&self) -> ArrayViewD<'_, T> {
                view_of(self)
            }
        }
    )*};
}

views!(Array, Input, FileArray, NamedArray);

impl<T: Pod> Array<T> {
    /// The same elements as `ndarray` sees them, to be written. Feature `ndarray`.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let mut table = pool.array_from_shape([2, 2], &[1.0, 2.0, 3.0, 4.0])?;
    /// table.as_ndarray_mut().index_axis_mut(ndarray::Axis(0), 0).fill(0.0);
    /// assert_eq!(pool.map(&table, |x| x + 1.0)?[..], [1.0, 1.0, 4.0, 5.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Panics
    /// As [`as_ndarray`](Array::as_ndarray).
    pub fn as_ndarray_mut(&mut self) -> ArrayViewMutD<'_, T> {
        let shape = IxDyn(self.shape());
        let elements = self.elements_mut().expect("an array can be written");
        ArrayViewMutD::from_shape(shape, elements).expect("as many elements as the shape says")
    }
}

impl<A: Contiguous> View<'_, A> {
    /// The same part as `ndarray` sees it; nothing is copied. Feature `ndarray`.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let table = pool.array_with([3, 4], |[y, x]| (10 * y + x) as u8)?;
    /// let view = table.view().swapped(0, 1)?.region([1..3])?.reversed(1)?;
    /// assert_eq!(view.as_ndarray(), ndarray::array![[21, 11, 1], [22, 12, 2]].into_dyn());
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Panics
    /// As [`Array::as_ndarray`].
    pub fn as_ndarray(&self) -> ArrayViewD<'_, A::Item> {
        let mut view = view_of_memory(self);
        for (axis, stride) in self.strides().iter().enumerate() {
            if *stride < 0 {
                view.invert_axis(ndarray::Axis(axis));
            }
        }
        view
    }
}

/// With all strides made positive: `ndarray` builds views of slices with such alone.
fn view_of_memory<'a, A: Contiguous>(view: &'a View<'_, A>) -> ArrayViewD<'a, A::Item> {
    let forwards = view.forwards();
    if forwards.is_empty() {
        return ArrayView::from_shape(IxDyn(forwards.shape()), &[]).expect("no elements");
    }
    let strides: Vec<usize> = forwards.strides().iter().map(|stride| stride.unsigned_abs()).collect();
    let shape = IxDyn(forwards.shape()).strides(IxDyn(&strides));
    ArrayView::from_shape(shape, forwards.elements_from_first()).expect("a view ends inside its array")
}

/// Copies of `ndarray`'s arrays; a pool has the same method.
impl Arena {
    /// A copy of an array or view of `ndarray` with one to four dimensions, in row-major order whatever its own is. Feature
    /// `ndarray`.
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let columns = ndarray::array![[1, 2, 3], [4, 5, 6]].reversed_axes();
    /// let copy = arena.array_from_ndarray(&columns)?;
    /// assert_eq!((copy.shape(), &copy[..]), (&[3, 2][..], &[1, 4, 2, 5, 3, 6][..]));
    /// assert_eq!(copy.as_ndarray(), columns.into_dyn());
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) for another number of dimensions;
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
    pub fn array_from_ndarray<T, S, D>(&self, from: &ArrayBase<S, D>) -> Result<Array<T>>
    where
        T: Pod,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let mut array = self.zeros::<T>(Shape::try_from(from.shape())?)?;
        array.as_ndarray_mut().assign(&from.view().into_dyn());
        Ok(array)
    }
}
