//! A map, a reduction and a grid: the shortest useful program.

use shmpool::Pool;

fn main() -> shmpool::Result<()> {
    shmpool::init(); // a worker never comes back from here
    let pool = Pool::new()?;

    let xs = pool.array_with(1_000_000, |i| i as f32)?;
    let roots = pool.map(&xs, |x| x.sqrt())?;
    let sum = pool.reduce(&roots, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b)?;
    println!("the square roots of 0 to 999999 add up to {sum:.3}");

    let table = pool.from_fn([12, 12], |[y, x]| ((y + 1) * (x + 1)) as u32)?;
    println!("7 times 8 is {}", table[[6, 7]]);
    Ok(())
}
