use bytemuck::{Pod, Zeroable};

use super::{Binned, ImageHistogram, carry_alpha};
use crate::{GlobalKernel, Tile, TileKernel, Window, Workspace};

/// Spreads the values of an image so that each part of the range from 0 to 255 is about as frequent.
///
/// * source: 1 to 4 channels of `u8`; alpha is carried past
/// * result: the same shape
///
/// There is one histogram, of all colours together, and one table for all of them, so that gray stays gray. A gray
/// image becomes exactly what OpenCV's `equalizeHist` makes of it (`kernels/tests/global.rs`); Pillow's formula is
/// another one, up to 3 levels off. Reads the image twice.
///
/// # Errors
/// [`KernelError::Channels`](crate::KernelError::Channels) for more than four channels.
///
/// # Source
/// R. Gonzalez, R. Woods, "Digital Image Processing", histogram equalization; the rounding is OpenCV's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Equalize;

impl GlobalKernel<u8> for Equalize {
    type Measurement = ImageHistogram;
    type Resolved = Table;

    fn name(&self) -> &'static str {
        "equalize"
    }

    fn measurement(&self) -> ImageHistogram {
        ImageHistogram::default()
    }

    /// The first value that comes up becomes 0, and each one after it the share of all other samples up to there, in
    /// `f32` as in OpenCV. An image of one value stays as it is.
    fn resolved(&self, measured: &[f32]) -> Table {
        let counts = ImageHistogram::sum::<u8>(measured);
        let total: u64 = counts.iter().sum();
        let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let mut table = [0; 256];
        if counts[first] == total {
            for (value, entry) in (0..=u8::MAX).zip(&mut table) {
                *entry = value;
            }
            return Table { table };
        }
        let scale = 255.0 / (total - counts[first]) as f32;
        let mut sum = 0;
        for (entry, count) in table.iter_mut().zip(&counts).skip(first + 1) {
            sum += count;
            *entry = (sum as f32 * scale).round_ties_even() as u8;
        }
        Table { table }
    }
}

/// Replaces each sample by an entry of a table: what [`Equalize`] is once the image is measured.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Table {
    /// What each value becomes.
    pub table: [u8; 256],
}

impl TileKernel<u8> for Table {
    type Out = u8;

    fn name(&self) -> &'static str {
        "table"
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, _: &mut Workspace) {
        for y in 0..dst.height() {
            for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                *out = self.table[sample.bin()];
            }
        }
        carry_alpha(src, dst);
    }
}
