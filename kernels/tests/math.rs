//! The functions of `math` against mpmath (`references/numeric.py`), the standard library, and C99's special cases.

#[path = "common/tables.rs"]
mod tables;

use shmpool_kernels::{Cos, ElementKernel, Erf, Exp, Level, Ln, Pow, Sin, Tanh, Work, math};
use tables::rows;

/// How far `found` is from `wanted + rest`, in units of the last place of an `f64` near `wanted`.
fn ulps(found: f64, wanted: f64, rest: f64) -> f64 {
    let exponent = ((wanted.to_bits() >> 52) & 0x7ff).max(1);
    let unit = f64::from_bits(if exponent > 52 { (exponent - 52) << 52 } else { 1 << (exponent - 1) });
    ((found - wanted) - rest).abs() / unit
}

/// How far `found` is from `wanted`, in units of the last place of an `f32` near `wanted`.
fn ulps_f32(found: f32, wanted: f64) -> f64 {
    if found.is_nan() || wanted.is_nan() {
        return if found.is_nan() && wanted.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if found == wanted as f32 && (found.is_infinite() || wanted == 0.0) {
        return if found.is_sign_negative() == wanted.is_sign_negative() { 0.0 } else { f64::INFINITY };
    }
    let exponent = ((wanted.abs().to_bits() >> 52) as i32 - 1023).clamp(-126, 127);
    (f64::from(found) - wanted).abs() / 2f64.powi(exponent - 23)
}

/// A function of one argument, as `f64` and as `f32`, and the errors that its docs allow.
struct Function {
    name: &'static str,
    f64: fn(f64) -> f64,
    f64_ulps: f64,
    f32: fn(f32) -> f32,
    f32_ulps: f64,
}

const FUNCTIONS: [Function; 7] = [
    Function { name: "exp", f64: math::exp, f64_ulps: 1.0, f32: math::exp, f32_ulps: 1.0 },
    Function { name: "ln", f64: math::ln, f64_ulps: 1.0, f32: math::ln, f32_ulps: 1.0 },
    Function { name: "sin", f64: math::sin, f64_ulps: 1.0, f32: math::sin, f32_ulps: 2.0 },
    Function { name: "cos", f64: math::cos, f64_ulps: 1.0, f32: math::cos, f32_ulps: 2.0 },
    Function { name: "tanh", f64: math::tanh, f64_ulps: 2.0, f32: math::tanh, f32_ulps: 2.0 },
    Function { name: "erf", f64: math::erf, f64_ulps: 2.0, f32: math::erf, f32_ulps: 1.0 },
    Function { name: "erfc", f64: math::erfc, f64_ulps: 4.0, f32: math::erfc, f32_ulps: 1.0 },
];

fn called(name: &str) -> Function {
    FUNCTIONS.into_iter().find(|function| function.name == name).unwrap()
}

#[test]
fn functions_of_f64_keep_to_the_error_in_their_docs() {
    for function in FUNCTIONS {
        for row in rows(function.name) {
            let found = (function.f64)(row[0]);
            let error = ulps(found, row[1], row[2]);
            assert!(error <= function.f64_ulps, "{} {:e}: {error} ulp, {found:e}", function.name, row[0]);
        }
    }
}

#[test]
fn functions_of_f32_keep_to_the_error_in_their_docs() {
    for function in FUNCTIONS {
        let exact: Vec<_> =
            rows(function.name).into_iter().filter(|row| f64::from(row[0] as f32) == row[0]).collect();
        assert!(exact.len() > 50, "{}: {} arguments", function.name, exact.len());
        for row in exact {
            let error = ulps_f32((function.f32)(row[0] as f32), row[1]);
            assert!(error <= function.f32_ulps, "{} {:e}: {error} ulp", function.name, row[0]);
        }
    }
}

/// Every 40,009th of all `f32`. All of them were looked at when the functions were written.
#[test]
fn functions_of_f32_agree_with_the_standard_library_everywhere() {
    type Named = (&'static str, fn(f64) -> f64);
    let exact: [Named; 5] =
        [("exp", f64::exp), ("ln", f64::ln), ("sin", f64::sin), ("cos", f64::cos), ("tanh", f64::tanh)];
    for (name, wanted) in exact {
        let function = called(name);
        for bits in (0..=u32::MAX).step_by(40_009) {
            let x = f32::from_bits(bits);
            let error = ulps_f32((function.f32)(x), wanted(f64::from(x)));
            assert!(error <= function.f32_ulps, "{name} {x:e}: {error} ulp");
        }
    }
}

/// Of all `f32`s every `step`-th, through the kernel, whose blocks of common arguments have a way of their own: the
/// greatest error.
fn worst_of_all<K: ElementKernel<f32, Out = f32>>(
    kernel: K,
    wanted: fn(f64) -> f64,
    step: usize,
) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let mut bits = (0..=u32::MAX).step_by(step);
    loop {
        let xs: Vec<f32> = bits.by_ref().take(4096).map(f32::from_bits).collect();
        for (x, [y, singly]) in both_ways(kernel, &xs, Level::detect()) {
            assert!(same(y.into(), singly.into()), "{x:e}: {y:e}, {singly:e}");
            let error = ulps_f32(y, wanted(x.into()));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        if xs.is_empty() {
            return worst;
        }
    }
}

fn hold_everywhere(step: usize) {
    for (name, (worst, x), max) in [
        ("ln", worst_of_all(Ln, f64::ln, step), 1.0),
        ("sin", worst_of_all(Sin, f64::sin, step), 2.0),
        ("cos", worst_of_all(Cos, f64::cos, step), 2.0),
    ] {
        println!("{name}: at most {worst:.4} ulp, at {x:e}");
        assert!(worst <= max, "{name} {x:e}: {worst} ulp");
    }
}

#[test]
fn kernels_with_ways_of_their_own_keep_to_the_error_in_their_docs() {
    hold_everywhere(9_973);
}

#[test]
#[ignore = "all 2^32 arguments: a quarter of an hour, and only with --release"]
fn so_they_do_for_every_f32() {
    hold_everywhere(1);
}

/// The argument whose reduction cancels most of all `f32`, one where the order of the sums shows, and those up to 800
/// where three parts of pi were too few.
#[test]
fn angles_next_to_a_zero_keep_their_last_bit() {
    let order = f32::from_bits(0x4e13_d4a5);
    for x in [16_367_173.0f32 * 2f32.powi(72), order, 252.898_21, 505.796_42, 796.393_74] {
        let wide = f64::from(x);
        assert!(ulps_f32(math::cos(x), wide.cos()) < 1.0, "{x:e}");
        assert!(ulps_f32(math::sin(x), wide.sin()) < 1.0, "{x:e}");
    }
}

#[test]
fn powers_keep_to_the_error_in_their_docs() {
    for row in rows("pow") {
        let found = math::pow(row[0], row[1]);
        let error = ulps(found, row[2], row[3]);
        assert!(error <= 1.0, "pow {:e} {:e}: {error} ulp, {found:e}", row[0], row[1]);
    }
    for i in 0..20_000u32 {
        let x = f32::from_bits(i.wrapping_mul(214_748) & 0x7fff_ffff);
        let y = (i % 601) as f32 * 0.37 - 111.0;
        let error = ulps_f32(math::pow(x, y), f64::from(x).powf(f64::from(y)));
        assert!(error <= 1.0, "pow {x:e} {y:e}: {error} ulp");
    }
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Found and wanted are the same, with the sign of zeros; NaN equals NaN.
fn same(found: f64, wanted: f64) -> bool {
    found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan())
}

#[test]
fn special_arguments_have_the_results_of_c99() {
    let cases: [(&str, &[(f64, f64)]); 7] = [
        ("exp", &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0)]),
        ("ln", &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN), (-INF, NAN)]),
        ("sin", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
        ("cos", &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
        ("tanh", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (30.0, 1.0)]),
        ("erf", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0)]),
        ("erfc", &[(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (30.0, 0.0)]),
    ];
    for (name, cases) in cases {
        let function = called(name);
        for &(x, wanted) in cases.iter().chain(&[(NAN, NAN)]) {
            let (found, found_f32) = ((function.f64)(x), (function.f32)(x as f32));
            assert!(same(found, wanted), "{name} {x}: {found}");
            assert!(same(found_f32.into(), wanted), "{name} f32 {x}: {found_f32}");
        }
    }
}

#[test]
fn special_powers_are_those_of_the_standard_library() {
    let some = [
        0.0,
        0.5,
        1.0,
        2.0,
        3.0,
        4.5,
        1e15 + 1.0,
        4_503_599_627_370_497.0,
        9_007_199_254_740_992.0,
        1e300,
        INF,
    ];
    let some: Vec<f64> = some.into_iter().chain([5e-324, 1e-310, NAN]).flat_map(|x| [x, -x]).collect();
    for &x in &some {
        for &y in &some {
            let (found, wanted) = (math::pow(x, y), x.powf(y));
            let near = wanted.is_finite() && (found - wanted).abs() <= 1e-15 * wanted.abs();
            assert!(near || same(found, wanted), "pow {x} {y}: {found}, not {wanted}");
            let (x, y) = (x as f32, y as f32);
            let (found, wanted) = (math::pow(x, y), x.powf(y));
            let near = wanted.is_finite() && (found - wanted).abs() <= 1e-6 * wanted.abs();
            assert!(near || same(found.into(), wanted.into()), "pow f32 {x} {y}: {found}, not {wanted}");
        }
    }
}

#[test]
fn subnormal_numbers_come_and_go() {
    for k in 0..52 {
        let tiny = f64::from_bits(1 << k);
        assert_eq!(math::ln(tiny).to_bits(), tiny.ln().to_bits(), "{tiny:e}");
        assert_eq!(math::sin(tiny).to_bits(), tiny.to_bits());
        assert_eq!(math::tanh(-tiny).to_bits(), (-tiny).to_bits());
        let x = -708.0 - 0.7 * f64::from(k);
        assert!(ulps(math::exp(x), x.exp(), 0.0) <= 1.0, "{x}");
        assert_eq!(math::pow(2.0, f64::from(k) - 1074.0).to_bits(), tiny.to_bits());
    }
    for k in 0..23 {
        let tiny = f32::from_bits(1 << k);
        assert_eq!(math::sin(tiny).to_bits(), tiny.to_bits());
        assert_eq!(math::tanh(-tiny).to_bits(), (-tiny).to_bits());
        assert_eq!(math::pow(2.0, k as f32 - 149.0).to_bits(), tiny.to_bits());
    }
}

struct All<'a, T, K: ElementKernel<T>>(K, &'a [T])
where
    T: bytemuck::Pod;

impl<T: bytemuck::Pod, K: ElementKernel<T, Out = T>> Work for All<'_, T, K> {
    type Out = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let mut out = vec![T::zeroed(); self.1.len()];
        self.0.apply_all(self.1, &mut out);
        bytemuck::cast_slice(&out).to_vec()
    }
}

/// At every level, of a whole slice and of one element at a time.
fn same_bits<T: bytemuck::Pod, K: ElementKernel<T, Out = T>>(name: &str, kernel: K, xs: &[T]) {
    let singly: Vec<T> = xs.iter().map(|&x| kernel.apply(x)).collect();
    for level in Level::available() {
        assert!(level.run(All(kernel, xs)) == bytemuck::cast_slice::<T, u8>(&singly), "{name} {level}");
    }
}

/// Runs of common arguments with one of another kind here and there, so that whole blocks go each way.
#[test]
fn one_large_or_special_element_changes_nothing_for_its_neighbours() {
    let two_53 = 9_007_199_254_740_992.0f32;
    let mut others = vec![0.0, f32::from_bits(1), f32::MIN_POSITIVE.next_down(), f32::MIN_POSITIVE, f32::MAX];
    others.extend([
        8192.0,
        8192.0f32.next_up(),
        1e6,
        two_53.next_down(),
        two_53,
        1e38,
        f32::INFINITY,
        f32::NAN,
    ]);
    let mut xs: Vec<f32> = (0..40_000).map(|i| 0.019 * i as f32 + 0.001).collect();
    for (i, other) in others.into_iter().flat_map(|other| [other, -other]).enumerate() {
        xs[1_500 * i + 700] = other;
    }
    for level in Level::available() {
        for (x, [y, singly]) in
            both_ways(Ln, &xs, level).chain(both_ways(Sin, &xs, level)).chain(both_ways(Cos, &xs, level))
        {
            assert!(same(y.into(), singly.into()), "{level} {x:e}: {y:e}, {singly:e}");
        }
    }
}

/// What a kernel makes of a whole slice and of its elements one at a time.
fn both_ways<K: ElementKernel<f32, Out = f32>>(
    kernel: K,
    xs: &[f32],
    level: Level,
) -> impl Iterator<Item = (f32, [f32; 2])> {
    let ys = level.run(All(kernel, xs));
    let ys: Vec<f32> = ys.chunks_exact(4).map(|y| f32::from_ne_bytes(y.try_into().unwrap())).collect();
    xs.iter().zip(ys).map(move |(&x, y)| (x, [y, kernel.apply(x)]))
}

#[test]
fn every_level_gives_the_same_bits() {
    // No NaN, whose bits are nobody's promise; the 64-bit ones hold huge angles in some blocks and not in others.
    let xs: Vec<f32> =
        (0..5_003u32).map(|i| f32::from_bits(i.wrapping_mul(858_993))).filter(|x| !x.is_nan()).collect();
    let ys: Vec<f64> =
        (0..5_003).map(|i| f64::from(i - 2500) * if i % 997 == 0 { 1e40 } else { 0.013 }).collect();
    let positive = |ys: &[f64]| ys.iter().map(|y| y.abs()).collect::<Vec<f64>>();
    macro_rules! check {
        ($($kernel:expr),*) => {
            $(same_bits(stringify!($kernel), $kernel, &xs.iter().map(|x| x.abs()).collect::<Vec<f32>>());
            same_bits(stringify!($kernel), $kernel, &positive(&ys));)*
        };
    }
    check!(Exp, Ln, Sin, Cos, Tanh, Erf, Pow { exponent: 1.7 });
    same_bits("Sin", Sin, &ys);
    same_bits("Cos", Cos, &ys);
}
