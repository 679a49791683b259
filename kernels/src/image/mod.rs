//! The stock kernels for images: `u8`, `u16` and `f32` samples, channels interleaved.

mod gaussian;
mod gray;
mod identity;
mod sobel;

pub use gaussian::{Blur, Gaussian, SIGMA_MAX};
pub use gray::{Gray, Luma};
pub use identity::Identity;
pub use sobel::{Gradient, Sobel};

use crate::{Sample, Tile, Window, kernel::has_alpha};

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
