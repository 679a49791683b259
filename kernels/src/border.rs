//! What lies beyond the edge of an image.

use bytemuck::{Pod, Zeroable};

/// What a tile kernel sees beyond the edge of its input, drawn for a row `a b c d`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Border {
    /// `d c b | a b c d | c b a`: mirrored at the centre of the edge pixel. OpenCV's default, SciPy's `mirror`.
    #[default]
    Reflect101,
    /// `c b a | a b c d | d c b`: mirrored at the outer side of the edge pixel. SciPy's default, `reflect`.
    Reflect,
    /// `a a a | a b c d | d d d`: the edge pixel again. SciPy's `nearest`.
    Replicate,
    /// `v v v | a b c d | v v v`: one value, in sample units, for every channel (rounded and cut to the type).
    Constant(f32),
    /// `b c d | a b c d | a b c`: the image again. Such a step starts a new pass unless it is the first.
    Wrap,
}

impl Border {
    /// The names of the rules without a value, as the command line spells them.
    pub const NAMED: [(&'static str, Border); 4] = [
        ("reflect101", Border::Reflect101),
        ("reflect", Border::Reflect),
        ("replicate", Border::Replicate),
        ("wrap", Border::Wrap),
    ];

    /// The index in `0..n` that stands in for `index`, or nothing for [`Border::Constant`].
    ///
    /// `n` is above 0. `index` may be any number of image widths outside; within the image it is left alone.
    #[must_use]
    pub fn source_index(self, index: isize, n: usize) -> Option<usize> {
        let length = n.cast_signed();
        if (0..length).contains(&index) {
            return Some(index.cast_unsigned());
        }
        let inside = match self {
            Border::Constant(_) => return None,
            Border::Replicate => index.clamp(0, length - 1),
            Border::Wrap => index.rem_euclid(length),
            Border::Reflect => mirrored(index.rem_euclid(2 * length), 2 * length - 1),
            // A row of one pixel has nothing to mirror but that pixel.
            Border::Reflect101 if n == 1 => 0,
            Border::Reflect101 => mirrored(index.rem_euclid(2 * length - 2), 2 * length - 2),
        };
        Some(inside.cast_unsigned())
    }
}

/// The first half of `0..=last` as it is, the second half backwards.
fn mirrored(position: isize, last: isize) -> isize {
    position.min(last - position)
}

/// A [`Border`] as plain bytes, for kernels to keep: they are `Pod`, and an `enum` cannot be.
///
/// Every bit pattern means a rule; a code that no version has written means [`Border::Reflect101`].
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct BorderCode {
    code: u32,
    value: f32,
}

impl From<Border> for BorderCode {
    fn from(border: Border) -> Self {
        let (code, value) = match border {
            Border::Reflect101 => (0, 0.0),
            Border::Reflect => (1, 0.0),
            Border::Replicate => (2, 0.0),
            Border::Constant(value) => (3, value),
            Border::Wrap => (4, 0.0),
        };
        BorderCode { code, value }
    }
}

impl From<BorderCode> for Border {
    fn from(stored: BorderCode) -> Self {
        match stored.code {
            1 => Border::Reflect,
            2 => Border::Replicate,
            3 => Border::Constant(stored.value),
            4 => Border::Wrap,
            _ => Border::Reflect101,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture in the docs of each rule, three pixels to either side of `abcd`.
    fn drawn(border: Border, row: &str) -> String {
        let pixels = row.as_bytes();
        (-3..pixels.len().cast_signed() + 3)
            .map(|i| border.source_index(i, pixels.len()).map_or('v', |i| char::from(pixels[i])))
            .collect()
    }

    #[test]
    fn rules_look_as_they_are_drawn() {
        assert_eq!(drawn(Border::Reflect101, "abcd"), "dcbabcdcba");
        assert_eq!(drawn(Border::Reflect, "abcd"), "cbaabcddcb");
        assert_eq!(drawn(Border::Replicate, "abcd"), "aaaabcdddd");
        assert_eq!(drawn(Border::Constant(0.0), "abcd"), "vvvabcdvvv");
        assert_eq!(drawn(Border::Wrap, "abcd"), "bcdabcdabc");
    }

    #[test]
    fn rules_bounce_as_often_as_a_small_image_needs() {
        assert_eq!(drawn(Border::Reflect101, "a"), "aaaaaaa");
        assert_eq!(drawn(Border::Reflect101, "ab"), "babababa");
        assert_eq!(drawn(Border::Reflect, "ab"), "bbaabbaa");
        assert_eq!(drawn(Border::Wrap, "ab"), "babababa");
    }

    #[test]
    fn codes_lead_back_to_the_rule() {
        for border in Border::NAMED.map(|named| named.1).into_iter().chain([Border::Constant(7.0)]) {
            assert_eq!(Border::from(BorderCode::from(border)), border);
        }
        assert_eq!(Border::from(BorderCode { code: 99, value: 1.0 }), Border::Reflect101);
    }
}
