use bytemuck::{Pod, Zeroable};

use crate::{Sample, Tile, TileKernel, Window, Workspace};

/// Leaves the image as it is: what the empty [`Chain`](crate::Chain) does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Identity;

impl<T: Sample> TileKernel<T> for Identity {
    type Out = T;

    fn name(&self) -> &'static str {
        "copy"
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            dst.row_mut(y).copy_from_slice(src.inner_row(y));
        }
    }
}
