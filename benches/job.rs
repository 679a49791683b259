//! What a job costs when its tasks cost nothing: the round trip of one with two tasks, and a task of a million.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shmpool::Pool;

shmpool::test_workers!();

const N_MANY: usize = 1 << 20;

fn jobs(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mut group = criterion.benchmark_group("job");
    group.sample_size(20).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    for (name, n) in [("two tasks", 2), ("a million tasks", N_MANY)] {
        let xs = pool.array_with(n, |i| i as u8).unwrap();
        let mut out = pool.zeros::<u8>(n).unwrap();
        let call = pool.call().grain(1);
        call.map_into(&xs, &mut out, |x| !x).unwrap();
        assert!(xs.iter().zip(out.iter()).all(|(&x, &y)| y == !x));
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(name, |b| b.iter(|| call.map_into(&xs, &mut out, |x| !x).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, jobs);
criterion_main!(benches);
