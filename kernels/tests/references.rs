//! The kernels against what NumPy, SciPy and OpenCV give; `references/make.py` made the expected values.

mod common;

use common::cases::{Case, MAIN, input};
use shmpool_kernels::{
    Axpb, Border, Chain, ElementKernel, Gaussian, Gradient, Gray, Luma, Mandelbrot, Reduction, Sobel, Sqrt,
    Sum, TileKernel, Viewport,
};

fn cases(kernel: &str) -> Vec<Case> {
    MAIN.cases(kernel)
}

fn border(case: &Case) -> Border {
    let name = case.parameter("border");
    let named = Border::NAMED.into_iter().find(|(known, _)| *known == name);
    named.map_or_else(|| Border::Constant(name.parse().unwrap()), |(_, border)| border)
}

/// What `kernel` makes of the input of `case`, in order, beside what it should make.
fn compared<T, K>(case: &Case, kernel: K, convert: fn(u8) -> T) -> Vec<(f64, f64)>
where
    T: shmpool_kernels::Sample + Into<f64>,
    K: TileKernel<T, Out = T>,
{
    let (src, shape) = input(case, convert);
    let wanted: Vec<T> = case.values();
    let mut found = vec![T::default(); wanted.len()];
    Chain::of(kernel).run(&src, shape, &mut found).unwrap();
    found.into_iter().map(Into::into).zip(wanted.into_iter().map(Into::into)).collect()
}

/// [`compared`] for the sample type that the case names.
fn compared_by_type<K>(case: &Case, kernel: K) -> Vec<(f64, f64)>
where
    K: TileKernel<u8, Out = u8> + TileKernel<u16, Out = u16> + TileKernel<f32, Out = f32>,
{
    match case.sample {
        "u8" => compared::<u8, K>(case, kernel, |x| x),
        "u16" => compared::<u16, K>(case, kernel, |x| u16::from(x) * 257),
        _ => compared::<f32, K>(case, kernel, |x| f32::from(x) / 255.0),
    }
}

#[test]
fn gray_is_opencv_s_to_the_bit_and_exact_for_u16() {
    for case in cases("gray") {
        let tolerance = if case.sample == "f32" { 1e-6 } else { 0.0 };
        for (found, wanted) in compared_by_type(&case, Gray) {
            assert!((found - wanted).abs() <= tolerance, "{}: {found}, wanted {wanted}", case.words);
        }
    }
}

#[test]
fn gray_of_a_grid_through_all_colours_is_opencv_s() {
    let wanted: Vec<u8> = cases("gray-triples").remove(0).values();
    let mut wanted = wanted.into_iter();
    for red in (0..=255).step_by(15) {
        for green in (0..=255).step_by(15) {
            for blue in (0..=255).step_by(15) {
                assert_eq!(Some(<u8 as Luma>::luma(red, green, blue)), wanted.next(), "{red} {green} {blue}");
            }
        }
    }
    assert_eq!(wanted.next(), None);
}

#[test]
fn gaussian_is_scipy_s() {
    let (mut equal, mut total) = (0, 0);
    for case in cases("gaussian") {
        let kernel = Gaussian::new(case.number("sigma") as f32).border(border(&case));
        let pairs = compared_by_type(&case, kernel);
        let tolerance = if case.sample == "f32" { 1e-4 } else { 1.0 };
        for (found, wanted) in &pairs {
            assert!((found - wanted).abs() <= tolerance, "{}: {found}, wanted {wanted}", case.words);
        }
        if case.sample != "f32" {
            equal += pairs.iter().filter(|(found, wanted)| found == wanted).count();
            total += pairs.len();
        }
    }
    assert!(equal * 10 >= total * 9, "{equal} of {total} samples are equal");
}

#[test]
fn sobel_is_scipy_s_and_opencv_s_rounded() {
    for case in cases("sobel") {
        for (found, wanted) in compared_by_type(&case, Sobel::new(border(&case))) {
            let tolerance = if case.sample == "f32" { 1e-5 * wanted.max(0.1) } else { 0.0 };
            assert!((found - wanted).abs() <= tolerance, "{}: {found}, wanted {wanted}", case.words);
        }
    }
}

#[test]
fn sobel_lengths_are_the_nearest_integers() {
    for gx in (0..=1020i16).step_by(3) {
        for gy in 0..=gx {
            let wanted = f64::from(gx).hypot(f64::from(gy)).round().min(255.0);
            assert_eq!(f64::from(<u8 as Gradient>::length(gx, -gy)), wanted, "{gx} {gy}");
        }
    }
}

#[test]
fn sqrt_and_axpb_are_numpy_s_to_the_bit() {
    for input in cases("numbers") {
        let case = |kernel| cases(kernel).into_iter().find(|case| case.sample == input.sample).unwrap();
        let (sqrt, axpb) = (case("sqrt"), case("axpb"));
        let kernel = Axpb { a: axpb.number("a"), b: axpb.number("b") };
        if input.sample == "f32" {
            for ((x, root), line) in
                input.values::<f32>().into_iter().zip(sqrt.values()).zip(axpb.values::<f32>())
            {
                assert_same(Sqrt.apply(x).into(), f32::into(root), x.into());
                assert_same(kernel.apply(x).into(), line.into(), x.into());
            }
        } else {
            for ((x, root), line) in
                input.values::<f64>().into_iter().zip(sqrt.values()).zip(axpb.values::<f64>())
            {
                assert_same(Sqrt.apply(x), root, x);
                assert_same(kernel.apply(x), line, x);
            }
        }
    }
}

fn assert_same(found: f64, wanted: f64, x: f64) {
    let same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
    assert!(same, "{x}: {found}, wanted {wanted}");
}

#[test]
fn mandelbrot_counts_are_numpy_s_in_both_precisions() {
    let view = Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: 40, width: 40 };
    for case in cases("mandelbrot") {
        let kernel = Mandelbrot { iterations: case.number("iterations") as u32 };
        let points = (0..1600).map(|i| view.point(i / 40, i % 40));
        let found: Vec<u32> = if case.words.ends_with("f32") {
            points.map(|point| kernel.apply(point.map(|x| x as f32))).collect()
        } else {
            points.map(|point| kernel.apply(point)).collect()
        };
        assert_eq!(found, case.values::<u32>(), "{}", case.words);
    }
}

#[test]
fn sum_is_the_exact_one_but_for_rounding() {
    let xs: Vec<f32> = cases("summands").remove(0).values();
    let wanted = cases("sum").remove(0).values::<f64>()[0];
    assert!((Sum.fold(0.0, &xs) - wanted).abs() <= 70.0 * f64::EPSILON / 2.0 * wanted);
}
