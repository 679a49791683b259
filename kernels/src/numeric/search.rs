use bytemuck::{Pod, Zeroable};

use crate::{MinMax, Reduction};

/// Where the least element is: the first place, if it is there more than once. NaN is passed over, as by
/// `numpy.nanargmin`; -0 and 0 are equal. Elements: `f32`, `f64`, `i32`, `i64`, `u8`.
///
/// ```
/// use shmpool_kernels::{ArgMin, Reduction};
///
/// let none = Reduction::<f32>::identity(&ArgMin);
/// assert_eq!(ArgMin.fold(none, &[3.0f32, f32::NAN, -1.0, -1.0]).index(), Some(2));
/// assert_eq!(none.index(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ArgMin;

/// Where the greatest element is; all else as for [`ArgMin`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ArgMax;

/// What [`ArgMin`] and [`ArgMax`] keep of a run of elements.
///
/// It counts what it has seen, so that a join knows where in the whole the right run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Place {
    seen: u64,
    /// Of the best element so far, counted from the first one seen; `NOWHERE` if there is none.
    index: u64,
    /// The best element so far, as a number that is less the better it is.
    rank: u64,
}

const NOWHERE: u64 = u64::MAX;

impl Place {
    const NONE: Place = Place { seen: 0, index: NOWHERE, rank: u64::MAX };

    /// The index, counted from 0; `None` if there are no elements but NaN.
    #[must_use]
    pub fn index(self) -> Option<u64> {
        (self.index != NOWHERE).then_some(self.index)
    }

    /// The better of two runs; the left one if they are equal.
    #[inline(always)]
    fn joined(self, right: Place) -> Place {
        let seen = self.seen + right.seen;
        if right.index != NOWHERE && (self.index == NOWHERE || right.rank < self.rank) {
            Place { seen, index: self.seen + right.index, rank: right.rank }
        } else {
            Place { seen, ..self }
        }
    }
}

/// Maps numbers to unsigned ones of the same order; both zeros to the same one.
trait Ordered: Copy {
    fn ordered(self) -> u64;
}

impl Ordered for f64 {
    #[inline(always)]
    fn ordered(self) -> u64 {
        let bits = (self + 0.0).to_bits();
        if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
    }
}

impl Ordered for f32 {
    #[inline(always)]
    fn ordered(self) -> u64 {
        f64::from(self).ordered()
    }
}

impl Ordered for i64 {
    #[inline(always)]
    fn ordered(self) -> u64 {
        self as u64 ^ (1 << 63)
    }
}

impl Ordered for i32 {
    #[inline(always)]
    fn ordered(self) -> u64 {
        i64::from(self).ordered()
    }
}

impl Ordered for u8 {
    #[inline(always)]
    fn ordered(self) -> u64 {
        u64::from(self)
    }
}

/// Where `wanted` is first: a block at a time on vectors, then element by element in the block that holds it.
#[inline(always)]
fn first_equal<T: PartialEq + Copy>(xs: &[T], wanted: T) -> Option<usize> {
    const BLOCK: usize = 128;
    for (block, xs) in xs.chunks(BLOCK).enumerate() {
        let mut holds = false;
        for &x in xs {
            holds |= x == wanted;
        }
        if holds {
            return xs.iter().position(|&x| x == wanted).map(|index| block * BLOCK + index);
        }
    }
    None
}

macro_rules! search {
    ($kernel:ident, $extreme:literal, |$number:ident| $rank:expr, $($element:ty),*) => {
        $(impl Reduction<$element> for $kernel {
            type Acc = Place;

            fn identity(&self) -> Place {
                Place::NONE
            }

            #[inline(always)]
            fn step(&self, acc: Place, x: $element) -> Place {
                self.fold(acc, &[x])
            }

            #[inline(always)]
            fn combine(&self, left: Place, right: Place) -> Place {
                left.joined(right)
            }

            /// The extreme first, on vectors; then where it is.
            #[inline(always)]
            fn fold(&self, acc: Place, xs: &[$element]) -> Place {
                let best = MinMax.fold(Reduction::<$element>::identity(&MinMax), xs)[$extreme];
                let $number = best.ordered();
                let rank = $rank;
                let mut here = Place { seen: xs.len() as u64, ..Place::NONE };
                if acc.index == NOWHERE || rank < acc.rank {
                    if let Some(index) = first_equal(xs, best) {
                        here = Place { index: index as u64, rank, ..here };
                    }
                }
                acc.joined(here)
            }
        })*
    };
}
search!(ArgMin, 0, |number| number, f32, f64, i32, i64, u8);
search!(ArgMax, 1, |number| !number, f32, f64, i32, i64, u8);
