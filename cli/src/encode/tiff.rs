//! Pixels to TIFF: strips, not compressed; BigTIFF where four gigabytes are not enough.

use std::borrow::Cow;
use std::io::{self, BufWriter, Seek, Write};

use tiff::encoder::colortype::ColorType;
use tiff::encoder::{TiffEncoder, TiffKind, TiffValue};
use tiff::tags::{ExtraSamples, Tag, Type};
use tiff::{TiffError, TiffResult};

use super::Image;
use crate::depth::Depth;

/// Samples from which on offsets of 32 bits could be too short: some room is left for the profile and the lists of strips.
const BIG_FROM_BYTES: usize = (4 << 30) - (64 << 20);

pub(super) fn write<T: Depth>(
    out: impl Write + Seek,
    image: &Image<'_, T>,
    written: impl FnMut(u64),
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let icc_bytes = image.icc.map_or(0, <[u8]>::len);
    let result = if size_of_val(image.samples) + icc_bytes < BIG_FROM_BYTES {
        TiffEncoder::new(&mut out).and_then(|encoder| T::write_tiff(encoder, image, written))
    } else {
        TiffEncoder::new_big(&mut out).and_then(|encoder| T::write_tiff(encoder, image, written))
    };
    result.map_err(plain)?;
    out.flush()
}

/// The picture with `C` for its colours; alpha is an extra sample, as the format has it.
pub(crate) fn write_as<C: ColorType, K: TiffKind>(
    mut encoder: TiffEncoder<impl Write + Seek, K>,
    image: &Image<'_, C::Inner>,
    mut written: impl FnMut(u64),
) -> TiffResult<()>
where
    [C::Inner]: TiffValue,
{
    let side = |axis| image.side(axis).map_err(TiffError::IoError);
    let mut encoder = encoder.new_image::<C>(side(1)?, side(0)?)?;
    if image.shape[2] > C::BITS_PER_SAMPLE.len() {
        encoder.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
    }
    if let Some(profile) = image.icc {
        encoder.encoder().write_tag(Tag::IccProfile, Opaque(profile))?;
    }
    let row_samples = image.shape[1] * image.shape[2];
    let mut left = image.samples;
    while !left.is_empty() {
        let n_samples = encoder.next_strip_sample_count() as usize;
        let (strip, rest) = left.split_at(n_samples);
        encoder.write_strip(strip)?;
        left = rest;
        written(((image.samples.len() - left.len()) / row_samples) as u64);
    }
    encoder.finish()
}

/// Bytes that mean nothing to the format, which is the type that a profile must have.
struct Opaque<'a>(&'a [u8]);

impl TiffValue for Opaque<'_> {
    const BYTE_LEN: u8 = 1;
    const FIELD_TYPE: Type = Type::UNDEFINED;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0)
    }
}

fn plain(error: TiffError) -> io::Error {
    match error {
        TiffError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
