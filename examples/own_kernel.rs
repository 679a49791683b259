//! Kernels of one's own: of images, in a chain with stock kernels and by its word, and of arrays of numbers.

use shmpool::Pool;
use shmpool::kernels::{Chain, ElementType, Gray, parse_chain, parse_element_step, register_kernel};

register_kernel! {
    /// nothing darker than a level
    struct Floor = "floor" {
        /// the darkest
        level: level(0..=255) = 16,
    }
    samples |x| x.max(level)
}

register_kernel! {
    /// from 0 to 1, and 0.5 for 0
    struct Logistic = "logistic" {
        /// how steep it is there
        slope: number = 1,
    }
    elements(f32, f64) |x| 1.0 / (1.0 + (-slope * x).exp())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;
    let image = pool.from_fn([256, 256, 3], |[y, _, _]| y as u8)?;
    let typed = pool.apply(&Chain::of(Gray).then(Floor { level: 100.0 }), &image)?;
    let by_word = pool.apply(&parse_chain::<u8>(&["gray", "floor:level=100"])?, &image)?;
    assert_eq!(*typed, *by_word);
    println!("darkest: {:?}", typed.iter().min());

    let numbers = pool.array_from(&[-1.0, 0.0, 0.5, 1.0])?;
    let mut steep = pool.zeros::<f64>(4)?;
    let step = parse_element_step("logistic:slope=4", ElementType::F64)?;
    pool.call().apply_step(&step, &numbers, &mut steep)?;
    println!("steep: {:.3?}", &steep[..]);
    Ok(())
}
