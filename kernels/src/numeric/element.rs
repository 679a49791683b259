use bytemuck::{Pod, Zeroable};

use crate::ElementKernel;

/// The square root of an `f32` or `f64`, correctly rounded; NaN below 0. One instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sqrt;

impl ElementKernel<f32> for Sqrt {
    type Out = f32;

    #[inline(always)]
    fn apply(&self, x: f32) -> f32 {
        x.sqrt()
    }
}

impl ElementKernel<f64> for Sqrt {
    type Out = f64;

    #[inline(always)]
    fn apply(&self, x: f64) -> f64 {
        x.sqrt()
    }
}

/// `a * x + b` of an `f32` or `f64`, rounded after the product and after the sum (not fused), as NumPy does it.
///
/// For `f32` elements, `a` and `b` are rounded to `f32` first.
///
/// ```
/// use shmpool_kernels::{Axpb, ElementKernel};
///
/// assert_eq!(Axpb { a: 2.0, b: 1.0 }.apply(20.5f32), 42.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Axpb {
    /// The factor.
    pub a: f64,
    /// The summand.
    pub b: f64,
}

impl ElementKernel<f32> for Axpb {
    type Out = f32;

    #[inline(always)]
    fn apply(&self, x: f32) -> f32 {
        self.a as f32 * x + self.b as f32
    }
}

impl ElementKernel<f64> for Axpb {
    type Out = f64;

    #[inline(always)]
    fn apply(&self, x: f64) -> f64 {
        self.a * x + self.b
    }
}
