use bytemuck::{Pod, Zeroable};

use crate::{ElementKernel, ZipKernel};

/// `a * x + b`, rounded after the product and after the sum (not fused), as NumPy does it.
///
/// For `f32` elements, `a` and `b` are rounded to `f32` first. For `i32`, `i64` and `u8` they are cut to whole numbers
/// (toward 0, into the type's range), and the result wraps around, as NumPy's does.
///
/// ```
/// use shmpool_kernels::{Axpb, ElementKernel};
///
/// assert_eq!(Axpb { a: 2.0, b: 1.0 }.apply(20.5f32), 42.0);
/// assert_eq!(Axpb { a: 2.0, b: 1.0 }.apply(200u8), 145); // 401 - 256
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Axpb {
    /// The factor.
    pub a: f64,
    /// The summand.
    pub b: f64,
}

/// `a * x + y` of two arrays of `f32` or `f64`, rounded after the product and after the sum (not fused), as NumPy does
/// it. For `f32` elements, `a` is rounded to `f32` first.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Axpy {
    /// The factor.
    pub a: f64,
}

/// The magnitude. That of the least `i32` or `i64` wraps around to itself, as NumPy's does.
///
/// ```
/// use shmpool_kernels::{Abs, ElementKernel};
///
/// assert_eq!(Abs.apply(-3i32), 3);
/// assert_eq!(Abs.apply(i64::MIN), i64::MIN);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Abs;

/// The element, or the nearer end of `low..=high` where it lies outside. NaN stays NaN. Where `low` is above `high`
/// the result is `high`, as NumPy's is.
///
/// For `f32` elements the ends are rounded to `f32` first. For `i32`, `i64` and `u8`, `low` is rounded up and `high`
/// down to a whole number, and both are cut to the type's range.
///
/// ```
/// use shmpool_kernels::{Clip, ElementKernel};
///
/// let clip = Clip { low: -0.5, high: 2.5 };
/// assert_eq!([-3.0f32, 1.0, 3.0].map(|x| clip.apply(x)), [-0.5, 1.0, 2.5]);
/// assert_eq!([-3, 1, 3].map(|x: i32| clip.apply(x)), [0, 1, 2]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Clip {
    /// The least result.
    pub low: f64,
    /// The greatest result.
    pub high: f64,
}

/// The second input where the mask, the first, is not 0, and the third where it is: `numpy.where`.
///
/// ```
/// use shmpool_kernels::{Where, ZipKernel};
///
/// assert_eq!(Where.apply((1u8, 2.0f32, 3.0f32)), 2.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Where;

impl<T: Pod> ZipKernel<(u8, T, T)> for Where {
    type Out = T;

    #[inline(always)]
    fn apply(&self, (mask, a, b): (u8, T, T)) -> T {
        if mask != 0 { a } else { b }
    }
}

macro_rules! float {
    ($float:ty) => {
        impl ElementKernel<$float> for Axpb {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, x: $float) -> $float {
                self.a as $float * x + self.b as $float
            }
        }

        impl ZipKernel<($float, $float)> for Axpy {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, (x, y): ($float, $float)) -> $float {
                self.a as $float * x + y
            }
        }

        impl ElementKernel<$float> for Abs {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, x: $float) -> $float {
                x.abs()
            }
        }

        impl ElementKernel<$float> for Clip {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, x: $float) -> $float {
                let (low, high) = (self.low as $float, self.high as $float);
                let x = if x < low { low } else { x };
                if x > high { high } else { x }
            }
        }
    };
}
float!(f32);
float!(f64);

macro_rules! integer {
    ($integer:ty, |$x:ident| $abs:expr) => {
        impl ElementKernel<$integer> for Axpb {
            type Out = $integer;

            #[inline(always)]
            fn apply(&self, x: $integer) -> $integer {
                (self.a as $integer).wrapping_mul(x).wrapping_add(self.b as $integer)
            }
        }

        impl ElementKernel<$integer> for Abs {
            type Out = $integer;

            #[inline(always)]
            fn apply(&self, $x: $integer) -> $integer {
                $abs
            }
        }

        impl ElementKernel<$integer> for Clip {
            type Out = $integer;

            #[inline(always)]
            fn apply(&self, x: $integer) -> $integer {
                let (low, high) = (self.low.ceil() as $integer, self.high.floor() as $integer);
                x.max(low).min(high)
            }
        }
    };
}
integer!(i32, |x| x.wrapping_abs());
integer!(i64, |x| x.wrapping_abs());
integer!(u8, |x| x);
