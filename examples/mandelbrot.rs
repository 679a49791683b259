//! An index-aware map: the Mandelbrot set, as a picture of characters.

use shmpool::Pool;
use shmpool::kernels::{ElementKernel, Mandelbrot, Viewport};

const VIEW: Viewport = Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: 32, width: 100 };

fn main() -> shmpool::Result<()> {
    shmpool::init();
    let pool = Pool::new()?;
    let shape = [VIEW.height as usize, VIEW.width as usize];
    // Constants are part of the code, so a kernel may use them; variables it may not.
    let counts =
        pool.from_fn(shape, |[row, column]| Mandelbrot { iterations: 256 }.apply(VIEW.point(row, column)))?;
    for row in counts.chunks(shape[1]) {
        let shade = |&n: &u32| char::from(b" .:-=+*%@#"[n.max(1).ilog2() as usize]);
        println!("{}", row.iter().map(shade).collect::<String>());
    }
    Ok(())
}
