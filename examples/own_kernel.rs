//! A kernel of one's own: in a chain with stock kernels, and by its word.

use bytemuck::{Pod, Zeroable};
use shmpool::Pool;
use shmpool::kernels::{
    Chain, Gray, Parameter, Sample, Tile, TileKernel, Values, Window, Workspace, parse_chain, register_kernel,
};

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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;
    let image = pool.from_fn([256, 256, 3], |[y, _, _]| y as u8)?;
    let typed = pool.apply(&Chain::of(Gray).then(Floor { level: 100.0 }), &image)?;
    let by_word = pool.apply(&parse_chain::<u8>(&["gray", "floor:level=100"])?, &image)?;
    assert_eq!(*typed, *by_word);
    println!("darkest: {:?}", typed.iter().min());
    Ok(())
}
