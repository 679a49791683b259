//! The stock kernels for images: `u8`, `u16` and `f32` samples, channels interleaved.

// A sample from itself.
mod curve;
mod gray;
mod identity;
mod invert;
mod threshold;

// A sample from those of two images.
mod blend;

// A sample from its neighbours.
mod box_blur;
mod convolve;
mod gaussian;
mod gradient;
mod laplacian;
mod median;
mod morphology;
mod order;
mod sliding;
mod unsharp;

pub use blend::{Blend, BlendMode, Over};
pub use box_blur::{Averaged, BoxBlur};
pub use convolve::{AMOUNT_MAX, Convolve, Sharpen};
pub use curve::{Brightness, Contrast, FACTOR_MAX, GAMMA_MAX, Gamma, Levels, Lut};
pub use gaussian::{Blur, Gaussian, SIGMA_MAX};
pub use gradient::{Gradient, Prewitt, Scharr, Sobel};
pub use gray::{Gray, Luma};
pub use identity::Identity;
pub use invert::Invert;
pub use laplacian::Laplacian;
pub use median::{Median, Ranked};
pub use morphology::{Dilate, Erode};
pub use order::Ordered;
pub use sliding::RADIUS_MAX;
pub use threshold::Threshold;
pub use unsharp::Unsharp;

use crate::{KernelError, Sample, Tile, Window, kernel::has_alpha};

/// [`KernelError::Parameter`], for a kernel's `validate`.
fn refuse_parameter(
    kernel: &'static str,
    parameter: &'static str,
    found: impl ToString,
    wanted: String,
) -> KernelError {
    KernelError::Parameter { kernel, parameter, found: found.to_string(), wanted }
}

/// Copies the alpha samples, if there are any, over what a kernel made of them.
#[inline(always)]
fn carry_alpha<T: Sample>(src: &Window<'_, T>, dst: &mut Tile<'_, T>) {
    let channels = src.channels();
    if !has_alpha(channels) {
        return;
    }
    for y in 0..dst.height() {
        let from = src.inner_row(y);
        let to = dst.row_mut(y);
        for alpha in (channels - 1..to.len()).step_by(channels) {
            to[alpha] = from[alpha];
        }
    }
}
