//! What one channel of one pixel can be.

use std::fmt;

use bytemuck::Pod;

/// The type of a sample, where it is not known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// `0..=255`.
    U8,
    /// `0..=65535`, native byte order.
    U16,
    /// Any `f32`; images usually keep to `0.0..=1.0`.
    F32,
}

impl SampleType {
    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            SampleType::U8 => 1,
            SampleType::U16 => 2,
            SampleType::F32 => 4,
        }
    }

    /// The sample that images show as white: 255, 65535 or 1.0. Black is 0.
    #[must_use]
    pub const fn white(self) -> f32 {
        match self {
            SampleType::U8 => 255.0,
            SampleType::U16 => 65_535.0,
            SampleType::F32 => 1.0,
        }
    }

    /// The sample nearest to `value` as memory holds it, and how many of the bytes that is.
    pub(crate) fn bytes_of(self, value: f32) -> ([u8; 4], usize) {
        let mut bytes = [0; 4];
        match self {
            SampleType::U8 => bytes[0] = u8::from_f32(value),
            SampleType::U16 => bytes[..2].copy_from_slice(&u16::from_f32(value).to_ne_bytes()),
            SampleType::F32 => bytes = value.to_ne_bytes(),
        }
        (bytes, self.bytes())
    }
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SampleType::U8 => "u8",
            SampleType::U16 => "u16",
            SampleType::F32 => "f32",
        })
    }
}

/// One channel of one pixel: `u8`, `u16` or `f32`. Sealed.
pub trait Sample: sealed::Sealed + Pod + Default + PartialEq + fmt::Debug + Send + Sync {
    /// The type as a value.
    const TYPE: SampleType;

    /// The same number; exact.
    fn to_f32(self) -> f32;

    /// The nearest sample, ties to even, cut to the type's range; NaN becomes 0. An `f32` stays what it is.
    fn from_f32(value: f32) -> Self;

    /// [`Sample::from_f32`] for sums that an `f32` does not hold; an `f32` sample is the nearest one.
    fn from_f64(value: f64) -> Self;

    /// The place of the sample in a table of all that its type has: of 256 for `u8`, 65536 for `u16`. No table holds
    /// all `f32`, whose place is 0.
    fn index(self) -> usize;
}

impl Sample for u8 {
    const TYPE: SampleType = SampleType::U8;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        round_to_bits(value, 255.0) as u8
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        round_to_bits_f64(value, 255.0) as u8
    }

    #[inline(always)]
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Sample for u16 {
    const TYPE: SampleType = SampleType::U16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        round_to_bits(value, 65_535.0) as u16
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        round_to_bits_f64(value, 65_535.0) as u16
    }

    #[inline(always)]
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Sample for f32 {
    const TYPE: SampleType = SampleType::F32;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn index(self) -> usize {
        0
    }
}

/// An integer in the low 16 bits: `value` rounded (ties to even) and cut to `0.0..=max`.
///
/// From 2^23 on an `f32` has no fraction, so adding 2^23 leaves the rounded integer in the low bits. Unlike
/// `round_ties_even` and `as`, this is two vector instructions even at the baseline. Written as comparisons, since
/// these send NaN to 0 and compile to `maxps` and `minps`.
#[inline(always)]
fn round_to_bits(value: f32, max: f32) -> u32 {
    let low = if value > 0.0 { value } else { 0.0 };
    let cut = if low < max { low } else { max };
    (cut + 8_388_608.0).to_bits()
}

/// [`round_to_bits`] in `f64`, which has no fraction from 2^52 on.
#[inline(always)]
fn round_to_bits_f64(value: f64, max: f64) -> u64 {
    let low = if value > 0.0 { value } else { 0.0 };
    let cut = if low < max { low } else { max };
    (cut + 4_503_599_627_370_496.0).to_bits()
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for f32 {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_with_the_standard_library() {
        for i in -2_000..600_000 {
            let x = i as f32 / 8.0;
            assert_eq!(u8::from_f32(x), x.round_ties_even() as u8, "{x}");
            assert_eq!(u16::from_f32(x), x.round_ties_even() as u16, "{x}");
            assert_eq!(u8::from_f64(x.into()), u8::from_f32(x), "{x}");
            assert_eq!(u16::from_f64(x.into()), u16::from_f32(x), "{x}");
        }
        for (x, wanted) in
            [(f32::NAN, 0), (f32::INFINITY, 255), (f32::NEG_INFINITY, 0), (-0.0, 0), (1e30, 255)]
        {
            assert_eq!(u8::from_f32(x), wanted, "{x}");
            assert_eq!(u8::from_f64(x.into()), wanted, "{x}");
        }
    }

    #[test]
    fn every_integer_sample_survives_the_way_through_f32() {
        assert!((0..=u8::MAX).all(|x| u8::from_f32(x.to_f32()) == x));
        assert!((0..=u16::MAX).all(|x| u16::from_f32(x.to_f32()) == x));
    }
}
