//! The natural logarithm.
// Coefficients as published, or minimax fits (Remez) on `sqrt(1/2)..sqrt(2)`.
#![allow(clippy::excessive_precision)]

/// `ln x` of an `f32`.
#[inline(always)]
pub(super) fn f32(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let bias = if subnormal { 127 + 23 } else { 127 };
    // Adding this carries into the exponent from sqrt(2) on.
    let bits = scaled.to_bits().wrapping_add(0x3f80_0000 - SQRT_HALF);
    let k = ((bits >> 23) as i32 - bias) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF) - 1.0;

    let z = f * f;
    let mut p = 6.915_410_3e-2;
    p = p * f - 1.178_980_0e-1;
    p = p * f + 1.187_295_3e-1;
    p = p * f - 1.238_434_9e-1;
    p = p * f + 1.421_866_2e-1;
    p = p * f - 1.666_925_1e-1;
    p = p * f + 2.000_222_6e-1;
    p = p * f - 2.499_998_7e-1;
    p = p * f + 3.333_331_0e-1;
    let small = p * f * z + k * -2.121_944_4e-4 - 0.5 * z;
    let y = f + small + k * 0.693_359_375;

    // Compared with the greatest and the least number, since LLVM makes a dozen integer instructions of comparisons
    // with infinity and 0.
    let y = if x <= f32::MAX { y } else { x };
    let y = if x < f32::from_bits(1) { f32::NAN } else { y };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// `ln x` of an `f64`.
#[inline(always)]
pub(super) fn f64(x: f64) -> f64 {
    let (m, k) = split(x);
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let mut r = 1.479_819_860_511_658_591e-1;
    r = r * z + 1.531_383_769_920_937_332e-1;
    r = r * z + 1.818_357_216_161_805_012e-1;
    r = r * z + 2.222_219_843_214_978_396e-1;
    r = r * z + 2.857_142_874_366_239_149e-1;
    r = r * z + 3.999_999_999_940_941_908e-1;
    r = r * z + 6.666_666_666_666_735_130e-1;
    let half = 0.5 * f * f;
    let low = s * (half + r * z) + k * 1.908_214_929_270_587_700_02e-10;
    let y = k * 6.931_471_803_691_238_164_90e-1 - ((half - low) - f);

    // Compared with the greatest and the least number, since LLVM makes a dozen integer instructions of comparisons
    // with infinity and 0.
    let y = if x <= f64::MAX { y } else { x };
    let y = if x < f64::from_bits(1) { f64::NAN } else { y };
    if x == 0.0 { f64::NEG_INFINITY } else { y }
}

/// `m` in `sqrt(1/2)..sqrt(2)` and `k` with `x = 2^k m`, for any finite `x` above 0.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let scaled = if subnormal { x * 18_014_398_509_481_984.0 } else { x };
    let bias = if subnormal { TWO_52 + 1077.0 } else { TWO_52 + 1023.0 };
    // Adding this carries into the exponent from sqrt(2) on.
    let bits = scaled.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - SQRT_HALF);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
    // The exponent as the low bits of 2^52 + k: AVX2 cannot convert 64-bit integers.
    let k = f64::from_bits((bits >> 52) | TWO_52.to_bits()) - bias;
    (m, k)
}
