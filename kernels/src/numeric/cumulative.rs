use bytemuck::{Pod, Zeroable};

use crate::{Reduction, Scan, Sum};

/// Running sums: `numpy.cumsum`.
///
/// `f32` gives `f32`, added up in `f64` and rounded once; `f64` gives `f64`; `i32` and `i64` give `i64`, and `u8`
/// gives `u64`, which wrap around as NumPy's do. From a NaN on, all is NaN.
///
/// The error of element `i` is below `(i + 1) * 2^-53` of the sum of the magnitudes up to it, and mostly far below.
/// An example is at [`Scan`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct CumSum;

macro_rules! float {
    ($element:ty) => {
        impl Scan<$element> for CumSum {
            type Acc = f64;
            type Out = $element;

            fn identity(&self) -> f64 {
                0.0
            }

            #[inline(always)]
            fn combine(&self, left: f64, right: f64) -> f64 {
                left + right
            }

            #[inline(always)]
            fn total(&self, xs: &[$element]) -> f64 {
                Sum.fold(0.0, xs)
            }

            #[inline(always)]
            fn scan(&self, before: f64, xs: &[$element], out: &mut [$element]) {
                let mut sum = before;
                for (out, &x) in out.iter_mut().zip(xs) {
                    sum += f64::from(x);
                    *out = sum as $element;
                }
            }
        }
    };
}
float!(f32);
float!(f64);

macro_rules! integer {
    ($element:ty, $acc:ty) => {
        impl Scan<$element> for CumSum {
            type Acc = $acc;
            type Out = $acc;

            fn identity(&self) -> $acc {
                0
            }

            #[inline(always)]
            fn combine(&self, left: $acc, right: $acc) -> $acc {
                left.wrapping_add(right)
            }

            #[inline(always)]
            fn total(&self, xs: &[$element]) -> $acc {
                let mut sum: $acc = 0;
                for &x in xs {
                    sum = sum.wrapping_add(<$acc>::from(x));
                }
                sum
            }

            #[inline(always)]
            fn scan(&self, before: $acc, xs: &[$element], out: &mut [$acc]) {
                let mut sum = before;
                for (out, &x) in out.iter_mut().zip(xs) {
                    sum = sum.wrapping_add(<$acc>::from(x));
                    *out = sum;
                }
            }
        }
    };
}
integer!(i32, i64);
integer!(i64, i64);
integer!(u8, u64);
