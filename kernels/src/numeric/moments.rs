#![allow(clippy::cast_lossless, reason = "one macro serves all elements, and `f64` has no `From<i64>`")]

use bytemuck::{Pod, Zeroable};

use crate::{Reduction, ZipReduction};

/// The mean, in `f64`: of `f32`, `f64`, `i32`, `i64` or `u8` elements. NaN if one of them is NaN, or if there are none.
///
/// The error is that of [`Sum`](crate::Sum), and one rounding; `i64` elements are rounded to `f64` first.
///
/// ```
/// use shmpool_kernels::{Mean, Reduction};
///
/// let none = Reduction::<u8>::identity(&Mean);
/// assert_eq!(Mean.fold(none, &[1u8, 2, 4, 255]).mean(), 65.5);
/// assert!(none.mean().is_nan());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Mean;

/// What [`Mean`] keeps of a run of elements.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Total {
    /// How many they are.
    pub count: u64,
    /// What they add up to.
    pub sum: f64,
}

impl Total {
    /// Their mean; NaN if there are none.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Mean and variance, in `f64`: of `f32`, `f64`, `i32`, `i64` or `u8` elements. NaN if one of them is NaN.
///
/// A run of elements is read twice: for its mean, then for the squares of what differs from it, so that nothing
/// cancels: within 1e-12 of the exact variance even if the mean is 1e9 deviations from 0. Where runs are joined, their
/// means have been rounded, which adds up to `2^-51 |mean| / deviation` (`kernels/tests/numeric_kernels.rs`).
///
/// ```
/// use shmpool_kernels::{Moments, Reduction, Variance};
///
/// let none = Reduction::<f64>::identity(&Variance);
/// let found: Moments = Variance.fold(none, &[1e9 + 1.0, 1e9 + 2.0, 1e9 + 6.0]);
/// assert_eq!((found.mean, found.variance(1)), (1e9 + 3.0, 7.0));
/// ```
///
/// # Source
/// T. Chan, G. Golub and R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
/// Stanford CS-79-773, 1979, for joining two runs; their corrected two-pass algorithm within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Variance;

/// What [`Variance`] keeps of a run of elements.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Moments {
    /// How many they are.
    pub count: u64,
    /// Their mean; 0 if there are none.
    pub mean: f64,
    /// The sum of the squares of their differences from the mean.
    pub squares: f64,
}

impl Moments {
    const NONE: Moments = Moments { count: 0, mean: 0.0, squares: 0.0 };

    /// The variance with `ddof` taken off the count: 0 for that of a population, 1 for the estimate from a sample. NaN
    /// or infinite if nothing is left.
    #[must_use]
    pub fn variance(self, ddof: u64) -> f64 {
        self.squares / (self.count as f64 - ddof as f64)
    }

    /// The square root of [`Moments::variance`].
    #[must_use]
    pub fn standard_deviation(self, ddof: u64) -> f64 {
        self.variance(ddof).sqrt()
    }

    /// Chan's formula. With no elements on one side, the other is the result.
    #[inline(always)]
    fn joined(self, right: Moments) -> Moments {
        if self.count == 0 {
            return right;
        }
        if right.count == 0 {
            return self;
        }
        let count = self.count + right.count;
        let share = right.count as f64 / count as f64;
        let apart = right.mean - self.mean;
        Moments {
            count,
            mean: self.mean + apart * share,
            squares: self.squares + right.squares + apart * apart * (self.count as f64 * share),
        }
    }
}

/// The Euclidean norm, in `f64`, of `f32` or `f64` elements. NaN if one of them is NaN; infinity if the sum of the
/// squares of a run is beyond `f64`, so from magnitudes of 1e153 on. Squares below 1e-308 are lost.
///
/// The relative error for `n` elements is below `(n / 32 + 5) * 2^-53` within a run, and `2^-52` for each join.
///
/// ```
/// use shmpool_kernels::{Norm2, Reduction};
///
/// assert_eq!(Norm2.fold(0.0, &[3.0f32, -4.0]), 5.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Norm2;

/// The sum of the products of two arrays. Floats are multiplied and added up in `f64`; `i32` and `u8` in `i64` and
/// `u64`, which wrap around.
///
/// The error for `n` floats is below `(n / 16 + 6) * 2^-53` of the sum of the products' magnitudes. Products of `f32`
/// are exact.
///
/// ```
/// use shmpool_kernels::{Dot, ZipReduction};
///
/// assert_eq!(Dot.fold(0.0, &[1.0f32, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Dot;

/// Values that are kept apart while a slice is folded, so that the additions need not wait for each other.
const LANES: usize = 16;

/// The sum of the lanes, in pairs.
#[inline(always)]
fn joined(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

macro_rules! moments {
    ($element:ty) => {
        impl Reduction<$element> for Mean {
            type Acc = Total;

            fn identity(&self) -> Total {
                Total { count: 0, sum: 0.0 }
            }

            #[inline(always)]
            fn step(&self, acc: Total, x: $element) -> Total {
                Total { count: acc.count + 1, sum: acc.sum + x as f64 }
            }

            #[inline(always)]
            fn combine(&self, left: Total, right: Total) -> Total {
                Total { count: left.count + right.count, sum: left.sum + right.sum }
            }

            #[inline(always)]
            fn fold(&self, acc: Total, xs: &[$element]) -> Total {
                let mut lanes = [0.0; LANES];
                let (groups, rest) = xs.as_chunks::<LANES>();
                for group in groups {
                    for lane in 0..LANES {
                        lanes[lane] += group[lane] as f64;
                    }
                }
                let mut sum = joined(lanes);
                for &x in rest {
                    sum += x as f64;
                }
                Total { count: acc.count + xs.len() as u64, sum: acc.sum + sum }
            }
        }

        impl Reduction<$element> for Variance {
            type Acc = Moments;

            fn identity(&self) -> Moments {
                Moments::NONE
            }

            #[inline(always)]
            fn step(&self, acc: Moments, x: $element) -> Moments {
                acc.joined(Moments { count: 1, mean: x as f64, squares: 0.0 })
            }

            #[inline(always)]
            fn combine(&self, left: Moments, right: Moments) -> Moments {
                left.joined(right)
            }

            #[inline(always)]
            fn fold(&self, acc: Moments, xs: &[$element]) -> Moments {
                if xs.is_empty() {
                    return acc;
                }
                let total = Mean.fold(Reduction::<$element>::identity(&Mean), xs);
                let mean = total.mean();
                let (mut squares, mut rests) = ([0.0; LANES], [0.0; LANES]);
                let (groups, rest) = xs.as_chunks::<LANES>();
                for group in groups {
                    for lane in 0..LANES {
                        let apart = group[lane] as f64 - mean;
                        squares[lane] += apart * apart;
                        rests[lane] += apart;
                    }
                }
                let (mut sum, mut left) = (joined(squares), joined(rests));
                for &x in rest {
                    let apart = x as f64 - mean;
                    sum += apart * apart;
                    left += apart;
                }
                // `left` would be 0 if the mean were exact.
                let squares = sum - left * (left / total.count as f64);
                acc.joined(Moments { count: total.count, mean, squares })
            }
        }
    };
}
moments!(f32);
moments!(f64);
moments!(i32);
moments!(i64);
moments!(u8);

/// The norm of two norms.
#[inline(always)]
fn norm(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

macro_rules! norm {
    ($element:ty) => {
        impl Reduction<$element> for Norm2 {
            type Acc = f64;

            fn identity(&self) -> f64 {
                0.0
            }

            #[inline(always)]
            fn step(&self, acc: f64, x: $element) -> f64 {
                norm(acc, f64::from(x))
            }

            #[inline(always)]
            fn combine(&self, left: f64, right: f64) -> f64 {
                norm(left, right)
            }

            #[inline(always)]
            fn fold(&self, acc: f64, xs: &[$element]) -> f64 {
                let squares = Dot.fold(0.0, xs, xs);
                norm(acc, squares.sqrt())
            }
        }
    };
}
norm!(f32);
norm!(f64);

macro_rules! dot {
    ($element:ty, $acc:ty, |$left:ident, $right:ident| $sum:expr, |$a:ident, $b:ident| $product:expr) => {
        impl ZipReduction<$element, $element> for Dot {
            type Acc = $acc;

            fn identity(&self) -> $acc {
                0 as $acc
            }

            #[inline(always)]
            fn combine(&self, $left: $acc, $right: $acc) -> $acc {
                $sum
            }

            #[inline(always)]
            fn fold(&self, acc: $acc, a: &[$element], b: &[$element]) -> $acc {
                assert_eq!(a.len(), b.len(), "slices of different lengths");
                let mut lanes = [0 as $acc; LANES];
                let (a_groups, a_rest) = a.as_chunks::<LANES>();
                let (b_groups, b_rest) = b.as_chunks::<LANES>();
                for (a, b) in a_groups.iter().zip(b_groups) {
                    for lane in 0..LANES {
                        let ($a, $b) = (<$acc>::from(a[lane]), <$acc>::from(b[lane]));
                        let ($left, $right) = (lanes[lane], $product);
                        lanes[lane] = $sum;
                    }
                }
                let mut half = LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        let ($left, $right) = (lanes[lane], lanes[lane + half]);
                        lanes[lane] = $sum;
                    }
                    half /= 2;
                }
                let ($left, $right) = (acc, lanes[0]);
                let mut acc = $sum;
                for (&a, &b) in a_rest.iter().zip(b_rest) {
                    let ($a, $b) = (<$acc>::from(a), <$acc>::from(b));
                    let ($left, $right) = (acc, $product);
                    acc = $sum;
                }
                acc
            }
        }
    };
}
dot!(f32, f64, |left, right| left + right, |a, b| a * b);
dot!(f64, f64, |left, right| left + right, |a, b| a * b);
dot!(i32, i64, |left, right| left.wrapping_add(right), |a, b| a.wrapping_mul(b));
dot!(u8, u64, |left, right| left.wrapping_add(right), |a, b| a.wrapping_mul(b));
