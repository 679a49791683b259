//! How many pixels a second do the stock image kernels make, in one thread and without an engine?

use criterion::{Criterion, Throughput};
use shmpool::kernels::{Chain, Gaussian, Gray, Level, Sobel};

const SHAPE: [usize; 3] = [1500, 2000, 3];

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let [height, width, channels] = SHAPE;
    let image: Vec<u8> =
        (0..height * width * channels).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();

    let mut group = criterion.benchmark_group("3 megapixels, u8 RGB");
    group.throughput(Throughput::Elements((height * width) as u64));
    let chains = [
        ("gray", Chain::of(Gray)),
        ("gaussian sigma 2", Chain::of(Gaussian::new(2.0))),
        ("sobel", Chain::of(Sobel::default())),
        ("gray, gaussian, sobel", Chain::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default())),
    ];
    for (name, chain) in chains {
        let [h, w, c] = chain.output_shape(SHAPE).expect("the chain takes RGB");
        let mut out = vec![0_u8; h * w * c];
        // Answers first: the same bytes whatever the tiles.
        let mut wanted = out.clone();
        chain.run(&image, SHAPE, &mut out).expect("the chain runs");
        chain.run_tiled(&image, SHAPE, &mut wanted, Some([101, 333]), Level::Baseline).expect("and tiled");
        assert!(out == wanted, "{name}");
        group
            .bench_function(name, |b| b.iter(|| chain.run(&image, SHAPE, &mut out).expect("the chain runs")));
    }
    group.finish();
    criterion.final_summary();
}
