use bytemuck::{Pod, Zeroable};

use super::{Binned, ImageHistogram, carry_alpha};
use crate::{GlobalKernel, Tile, TileKernel, Window, Workspace};

/// Makes an image black and white, at the threshold that parts its histogram best.
///
/// * source: gray, `u8` or `u16`; alpha is carried past
/// * result: the same shape, samples 0 or the largest one; a sample that is exactly the threshold becomes 0
///
/// The threshold is the value that makes the variance between the two classes largest; of a flat image, 0. Exactly
/// OpenCV's `threshold` with `THRESH_BINARY + THRESH_OTSU`, `maxval` the largest sample (`kernels/tests/global.rs`).
/// Reads the image twice.
///
/// # Errors
/// [`KernelError::Channels`](crate::KernelError::Channels) for colour.
///
/// # Source
/// N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans. SMC 9(1), 1979.
///
/// ```
/// use shmpool_kernels::{Chain, KernelError, Otsu};
///
/// let mut found = [0; 6];
/// Chain::<u8, u8>::of(Otsu).run(&[10, 12, 14, 90, 95, 97], [2, 3, 1], &mut found)?;
/// assert_eq!(found, [0, 0, 0, 255, 255, 255]);
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Otsu;

impl Otsu {
    /// The threshold of an image in which value `i` comes up `counts[i]` times.
    ///
    /// The order of the operations is OpenCV's, since a sum that is rounded otherwise may tip a tie.
    #[must_use]
    pub fn threshold(counts: &[u64]) -> usize {
        let total: u64 = counts.iter().sum();
        let scale = 1.0 / total as f64;
        let mut mean = 0.0;
        for (value, &count) in counts.iter().enumerate() {
            mean += value as f64 * count as f64;
        }
        mean *= scale;
        let (mut mean_below, mut share_below) = (0.0, 0.0);
        let (mut largest, mut best) = (0.0, 0);
        for (value, &count) in counts.iter().enumerate() {
            let share = count as f64 * scale;
            mean_below *= share_below;
            share_below += share;
            let share_above = 1.0 - share_below;
            let epsilon = f64::from(f32::EPSILON);
            if share_below.min(share_above) < epsilon || share_below.max(share_above) > 1.0 - epsilon {
                continue;
            }
            mean_below = (mean_below + value as f64 * share) / share_below;
            let mean_above = (mean - share_below * mean_below) / share_above;
            let apart = mean_below - mean_above;
            let between = share_below * share_above * apart * apart;
            if between > largest {
                (largest, best) = (between, value);
            }
        }
        best
    }
}

impl<T: Binned> GlobalKernel<T> for Otsu {
    type Measurement = ImageHistogram;
    type Resolved = Binary;

    fn name(&self) -> &'static str {
        "otsu"
    }

    fn measurement(&self) -> ImageHistogram {
        ImageHistogram::of_gray()
    }

    fn resolved(&self, measured: &[f32]) -> Binary {
        Binary { threshold: Otsu::threshold(&ImageHistogram::sum::<T>(measured)) as u32 }
    }
}

/// Makes samples above a threshold the largest one, and all others 0: what [`Otsu`] is once the image is measured.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Binary {
    /// The largest sample that becomes 0.
    pub threshold: u32,
}

impl<T: Binned> TileKernel<T> for Binary {
    type Out = T;

    fn name(&self) -> &'static str {
        "binary"
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        let (threshold, white) = (T::from_f32(self.threshold as f32), T::from_f32((T::BINS - 1) as f32));
        for y in 0..dst.height() {
            for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                *out = if sample.bin() > threshold.bin() { white } else { T::default() };
            }
        }
        carry_alpha(src, dst);
    }
}
