use bytemuck::{Pod, Zeroable};

use super::{Blur, carry_alpha, convolve::validate_amount, gaussian::validate_sigma, refuse_parameter};
use crate::{Border, BorderCode, Gaussian, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// Makes edges steeper: adds `amount` times what a [`Gaussian`] blur takes away.
///
/// `x + amount * (x - blurred)`, where the difference is at least `threshold`; `x` elsewhere.
///
/// * source: any number of channels, finite samples; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `sigma`: as for [`Gaussian`]; `amount`: from 0, up to [`AMOUNT_MAX`](crate::AMOUNT_MAX)
/// * `threshold`: sample units, from 0 (everywhere)
///
/// `blurred` is rounded to samples first, as in OpenCV's recipe
/// `addWeighted(src, 1 + amount, GaussianBlur(src), -amount, 0)`, of which `u8` and `u16` stay within 2 levels for
/// amounts up to 1.5 (the blur is within 1 level); `f32` within 4e-4 for samples in `0.0..=1.0`, not cut. Pillow's filter
/// of this name blurs by boxes and differs by up to 5 levels. Checked by `kernels/tests/everyday.rs`. Cost: the blur
/// and one pass more.
///
/// # Errors
/// [`KernelError::Parameter`] if a parameter is out of its range.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Unsharp {
    /// Standard deviation of the blur, in pixels.
    pub sigma: f32,
    /// How much sharper; 1 by default.
    pub amount: f32,
    /// The smallest difference that is made larger; 0 by default.
    pub threshold: f32,
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

impl Unsharp {
    /// The filter with this standard deviation, amount 1, no threshold and a mirrored border.
    #[must_use]
    pub fn new(sigma: f32) -> Self {
        Unsharp { sigma, amount: 1.0, threshold: 0.0, border: Border::Reflect101.into() }
    }

    /// The same filter with this amount.
    #[must_use]
    pub fn amount(self, amount: f32) -> Self {
        Unsharp { amount, ..self }
    }

    /// The same filter with this threshold.
    #[must_use]
    pub fn threshold(self, threshold: f32) -> Self {
        Unsharp { threshold, ..self }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Unsharp { border: border.into(), ..self }
    }
}

impl<T: Blur> TileKernel<T> for Unsharp {
    type Out = T;

    fn name(&self) -> &'static str {
        "unsharp"
    }

    fn halo(&self) -> usize {
        TileKernel::<T>::halo(&Gaussian::new(self.sigma))
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        validate_sigma("unsharp", self.sigma)?;
        validate_amount("unsharp", self.amount)?;
        if self.threshold >= 0.0 && self.threshold.is_finite() {
            return Ok(());
        }
        Err(refuse_parameter("unsharp", "threshold", self.threshold, "a finite number from 0".to_owned()))
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        // The blur goes where the result will be.
        Gaussian::new(self.sigma).run(src, dst, workspace);
        for y in 0..dst.height() {
            add_difference(src.inner_row(y), self.amount, self.threshold, dst.row_mut(y));
        }
        carry_alpha(src, dst);
    }
}

/// `out` holds the blurred samples first.
#[inline(always)]
fn add_difference<T: Sample>(from: &[T], amount: f32, threshold: f32, out: &mut [T]) {
    for (out, sample) in out.iter_mut().zip(from) {
        let x = sample.to_f32();
        let difference = x - out.to_f32();
        let added = if difference.abs() >= threshold { amount * difference } else { 0.0 };
        *out = T::from_f32(x + added);
    }
}
