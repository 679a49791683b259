//! The stock kernels that know the whole image: they measure it first, and then are kernels of one pixel.

mod auto_levels;
mod equalize;
mod histogram;
mod otsu;

pub use auto_levels::AutoLevels;
pub use equalize::{Equalize, Table};
pub use histogram::{Binned, ImageHistogram};
pub use otsu::{Binary, Otsu};

use crate::{Sample, Tile, Window, has_alpha};

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
