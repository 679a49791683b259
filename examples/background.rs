//! Arrays that several jobs use in the background, each with a lease; one that takes too long is ended.

use std::time::Duration;

use shmpool::{ErrorKind, Handle, Pool};

fn main() -> shmpool::Result<()> {
    shmpool::init();
    let pool = Pool::new()?;
    let signal = Handle::new(pool.array_with(2_000_000, |i| (i as f32 * 0.001).sin())?);
    let spectrum = Handle::new(pool.zeros::<f32>(2_000_000)?);

    // A job owns what it works on: here a lease to read and one to write.
    let (from, mut to) = (signal.read()?, spectrum.write()?);
    let job = pool.background(move |call| {
        call.map_into(&from, &mut to, |x| x * x)?;
        call.reduce(&to, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b)
    })?;

    // Meanwhile others may read what it reads, and are told what they may not touch.
    println!("the first sample is {}", signal.read()?[0]);
    match spectrum.read() {
        Ok(_) => println!("the job was quick: it has ended already"),
        Err(error) => println!("not yet: {error}"),
    }
    println!("the energy is {:.1}", job.wait()?);
    println!("its largest sample is {:.3}", spectrum.read()?.iter().copied().fold(0.0, f32::max));

    // A kernel that never ends costs its worker, not the program.
    let endless = pool.call().timeout(Duration::from_millis(100)).background(|call| {
        call.from_fn([8], |[i]| {
            if i == 5 {
                loop {
                    std::hint::spin_loop();
                }
            }
            i as u8
        })
    })?;
    let error = endless.wait().expect_err("element 5 takes for ever");
    assert!(matches!(error.kind(), ErrorKind::TimedOut { .. }));
    println!("{error}; {} worker was replaced", pool.stats()?.n_deaths);
    Ok(())
}
