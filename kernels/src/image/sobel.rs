use std::ops::{Add, Sub};

use bytemuck::{Pod, Zeroable};

use super::carry_alpha;
use crate::{Border, BorderCode, Sample, Tile, TileKernel, Window, Workspace};

/// The strength of edges: the length of the gradient that the two 3 x 3 Sobel operators give, for each channel.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
///
/// `sqrt(gx * gx + gy * gy)`, not scaled: a step from 0 to `v` gives `4 v`. `u8` and `u16`: the nearest integer, cut to
/// the type's range, exact. `f32`: the sums in `f32`, within 1e-5 (relative) of OpenCV's `Sobel` in `f64`. Checked by
/// `kernels/tests/references.rs`.
///
/// # Source
/// I. Sobel, "An Isotropic 3x3 Image Gradient Operator", 1968 (talk at the Stanford Artificial Intelligence Project).
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Sobel {
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

impl Sobel {
    /// The operator with this border.
    #[must_use]
    pub fn new(border: Border) -> Self {
        Sobel { border: border.into() }
    }
}

/// A sample type that [`Sobel`] has arithmetic for: every one. Part of [`Sobel`]'s signature, of no use elsewhere.
pub trait Gradient: Sample {
    /// A signed type that holds eight samples added up.
    type Wide: Copy + Add<Output = Self::Wide> + Sub<Output = Self::Wide>;
    /// The same number.
    fn wide(self) -> Self::Wide;
    /// The length of a vector, as a sample.
    fn length(gx: Self::Wide, gy: Self::Wide) -> Self;
}

impl Gradient for u8 {
    type Wide = i16;

    #[inline(always)]
    fn wide(self) -> i16 {
        i16::from(self)
    }

    // The square is below 2^24, so exact in `f32`; and no root of an integer is as close to a half as `f32` rounds.
    #[inline(always)]
    fn length(gx: i16, gy: i16) -> u8 {
        let (gx, gy) = (i32::from(gx), i32::from(gy));
        u8::from_f32(((gx * gx + gy * gy) as f32).sqrt())
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
}

impl<T: Gradient> TileKernel<T> for Sobel {
    type Out = T;

    fn name(&self) -> &'static str {
        "sobel"
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
            edge_row([src.row(y), src.row(y + 1), src.row(y + 2)], src.channels(), dst.row_mut(y));
        }
        carry_alpha(src, dst);
    }
}

/// One row of the result from the row above, its own and the one below, each a pixel longer at both ends.
#[inline(always)]
fn edge_row<T: Gradient>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let n = out.len();
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
        let gx = (ar - al) + (r - l) + (r - l) + (br - bl);
        let gy = (bl - al) + (bm - am) + (bm - am) + (br - ar);
        out[x] = T::length(gx, gy);
    }
}
