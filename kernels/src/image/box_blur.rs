use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, sliding};
use crate::{Border, BorderCode, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// The mean of the square window around each sample, for each channel.
///
/// * source: any number of channels, finite samples; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `radius`: 0 to [`RADIUS_MAX`](crate::RADIUS_MAX); the window is `2 * radius + 1` pixels squared
///
/// `u8` and `u16`: whole sums and the nearest integer to the mean, exactly OpenCV's `blur` and the rounded
/// `scipy.ndimage.uniform_filter` in `f64`. `f32`: sums in `f32`, within 1e-6 (relative to the largest sample) of
/// `uniform_filter` in `f64`. Checked by `kernels/tests/everyday.rs`.
///
/// Cost: at most two additions for each bit of the window's side, in each direction; in 16 bits for `u8` and a radius up
/// to 7, in 32 for others.
///
/// # Errors
/// [`KernelError::Parameter`] if `radius` is out of its range.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BoxBlur {
    /// Half the side of the window, in pixels.
    pub radius: u32,
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

impl BoxBlur {
    /// The filter with a window of `2 * radius + 1` pixels squared and a mirrored border.
    #[must_use]
    pub fn new(radius: u32) -> Self {
        BoxBlur { radius, border: Border::Reflect101.into() }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        BoxBlur { border: border.into(), ..self }
    }
}

/// A sample type that [`BoxBlur`] has sums for: every one. Part of [`BoxBlur`]'s signature, of no use elsewhere.
pub trait Averaged: Sample {
    /// Averages one tile.
    fn mean(src: &Window<'_, Self>, dst: &mut Tile<'_, Self>, workspace: &mut Workspace);
}

impl Averaged for u8 {
    #[inline(always)]
    fn mean(src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, workspace: &mut Workspace) {
        // 15 x 15 samples of 255 are 57375.
        if src.halo() <= 7 {
            sliding::slide_tile::<u8, u16, Sum>(Sum::over(src.halo()), src, dst, workspace);
        } else {
            sliding::slide_tile::<u8, u32, Sum>(Sum::over(src.halo()), src, dst, workspace);
        }
    }
}

impl Averaged for u16 {
    #[inline(always)]
    fn mean(src: &Window<'_, u16>, dst: &mut Tile<'_, u16>, workspace: &mut Workspace) {
        // 255 x 255 samples of 65535 are below 2^32.
        sliding::slide_tile::<u16, u32, Sum>(Sum::over(src.halo()), src, dst, workspace);
    }
}

impl Averaged for f32 {
    #[inline(always)]
    fn mean(src: &Window<'_, f32>, dst: &mut Tile<'_, f32>, workspace: &mut Workspace) {
        sliding::slide_tile::<f32, f32, Sum>(Sum::over(src.halo()), src, dst, workspace);
    }
}

impl<T: Averaged> TileKernel<T> for BoxBlur {
    type Out = T;

    fn name(&self) -> &'static str {
        "box"
    }

    fn halo(&self) -> usize {
        sliding::halo(self.radius)
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        sliding::validate_radius("box", self.radius)
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        T::mean(src, dst, workspace);
        carry_alpha(src, dst);
    }
}

/// Sums, and what they are multiplied with in the end.
///
/// The number `n` of samples is odd, so a mean is never nearer to a half than `1 / 2n`: more than what the rounding of
/// `1 / n` and of the product takes from it, in `f32` for `n` up to 225 and levels up to 255, in `f64` for all.
#[derive(Clone, Copy)]
struct Sum {
    share: f64,
}

impl Sum {
    fn over(radius: usize) -> Sum {
        let side = 2 * radius + 1;
        Sum { share: 1.0 / (side * side) as f64 }
    }
}

impl sliding::Join<u8, u16> for Sum {
    #[inline(always)]
    fn of(sample: u8) -> u16 {
        sample.into()
    }

    #[inline(always)]
    fn join(before: u16, after: u16) -> u16 {
        before.wrapping_add(after)
    }

    #[inline(always)]
    fn sample(self, joined: u16) -> u8 {
        u8::from_f32(f32::from(joined) * self.share as f32)
    }
}

impl<T: Sample + Into<u32>> sliding::Join<T, u32> for Sum {
    #[inline(always)]
    fn of(sample: T) -> u32 {
        sample.into()
    }

    #[inline(always)]
    fn join(before: u32, after: u32) -> u32 {
        before.wrapping_add(after)
    }

    #[inline(always)]
    fn sample(self, joined: u32) -> T {
        T::from_f64(f64::from(joined) * self.share)
    }
}

impl sliding::Join<f32, f32> for Sum {
    #[inline(always)]
    fn of(sample: f32) -> f32 {
        sample
    }

    #[inline(always)]
    fn join(before: f32, after: f32) -> f32 {
        before + after
    }

    #[inline(always)]
    fn sample(self, joined: f32) -> f32 {
        joined * self.share as f32
    }
}
