//! Pixels to JPEG: baseline, colour at half resolution below quality 90, as most cameras and tools write it.

use std::io::{self, BufWriter, Write};

use jpeg_encoder::{ColorType, Encoder, EncodingError};

use super::Image;
use crate::depth::Depth;

/// Two megapixels take some 40 ms with colours at full resolution and half of that without (three times as long as decoding them).
///
/// * `image`: 1 or 3 channels of 8 bits, at most 65535 pixels a side
pub(super) fn write<T: Depth>(out: impl Write, image: &Image<'_, T>, quality: u8) -> io::Result<()> {
    let side = |length: usize| u16::try_from(length).map_err(io::Error::other);
    let [height, width, channels] = image.shape;
    let color = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let mut encoder = Encoder::new(&mut out, quality);
    if let Some(profile) = image.icc {
        encoder.add_icc_profile(profile).map_err(plain)?;
    }
    let samples = bytemuck::cast_slice(image.samples);
    encoder.encode(samples, side(width)?, side(height)?, color).map_err(plain)?;
    out.flush()
}

fn plain(error: EncodingError) -> io::Error {
    match error {
        EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
