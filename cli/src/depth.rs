//! How many bits a sample has. The command keeps what the file had: 8 bits stay 8, and 16 stay 16.

use std::io::{Seek, Write};

use image::{Pixel, Primitive, Rgb, Rgba};
use shmpool::kernels::{
    Border, Chain, Gaussian, Gray, Identity, KernelError, Sample, Sobel, Step, parse_chain,
};
use tiff::TiffResult;
use tiff::encoder::colortype::{Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::{TiffEncoder, TiffKind};

use crate::encode::{Image, write_tiff_as};

/// A sample type that pictures are read, worked on and written with.
pub(crate) trait Depth: Sample + Primitive {
    type Rgb: Pixel<Subpixel = Self> + 'static;
    type Rgba: Pixel<Subpixel = Self> + 'static;

    /// The kernels that the words name, for samples of this type.
    ///
    /// # Errors
    /// Each names the word it is about.
    fn chain(words: &[String]) -> Result<Chain<Self, Self>, KernelError>;

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

    fn chain(words: &[String]) -> Result<Chain<u8, u8>, KernelError> {
        parse_chain(words)
    }

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

    fn chain(words: &[String]) -> Result<Chain<u16, u16>, KernelError> {
        deep_chain(words)
    }

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

/// The steps as the parser knows them for 8 bits, with the same kernels for 16. Levels (the constant of a border) are meant on the scale 0 to 255.
fn deep_chain(words: &[String]) -> Result<Chain<u16, u16>, KernelError> {
    let steps = parse_chain(words)?;
    let chain = steps.steps().iter().fold(Chain::<u16, u16>::new(), |chain, step| {
        let border = match step.border() {
            Border::Constant(level) => Border::Constant(level * 257.0),
            border => border,
        };
        let is = |kernel: Step| std::ptr::eq(step.table(), kernel.table());
        if is(Step::of::<u8, _>(Gaussian::new(1.0))) {
            let gaussian: Gaussian = bytemuck::pod_read_unaligned(step.parameters());
            chain.then(gaussian.border(border))
        } else if is(Step::of::<u8, _>(Sobel::default())) {
            chain.then(Sobel::new(border))
        } else if is(Step::of::<u8, _>(Gray)) {
            chain.then(Gray)
        } else {
            chain.then(Identity)
        }
    });
    Ok(chain)
}
