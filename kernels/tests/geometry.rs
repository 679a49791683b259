//! The kernels that move pixels against what NumPy and Pillow give; `references/geometry.py` made the expected values.

mod common;

use common::cases::{Case, MAIN, References};
use common::noise;
use proptest::prelude::*;
use shmpool_kernels::{
    Border, ByGather, Chain, Crop, Filter, Gaussian, Gray, KernelError, Level, Link, Orient, Pad, Plan,
    Resize, Sample, Scratch, Sobel, Step, passes,
};

static GEOMETRY: References = References {
    lines: include_str!("references/geometry.txt"),
    bytes: include_bytes!("references/geometry.bin"),
};

const TURNS: [(&str, Orient); 7] = [
    ("flip-horizontal", Orient::flip_horizontal()),
    ("flip-vertical", Orient::flip_vertical()),
    ("rotate90", Orient::rotate90()),
    ("rotate180", Orient::rotate180()),
    ("rotate270", Orient::rotate270()),
    ("transpose", Orient::transpose()),
    ("transverse", Orient::transverse()),
];

/// The upper left part of the crop of the photograph, in the size that the words give.
fn input<T>(case: &Case, convert: fn(u8) -> T) -> (Vec<T>, [usize; 3]) {
    let [height, width, channels] = ["height", "width", "channels"].map(|name| case.number(name) as usize);
    let crop = MAIN.cases("crop").remove(0);
    let pixels: Vec<u8> = crop.values();
    let picked: &[usize] = [&[0][..], &[0, 3], &[0, 1, 2], &[0, 1, 2, 3]][channels - 1];
    let mut samples = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let pixel = &pixels[(y * crop.shape[1] + x) * 4..][..4];
            samples.extend(picked.iter().map(|&channel| convert(pixel[channel])));
        }
    }
    (samples, [height, width, channels])
}

/// What `kernel` makes of the input of `case`, which has the shape that it should have.
fn made<T, K>(case: &Case, kernel: K, convert: fn(u8) -> T) -> Vec<T>
where
    T: Sample,
    K: Link<T, ByGather, Out = T>,
{
    let (src, shape) = input(case, convert);
    let chain = Chain::<T, T>::of(kernel);
    assert_eq!(chain.output_shape(shape).unwrap()[..], case.shape, "{}", case.words);
    let mut found = vec![T::default(); case.shape.iter().product()];
    chain.run(&src, shape, &mut found).unwrap();
    found
}

/// Asserts that `kernel` makes exactly the samples of `case`, in the type that it names.
fn assert_equal<K>(case: &Case, kernel: K)
where
    K: Copy + Link<u8, ByGather, Out = u8> + Link<u16, ByGather, Out = u16> + Link<f32, ByGather, Out = f32>,
{
    match case.sample {
        "u8" => assert_eq!(made::<u8, K>(case, kernel, |x| x), case.values::<u8>(), "{}", case.words),
        "u16" => assert_eq!(made::<u16, K>(case, kernel, u16_of), case.values::<u16>(), "{}", case.words),
        _ => assert_eq!(made::<f32, K>(case, kernel, f32_of), case.values::<f32>(), "{}", case.words),
    }
}

fn u16_of(x: u8) -> u16 {
    u16::from(x) * 257
}

fn f32_of(x: u8) -> f32 {
    f32::from(x) / 255.0
}

#[test]
fn turns_are_numpy_s() {
    for (name, turn) in TURNS {
        for case in GEOMETRY.cases(name) {
            assert_equal(&case, turn);
        }
    }
}

#[test]
fn exif_orientations_are_undone() {
    // The upper left corner of what a camera stored, and what it has to become: EXIF 2.3, table 6.
    let stored = [1, 2, 3, 4, 5, 6];
    let upright: [&[u8]; 8] = [
        &[1, 2, 3, 4, 5, 6],
        &[3, 2, 1, 6, 5, 4],
        &[6, 5, 4, 3, 2, 1],
        &[4, 5, 6, 1, 2, 3],
        &[1, 4, 2, 5, 3, 6],
        &[4, 1, 5, 2, 6, 3],
        &[6, 3, 5, 2, 4, 1],
        &[3, 6, 2, 5, 1, 4],
    ];
    for (value, wanted) in (1..).zip(upright) {
        let mut found = [0; 6];
        Chain::<u8, u8>::of(Orient::exif(value).unwrap()).run(&stored, [2, 3, 1], &mut found).unwrap();
        assert_eq!(found, wanted, "{value}");
    }
    assert_eq!((Orient::exif(0), Orient::exif(9)), (None, None));
}

#[test]
fn pads_are_numpy_s() {
    for case in GEOMETRY.cases("pad") {
        let name = case.parameter("border");
        let named = Border::NAMED.into_iter().find(|(known, _)| *known == name);
        let border = named.map_or_else(|| Border::Constant(name.parse().unwrap()), |(_, border)| border);
        let [left, top, right, bottom] =
            ["left", "top", "right", "bottom"].map(|name| case.number(name) as u32);
        assert_equal(&case, Pad { left, top, right, bottom, border: border.into() });
    }
}

#[test]
fn a_crop_is_the_part_that_it_names() {
    let shape = [7, 9, 3];
    let src: Vec<u16> = noise(7 * 9 * 3);
    let mut found = vec![0; 4 * 2 * 3];
    let crop = Crop { x: 5, y: 3, width: 2, height: 4 };
    Chain::<u16, u16>::of(crop).run(&src, shape, &mut found).unwrap();
    for (index, pixel) in found.chunks(3).enumerate() {
        assert_eq!(pixel, &src[((3 + index / 2) * 9 + 5 + index % 2) * 3..][..3]);
    }
}

fn resize(case: &Case) -> Resize {
    let name = case.parameter("filter");
    let filter = Filter::NAMED.into_iter().find(|(known, _)| *known == name).unwrap().1;
    Resize::to(case.number("to-width") as u32, case.number("to-height") as u32).filter(filter)
}

#[test]
fn resize_of_bytes_is_pillow_s_within_one() {
    let (mut equal, mut total) = (0, 0);
    for case in GEOMETRY.cases("resize").iter().filter(|case| case.sample == "u8") {
        let (found, wanted) = (made::<u8, _>(case, resize(case), |x| x), case.values::<u8>());
        let exact = case.parameter("filter") == "nearest";
        let channels = case.shape[2];
        for (found, wanted) in found.chunks(channels).zip(wanted.chunks(channels)) {
            assert!(!exact || found == wanted, "{}: {found:?}, wanted {wanted:?}", case.words);
            assert_near(case, found, wanted);
        }
        if !matches!(channels, 2 | 4) {
            equal += found.iter().zip(&wanted).filter(|(found, wanted)| found == wanted).count();
            total += found.len();
        }
    }
    assert!(equal * 100 >= total * 99, "{equal} of {total} samples are equal");
}

/// Within 1. With alpha, 2: the alpha of the crop is a ramp, which puts many sums on the edge between two levels, in
/// both passes. Colour that was multiplied by alpha and divided again is compared as the product, for a quotient by a
/// small alpha is coarse, and has half a level of the quotient's own rounding on either side.
fn assert_near(case: &Case, found: &[u8], wanted: &[u8]) {
    let (n, alpha) = (found.len(), found.len() - 1);
    for channel in 0..n {
        let (tolerance, colour) = match n {
            2 | 4 => (if channel == alpha { 2.0 } else { 3.0 }, channel != alpha),
            _ => (1.0, false),
        };
        let factor = |pixel: &[u8]| if colour { f64::from(pixel[alpha]) / 255.0 } else { 1.0 };
        let value = |pixel: &[u8]| f64::from(pixel[channel]) * factor(pixel);
        let difference = (value(found) - value(wanted)).abs();
        assert!(difference <= tolerance, "{}: {found:?}, wanted {wanted:?}", case.words);
    }
}

#[test]
fn resize_of_wider_samples_is_pillow_s_in_mode_f() {
    for case in GEOMETRY.cases("resize") {
        let (pairs, tolerance): (Vec<(f64, f64)>, f64) = match case.sample {
            "u16" => {
                let found = made::<u16, _>(&case, resize(&case), u16_of);
                (
                    found
                        .into_iter()
                        .map(f64::from)
                        .zip(case.values::<u16>().into_iter().map(f64::from))
                        .collect(),
                    1.0,
                )
            }
            "f32" => {
                let found = made::<f32, _>(&case, resize(&case), f32_of);
                (
                    found
                        .into_iter()
                        .map(f64::from)
                        .zip(case.values::<f32>().into_iter().map(f64::from))
                        .collect(),
                    1e-5,
                )
            }
            _ => continue,
        };
        for (index, (found, wanted)) in pairs.into_iter().enumerate() {
            let tolerance = tolerance * wanted.abs().max(1.0);
            assert!((found - wanted).abs() <= tolerance, "{} {index}: {found}, wanted {wanted}", case.words);
        }
    }
}

#[test]
fn what_is_flat_stays_flat_and_what_keeps_its_size_stays() {
    for (_, filter) in Filter::NAMED {
        let mut found = [0; 9 * 70 * 3];
        let chain = Chain::<u8, u8>::of(Resize::to(70, 9).filter(filter));
        chain.run(&[201; 31 * 47 * 3], [31, 47, 3], &mut found).unwrap();
        assert!(found.iter().all(|&x| x == 201), "{filter:?}");

        let src: Vec<u8> = noise(6 * 7 * 4);
        let mut found = vec![0; src.len()];
        Chain::<u8, u8>::of(Resize::by(1.0).filter(filter)).run(&src, [6, 7, 4], &mut found).unwrap();
        assert_eq!(found, src, "{filter:?}");
    }
}

#[test]
fn what_is_transparent_does_not_bleed() {
    let half_clear = [255, 0, 0, 255, 0, 255, 0, 0]; // opaque red beside green that is not there
    let mut found = [0; 4];
    let shrink = Resize::to(1, 1).filter(Filter::Box);
    Chain::<u8, u8>::of(shrink).run(&half_clear, [1, 2, 4], &mut found).unwrap();
    assert_eq!(found, [255, 0, 0, 128]);
    Chain::<u8, u8>::of(shrink.straight_alpha()).run(&half_clear, [1, 2, 4], &mut found).unwrap();
    assert_eq!(found, [128, 128, 0, 128]);
}

#[test]
fn sides_follow_from_the_aspect_ratio() {
    let shape = |resize| Chain::<u8, u8>::of(resize).output_shape([3000, 4000, 3]).unwrap();
    assert_eq!(shape(Resize::to_width(800)), [600, 800, 3]);
    assert_eq!(shape(Resize::to_height(7)), [7, 9, 3]);
    assert_eq!(shape(Resize::by(0.25)), [750, 1000, 3]);
    assert_eq!(shape(Resize::by(1e-9)), [1, 1, 3]);
    assert_eq!(shape(Resize::to(5, 6)), [6, 5, 3]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refusal = |chain: Chain<u8, u8>, shape| chain.output_shape(shape).unwrap_err().to_string();
    let crop = |x, y, width, height| Chain::of(Crop { x, y, width, height });
    let outside =
        "crop: found height 4 and width 3 at row 0, column 1, wanted a part of height 9 and width 3";
    assert_eq!(refusal(crop(1, 0, 3, 4), [9, 3, 1]), outside);
    assert!(
        refusal(crop(u32::MAX, u32::MAX, u32::MAX, 1), [9, 3, 1])
            .starts_with("crop: found height 1 and width 4294967295")
    );
    assert_eq!(crop(1, 2, 0, 0).output_shape([9, 3, 1]).unwrap(), [7, 2, 1]);
    let nothing =
        "crop: found height 4 and width 0 at row 0, column 3, wanted a part of height 9 and width 3";
    assert_eq!(refusal(crop(3, 0, 0, 4), [9, 3, 1]), nothing);
    assert_eq!(refusal(crop(0, 0, 1, 1), [9, 3, 5]), "crop: found 5 channels, wanted 1 to 4");
    let nothing = "found an image of 0 x 3 pixels, wanted at least 1 x 1";
    assert_eq!(refusal(Chain::of(Resize::to(5, 5)), [0, 3, 1]), format!("resize: {nothing}"));
    assert_eq!(refusal(Chain::of(Pad::all(5, Border::Wrap)), [0, 3, 1]), format!("pad: {nothing}"));
    let padded = refusal(Chain::of(Pad::all(1 << 25, Border::Wrap)), [1, 1, 1]);
    assert_eq!(padded, "pad: parameter left: found 33554432, wanted at most 16777216");
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let wanted = format!("resize: parameter scale: found {scale}, wanted above 0");
        assert_eq!(refusal(Chain::of(Resize::by(scale)), [9, 3, 1]), wanted);
    }
    assert!(refusal(Chain::of(Resize::by(1e9)), [9, 3, 1]).ends_with("more bytes than memory can hold"));
    assert_eq!(
        refusal(Chain::of(Orient::rotate90()), [9, 3, 0]),
        "rotate90: found 0 channels, wanted 1 to 4"
    );
}

#[test]
fn gather_steps_take_a_pass_of_their_own() {
    let (gray, turn) = (Step::of::<u8, _>(Gray), Step::gather::<u8, _>(Orient::rotate90()));
    let lengths = |steps: &[Step]| passes(steps).iter().map(|pass| pass.len()).collect::<Vec<_>>();
    assert_eq!(lengths(&[turn]), [1]);
    assert_eq!(lengths(&[gray, gray, turn, turn, gray, gray]), [2, 1, 1, 2]);
    let error = Plan::new(&[gray, turn], [4, 4, 1], None).unwrap_err();
    assert_eq!(error, KernelError::GatherInside { kernel: "rotate90" });
    let error = Plan::new(&[turn, gray], [4, 4, 1], None).unwrap_err();
    assert!(error.to_string().starts_with("rotate90: gathers from its whole input, but is not alone"));
}

/// One step of a random chain, on `u8`.
fn any_step() -> impl Strategy<Value = Step> {
    let border = prop::sample::select(vec![Border::Reflect101, Border::Wrap, Border::Constant(77.0)]);
    let filter = prop::sample::select(Filter::NAMED.map(|(_, filter)| filter).to_vec());
    prop_oneof![
        Just(Step::of::<u8, _>(Gray)),
        border.clone().prop_map(|border| Step::of::<u8, _>(Sobel::new(border))),
        border.clone().prop_map(|border| Step::of::<u8, _>(Gaussian::new(0.7).border(border))),
        prop::sample::select(TURNS.to_vec()).prop_map(|(_, turn)| Step::gather::<u8, _>(turn)),
        (0u32..4, 0u32..4, border).prop_map(|(left, bottom, border)| {
            Step::gather::<u8, _>(Pad { left, top: 1, right: 2, bottom, border: border.into() })
        }),
        (1u32..40, 1u32..40, filter).prop_map(|(width, height, filter)| Step::gather::<u8, _>(
            Resize::to(width, height).filter(filter)
        )),
        Just(Step::gather::<u8, _>(Crop { x: 0, y: 0, width: 1, height: 1 })),
    ]
}

/// Runs the steps one pass after the other, and gives the result and its shape.
fn run_passes(
    passes: &[&[Step]],
    src: &[u8],
    mut shape: [usize; 3],
    tile: Option<[usize; 2]>,
    level: Level,
) -> (Vec<u8>, [usize; 3]) {
    let mut image = src.to_vec();
    let mut scratch = Scratch::new();
    for pass in passes {
        let plan = Plan::new(pass, shape, tile).unwrap();
        let mut out = vec![0x55; plan.output_bytes()];
        plan.run_all(&image, &mut out, &mut scratch, level).unwrap();
        (image, shape) = (out, plan.output_shape());
    }
    (image, shape)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_chains_mean_their_steps_for_any_tiles_and_level(
        steps in prop::collection::vec(any_step(), 1..5),
        shape in (1usize..40, 1usize..40, 1usize..5),
        tile in (1usize..45, 1usize..45),
    ) {
        let shape = [shape.0, shape.1, shape.2];
        let src: Vec<u8> = noise(shape.iter().product());
        let alone: Vec<&[Step]> = steps.chunks(1).collect();
        let wanted = run_passes(&alone, &src, shape, Some([1 << 20, 1 << 20]), Level::Baseline);
        for level in Level::available() {
            for tile in [Some([tile.0, tile.1]), None] {
                let found = run_passes(&passes(&steps), &src, shape, tile, level);
                prop_assert!(found == wanted, "{:?}, tile {:?}, level {}", steps, tile, level);
            }
        }
    }
}

#[test]
fn wider_samples_do_not_depend_on_tiles_and_level_either() {
    let shape = [29, 37, 4];
    let wide: Vec<u16> = noise(shape.iter().product());
    let float: Vec<f32> = wide.iter().map(|&x| f32::from(x) / 65_535.0).collect();
    for (_, filter) in Filter::NAMED {
        let resize = Resize::to(23, 51).filter(filter);
        let (mut wanted_wide, mut wanted_float) = (vec![0; 23 * 51 * 4], vec![0.0; 23 * 51 * 4]);
        let (chain_wide, chain_float) = (Chain::<u16, u16>::of(resize), Chain::<f32, f32>::of(resize));
        chain_wide.run_tiled(&wide, shape, &mut wanted_wide, Some([51, 23]), Level::Baseline).unwrap();
        chain_float.run_tiled(&float, shape, &mut wanted_float, Some([51, 23]), Level::Baseline).unwrap();
        for level in Level::available() {
            for tile in [[1, 1], [7, 5], [50, 22]] {
                let (mut found_wide, mut found_float) = (vec![0; 23 * 51 * 4], vec![0.0; 23 * 51 * 4]);
                chain_wide.run_tiled(&wide, shape, &mut found_wide, Some(tile), level).unwrap();
                chain_float.run_tiled(&float, shape, &mut found_float, Some(tile), level).unwrap();
                assert!(
                    found_wide == wanted_wide && found_float == wanted_float,
                    "{filter:?} {tile:?} {level}"
                );
            }
        }
    }
}
