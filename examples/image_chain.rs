//! An image chain: three steps, run tile by tile, without an image in between. Writes a PGM that any viewer
//! opens.

use shmpool::Pool;
use shmpool::kernels::{Chain, Gaussian, Gray, Sobel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;

    // A disc on a gradient, made by the workers.
    let (height, width) = (600, 800);
    let image = pool.from_fn([height, width, 3], |[y, x, channel]| {
        let (dy, dx) = (y as f32 - 300.0, x as f32 - 400.0);
        if dy * dy + dx * dx < 200.0 * 200.0 { [230, 160, 40][channel] } else { ((x + y) / 6) as u8 }
    })?;

    let chain = Chain::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
    let edges = pool.apply(&chain, &image)?;

    let path = std::env::temp_dir().join("shmpool-edges.pgm");
    let mut file = format!("P5 {width} {height} 255\n").into_bytes();
    file.extend_from_slice(&edges);
    std::fs::write(&path, file)?;
    println!("edges {:?} in {}", edges.shape(), path.display());
    Ok(())
}
