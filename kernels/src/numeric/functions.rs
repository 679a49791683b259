use bytemuck::{Pod, Zeroable};

use crate::{ElementKernel, math};

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
/// `f64` elements are taken in blocks; one that holds a magnitude above 2^20 is gone over again.
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
function!(Sin, f32, |_me, x| math::sin(x));
function!(Cos, f32, |_me, x| math::cos(x));
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

/// Sine and cosine of `f64`: all elements of a block as if they were moderate, on vectors, and then those that are not.
macro_rules! in_blocks {
    ($kernel:ident, $any:path, $common:path) => {
        impl ElementKernel<f64> for $kernel {
            type Out = f64;

            #[inline(always)]
            fn apply(&self, x: f64) -> f64 {
                $any(x)
            }

            #[inline(always)]
            fn apply_all(&self, xs: &[f64], out: &mut [f64]) {
                for (xs, out) in xs.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
                    let mut all_common = true;
                    for (out, &x) in out.iter_mut().zip(xs) {
                        *out = $common(x);
                        all_common &= x.abs() <= math::COMMON_MAX;
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
in_blocks!(Sin, math::sin, math::sin_common);
in_blocks!(Cos, math::cos, math::cos_common);

/// Elements that are looked at together.
const BLOCK: usize = 64;
