//! The command with a kernel of one's own: `cargo run --example own_command -- image in.png -o out.png gray floor:level=80`.

use std::process::ExitCode;

use bytemuck::{Pod, Zeroable};
use shmpool::kernels::{Parameter, Sample, Tile, TileKernel, Values, Window, Workspace, register_kernel};

/// Nothing darker than a level.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Floor {
    level: f32,
}

impl<T: Sample> TileKernel<T> for Floor {
    type Out = T;

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                *out = T::from_f32(sample.to_f32().max(self.level));
            }
        }
    }
}

register_kernel! {
    name: "floor",
    summary: "nothing darker than a level",
    parameters: [Parameter {
        name: "level",
        summary: "the darkest",
        values: Values::Level { from: 0.0, to: 255.0 },
        default: "16",
    }],
    build: |arguments| Ok(vec![arguments.step(Floor { level: arguments.level("level")? })]),
}

fn main() -> ExitCode {
    shmpool_cli::main()
}
