//! Bytes a second through the verbs: what is read and what is written, 16 Mi elements of f32.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shmpool::Pool;

shmpool::test_workers!();

const N: usize = 16 << 20;
const ARRAY_BYTES: u64 = 4 * N as u64;

fn verbs(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let xs = pool.array_with(N, |i| (i % 1024) as f32).unwrap();
    let mut out = pool.zeros::<f32>(N).unwrap();
    let mut group = criterion.benchmark_group("verbs");
    group.sample_size(20).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));

    assert_eq!(pool.map(&xs, |x| x * 2.0 + 1.0).unwrap()[N - 1], 2047.0);
    group.throughput(Throughput::Bytes(2 * ARRAY_BYTES));
    group.bench_function("map", |b| b.iter(|| pool.map(&xs, |x| x * 2.0 + 1.0).unwrap()));

    pool.map_into(&xs, &mut out, |x| x * 2.0 + 1.0).unwrap();
    assert_eq!(out[..3], [1.0, 3.0, 5.0]);
    group.bench_function("map_into", |b| {
        b.iter(|| pool.map_into(&xs, &mut out, |x| x * 2.0 + 1.0).unwrap());
    });

    assert_eq!(pool.zip_map((&xs, &out), |x, y| y - x).unwrap()[N - 1], 1024.0);
    group.throughput(Throughput::Bytes(3 * ARRAY_BYTES));
    group.bench_function("zip_map", |b| b.iter(|| pool.zip_map((&xs, &out), |x, y| y - x).unwrap()));

    let sum = || pool.reduce(&xs, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b).unwrap();
    assert_eq!(sum(), 1023.0 / 2.0 * N as f64);
    group.throughput(Throughput::Bytes(ARRAY_BYTES));
    group.bench_function("reduce", |b| b.iter(|| black_box(sum())));

    assert_eq!(pool.from_fn([N], |[i]| i as f32).unwrap()[N - 1], (N - 1) as f32);
    group.bench_function("from_fn", |b| b.iter(|| pool.from_fn([N], |[i]| i as f32).unwrap()));
    group.finish();
}

criterion_group!(benches, verbs);
criterion_main!(benches);
