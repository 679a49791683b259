//! A fused chain means its steps one after the other, byte for byte, whatever the tiles and the level.

mod common;

use common::noise;
use proptest::prelude::*;
use shmpool_kernels::{
    Border, Chain, Gaussian, Gray, KernelError, Level, Plan, STOCK, Sample, Scratch, Sobel, Step, parse_chain,
};

const BORDERS: [Border; 5] =
    [Border::Reflect101, Border::Reflect, Border::Replicate, Border::Constant(77.0), Border::Wrap];

/// The result and its shape, each step run alone, as one tile, at the baseline.
fn step_by_step(steps: &[Step], src: &[u8], mut shape: [usize; 3]) -> (Vec<u64>, [usize; 3], usize) {
    let mut image = words(src);
    let mut n_bytes = src.len();
    for step in steps {
        let src = &bytemuck::cast_slice(&image)[..n_bytes];
        let step = match step.measurement() {
            Some(measurement) => {
                let (measured, _, n_bytes) = as_one_tile(measurement, src, shape);
                step.resolved(bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&measured)[..n_bytes]))
            }
            None => *step,
        };
        (image, shape, n_bytes) = as_one_tile(step, src, shape);
    }
    (image, shape, n_bytes)
}

fn as_one_tile(step: Step, src: &[u8], shape: [usize; 3]) -> (Vec<u64>, [usize; 3], usize) {
    let whole = Plan::new(&[step], shape, None).unwrap().output_shape();
    let tile = [whole[0].max(1), whole[1].max(1)];
    let plan = Plan::new(&[step], shape, Some(tile)).unwrap();
    let mut out = vec![0u64; plan.output_bytes().div_ceil(8)];
    let dst = &mut bytemuck::cast_slice_mut(&mut out)[..plan.output_bytes()];
    plan.run_all(src, dst, &mut Scratch::new(), Level::Baseline).unwrap();
    (out, plan.output_shape(), plan.output_bytes())
}

/// The bytes at an address that suits every sample type.
fn words(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

fn assert_fused_is_step_by_step<I: Sample, O: Sample>(
    chain: &Chain<I, O>,
    src: &[I],
    shape: [usize; 3],
    tile: Option<[usize; 2]>,
) {
    let (wanted, wanted_shape, n_bytes) = step_by_step(chain.steps(), bytemuck::cast_slice(src), shape);
    assert_eq!(chain.output_shape(shape).unwrap(), wanted_shape);
    for level in Level::available() {
        let mut found = vec![O::default(); wanted_shape.iter().product()];
        chain.run_tiled(src, shape, &mut found, tile, level).unwrap();
        let same =
            bytemuck::cast_slice::<O, u8>(&found) == &bytemuck::cast_slice::<u64, u8>(&wanted)[..n_bytes];
        assert!(same, "{chain:?}, shape {shape:?}, tile {tile:?}, level {level}");
    }
}

#[test]
fn every_tile_size_gives_the_same_bytes() {
    let shape = [37, 41, 3];
    let src: Vec<u8> = noise(shape.iter().product());
    let chain = Chain::<u8, u8>::of(Gray).then(Gaussian::new(1.2)).then(Sobel::default());
    for side in 1..=64 {
        assert_fused_is_step_by_step(&chain, &src, shape, Some([side, 65 - side]));
    }
    assert_fused_is_step_by_step(&chain, &src, shape, None);
}

#[test]
fn images_smaller_than_the_halo_are_right_with_every_border() {
    for (border, channels) in BORDERS.into_iter().zip([1, 2, 3, 4, 1]) {
        for shape in [[1, 1, channels], [1, 7, channels], [3, 5, channels], [9, 2, channels]] {
            let src: Vec<u8> = noise(shape.iter().product());
            let chain = Chain::of(Sobel::new(border)).then(Gaussian::new(2.0).border(border)).then(Gray);
            for tile in [None, Some([1, 1]), Some([2, 3])] {
                assert_fused_is_step_by_step(&chain, &src, shape, tile);
            }
        }
    }
}

#[test]
fn other_sample_types_fuse_too() {
    let shape = [19, 23, 4];
    let src: Vec<u16> = noise(shape.iter().product());
    let chain = Chain::<u16, u16>::of(Gaussian::new(0.7)).then(Gray).then(Sobel::new(Border::Reflect));
    assert_fused_is_step_by_step(&chain, &src, shape, Some([8, 5]));

    let src: Vec<f32> = src.iter().map(|&x| f32::from(x) / 65_535.0).collect();
    let chain = Chain::<f32, f32>::of(Sobel::default()).then(Gaussian::new(1.0)).then(Gray);
    assert_fused_is_step_by_step(&chain, &src, shape, Some([7, 11]));
}

#[test]
fn the_empty_chain_copies() {
    let shape = [5, 6, 3];
    let src: Vec<u8> = noise(90);
    let mut out = vec![0; 90];
    Chain::<u8, u8>::new().run_tiled(&src, shape, &mut out, Some([2, 4]), Level::detect()).unwrap();
    assert_eq!(out, src);
    assert_eq!(Chain::<u8, u8>::new().then(Gray).steps(), Chain::<u8, u8>::of(Gray).steps());
}

#[test]
fn an_image_without_pixels_has_no_tiles() {
    for shape in [[0, 5, 3], [5, 0, 3], [0, 0, 3]] {
        let chain = Chain::<u8, u8>::of(Gaussian::new(2.0)).then(Gray);
        assert_eq!(Plan::new(chain.steps(), shape, None).unwrap().n_tiles(), 0);
        chain.run(&[], shape, &mut []).unwrap();
    }
}

#[test]
fn a_tile_writes_its_own_rectangle_and_nothing_else() {
    let chain = Chain::<u8, u8>::of(Gray).then(Sobel::default());
    let plan = Plan::new(chain.steps(), [7, 9, 3], Some([3, 4])).unwrap();
    let src: Vec<u8> = noise(7 * 9 * 3);
    let mut whole = vec![0; 63];
    plan.run_all(&src, &mut whole, &mut Scratch::new(), Level::detect()).unwrap();
    for index in 0..plan.n_tiles() {
        let rect = plan.tile(index);
        for untouched in [0x55, 0xaa] {
            let mut out = vec![untouched; 63];
            // SAFETY: the slices have the plan's lengths, `u8` needs no alignment, and `out` is ours alone.
            #[allow(unsafe_code)]
            unsafe {
                plan.run(index, src.as_ptr(), out.as_mut_ptr(), &mut Scratch::new(), Level::detect());
            }
            for (place, (&found, &wanted)) in out.iter().zip(&whole).enumerate() {
                let (y, x) = (place / 9, place % 9);
                let inside =
                    (rect.y..rect.y + rect.height).contains(&y) && (rect.x..rect.x + rect.width).contains(&x);
                assert_eq!(found, if inside { wanted } else { untouched }, "tile {index}, pixel {y}, {x}");
            }
        }
    }
}

/// A word for any stock kernel, with any border and small radius where it has these parameters.
fn word() -> impl Strategy<Value = String> {
    let border = prop::sample::select(vec!["reflect101", "reflect", "replicate", "77", "wrap"]);
    (0..STOCK.len(), border, 0u32..6, 0.1f32..1.5).prop_map(|(kernel, border, radius, sigma)| {
        let stock = &STOCK[kernel];
        let values =
            [("border", border.to_owned()), ("radius", radius.to_string()), ("sigma", sigma.to_string())];
        let known = |name: &str| stock.parameters.iter().any(|parameter| parameter.name == name);
        let given =
            values.iter().filter(|(name, _)| known(name)).map(|(name, value)| format!("{name}={value}"));
        format!("{}:{}", stock.name, given.collect::<Vec<_>>().join(","))
    })
}

fn assert_words_fuse<T: Sample>(
    words: &[String],
    shape: [usize; 3],
    tile: [usize; 2],
    convert: fn(u16) -> T,
) {
    let chain = match parse_chain::<T>(words) {
        Err(KernelError::Sample { found, .. }) => return assert_eq!(found, T::TYPE),
        chain => chain.unwrap(),
    };
    let noise: Vec<u16> = noise(shape.iter().product());
    let src: Vec<T> = noise.into_iter().map(convert).collect();
    assert_fused_is_step_by_step(&chain, &src, shape, Some(tile));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_chains_mean_their_steps_for_every_sample_type(
        words in prop::collection::vec(word(), 0..4),
        shape in (1usize..20, 1usize..20, 1usize..5),
        tile in (1usize..25, 1usize..25),
    ) {
        let (shape, tile) = ([shape.0, shape.1, shape.2], [tile.0, tile.1]);
        assert_words_fuse::<u8>(&words, shape, tile, |x| (x >> 8) as u8);
        assert_words_fuse::<u16>(&words, shape, tile, |x| x);
        assert_words_fuse::<f32>(&words, shape, tile, |x| f32::from(x) / 65_535.0);
    }
}

/// Wide enough for the fast paths: whole registers, tables, rings of rows, strips of columns.
#[test]
fn every_stock_kernel_gives_the_same_bytes_for_any_tiles() {
    for stock in &STOCK {
        let has_radius = stock.parameters.iter().any(|parameter| parameter.name == "radius");
        for radius in if has_radius { vec![1, 2, 4, 9] } else { vec![0] } {
            let word =
                if has_radius { format!("{}:radius={radius}", stock.name) } else { stock.name.to_owned() };
            let words = [word];
            assert_words_fuse::<u8>(&words, [24, 301, 3], [7, 280], |x| (x >> 8) as u8);
            // Partial sorting takes its time.
            let shape = if stock.name == "median" { [6, 20, 2] } else { [20, 80, 2] };
            assert_words_fuse::<u16>(&words, shape, [5, 33], |x| x);
            assert_words_fuse::<f32>(&words, shape, [5, 33], |x| f32::from(x) / 65_535.0);
        }
    }
}
