//! Elementary functions that the compiler can inline and turn into vector instructions.
//!
//! `x.exp()` is a call of the C library, and a loop with a call in it stays scalar. The functions here are straight
//! lines of additions, products and selections, so that a loop or a closure that uses them runs on whole vectors:
//!
//! ```
//! use shmpool_kernels::math;
//!
//! let logistic = |x: f32| 1.0 / (1.0 + math::exp(-x));
//! assert_eq!(logistic(0.0), 0.5);
//! assert_eq!(math::ln(math::exp(1.0f64)), 1.0);
//! assert!(math::sin(f32::INFINITY).is_nan());
//! ```
//!
//! A closure with more than one of these functions, or with [`pow`], [`erf`] or [`erfc`], is too large for the compiler
//! to inline by itself into loops for several CPU levels, and then it runs scalar, ten times slower. An attribute helps,
//! before a closure as before `apply` of a kernel (before a named function it does not, where that is passed on):
//!
//! ```
//! use shmpool_kernels::math;
//!
//! let ys: Vec<f32> = (0..100).map(|i| i as f32).map(#[inline(always)] |x| math::sin(x) * math::exp(-x)).collect();
//! assert_eq!(ys[0], 0.0);
//! ```
//!
//! # Accuracy
//! The greatest error found, in units in the last place (ulp) of the result, rounded up; subnormal results included.
//! For `f32`: `exp`, `ln`, `sin` and `cos` over all 2^32 arguments against the C library in `f64`; `tanh` over all that
//! are not negative and `erf`, `erfc` over every 97th, against the `f64` functions here;
//! `pow` over 2 * 10^7 pairs. For `f64` over 20,000 arguments of each function against mpmath
//! (`kernels/tests/references/numeric.py`). Tests hold every function to the whole number above.
//!
//! | function | `f32` | `f64` |
//! |---|---|---|
//! | [`exp`] | 0.97 | 0.8 |
//! | [`ln`] | 0.93 | 0.8 |
//! | [`sin`], [`cos`] | 1.62, 1.84 | 0.8 |
//! | [`tanh`] | 1.4 | 1.3 |
//! | [`pow`] | 0.54 | 1.0 |
//! | [`erf`], [`erfc`] | 0.51 | 1.5, 2.9 |
//!
//! NaN, infinities, zeros with their sign, subnormal and huge arguments have the results of C99's Annex F.
//!
//! # The same bits everywhere
//! Nothing is fused and nothing depends on the CPU: each function is a fixed sequence of IEEE operations, so that
//! every [`Level`](crate::Level) and every machine gives the same bits.

mod erf;
mod exp;
mod large;
pub(crate) mod ln;
mod pow;
mod tanh;
pub(crate) mod trig;

/// The types that the functions of this module take: `f32` and `f64`. Sealed.
pub trait Real: sealed::Sealed + Copy {
    #[doc(hidden)]
    fn exp(self) -> Self;
    #[doc(hidden)]
    fn ln(self) -> Self;
    #[doc(hidden)]
    fn sin(self) -> Self;
    #[doc(hidden)]
    fn cos(self) -> Self;
    #[doc(hidden)]
    fn tanh(self) -> Self;
    #[doc(hidden)]
    fn pow(self, exponent: Self) -> Self;
    #[doc(hidden)]
    fn erf(self) -> Self;
    #[doc(hidden)]
    fn erfc(self) -> Self;
}

/// `e` to the power of `x`. Overflows to infinity above 88.72 (`f64`: 709.78).
///
/// # Source
/// W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980: `x = k ln 2 + r`, a polynomial in
/// `r`, and the factor `2^k` in two steps, which keeps subnormal results right.
#[inline(always)]
#[must_use]
pub fn exp<T: Real>(x: T) -> T {
    x.exp()
}

/// The natural logarithm of `x`: minus infinity for zeros, NaN below.
///
/// # Source
/// `x = 2^k m` with `m` around 1. `f32`: a polynomial in `m - 1`. `f64`: the series in `(m - 1) / (m + 1)` of
/// `e_log.c`, FDLIBM 5.3, Sun Microsystems 1993.
#[inline(always)]
#[must_use]
pub fn ln<T: Real>(x: T) -> T {
    x.ln()
}

/// The sine of `x` radians, for arguments of any size; NaN for infinities.
///
/// For `f64`, arguments above 2^20 in magnitude take a branch, and loops over `f64` with a branch stay scalar. For `f32`
/// there is no branch, but the way for arguments above 8192 is gone for all: four times the work. The kernel
/// [`Sin`](crate::Sin) looks for large arguments a block at a time, runs on vectors and leaves out what it can.
///
/// # Source
/// Up to 8192 (`f64`: 2^20) `pi` in parts (`f64`: `pi / 2`) after W. J. Cody and W. Waite, as for [`exp`]; beyond it the
/// fraction of `x / pi` from exact products with pieces of `1 / pi`, after M. Payne and R. Hanek, "Radian reduction for
/// trigonometric functions", SIGNUM Newsletter 18, 1983. Then for `f32` one polynomial, for `f64` those of `k_sin.c` and
/// `k_cos.c`, FDLIBM 5.3.
#[inline(always)]
#[must_use]
pub fn sin<T: Real>(x: T) -> T {
    x.sin()
}

/// The cosine of `x` radians; all else as for [`sin`].
#[inline(always)]
#[must_use]
pub fn cos<T: Real>(x: T) -> T {
    x.cos()
}

/// The hyperbolic tangent of `x`.
///
/// # Source
/// S. L. Moshier, Cephes 2.8, `tanh.c`: an odd rational (`f32`: polynomial) up to 0.625, beyond it
/// `1 - 2 / (e^2x + 1)`.
#[inline(always)]
#[must_use]
pub fn tanh<T: Real>(x: T) -> T {
    x.tanh()
}

/// `x` to the power of `exponent`, with all the special cases of C99: `pow(x, 0)` and `pow(1, y)` are 1 even for NaN, a
/// negative `x` with an exponent that is no integer gives NaN.
///
/// # Source
/// `f32`: `2^(y log2 x)` in `f64`. `f64`: `log2 x` in two parts, after `e_pow.c`, FDLIBM 5.3.
#[inline(always)]
#[must_use]
pub fn pow<T: Real>(x: T, exponent: T) -> T {
    x.pow(exponent)
}

/// The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`.
///
/// Near 0 a polynomial of its own, elsewhere `1 - erfc(x)`.
#[inline(always)]
#[must_use]
pub fn erf<T: Real>(x: T) -> T {
    x.erf()
}

/// The complement of the error function, `1 - erf(x)`, accurate to the last digits also where it is small.
///
/// # Source
/// M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of `(1 + 2x) exp(x^2) erfc(x)`", Mathematics of
/// Computation 36, 1981: one polynomial for all of `0..28`, here a minimax one.
#[inline(always)]
#[must_use]
pub fn erfc<T: Real>(x: T) -> T {
    x.erfc()
}

macro_rules! real {
    ($($float:ident),*) => {
        $(impl Real for $float {
            #[inline(always)]
            fn exp(self) -> Self {
                exp::$float(self)
            }

            #[inline(always)]
            fn ln(self) -> Self {
                ln::$float(self)
            }

            #[inline(always)]
            fn sin(self) -> Self {
                trig::$float::sin(self)
            }

            #[inline(always)]
            fn cos(self) -> Self {
                trig::$float::cos(self)
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                tanh::$float(self)
            }

            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                pow::$float(self, exponent)
            }

            #[inline(always)]
            fn erf(self) -> Self {
                erf::$float::erf(self)
            }

            #[inline(always)]
            fn erfc(self) -> Self {
                erf::$float::erfc(self)
            }
        })*
    };
}
real!(f32, f64);

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Adding and taking off 1.5 * 2^52 rounds an `f64` up to 2^51 to an integer, ties to even, and leaves that integer in
/// the low bits of the sum: a vector instruction each, at the baseline too.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// [`ROUND`] for `f32`, up to 2^22.
const ROUND_F32: f32 = 12_582_912.0;

/// `x` cut to `low..=high`. NaN stays NaN, since both comparisons fail: `maxps` and `minps`.
#[inline(always)]
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
