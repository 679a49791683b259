use std::ops::{Add, Mul, Sub};

use bytemuck::{Pod, Zeroable};

use super::carry_alpha;
use crate::{Border, BorderCode, Sample, Tile, TileKernel, Window, Workspace};

/// A kernel that gives the length of the gradient, by two 3 x 3 operators: differences across `-1 0 1`, smoothed along
/// with the weights given.
macro_rules! gradient_kernel {
    ($(#[$doc:meta])* $kernel:ident, $name:literal, $side:literal $middle:literal $side_again:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
        #[repr(C)]
        pub struct $kernel {
            /// What lies beyond the edge; [`Border::Reflect101`] by default.
            pub border: BorderCode,
        }

        impl $kernel {
            /// The operator with this border.
            #[must_use]
            pub fn new(border: Border) -> Self {
                $kernel { border: border.into() }
            }
        }

        impl<T: Gradient> TileKernel<T> for $kernel {
            type Out = T;

            fn name(&self) -> &'static str {
                $name
            }

            fn halo(&self) -> usize {
                1
            }

            fn border(&self) -> Border {
                self.border.into()
            }

            #[inline(always)]
            fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
                for y in 0..dst.height() {
                    let rows = [src.row(y), src.row(y + 1), src.row(y + 2)];
                    edge_row::<T, $side, $middle>(rows, src.channels(), dst.row_mut(y));
                }
                carry_alpha(src, dst);
            }
        }
    };
}

gradient_kernel! {
    /// The strength of edges: the length of the gradient that the two 3 x 3 Sobel operators give, for each channel.
    ///
    /// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
    /// * result: the same shape
    ///
    /// `sqrt(gx * gx + gy * gy)` with the weights 1 2 1, not scaled: a step from 0 to `v` gives `4 v`. `u8` and `u16`:
    /// the nearest integer, cut to the type's range, exact. `f32`: the sums in `f32`, within 1e-5 (relative) of OpenCV's
    /// `Sobel` in `f64`. Checked by `kernels/tests/references.rs`.
    ///
    /// # Source
    /// I. Sobel, "An Isotropic 3x3 Image Gradient Operator", 1968 (talk at the Stanford Artificial Intelligence
    /// Project).
    Sobel, "sobel", 1 2 1
}

gradient_kernel! {
    /// The strength of edges as [`Sobel`] gives it, with Scharr's weights, which are nearer to the same for edges of any
    /// direction.
    ///
    /// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
    /// * result: the same shape
    ///
    /// `sqrt(gx * gx + gy * gy)` with the weights 3 10 3, not scaled: a step from 0 to `v` gives `16 v`, so that steps of
    /// 16 levels are as bright as `u8` can be. `u8` and `u16`: the nearest integer, cut to the type's range, exact. `f32`:
    /// the sums in `f32`, within 1e-5 (relative) of OpenCV's `Scharr` in `f64`. Checked by `kernels/tests/everyday.rs`.
    ///
    /// # Source
    /// H. Scharr, "Optimale Operatoren in der Digitalen Bildverarbeitung", dissertation, Heidelberg, 2000.
    Scharr, "scharr", 3 10 3
}

gradient_kernel! {
    /// The strength of edges as [`Sobel`] gives it, with the weights of Prewitt, all equal.
    ///
    /// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
    /// * result: the same shape
    ///
    /// `sqrt(gx * gx + gy * gy)` with the weights 1 1 1, not scaled: a step from 0 to `v` gives `3 v`. `u8` and `u16`: the
    /// nearest integer, cut to the type's range, exact. `f32`: the sums in `f32`, within 1e-5 (relative) of
    /// `scipy.ndimage.prewitt` in `f64`. Checked by `kernels/tests/everyday.rs`.
    ///
    /// # Source
    /// J. M. S. Prewitt, "Object Enhancement and Extraction", in "Picture Processing and Psychopictorics", 1970.
    Prewitt, "prewitt", 1 1 1
}

/// A sample type that [`Sobel`] has arithmetic for: every one. Part of [`Sobel`]'s signature, of no use elsewhere.
pub trait Gradient: Sample {
    /// A signed type that holds 32 samples added up.
    type Wide: Copy
        + From<i8>
        + Add<Output = Self::Wide>
        + Sub<Output = Self::Wide>
        + Mul<Output = Self::Wide>;
    /// The same number.
    fn wide(self) -> Self::Wide;
    /// The length of a vector, as a sample.
    fn length(gx: Self::Wide, gy: Self::Wide) -> Self;
    /// The absolute value, as a sample.
    fn magnitude(value: Self::Wide) -> Self;
}

impl Gradient for u8 {
    type Wide = i16;

    #[inline(always)]
    fn wide(self) -> i16 {
        i16::from(self)
    }

    // A square below 2^24 is exact in `f32`, and no root of such an integer is as close to a half as `f32` rounds.
    // Squares beyond have roots far beyond 255.
    #[inline(always)]
    fn length(gx: i16, gy: i16) -> u8 {
        let (gx, gy) = (i32::from(gx), i32::from(gy));
        u8::from_f32(((gx * gx + gy * gy) as f32).sqrt())
    }

    #[inline(always)]
    fn magnitude(value: i16) -> u8 {
        value.unsigned_abs().min(255) as u8
    }
}

impl Gradient for u16 {
    type Wide = i32;

    #[inline(always)]
    fn wide(self) -> i32 {
        i32::from(self)
    }

    // As for `u8`: below 2^53 in `f64`. What is left of a half after the root is lost in `f32`, so round before.
    #[inline(always)]
    fn length(gx: i32, gy: i32) -> u16 {
        let (gx, gy) = (f64::from(gx), f64::from(gy));
        let length = (gx * gx + gy * gy).sqrt();
        let cut = if length < 65_535.0 { length } else { 65_535.0 };
        (cut + 0.5) as u16
    }

    #[inline(always)]
    fn magnitude(value: i32) -> u16 {
        value.unsigned_abs().min(65_535) as u16
    }
}

impl Gradient for f32 {
    type Wide = f32;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn length(gx: f32, gy: f32) -> f32 {
        (gx * gx + gy * gy).sqrt()
    }

    #[inline(always)]
    fn magnitude(value: f32) -> f32 {
        value.abs()
    }
}

/// One row of the result from the row above, its own and the one below, each a pixel longer at both ends.
#[inline(always)]
fn edge_row<T: Gradient, const SIDE: i8, const MIDDLE: i8>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let n = out.len();
    let (side, middle) = (T::Wide::from(SIDE), T::Wide::from(MIDDLE));
    let [above, own, below] = rows;
    let (above_left, above_mid, above_right) =
        (&above[..n], &above[channels..][..n], &above[2 * channels..][..n]);
    let (left, right) = (&own[..n], &own[2 * channels..][..n]);
    let (below_left, below_mid, below_right) =
        (&below[..n], &below[channels..][..n], &below[2 * channels..][..n]);
    for x in 0..n {
        let (al, am, ar) = (above_left[x].wide(), above_mid[x].wide(), above_right[x].wide());
        let (l, r) = (left[x].wide(), right[x].wide());
        let (bl, bm, br) = (below_left[x].wide(), below_mid[x].wide(), below_right[x].wide());
        let gx = side * ((ar - al) + (br - bl)) + middle * (r - l);
        let gy = side * ((bl - al) + (br - ar)) + middle * (bm - am);
        out[x] = T::length(gx, gy);
    }
}
