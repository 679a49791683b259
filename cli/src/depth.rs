//! How many bits a sample has. The command keeps what the file had: 8 bits stay 8, and 16 stay 16.

use std::io::{Seek, Write};

use image::{Pixel, Primitive, Rgb, Rgba};
use shmpool::kernels::Sample;
use tiff::TiffResult;
use tiff::encoder::colortype::{Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::{TiffEncoder, TiffKind};

use crate::encode::{Image, write_tiff_as};

/// A sample type that pictures are read, worked on and written with.
pub(crate) trait Depth: Sample + Primitive {
    type Rgb: Pixel<Subpixel = Self> + 'static;
    type Rgba: Pixel<Subpixel = Self> + 'static;

    /// Adds the samples to `bytes`, the most significant byte first, as PNG and PNM have them.
    fn extend_big_endian(bytes: &mut Vec<u8>, samples: &[Self]);

    /// Writes the picture with the TIFF colours of this type.
    fn write_tiff<K: TiffKind>(
        encoder: TiffEncoder<impl Write + Seek, K>,
        image: &Image<'_, Self>,
        written: impl FnMut(u64),
    ) -> TiffResult<()>;
}

impl Depth for u8 {
    type Rgb = Rgb<u8>;
    type Rgba = Rgba<u8>;

    fn extend_big_endian(bytes: &mut Vec<u8>, samples: &[u8]) {
        bytes.extend_from_slice(samples);
    }

    fn write_tiff<K: TiffKind>(
        encoder: TiffEncoder<impl Write + Seek, K>,
        image: &Image<'_, u8>,
        written: impl FnMut(u64),
    ) -> TiffResult<()> {
        match image.shape[2] {
            1 | 2 => write_tiff_as::<Gray8, K>(encoder, image, written),
            _ => write_tiff_as::<RGB8, K>(encoder, image, written),
        }
    }
}

impl Depth for u16 {
    type Rgb = Rgb<u16>;
    type Rgba = Rgba<u16>;

    fn extend_big_endian(bytes: &mut Vec<u8>, samples: &[u16]) {
        bytes.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
    }

    fn write_tiff<K: TiffKind>(
        encoder: TiffEncoder<impl Write + Seek, K>,
        image: &Image<'_, u16>,
        written: impl FnMut(u64),
    ) -> TiffResult<()> {
        match image.shape[2] {
            1 | 2 => write_tiff_as::<Gray16, K>(encoder, image, written),
            _ => write_tiff_as::<RGB16, K>(encoder, image, written),
        }
    }
}
