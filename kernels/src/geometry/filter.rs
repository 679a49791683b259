use std::f64::consts::PI;

use bytemuck::{Pod, Zeroable};

/// How [`Resize`](super::Resize) makes a pixel of those around its place in the source.
///
/// All but `Nearest` widen when an image shrinks, so that every pixel of the source counts (no aliasing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The pixel at that place. Pillow's `NEAREST`.
    Nearest,
    /// The mean over the area that the pixel covers. Pillow's `BOX`.
    Box,
    /// A triangle of radius 1. Pillow's `BILINEAR`.
    Bilinear,
    /// The cubic through the pixels with `a = -0.5`, radius 2. Pillow's `BICUBIC`; OpenCV has `a = -0.75`.
    CatmullRom,
    /// The cubic of Mitchell and Netravali with `B = C = 1/3`, radius 2; it blurs a little.
    Mitchell,
    /// A sinc under the middle of a wider one, radius 3. Pillow's `LANCZOS`.
    #[default]
    Lanczos3,
}

impl Filter {
    /// The filters' names, as the command line spells them.
    pub const NAMED: [(&'static str, Filter); 6] = [
        ("nearest", Filter::Nearest),
        ("box", Filter::Box),
        ("bilinear", Filter::Bilinear),
        ("catmull-rom", Filter::CatmullRom),
        ("mitchell", Filter::Mitchell),
        ("lanczos3", Filter::Lanczos3),
    ];

    /// Distance from which on the weight is 0, in pixels of the coarser image.
    pub(super) fn radius(self) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => 0.5,
            Filter::Bilinear => 1.0,
            Filter::CatmullRom | Filter::Mitchell => 2.0,
            Filter::Lanczos3 => 3.0,
        }
    }

    /// The weight at a distance of `x`; weights are divided by their sum later.
    pub(super) fn weight(self, x: f64) -> f64 {
        let d = x.abs();
        match self {
            Filter::Nearest | Filter::Box if x > -0.5 && x <= 0.5 => 1.0,
            Filter::Bilinear if d < 1.0 => 1.0 - d,
            Filter::CatmullRom if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
            Filter::CatmullRom if d < 2.0 => -0.5 * (((d - 5.0) * d + 8.0) * d - 4.0),
            Filter::Mitchell if d < 1.0 => ((7.0 * d - 12.0) * d * d + 16.0 / 3.0) / 6.0,
            Filter::Mitchell if d < 2.0 => (((-7.0 / 3.0 * d + 12.0) * d - 20.0) * d + 32.0 / 3.0) / 6.0,
            Filter::Lanczos3 if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// A [`Filter`] as plain bytes, for kernels to keep. A code that no version has written means [`Filter::Lanczos3`].
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct FilterCode(u32);

impl From<Filter> for FilterCode {
    fn from(filter: Filter) -> Self {
        FilterCode(match filter {
            Filter::Lanczos3 => 0,
            Filter::Nearest => 1,
            Filter::Box => 2,
            Filter::Bilinear => 3,
            Filter::CatmullRom => 4,
            Filter::Mitchell => 5,
        })
    }
}

impl From<FilterCode> for Filter {
    fn from(stored: FilterCode) -> Self {
        match stored.0 {
            1 => Filter::Nearest,
            2 => Filter::Box,
            3 => Filter::Bilinear,
            4 => Filter::CatmullRom,
            5 => Filter::Mitchell,
            _ => Filter::Lanczos3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back_to_the_filter() {
        for (_, filter) in Filter::NAMED {
            assert_eq!(Filter::from(FilterCode::from(filter)), filter);
        }
        assert_eq!(Filter::from(FilterCode(99)), Filter::Lanczos3);
    }

    #[test]
    fn filters_end_where_they_say_and_interpolating_ones_keep_pixels() {
        for (name, filter) in Filter::NAMED {
            assert_eq!(filter.weight(filter.radius() + 1e-9), 0.0, "{name}");
            assert!(filter.weight(-filter.radius()).abs() < 1e-15, "{name}");
            if filter != Filter::Mitchell {
                assert_eq!(filter.weight(0.0), 1.0, "{name}");
            }
        }
        assert!((Filter::Mitchell.weight(0.0) - 8.0 / 9.0).abs() < 1e-15);
        assert!((Filter::Mitchell.weight(1.0) - 1.0 / 18.0).abs() < 1e-15);
    }
}
