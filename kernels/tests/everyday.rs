//! The everyday image kernels against what NumPy, SciPy and OpenCV give; `references/everyday.py` made the expected
//! values. Each case is a word for the parser, so that it too is tested, and so are its defaults.

mod common;

use common::cases::{Case, References, input};
use shmpool_kernels::{STOCK, Sample, parse_chain};

static EVERYDAY: References = References {
    lines: include_str!("references/everyday.txt"),
    bytes: include_bytes!("references/everyday.bin"),
};

/// How far from the expected sample a result may be.
fn tolerance(case: &Case, wanted: f64) -> f64 {
    let word = case.words.split(' ').next().unwrap();
    let kernel = word.split(':').next().unwrap();
    let float = case.sample == "f32";
    match kernel {
        "invert" | "threshold" | "median" | "erode" | "dilate" | "open" | "close" => 0.0,
        "gamma" | "levels" | "brightness" | "contrast" | "lut" if float => two_ulp(wanted),
        "box" | "laplacian" if float => 1e-6,
        "scharr" | "prewitt" if float => 1e-5 * wanted.max(0.1),
        "convolve" | "sharpen" if float => 1e-5,
        "unsharp" if float => 4e-4,
        // A difference that is just the threshold may be made larger or not.
        "unsharp" if word.contains("threshold=3") => 5.0,
        "unsharp" => 2.0,
        // Weights that are no whole numbers may round to the other side of a half.
        "convolve" | "sharpen" if word.contains("0.") => 1.0,
        _ => 0.0,
    }
}

fn two_ulp(wanted: f64) -> f64 {
    let wanted = wanted as f32;
    2.0 * f64::from((f32::from_bits(wanted.to_bits() + 1) - wanted).abs())
}

fn assert_agrees<T: Sample + Into<f64>>(case: &Case, convert: fn(u8) -> T) {
    let (word, _) = case.words.split_once(' ').unwrap();
    let (src, shape) = input(case, convert);
    let wanted: Vec<T> = case.values();
    let mut found = vec![T::default(); wanted.len()];
    parse_chain::<T>(&[word]).unwrap().run(&src, shape, &mut found).unwrap();
    for (index, (found, wanted)) in found.into_iter().zip(wanted).enumerate() {
        let (found, wanted): (f64, f64) = (found.into(), wanted.into());
        let within = (found - wanted).abs() <= tolerance(case, wanted);
        assert!(
            within,
            "{} {} {shape:?}: sample {index} is {found}, wanted {wanted}",
            case.words, case.sample
        );
    }
}

#[test]
fn every_case_agrees_with_its_reference() {
    for case in EVERYDAY.all() {
        match case.sample {
            "u8" => assert_agrees::<u8>(&case, |x| x),
            "u16" => assert_agrees::<u16>(&case, |x| u16::from(x) * 257),
            _ => assert_agrees::<f32>(&case, |x| f32::from(x) / 255.0),
        }
    }
}

#[test]
fn every_stock_kernel_has_cases() {
    // In references.rs and levels.rs; and a copy, a rectangle of one too (geometry.rs), is a copy.
    let elsewhere = ["gray", "gaussian", "sobel", "auto-levels", "copy", "crop"];
    // In geometry.rs and global.rs.
    let others = [include_str!("references/geometry.txt"), include_str!("references/global.txt")];
    let others: Vec<&str> = others.iter().flat_map(|text| text.lines()).collect();
    for stock in STOCK.iter().filter(|stock| !elsewhere.contains(&stock.name)) {
        let is_of_kernel = |words: &str| words.split([' ', ':', '\t']).next() == Some(stock.name);
        let here = EVERYDAY.all().iter().any(|case: &Case| is_of_kernel(case.words));
        assert!(here || others.iter().any(|line| is_of_kernel(line)), "{}", stock.name);
    }
}
