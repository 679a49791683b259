//! What does a job cost that has nothing to do, and what a task?

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use shmpool::Pool;

/// Tasks of the large job.
const N: usize = 1 << 20;

fn main() {
    shmpool::init();
    let mut criterion = Criterion::default().configure_from_args();
    let pool = Pool::new().expect("a pool");
    let two = pool.array_from(&[1.0_f32, 2.0]).expect("an input");
    let mut two_out = pool.zeros::<f32>(2).expect("an output");
    let many = pool.array_with(N, |i| i as u32).expect("an input");
    let mut many_out = pool.zeros::<u32>(N).expect("an output");

    // Answers first.
    pool.call().grain(1).map_into(&two, &mut two_out, |x| x).expect("two tasks");
    assert_eq!(*two_out, *two);
    pool.call().grain(1).map_into(&many, &mut many_out, |x| x).expect("many tasks");
    assert!(*many_out == *many);

    criterion.bench_function("job of two empty tasks", |b| {
        b.iter(|| pool.call().grain(1).map_into(&two, &mut two_out, |x| x).expect("two tasks"));
    });
    // Workers are asleep by then: what waking costs, of futexes or, with `--features raw-sync`, of events.
    criterion.bench_function("the same after a pause of 2 ms", |b| {
        b.iter_custom(|n| {
            let mut time = Duration::ZERO;
            for _ in 0..n {
                std::thread::sleep(Duration::from_millis(2));
                let start = Instant::now();
                pool.call().grain(1).map_into(&two, &mut two_out, |x| x).expect("two tasks");
                time += start.elapsed();
            }
            time
        });
    });
    let mut group = criterion.benchmark_group("empty tasks");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("a Mi of them in one job", |b| {
        b.iter(|| pool.call().grain(1).map_into(&many, &mut many_out, |x| x).expect("many tasks"));
    });
    group.finish();
    criterion.bench_function("start two workers and end them", |b| {
        b.iter(|| Pool::builder().workers(2).build().expect("a pool"));
    });
    criterion.final_summary();
}
