use bytemuck::{Pod, Zeroable};

use super::{Gradient, carry_alpha};
use crate::{Border, BorderCode, Tile, TileKernel, Window, Workspace};

/// How much a pixel differs from what lies around it: the size of the second derivative, for each channel.
///
/// `abs(above + below + left + right - 4 * own)`, so bright lines and dark ones are both bright.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
///
/// `u8` and `u16`: cut to the type's range, exactly OpenCV's `convertScaleAbs(Laplacian(src, CV_16S))` (or the same in
/// wider integers). `f32`: the sums in `f32`, within 1e-6 of `scipy.ndimage.laplace`'s absolute values for samples in
/// `0.0..=1.0`. Checked by `kernels/tests/everyday.rs`. [`Convolve`](crate::Convolve) gives the signed one.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Laplacian {
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

impl Laplacian {
    /// The operator with this border.
    #[must_use]
    pub fn new(border: Border) -> Self {
        Laplacian { border: border.into() }
    }
}

impl<T: Gradient> TileKernel<T> for Laplacian {
    type Out = T;

    fn name(&self) -> &'static str {
        "laplacian"
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
            second_derivative(rows, src.channels(), dst.row_mut(y));
        }
        carry_alpha(src, dst);
    }
}

/// One row of the result from the row above, its own and the one below, each a pixel longer at both ends.
#[inline(always)]
fn second_derivative<T: Gradient>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let n = out.len();
    let [above, own, below] = rows;
    let (above, below) = (&above[channels..][..n], &below[channels..][..n]);
    let (left, middle, right) = (&own[..n], &own[channels..][..n], &own[2 * channels..][..n]);
    for x in 0..n {
        let across = above[x].wide() + below[x].wide();
        let along = left[x].wide() + right[x].wide();
        let twice = middle[x].wide() + middle[x].wide();
        out[x] = T::magnitude((across - twice) + (along - twice));
    }
}
