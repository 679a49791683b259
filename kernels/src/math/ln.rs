//! The natural logarithm.
// Coefficients as published, or minimax fits (Remez) on `sqrt(1/2)..sqrt(2)`.
#![allow(clippy::excessive_precision)]

/// `ln x` of an `f32`.
#[inline(always)]
pub(super) fn f32(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let y = f32_scaled(scaled, if subnormal { 23 } else { 0 });

    // Compared with the greatest and the least number, since LLVM makes a dozen integer instructions of comparisons
    // with infinity and 0.
    let y = if x <= f32::MAX { y } else { x };
    let y = if x < f32::from_bits(1) { f32::NAN } else { y };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// Whether `x` is anything but a normal number above 0.
#[inline(always)]
pub(crate) fn f32_is_special(x: f32) -> bool {
    // One comparison: what is below the least such number wraps around.
    x.to_bits().wrapping_sub(0x0080_0000) >= 0x7f00_0000
}

/// `ln x`, unless `f32_is_special(x)`.
#[inline(always)]
pub(crate) fn f32_common(x: f32) -> f32 {
    f32_scaled(x, 0)
}

/// `ln(2^-by x)`, unless `f32_is_special(x)`.
#[inline(always)]
fn f32_scaled(x: f32, by: u32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const UNIT: f32 = 1.0 / 8_388_608.0;
    // The exponent stays where it is: as an integer that is `k * 2^23`, which converts as well as `k`.
    let exponent = x.to_bits().wrapping_sub(SQRT_HALF) & 0xff80_0000;
    let f = f32::from_bits(x.to_bits().wrapping_sub(exponent)) - 1.0;
    let k = exponent.wrapping_sub(by << 23) as i32 as f32;

    // Pairs of terms, then pairs of pairs: one chain of them all would be twice as long as all else together.
    let z = f * f;
    let a = 1.276_221_7e-1 - 7.636_439e-2 * f;
    let b = 1.420_158e-1 - 1.315_961e-1 * f;
    let c = 2.000_124_2e-1 - 1.662_340_9e-1 * f;
    let d = 3.333_333e-1 - 2.500_082e-1 * f;
    let p = (a * z + b) * (z * z) + (c * z + d);
    f + (p * (f * z) + (k * (UNIT * -2.121_944_4e-4) - 0.5 * z)) + k * (UNIT * 0.693_359_375)
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
