use bytemuck::{Pod, Zeroable};

use crate::{
    ElementKernel,
    math::{self, ln, trig},
};

/// The exponential of an `f32` or `f64`: [`math::exp`], 1 ulp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Exp;

/// The natural logarithm of an `f32` or `f64`: [`math::ln`](fn@math::ln), 1 ulp.
///
/// [`apply_all`](ElementKernel::apply_all) takes `f32` elements in blocks, and is faster for those that hold nothing but
/// normal numbers above 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Ln;

/// The sine of an `f32` or `f64` in radians: [`math::sin`], 2 ulp (`f64`: 1).
///
/// [`apply_all`](ElementKernel::apply_all) takes elements in blocks of 256, and is fast for those that hold no magnitude
/// above 8192 (`f64`: 2^20). An `f32` above it costs its block three to four times as much, one from 2^53 on seven times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sin;

/// The cosine of an `f32` or `f64` in radians: [`math::cos`], 2 ulp (`f64`: 1). Large arguments as for [`Sin`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Cos;

/// The hyperbolic tangent of an `f32` or `f64`: [`math::tanh`], 2 ulp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Tanh;

/// The error function of an `f32` or `f64`: [`math::erf`], 2 ulp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Erf;

/// An `f32` or `f64` to the power of `exponent`: [`math::pow`], 1 ulp.
///
/// For `f32` elements, `exponent` is rounded to `f32` first.
///
/// ```
/// use shmpool_kernels::{ElementKernel, Pow};
///
/// assert_eq!(Pow { exponent: 3.0 }.apply(-2.0f32), -8.0);
/// assert!(Pow { exponent: 0.5 }.apply(-2.0f64).is_nan());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Pow {
    /// The power.
    pub exponent: f64,
}

/// The square root of an `f32` or `f64`, correctly rounded; NaN below 0. One instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sqrt;

/// `1 / x` of an `f32` or `f64`, correctly rounded; infinity of 0, with its sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Reciprocal;

macro_rules! function {
    ($kernel:ident, $float:ty, |$me:ident, $x:ident| $value:expr) => {
        impl ElementKernel<$float> for $kernel {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, $x: $float) -> $float {
                let $me = self;
                $value
            }
        }
    };
}
function!(Exp, f32, |_me, x| math::exp(x));
function!(Exp, f64, |_me, x| math::exp(x));
function!(Ln, f64, |_me, x| math::ln(x));
function!(Tanh, f32, |_me, x| math::tanh(x));
function!(Tanh, f64, |_me, x| math::tanh(x));
function!(Erf, f32, |_me, x| math::erf(x));
function!(Erf, f64, |_me, x| math::erf(x));
function!(Pow, f32, |me, x| math::pow(x, me.exponent as f32));
function!(Pow, f64, |me, x| math::pow(x, me.exponent));
function!(Sqrt, f32, |_me, x| x.sqrt());
function!(Sqrt, f64, |_me, x| x.sqrt());
function!(Reciprocal, f32, |_me, x| 1.0 / x);
function!(Reciprocal, f64, |_me, x| 1.0 / x);

/// Functions whose common arguments are cheaper: all elements of a block as if they were such, and again if one is not.
///
/// The others are counted, in a number as wide as an element: a `bool` for all would be packed to bytes in every step
/// of the loop.
macro_rules! in_blocks {
    ($kernel:ident, $float:ty, $count:ty, $any:path, $($common:path, unless $is_not:path),*) => {
        impl ElementKernel<$float> for $kernel {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, x: $float) -> $float {
                $any(x)
            }

            #[inline(always)]
            fn apply_all(&self, xs: &[$float], out: &mut [$float]) {
                for (xs, out) in xs.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
                    $(let mut n_others: $count = 0;
                    for (out, &x) in out.iter_mut().zip(xs) {
                        *out = $common(x);
                        n_others += <$count>::from($is_not(x));
                    }
                    if n_others == 0 {
                        continue;
                    })*
                    for (out, &x) in out.iter_mut().zip(xs) {
                        *out = $any(x);
                    }
                }
            }
        }
    };
}
in_blocks!(Ln, f32, u32, math::ln, ln::f32_common, unless ln::f32_is_special);
in_blocks!(Sin, f32, u32, math::sin, trig::f32::sin_common, unless trig::f32::is_large,
    trig::f32::sin_moderate, unless trig::f32::is_huge);
in_blocks!(Sin, f64, u64, math::sin, trig::f64::sin_common, unless trig::f64::is_large);
in_blocks!(Cos, f32, u32, math::cos, trig::f32::cos_common, unless trig::f32::is_large,
    trig::f32::cos_moderate, unless trig::f32::is_huge);
in_blocks!(Cos, f64, u64, math::cos, trig::f64::cos_common, unless trig::f64::is_large);

/// Elements that are looked at together: few enough for the first cache, so many that what a block itself costs does not
/// show.
const BLOCK: usize = 256;
