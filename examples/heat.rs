//! The heat equation on a plate: a stencil of one's own, iterated with two buffers. Writes a PGM that any viewer opens.

use bytemuck::{Pod, Zeroable};
use shmpool::kernels::{Border, Tile, TileKernel, Window, Workspace};
use shmpool::{Array, Pool};

/// One explicit step of `du/dt = laplace(u)`: `u + rate * (sum of the four neighbours - 4 u)`, stable up to a rate of 1/4.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Heat {
    rate: f32,
}

impl TileKernel<f32> for Heat {
    type Out = f32;

    fn halo(&self) -> usize {
        1
    }

    /// No heat leaves the plate: beyond its edge lies what lies at the edge.
    fn border(&self) -> Border {
        Border::Replicate
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, f32>, dst: &mut Tile<'_, f32>, _: &mut Workspace) {
        for y in 0..dst.height() {
            // Windows begin one pixel above and left of the tile.
            let (above, here, below) = (src.row(y), src.row(y + 1), src.row(y + 2));
            let out = dst.row_mut(y);
            let n = out.len();
            let (up, down) = (&above[1..=n], &below[1..=n]);
            let (left, middle, right) = (&here[..n], &here[1..=n], &here[2..n + 2]);
            for x in 0..n {
                out[x] = middle[x] + self.rate * (up[x] + down[x] + left[x] + right[x] - 4.0 * middle[x]);
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;

    // A cold plate with a hot frame around a hot disc.
    let (height, width) = (480, 640);
    let plate = pool.from_fn([height, width], |[y, x]| {
        let (dy, dx) = (y as f32 - 240.0, x as f32 - 320.0);
        let frame = (y as f32 - 240.0).abs() > 180.0 || (x as f32 - 320.0).abs() > 260.0;
        if frame || dy * dy + dx * dx < 90.0 * 90.0 { 255.0_f32 } else { 0.0 }
    })?;
    let heat_of = |plate: &Array<f32>| pool.reduce(plate, 0.0_f64, |sum, u| sum + f64::from(u), |a, b| a + b);
    let before = heat_of(&plate)?;

    let plate = pool.iterate(2000, &Heat { rate: 0.2 }, plate)?;
    println!("heat before {before:.0}, after 2000 steps {:.0}", heat_of(&plate)?);

    let pixels = pool.map(&plate, |u| u as u8)?;
    let path = std::env::temp_dir().join("shmpool-heat.pgm");
    let mut file = format!("P5 {width} {height} 255\n").into_bytes();
    file.extend_from_slice(&pixels);
    std::fs::write(&path, file)?;
    println!("the plate is in {}", path.display());
    Ok(())
}
