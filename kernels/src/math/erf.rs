//! The error function and its complement.
// Coefficients: minimax fits (Remez) of `erf(x) / x` on `0..=0.75`, and of `(1 + 2x) exp(x^2) erfc(x)` on `0..=28`.
#![allow(clippy::excessive_precision)]

use super::exp;

/// Up to here, in magnitude, `erf` has a polynomial of its own.
const NEAR: f64 = 0.75;

pub(super) mod f32 {
    /// `erf x` of an `f32`.
    #[inline(always)]
    pub(in crate::math) fn erf(x: f32) -> f32 {
        super::f64::erf(f64::from(x)) as f32
    }

    /// `erfc x` of an `f32`.
    #[inline(always)]
    pub(in crate::math) fn erfc(x: f32) -> f32 {
        super::f64::erfc(f64::from(x)) as f32
    }
}

pub(super) mod f64 {
    use super::{NEAR, near, tail};

    /// `erf x` of an `f64`.
    #[inline(always)]
    pub(in crate::math) fn erf(x: f64) -> f64 {
        let magnitude = x.abs();
        let far = 1.0 - tail(magnitude);
        let y = if magnitude < NEAR { near(magnitude) } else { far };
        f64::from_bits(y.to_bits() | (x.to_bits() & (1 << 63)))
    }

    /// `erfc x` of an `f64`.
    #[inline(always)]
    pub(in crate::math) fn erfc(x: f64) -> f64 {
        let y = tail(x.abs());
        if x < 0.0 { 2.0 - y } else { y }
    }
}

/// `erf x` for `0.0..=0.75`.
#[inline(always)]
fn near(x: f64) -> f64 {
    let z = x * x;
    let mut p = 1.146_375_928_067_690_57e-8;
    p = p * z - 1.593_760_042_233_530_31e-7;
    p = p * z + 1.643_038_826_719_027_21e-6;
    p = p * z - 1.492_417_664_125_272_12e-5;
    p = p * z + 1.205_528_877_744_112_29e-4;
    p = p * z - 8.548_326_169_099_293_13e-4;
    p = p * z + 5.223_977_615_122_477_57e-3;
    p = p * z - 2.686_617_064_440_250_53e-2;
    p = p * z + 1.128_379_167_095_248_10e-1;
    p = p * z - 3.761_263_890_318_371_49e-1;
    p = p * z + std::f64::consts::FRAC_2_SQRT_PI;
    p * x
}

/// `erfc x` for `x` from 0 on.
#[inline(always)]
fn tail(x: f64) -> f64 {
    let x = if x > 28.0 { 28.0 } else { x }; // less than half the least number
    let t = (x - 4.0) / (x + 4.0);
    let mut p = 1.198_135_355_645_078_92e-9;
    p = p * t + 1.677_277_345_676_236_37e-9;
    p = p * t - 1.407_056_408_804_700_10e-8;
    p = p * t - 1.746_965_763_187_168_29e-8;
    p = p * t + 1.103_329_337_227_987_39e-7;
    p = p * t + 7.410_531_056_923_856_64e-8;
    p = p * t - 8.259_665_114_194_593_71e-7;
    p = p * t + 2.941_618_460_570_838_87e-7;
    p = p * t + 5.710_196_812_386_335_81e-6;
    p = p * t - 1.122_218_303_784_818_58e-5;
    p = p * t - 2.439_944_225_094_223_89e-5;
    p = p * t + 1.506_217_234_826_906_74e-4;
    p = p * t - 1.992_566_255_223_725_65e-4;
    p = p * t - 7.577_732_992_444_331_58e-4;
    p = p * t + 5.031_969_964_884_197_57e-3;
    p = p * t - 1.619_773_405_620_760_29e-2;
    p = p * t + 3.716_751_553_897_753_44e-2;
    p = p * t - 6.633_036_581_236_013_97e-2;
    p = p * t + 9.373_283_499_825_625_64e-2;
    p = p * t - 1.010_390_660_362_977_26e-1;
    p = p * t + 6.809_705_425_469_532_45e-2;
    p = p * t + 1.537_965_210_261_962_17e-2;
    p = p * t - 1.396_211_168_405_625_26e-1;
    p = p * t + 1.232_995_118_625_552_56;
    // x^2 in two parts: 21 bits have an exact square.
    let head = f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000);
    exp::f64_of_sum(-head * head, (head - x) * (head + x)) * (p / (1.0 + 2.0 * x))
}
