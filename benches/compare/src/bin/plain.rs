//! A program as small as an example, which prints the private memory of its idle workers, in KiB.

#[path = "../smaps.rs"]
mod smaps;

use shmpool::Pool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    shmpool::init();
    let n_workers = std::env::args().nth(1).map_or(Ok(2), |n| n.parse())?;
    let pool = Pool::builder().workers(n_workers).build()?;
    show("before the first job", &pool)?;

    let xs = pool.array_with(1_000_000, |i| i as f32)?;
    let roots = pool.map(&xs, |x| x.sqrt())?;
    assert_eq!(roots[144], 12.0);
    show("after it", &pool)
}

fn show(when: &str, pool: &Pool) -> Result<(), Box<dyn std::error::Error>> {
    // A worker that has just become ready or finished is not idle yet.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let kib = pool.worker_pids().into_iter().map(|pid| smaps::private_kib(pid).map(|kib| kib.to_string()));
    println!("{when}: {}", kib.collect::<Result<Vec<_>, _>>()?.join(" "));
    Ok(())
}
