//! What a kernel may do to its worker, and what the caller sees of it: an error that names the task, and
//! everything else done.

use shmpool::{Array, ErrorKind, Pool};

fn main() -> shmpool::Result<()> {
    shmpool::init();
    let pool = Pool::builder().workers(2).build()?;
    let xs = pool.array_with(1000, |i| i as u32)?;

    // A panic is a value; the worker lives on.
    let error =
        pool.call().grain(10).map(&xs, |x| if x == 500 { panic!("no 500s, please") } else { x }).unwrap_err();
    println!("panic:  {error}");

    // A crash takes its worker along. The pool replaces it and runs the task again; after the third time it
    // gives the task up.
    let mut error = pool
        .call()
        .grain(10)
        .map(&xs, |x| {
            if x == 123 {
                std::process::abort();
            }
            2 * x
        })
        .unwrap_err();
    println!("crash:  {error}");
    if let ErrorKind::WorkerDied { elements, .. } = error.kind() {
        println!(
            "        elements {elements:?} are missing, {:?} are done",
            error.report().map(|report| &report.done)
        );
    }
    let partial: Array<u32> = error.take_partial().expect("`map` leaves what it has");
    println!("        the last element is {}", partial[999]);

    let stats = pool.stats()?;
    println!(
        "after:  {} of {} workers live, {} have died",
        stats.n_workers,
        pool.n_workers(),
        stats.n_deaths
    );
    Ok(())
}
