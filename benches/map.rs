//! How many bytes a second do the verbs move and compute? Throughput counts what is read and written once each.

use criterion::{Criterion, Throughput};
use shmpool::Pool;

/// Elements: larger than any cache.
const N: usize = 16 << 20;

fn main() {
    shmpool::init();
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let pool = Pool::new().expect("a pool");
    let xs = pool.array_with(N, |i| i as f32 / N as f32).expect("an input");
    let ys = pool.array_with(N, |i| 1.0 - i as f32 / N as f32).expect("an input");
    let mut out = pool.zeros::<f32>(N).expect("an output");

    // Answers first.
    pool.map_into(&xs, &mut out, |x| x * 2.0 + 1.0).expect("map_into");
    assert!(out.iter().zip(&xs).all(|(&y, &x)| y == x * 2.0 + 1.0));
    let sums = pool.zip_map((&xs, &ys), |x, y| x + y).expect("zip_map");
    assert!((0..N).all(|i| sums[i] == xs[i] + ys[i]));
    drop(sums);
    let sum = pool.reduce(&xs, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b).expect("reduce");
    let wanted: f64 = xs.iter().map(|&x| f64::from(x)).sum();
    assert!((sum - wanted).abs() < 1e-6 * wanted);
    let grid = pool.from_fn([1 << 12, 1 << 12], |[y, x]| (y ^ x) as u32).expect("from_fn");
    assert_eq!(grid[[1000, 3000]], 1000 ^ 3000);
    drop(grid);

    let mut group = criterion.benchmark_group("16 Mi f32");
    let bytes = (N * size_of::<f32>()) as u64;
    group.throughput(Throughput::Bytes(2 * bytes));
    group.bench_function("map_into x*2+1", |b| {
        b.iter(|| pool.map_into(&xs, &mut out, |x| x * 2.0 + 1.0).expect("map_into"));
    });
    group.bench_function("map x*2+1", |b| b.iter(|| pool.map(&xs, |x| x * 2.0 + 1.0).expect("map")));
    group.bench_function("update y*2+1", |b| {
        b.iter(|| pool.update(&mut out, |y| *y = *y * 2.0 + 1.0).expect("update"));
    });
    group.throughput(Throughput::Bytes(3 * bytes));
    group.bench_function("zip_map x+y", |b| b.iter(|| pool.zip_map((&xs, &ys), |x, y| x + y)));
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("reduce to f64", |b| {
        b.iter(|| pool.reduce(&xs, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b).expect("reduce"));
    });
    group.bench_function("from_fn y^x", |b| {
        b.iter(|| pool.from_fn([1 << 12, 1 << 12], |[y, x]| (y ^ x) as u32).expect("from_fn"));
    });
    group.finish();
    criterion.final_summary();
}
