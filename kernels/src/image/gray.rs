use bytemuck::{Pod, Zeroable};

use crate::{KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// Turns colour into gray, with the luma weights of BT.601 (0.299, 0.587, 0.114).
///
/// * source: 1 channel (gray), 2 (gray, alpha), 3 (red, green, blue) or 4 (red, green, blue, alpha)
/// * result: 1 channel, or 2 with the alpha unchanged; gray stays as it is
///
/// `u8`: `(9798 R + 19235 G + 3735 B + 2^14) >> 15`, to the bit what OpenCV's `cvtColor` gives (Pillow rounds its
/// weights in another way). `u16`: the nearest integer to the weighted sum, computed exactly. `f32`: the sum in `f32`,
/// within 1e-6 of OpenCV's for samples in `0.0..=1.0` (`kernels/tests/references.rs`).
///
/// # Errors
/// [`KernelError::Channels`] for any other number of channels.
///
/// # Source
/// ITU-R BT.601-7, 2011, section 2.5.1. It weights gamma-coded samples, as all of the above do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Gray;

/// A sample type that [`Gray`] has a formula for: every one. Part of [`Gray`]'s signature, of no use elsewhere.
pub trait Luma: Sample {
    /// The gray of a colour.
    fn luma(red: Self, green: Self, blue: Self) -> Self;
}

impl Luma for u8 {
    #[inline(always)]
    fn luma(red: u8, green: u8, blue: u8) -> u8 {
        ((9798 * u32::from(red) + 19235 * u32::from(green) + 3735 * u32::from(blue) + (1 << 14)) >> 15) as u8
    }
}

impl Luma for u16 {
    #[inline(always)]
    fn luma(red: u16, green: u16, blue: u16) -> u16 {
        ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u16
    }
}

impl Luma for f32 {
    #[inline(always)]
    fn luma(red: f32, green: f32, blue: f32) -> f32 {
        0.299 * red + 0.587 * green + 0.114 * blue
    }
}

impl<T: Luma> TileKernel<T> for Gray {
    type Out = T;

    fn name(&self) -> &'static str {
        "gray"
    }

    fn channels(&self, input: usize) -> Result<usize, KernelError> {
        match input {
            1 | 3 => Ok(1),
            2 | 4 => Ok(2),
            found => Err(KernelError::Channels { kernel: "gray", found, wanted: "1 to 4" }),
        }
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            let (from, to) = (src.inner_row(y), dst.row_mut(y));
            match src.channels() {
                3 => colour_to_gray(from, to),
                4 => colour_and_alpha_to_gray(from, to),
                _ => to.copy_from_slice(from),
            }
        }
    }
}

#[inline(always)]
fn colour_to_gray<T: Luma>(from: &[T], to: &mut [T]) {
    for (gray, pixel) in to.iter_mut().zip(from.chunks_exact(3)) {
        *gray = T::luma(pixel[0], pixel[1], pixel[2]);
    }
}

#[inline(always)]
fn colour_and_alpha_to_gray<T: Luma>(from: &[T], to: &mut [T]) {
    for (gray, pixel) in to.chunks_exact_mut(2).zip(from.chunks_exact(4)) {
        gray[0] = T::luma(pixel[0], pixel[1], pixel[2]);
        gray[1] = pixel[3];
    }
}
