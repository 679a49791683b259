//! Kernels that measure the whole image first, against OpenCV; `references/global.py` made the expected values.

mod common;

use common::cases::{References, input};
use common::noise;
use shmpool_kernels::{
    Chain, Equalize, Gaussian, Gray, ImageHistogram, KernelError, Level, Orient, Otsu, Plan, Sobel, Step,
    passes,
};

static GLOBAL: References = References {
    lines: include_str!("references/global.txt"),
    bytes: include_bytes!("references/global.bin"),
};

#[test]
fn otsu_is_opencv_s() {
    for case in GLOBAL.cases("otsu") {
        if case.sample == "u8" {
            let (src, shape) = input(&case, |x| x);
            let mut found = vec![0; src.len()];
            Chain::<u8, u8>::of(Otsu).run(&src, shape, &mut found).unwrap();
            assert_eq!(found, case.values::<u8>(), "{}", case.words);
        } else {
            let (src, shape) = input(&case, |x| u16::from(x) * 257);
            let mut found = vec![0; src.len()];
            Chain::<u16, u16>::of(Otsu).run(&src, shape, &mut found).unwrap();
            assert_eq!(found, case.values::<u16>(), "{}", case.words);
        }
    }
}

#[test]
fn otsu_s_threshold_is_opencv_s() {
    for case in GLOBAL.cases("otsu").iter().filter(|case| case.sample == "u8") {
        let (src, shape) = input(case, |x| x);
        let mut counts = vec![0; 256];
        for gray in src.chunks(shape[2]) {
            counts[usize::from(gray[0])] += 1;
        }
        assert_eq!(Otsu::threshold(&counts) as f64, case.number("threshold"), "{}", case.words);
    }
    assert_eq!(Otsu::threshold(&[0; 256]), 0);
}

#[test]
fn equalize_is_opencv_s() {
    for case in GLOBAL.cases("equalize") {
        let (src, shape) = input(&case, |x| x);
        let mut found = vec![0; src.len()];
        Chain::<u8, u8>::of(Equalize).run(&src, shape, &mut found).unwrap();
        assert_eq!(found, case.values::<u8>(), "{}", case.words);
    }
}

#[test]
fn gray_stays_gray_when_colours_are_equalized_together() {
    let src = [10, 10, 10, 20, 20, 20, 90, 90, 90];
    let mut found = [0; 9];
    Chain::<u8, u8>::of(Equalize).run(&src, [1, 3, 3], &mut found).unwrap();
    assert_eq!(found, [0, 0, 0, 128, 128, 128, 255, 255, 255]);
}

#[test]
fn a_histogram_of_many_bands_counts_every_colour_once() {
    let (height, width) = (1031, 1100); // more than the 2^20 pixels of one band, ending inside of a row
    for channels in [1, 2, 3, 4] {
        let src: Vec<u8> = noise(height * width * channels);
        let chain = Chain::<u8, f32>::of(ImageHistogram::default());
        let shape = [height, width, channels];
        assert_eq!(chain.output_shape(shape).unwrap(), [2, 256, 1]);
        let mut wanted = [0u64; 256];
        for pixel in src.chunks(channels) {
            let n_colours = if channels % 2 == 0 { channels - 1 } else { channels };
            for &sample in &pixel[..n_colours] {
                wanted[usize::from(sample)] += 1;
            }
        }
        for tile in [None, Some([2, 100])] {
            let mut bands = vec![0.0; 512];
            chain.run_tiled(&src, shape, &mut bands, tile, Level::detect()).unwrap();
            for (value, &wanted) in wanted.iter().enumerate() {
                assert_eq!(
                    (bands[value] + bands[256 + value]) as u64,
                    wanted,
                    "{value} of {channels} channels"
                );
            }
        }
    }
}

#[test]
fn chains_with_measured_steps_mean_their_steps() {
    let shape = [23, 31, 3];
    let src: Vec<u8> = noise(23 * 31 * 3);
    let run = |chain: &Chain<u8, u8>, src: &[u8], shape, tile, level| {
        let mut out = vec![0; chain.output_shape(shape).unwrap().iter().product()];
        chain.run_tiled(src, shape, &mut out, tile, level).unwrap();
        out
    };
    let alone = |chain: &Chain<u8, u8>, src: &[u8], shape| run(chain, src, shape, None, Level::Baseline);
    let gray = alone(&Chain::of(Gray).then(Orient::rotate90()), &src, shape);
    let equal = alone(&Chain::of(Equalize), &gray, [31, 23, 1]);
    let blurred = alone(&Chain::of(Gaussian::new(1.0)), &equal, [31, 23, 1]);
    let edges = alone(&Chain::of(Sobel::default()), &blurred, [31, 23, 1]);
    let wanted = alone(&Chain::of(Otsu), &edges, [31, 23, 1]);

    let chain = Chain::<u8, u8>::of(Gray)
        .then(Orient::rotate90())
        .then(Equalize)
        .then(Gaussian::new(1.0))
        .then(Sobel::default())
        .then(Otsu);
    let lengths: Vec<usize> = passes(chain.steps()).iter().map(|pass| pass.len()).collect();
    assert_eq!(lengths, [1, 1, 3, 1]);
    for level in Level::available() {
        for tile in [None, Some([1, 1]), Some([5, 300])] {
            assert_eq!(run(&chain, &src, shape, tile, level), wanted, "tile {tile:?}, level {level}");
        }
    }
}

#[test]
fn images_without_pixels_are_measured_too() {
    for shape in [[0, 5, 1], [5, 0, 1]] {
        Chain::<u8, u8>::of(Otsu).then(Equalize).run(&[], shape, &mut []).unwrap();
    }
}

#[test]
fn what_has_not_been_measured_is_refused() {
    let steps = [Step::global::<u8, _>(Otsu), Step::of::<u8, _>(Gray)];
    let error = Plan::new(&steps, [4, 4, 1], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "otsu: has to see its whole input first: run its measurement and put in what `resolved` gives"
    );
    assert!(steps[1].measurement().is_none());
    let error = Chain::<u8, u8>::of(Otsu).output_shape([4, 4, 3]).unwrap_err();
    let wanted = "1 or 2 (gray)";
    assert_eq!(error, KernelError::Channels { kernel: "histogram", found: 3, wanted });
}
