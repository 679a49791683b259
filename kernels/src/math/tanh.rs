//! The hyperbolic tangent.
// Coefficients as published, or minimax fits (Remez) on `0..=0.625`.
#![allow(clippy::excessive_precision)]

use super::exp;

/// Up to here the odd approximation, from here on the exponential.
const MIDDLE: f64 = 0.625;

/// `tanh x` of an `f32`.
#[inline(always)]
pub(super) fn f32(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = x * x;
    let mut p = -5.717_048e-3;
    p = p * z + 2.065_059_2e-2;
    p = p * z - 5.374_35e-2;
    p = p * z + 1.333_149_1e-1;
    p = p * z - 3.333_328_4e-1;
    let near = p * z * magnitude + magnitude;
    // From 9.02 on the result is 1, rounded.
    let cut = if magnitude > 10.0 { 10.0 } else { magnitude };
    let far = 1.0 - 2.0 / (exp::f32_in_range(cut + cut) + 1.0);
    let y = if magnitude < MIDDLE as f32 { near } else { far };
    f32::from_bits(y.to_bits() | (x.to_bits() & 0x8000_0000))
}

/// `tanh x` of an `f64`.
#[inline(always)]
pub(super) fn f64(x: f64) -> f64 {
    let magnitude = x.abs();
    let z = x * x;
    let p = (-9.643_991_794_250_522_386_28e-1 * z - 9.928_772_310_019_185_865_64e1) * z
        - 1.614_687_684_417_084_479_52e3;
    let q = ((z + 1.128_116_784_916_329_314_02e2) * z + 2.235_488_390_601_004_485_83e3) * z
        + 4.844_063_053_251_254_860_48e3;
    let near = magnitude + magnitude * (z * p / q);
    let far = 1.0 - 2.0 / (exp::f64(magnitude + magnitude) + 1.0);
    let y = if magnitude < MIDDLE { near } else { far };
    f64::from_bits(y.to_bits() | (x.to_bits() & (1 << 63)))
}
