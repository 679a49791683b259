//! Filling an array without a second buffer, changing it in place, and mapping whole chunks.

use std::io::Write;

use shmpool::Pool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::new()?;

    // Straight into the arena: a decoder, a socket or a file would write here just so.
    let mut samples = pool.zeros::<u16>([4, 1024])?;
    let mut bytes = samples.as_bytes_mut();
    for i in 0..4096_u16 {
        bytes.write_all(&i.to_ne_bytes())?;
    }

    pool.update(&mut samples, |sample| *sample = sample.rotate_left(4))?;

    // A row at a time: a kernel that needs its neighbours.
    let mut smooth = pool.zeros::<u16>([4, 1024])?;
    pool.call().grain(1024).map_chunks(&samples, &mut smooth, |row, out| {
        for i in 0..row.len() {
            let (left, right) = (row[i.saturating_sub(1)], row[(i + 1).min(row.len() - 1)]);
            out[i] = ((u32::from(left) + 2 * u32::from(row[i]) + u32::from(right)) / 4) as u16;
        }
    })?;
    println!("row 3 begins {:?}", &smooth[3 * 1024..3 * 1024 + 4]);
    println!("{} bytes copied", pool.stats()?.bytes_copied);
    Ok(())
}
