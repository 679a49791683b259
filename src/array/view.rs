//! Parts of arrays, in any order: regions, rows and columns, every n-th element, transposed.

use std::any::type_name;
use std::fmt;
use std::ops::{Bound, Index, IndexMut, RangeBounds};

use super::layout::Layout;
use super::shape::Shape;
use super::source::{Contiguous, ContiguousMut, Lies, Place, Source, Target, Written};
use super::{Array, FileArray, Input, NamedArray};
use crate::error::Result;

/// A part of an array, to be read; nothing is copied.
///
/// What can be said of it is said one thing after the other: a region, every other row of it, those in reverse. Verbs
/// take it where they take arrays; `view[[y, x]]` is an element.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let image = pool.array_with([4, 5], |[y, x]| (10 * y + x) as u8)?;
/// let region = image.view().region([1..3, 2..5])?;
/// assert_eq!((region.shape(), region[[1, 2]]), (&[2, 3][..], 24));
/// assert_eq!(pool.map(&region, |x| x + 100)?[..], [112, 113, 114, 122, 123, 124]);
/// let column = image.view().select(1, 4)?.reversed(0)?;
/// assert_eq!(column.to_vec(), [34, 24, 14, 4]);
/// let error = image.view().region([0..5, 0..5]).unwrap_err();
/// assert_eq!(error.to_string(), "axis 0: range 0..5 of 4 elements");
/// # Ok::<(), shmpool::Error>(())
/// ```
///
/// # Cost
/// Rows whose elements are neighbours cost what an array costs, beyond some nanoseconds a row; others are gathered
/// through a buffer that stays in the cache, some nanoseconds an element.
pub struct View<'a, A> {
    array: &'a A,
    layout: Layout,
}

/// A part of an array, to be written too; see [`View`].
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let mut table = pool.zeros::<u32>([3, 4])?;
/// let mut middle = table.view_mut().region([1..2, 1..3])?;
/// pool.map_into(&pool.array_from_shape([1, 2], &[7, 8])?, &mut middle, |x| x)?;
/// pool.update(&mut table.view_mut().select(0, 2)?, |x| *x += 1)?;
/// assert_eq!(table[..], [0, 0, 0, 0, 0, 7, 8, 0, 1, 1, 1, 1]);
/// # Ok::<(), shmpool::Error>(())
/// ```
pub struct ViewMut<'a, A> {
    array: &'a mut A,
    layout: Layout,
}

macro_rules! parts {
    ($view:ident) => {
        impl<A: Contiguous> $view<'_, A> {
            /// Its lengths, one to four.
            pub fn shape(&self) -> &[usize] {
                &self.layout.shape
            }

            /// Elements of its array between neighbours along each dimension.
            pub fn strides(&self) -> &[isize] {
                self.layout.strides()
            }

            /// The number of its elements.
            pub fn len(&self) -> usize {
                self.layout.len()
            }

            /// Whether it has no elements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The part between these indices along the first dimensions, all along the others.
            ///
            /// # Errors
            /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange),
            /// [`ErrorKind::Option`](crate::ErrorKind::Option) if there are more ranges than dimensions.
            pub fn region<const N: usize>(mut self, ranges: [impl RangeBounds<usize>; N]) -> Result<Self> {
                for (axis, range) in ranges.into_iter().enumerate() {
                    let len = self.layout.shape.get(axis).copied().unwrap_or(0);
                    self.layout = self.layout.range(axis, bounds(&range, len))?;
                }
                Ok(self)
            }

            /// The part between these indices along one dimension.
            ///
            /// # Errors
            /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange); [`ErrorKind::Option`](crate::ErrorKind::Option)
            /// if there is no such dimension.
            pub fn range(mut self, axis: usize, range: impl RangeBounds<usize>) -> Result<Self> {
                let len = self.layout.shape.get(axis).copied().unwrap_or(0);
                self.layout = self.layout.range(axis, bounds(&range, len))?;
                Ok(self)
            }

            /// Every `step`-th element along one dimension, from the first on.
            ///
            /// # Errors
            /// [`ErrorKind::Option`](crate::ErrorKind::Option) if `step` is 0, or there is no such dimension.
            pub fn step(mut self, axis: usize, step: usize) -> Result<Self> {
                self.layout = self.layout.step(axis, step)?;
                Ok(self)
            }

            /// In reverse along one dimension.
            ///
            /// # Errors
            /// [`ErrorKind::Option`](crate::ErrorKind::Option) if there is no such dimension.
            pub fn reversed(mut self, axis: usize) -> Result<Self> {
                self.layout = self.layout.reversed(axis)?;
                Ok(self)
            }

            /// What lies at one index of a dimension, which is gone then: a row, a column, a channel. Of a single
            /// dimension one element is left.
            ///
            /// # Errors
            /// As for [`range`](Self::range).
            pub fn select(mut self, axis: usize, index: usize) -> Result<Self> {
                self.layout = self.layout.select(axis, index)?;
                Ok(self)
            }

            /// Two dimensions exchanged: with `(0, 1)` a table transposed.
            ///
            /// # Errors
            /// [`ErrorKind::Option`](crate::ErrorKind::Option) if there is no such dimension.
            pub fn swapped(mut self, a: usize, b: usize) -> Result<Self> {
                self.layout = self.layout.swapped(a, b)?;
                Ok(self)
            }

            /// An element; `None` outside, or if the number of dimensions is another.
            pub fn get<const N: usize>(&self, index: [usize; N]) -> Option<&A::Item> {
                self.array.elements().get(self.layout.position(&index)?)
            }

            /// Its elements in row-major order.
            pub fn iter(&self) -> impl Iterator<Item = &A::Item> {
                let elements = self.array.elements();
                self.layout.positions().map(|at| &elements[at])
            }

            /// A copy of its elements in row-major order.
            pub fn to_vec(&self) -> Vec<A::Item> {
                self.iter().copied().collect()
            }
        }

        impl<A: Contiguous> Source for $view<'_, A> {
            type Item = A::Item;

            fn shape(&self) -> &[usize] {
                &self.layout.shape
            }
        }

        impl<A: Contiguous> Lies for $view<'_, A> {
            const STRIDED: bool = true;

            fn place(&self) -> Place<'_> {
                Place { layout: Some(self.layout), ..self.array.place() }
            }
        }

        impl<A: Contiguous, const N: usize> Index<[usize; N]> for $view<'_, A> {
            type Output = A::Item;

            #[track_caller]
            fn index(&self, index: [usize; N]) -> &A::Item {
                self.get(index).unwrap_or_else(|| outside(&index, self.layout.shape))
            }
        }

        impl<A: Contiguous> fmt::Debug for $view<'_, A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (shape, strides) = (self.layout.shape, self.strides());
                write!(
                    f,
                    "{} of {shape} elements of {}, strides {strides:?}",
                    stringify!($view),
                    type_name::<A>()
                )
            }
        }
    };
}

parts!(View);
parts!(ViewMut);

#[cold]
#[track_caller]
fn outside(index: &[usize], shape: Shape) -> ! {
    panic!("index {index:?} lies outside the view's shape {shape}")
}

fn bounds(range: &impl RangeBounds<usize>, len: usize) -> std::ops::Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    start..end
}

impl<'a, A: Source> View<'a, A> {
    fn whole(array: &'a A) -> Self {
        let shape = Shape::try_from(array.shape()).expect("that of an array");
        View { array, layout: Layout::whole(shape) }
    }
}

#[cfg(feature = "ndarray")]
impl<A: Contiguous> View<'_, A> {
    /// The same elements, with every dimension in the direction of memory.
    pub(super) fn forwards(&self) -> Self {
        let mut forwards = *self;
        for axis in 0..self.strides().len() {
            if self.strides()[axis] < 0 {
                forwards.layout = forwards.layout.reversed(axis).expect("it is a dimension");
            }
        }
        forwards
    }
}

#[cfg(feature = "ndarray")]
impl<'a, A: Contiguous> View<'a, A> {
    /// The elements of the array from the view's first one on.
    pub(super) fn elements_from_first(&self) -> &'a [A::Item] {
        &self.array.elements()[self.layout.first..]
    }
}

impl<A> Clone for View<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for View<'_, A> {}

impl<'a, A: Source> ViewMut<'a, A> {
    fn whole(array: &'a mut A) -> Self {
        let shape = Shape::try_from(array.shape()).expect("that of an array");
        ViewMut { array, layout: Layout::whole(shape) }
    }
}

impl<A: ContiguousMut> ViewMut<'_, A> {
    /// The same part, to be read.
    pub fn as_view(&self) -> View<'_, A> {
        View { array: self.array, layout: self.layout }
    }

    /// An element; `None` outside, if the number of dimensions is another, or if the array was opened to be read.
    pub fn get_mut<const N: usize>(&mut self, index: [usize; N]) -> Option<&mut A::Item> {
        let position = self.layout.position(&index)?;
        self.array.elements_mut()?.get_mut(position)
    }
}

impl<A: ContiguousMut, const N: usize> IndexMut<[usize; N]> for ViewMut<'_, A> {
    #[track_caller]
    fn index_mut(&mut self, index: [usize; N]) -> &mut A::Item {
        let layout = self.layout;
        self.get_mut(index).unwrap_or_else(|| match layout.position(&index) {
            Some(_) => panic!("the array was opened to be read"),
            None => outside(&index, layout.shape),
        })
    }
}

impl<A: ContiguousMut> Target for ViewMut<'_, A> {}

impl<A: ContiguousMut> Written for ViewMut<'_, A> {
    /// Its pages are not one behind the other, so nobody makes them ahead.
    fn is_warm(&self) -> bool {
        true
    }

    /// The rest of the array has not been.
    fn mark_written(&mut self) {}
}

macro_rules! views_of {
    ($($array:ident),*) => {$(
        impl<T: bytemuck::Pod> $array<T> {
            /// All of it as a [`View`], to say which part is meant.
            pub fn view(&self) -> View<'_, Self> {
                View::whole(self)
            }
        }
    )*};
}

macro_rules! mutable_views_of {
    ($($array:ident),*) => {$(
        impl<T: bytemuck::Pod> $array<T> {
            /// All of it as a [`ViewMut`], to say which part is meant.
            pub fn view_mut(&mut self) -> ViewMut<'_, Self> {
                ViewMut::whole(self)
            }
        }
    )*};
}

views_of!(Array, Input, FileArray, NamedArray);
mutable_views_of!(Array, FileArray, NamedArray);
