//! Single tasks and their futures: awaited in a runtime, as they complete, and one whose worker dies.
//!
//! `cargo run --release --example futures`

use std::time::Duration;

use shmpool::{ErrorKind, Pool, as_completed};

/// Primes below `n`, the slow way.
fn count_primes(n: u64) -> usize {
    (2..n).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

/// A library with a bug that takes its process along.
fn decode(bytes: Vec<u8>) -> usize {
    if bytes.starts_with(b"bad") {
        std::process::abort();
    }
    bytes.len()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let pool = Pool::builder().workers(2).build()?;

    // In the order in which they end.
    let futures = [200_000, 1000, 50_000].map(|n| pool.submit(count_primes, n));
    for future in as_completed(futures.into_iter().collect::<Result<Vec<_>, _>>()?) {
        println!("{} primes", future.result()?);
    }

    // In any runtime; here tokio's, whose one thread is free meanwhile.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (few, more) = (pool.submit(count_primes, 10_000)?, pool.submit(count_primes, 100_000)?);
    let sum = runtime.block_on(async {
        let ticks = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                println!("the runtime ticks");
            }
        };
        let (few, more, ()) = tokio::join!(few, more, ticks);
        Ok::<usize, shmpool::Error>(few? + more?)
    })?;
    println!("{sum} primes");

    // A crash is its own task's affair.
    let files = ["good", "bad", "good too"].map(|text| text.as_bytes().to_vec());
    for (i, result) in pool.map_iter(decode, files).enumerate() {
        match result {
            Ok(n) => println!("file {i}: {n} bytes"),
            Err(error) if matches!(error.kind(), ErrorKind::TaskDied { .. }) => println!("file {i}: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
