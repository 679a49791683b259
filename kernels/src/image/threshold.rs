use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, refuse_parameter};
use crate::{KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// Makes samples above `level` white, and all others black.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape; nothing but 0 and 255, 65535 or 1.0
/// * `level`: sample units, finite; a sample that is exactly `level` becomes black
///
/// OpenCV's `threshold` with `THRESH_BINARY` and white for `maxval`, exactly (`kernels/tests/everyday.rs`). NaN
/// becomes black.
///
/// # Errors
/// [`KernelError::Parameter`] if `level` is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Threshold {
    /// The brightest sample that becomes black.
    pub level: f32,
}

impl<T: Sample> TileKernel<T> for Threshold {
    type Out = T;

    fn name(&self) -> &'static str {
        "threshold"
    }

    fn validate(&self) -> Result<(), KernelError> {
        if self.level.is_finite() {
            return Ok(());
        }
        Err(refuse_parameter("threshold", "level", self.level, "a finite number".to_owned()))
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        let (black, white) = (T::default(), T::from_f32(T::TYPE.white()));
        for y in 0..dst.height() {
            for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                *out = if sample.to_f32() > self.level { white } else { black };
            }
        }
        carry_alpha(src, dst);
    }
}
