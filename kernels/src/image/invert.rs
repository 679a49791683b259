use bytemuck::{Pod, Zeroable};

use super::carry_alpha;
use crate::{Sample, SampleType, Tile, TileKernel, Window, Workspace};

/// Turns bright into dark: white minus the sample.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
///
/// `u8`: `255 - x`, `u16`: `65535 - x`, exact. `f32`: `1.0 - x`, not cut. As NumPy's (`kernels/tests/everyday.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Invert;

impl<T: Sample> TileKernel<T> for Invert {
    type Out = T;

    fn name(&self) -> &'static str {
        "invert"
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            invert_row(src.inner_row(y), dst.row_mut(y));
        }
        carry_alpha(src, dst);
    }
}

#[inline(always)]
fn invert_row<T: Sample>(from: &[T], to: &mut [T]) {
    if T::TYPE == SampleType::F32 {
        for (out, sample) in to.iter_mut().zip(from) {
            *out = T::from_f32(1.0 - sample.to_f32());
        }
    } else {
        // The largest integer has all bits set, so nothing is ever borrowed: each bit is inverted by itself.
        let (from, to) = (bytemuck::cast_slice::<T, u8>(from), bytemuck::cast_slice_mut::<T, u8>(to));
        for (out, byte) in to.iter_mut().zip(from) {
            *out = !byte;
        }
    }
}
