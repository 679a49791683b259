//! Pixels a second through the image kernels alone: one thread, no engine, a 2048 x 2048 picture of u8.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shmpool::kernels::{Chain, Gaussian, Gray, Sobel};

const SIDE: usize = 2048;

/// Runs a chain over a picture that is the same everywhere, where the answer is known, then times it over one
/// that is not.
fn bench(criterion: &mut Criterion, name: &str, chain: &Chain<u8, u8>, n_in: usize, n_out: usize, flat: u8) {
    let shape = [SIDE, SIDE, n_in];
    let mut out = vec![0; SIDE * SIDE * n_out];
    chain.run(&vec![100; SIDE * SIDE * n_in], shape, &mut out).unwrap();
    assert!(out.iter().all(|&sample| sample == flat), "{name}");

    let picture: Vec<u8> = (0..SIDE * SIDE * n_in).map(|i| (i / 7 ^ i >> 11) as u8).collect();
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements((SIDE * SIDE) as u64));
    group.bench_function(name, |b| b.iter(|| chain.run(&picture, shape, &mut out).unwrap()));
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    bench(criterion, "gray, RGB", &Chain::of(Gray), 3, 1, 100);
    bench(criterion, "gaussian sigma 2, gray", &Chain::of(Gaussian::new(2.0)), 1, 1, 100);
    bench(criterion, "gaussian sigma 2, RGB", &Chain::of(Gaussian::new(2.0)), 3, 3, 100);
    bench(criterion, "sobel, gray", &Chain::of(Sobel::default()), 1, 1, 0);
    let all = Chain::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
    bench(criterion, "gray, gaussian, sobel fused, RGB", &all, 3, 1, 0);
}

criterion_group!(benches, kernels);
criterion_main!(benches);
