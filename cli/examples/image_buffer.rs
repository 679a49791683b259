//! `image`'s buffers over arena memory: what draws into them, or reads them, works on the pool's arrays, without a copy.

use image::{ImageBuffer, Luma, Rgb, imageops};
use shmpool::Pool;
use shmpool::kernels::{Chain, Gray, Sobel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;
    let (width, height) = (320, 240);

    // An array is a container of samples, so it can be that of a buffer.
    let mut picture: ImageBuffer<Rgb<u8>, _> =
        ImageBuffer::from_raw(width, height, pool.zeros::<u8>([240, 320, 3])?).ok_or("too few samples")?;
    imageops::vertical_gradient(&mut picture, &Rgb([10, 20, 80]), &Rgb([240, 160, 60]));
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if x.abs_diff(160).pow(2) + y.abs_diff(120).pow(2) < 60 * 60 {
            *pixel = Rgb([255; 3]);
        }
    }

    // And back: the array is the buffer's container, and workers see what was drawn.
    let edges = pool.apply(&Chain::of(Gray).then(Sobel::default()), &picture.into_raw())?;
    let edges: ImageBuffer<Luma<u8>, _> =
        ImageBuffer::from_raw(width, height, edges).ok_or("too few samples")?;
    let n_bright = edges.pixels().filter(|Luma([level])| *level > 100).count();
    println!("{n_bright} pixels on edges");
    assert!((300..1500).contains(&n_bright), "the circle's edge, and nothing else");
    Ok(())
}
