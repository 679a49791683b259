//! Numeric kernels against closed forms and published counts; wider comparisons are in `references.rs`.

use shmpool_kernels::{Axpb, ElementKernel, Mandelbrot, Sqrt, Viewport};

/// Counts of the same recurrence in NumPy, in complex and in real form: `kernels/tests/references/make.py`.
#[test]
fn mandelbrot_counts_are_those_of_numpy() {
    let view = Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: 512, width: 512 };
    let kernel = Mandelbrot { iterations: 256 };
    let counts: Vec<u32> = (0..512 * 512).map(|i| kernel.apply(view.point(i / 512, i % 512))).collect();
    assert_eq!(counts.iter().map(|&count| u64::from(count)).sum::<u64>(), 17_608_978);
    assert_eq!(counts.iter().filter(|&&count| count == 256).count(), 63_612);
}

#[test]
fn mandelbrot_ends_for_numbers_that_are_none() {
    let kernel = Mandelbrot { iterations: 10 };
    assert_eq!(kernel.apply([f64::NAN, 0.0]), 1);
    assert_eq!(kernel.apply([f32::INFINITY, f32::INFINITY]), 1);
    assert_eq!(kernel.apply([-2.0f32, 0.0]), 10);
    assert_eq!(Mandelbrot { iterations: 0 }.apply([0.0f32, 0.0]), 0);
}

#[test]
fn a_view_of_one_pixel_shows_its_first_corner() {
    let view = Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: 1, width: 1 };
    assert_eq!(view.point(0, 0), [-2.0, -1.25]);
}

#[test]
fn sqrt_is_that_of_the_standard_library() {
    for x in [0.0f32, -0.0, 2.0, 1e-40, f32::MAX, f32::INFINITY] {
        assert_eq!(Sqrt.apply(x).to_bits(), x.sqrt().to_bits());
    }
    assert!(Sqrt.apply(-1.0f64).is_nan());
}

#[test]
fn axpb_rounds_twice() {
    // The product is 1 + 2^-22 + 2^-46: rounded on the way, it loses the last term, which a fused sum keeps.
    let x = 1.0f32 + f32::EPSILON;
    let b = -1.0 - 2.0 * f32::EPSILON;
    assert_eq!(Axpb { a: f64::from(x), b: f64::from(b) }.apply(x), 0.0);
    assert_ne!(x.mul_add(x, b), 0.0);
    assert_eq!(Axpb { a: 0.1, b: 0.2 }.apply(3.0f64), 0.1 * 3.0 + 0.2);
}
