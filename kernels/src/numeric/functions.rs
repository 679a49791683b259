use bytemuck::{Pod, Zeroable};

use crate::{
    ElementKernel,
    math::{self, Real},
};

/// The exponential of an `f32` or `f64`: [`math::exp`], 1 ulp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Exp;

/// The natural logarithm of an `f32` or `f64`: [`math::ln`], 1 ulp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Ln;

/// The sine of an `f32` or `f64` in radians: [`math::sin`], 1 ulp.
///
/// [`apply_all`](ElementKernel::apply_all) takes elements in blocks, and is fast for those that hold no magnitude above
/// 2^53 (`f64`: 2^20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sin;

/// The cosine of an `f32` or `f64` in radians: [`math::cos`], 1 ulp. Huge arguments as for [`Sin`].
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
function!(Ln, f32, |_me, x| math::ln(x));
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

/// Sine and cosine: all elements of a block as if they were of moderate size, and again if one is not.
macro_rules! in_blocks {
    ($kernel:ident, $float:ty, $any:path, $common:path) => {
        impl ElementKernel<$float> for $kernel {
            type Out = $float;

            #[inline(always)]
            fn apply(&self, x: $float) -> $float {
                $any(x)
            }

            #[inline(always)]
            fn apply_all(&self, xs: &[$float], out: &mut [$float]) {
                for (xs, out) in xs.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
                    let mut all_common = true;
                    for (out, &x) in out.iter_mut().zip(xs) {
                        *out = $common(x);
                        all_common &= Real::is_common(x);
                    }
                    if !all_common {
                        for (out, &x) in out.iter_mut().zip(xs) {
                            *out = $any(x);
                        }
                    }
                }
            }
        }
    };
}
in_blocks!(Sin, f32, math::sin, Real::sin_common);
in_blocks!(Sin, f64, math::sin, Real::sin_common);
in_blocks!(Cos, f32, math::cos, Real::cos_common);
in_blocks!(Cos, f64, math::cos, Real::cos_common);

/// Elements that are looked at together.
const BLOCK: usize = 64;
