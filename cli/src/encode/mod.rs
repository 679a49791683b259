//! Pixels to a file, in the format that its name asks for.

mod jpeg;
mod png;
mod pnm;
mod tiff;

pub(crate) use tiff::write_as as write_tiff_as;

use std::fs::File;
use std::io;
use std::path::Path;

use shmpool::kernels::{SampleType, has_alpha};

use crate::depth::Depth;
use crate::failure::{Exit, Failure};

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Tiff,
    /// PNM of three channels.
    Ppm,
    /// PNM of one channel.
    Pgm,
}

/// Endings of names, and what they mean.
const ENDINGS: [(&str, Format); 7] = [
    ("png", Format::Png),
    ("jpg", Format::Jpeg),
    ("jpeg", Format::Jpeg),
    ("tif", Format::Tiff),
    ("tiff", Format::Tiff),
    ("ppm", Format::Ppm),
    ("pgm", Format::Pgm),
];

/// The longest side of a JPEG.
const JPEG_SIDE_MAX: usize = 0xffff;

/// A picture to write.
pub(crate) struct Image<'a, T> {
    /// Height, width, channels; 1 to 4 of these: gray, gray with alpha, RGB, RGBA.
    pub(crate) shape: [usize; 3],
    /// That many, rows contiguous, channels interleaved.
    pub(crate) samples: &'a [T],
    /// A colour profile that fits the channels, if there is one.
    pub(crate) icc: Option<&'a [u8]>,
}

impl<T> Image<'_, T> {
    fn rows(&self) -> impl Iterator<Item = &[T]> {
        self.samples.chunks_exact(self.shape[1] * self.shape[2])
    }

    fn side(&self, axis: usize) -> io::Result<u32> {
        u32::try_from(self.shape[axis]).map_err(|_| io::Error::other("a side is too long for the format"))
    }
}

impl Format {
    /// What the name of a file asks for.
    pub(crate) fn of(output: &Path) -> Result<Self, Failure> {
        let extension = output.extension().unwrap_or_default();
        let known = ENDINGS.iter().find(|(ending, _)| extension.eq_ignore_ascii_case(ending));
        known.map(|&(_, format)| format).ok_or_else(|| {
            let endings = ENDINGS.map(|(ending, _)| format!(".{ending}")).join(", ");
            Failure::new(Exit::Usage, format!("the name of the output must end in one of {endings}"))
                .about(output)
        })
    }

    /// Whether the format can hold such a picture. Known before any work, from the input's header.
    ///
    /// # Errors
    /// One line that says what does not fit and what to do.
    pub(crate) fn check(
        self,
        [height, width, channels]: [usize; 3],
        sample: SampleType,
    ) -> Result<(), String> {
        let colours = channels - usize::from(has_alpha(channels));
        match self {
            Format::Png | Format::Tiff => Ok(()),
            Format::Jpeg if sample != SampleType::U8 => {
                Err(format!("a JPEG holds 8-bit samples, not {sample}: write .png or .tif"))
            }
            Format::Jpeg | Format::Ppm | Format::Pgm if has_alpha(channels) => {
                let name = self.name();
                Err(format!("a {name} holds no alpha channel, which the picture has: write .png or .tif"))
            }
            Format::Jpeg if height.max(width) > JPEG_SIDE_MAX => {
                let found = format!("{width} x {height} pixels");
                Err(format!(
                    "a JPEG has at most {JPEG_SIDE_MAX} pixels a side, not {found}: write .png or .tif"
                ))
            }
            Format::Ppm if colours == 1 => {
                Err("a PPM holds colour, and the picture is gray: write .pgm".to_owned())
            }
            Format::Pgm if colours == 3 => {
                Err("a PGM holds gray, and the picture has colours: write .ppm, or add the step gray"
                    .to_owned())
            }
            Format::Jpeg | Format::Ppm | Format::Pgm => Ok(()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Tiff => "TIFF",
            Format::Ppm => "PPM",
            Format::Pgm => "PGM",
        }
    }

    /// Writes a picture that passed [`Format::check`].
    ///
    /// * `quality`: of a JPEG, 1 to 100
    /// * `written`: called with the number of rows written so far, now and then
    pub(crate) fn write<T: Depth>(
        self,
        out: &File,
        image: &Image<'_, T>,
        quality: u8,
        written: impl FnMut(u64),
    ) -> io::Result<()> {
        match self {
            Format::Png => png::write(out, image, written),
            Format::Jpeg => jpeg::write(out, image, quality),
            Format::Tiff => tiff::write(out, image, written),
            Format::Ppm | Format::Pgm => pnm::write(out, image, written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_whatever_its_case() {
        for (name, format) in [("a.PNG", Format::Png), ("b/c.d.Jpeg", Format::Jpeg), (".x.tif", Format::Tiff)]
        {
            assert_eq!(Format::of(Path::new(name)).unwrap(), format);
        }
        for name in ["a", "png", ".png", "a.webp", "a.png/"] {
            assert_eq!(Format::of(Path::new(name)).is_ok(), name == "a.png/", "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        let (u8, u16) = (SampleType::U8, SampleType::U16);
        for (format, shape, sample, advice) in [
            (Format::Jpeg, [2, 2, 3], u16, "write .png or .tif"),
            (Format::Jpeg, [2, 2, 4], u8, "write .png or .tif"),
            (Format::Jpeg, [2, 70_000, 3], u8, "70000 x 2 pixels: write .png"),
            (Format::Ppm, [2, 2, 1], u8, "write .pgm"),
            (Format::Ppm, [2, 2, 4], u8, "write .png or .tif"),
            (Format::Pgm, [2, 2, 3], u16, "write .ppm, or add the step gray"),
        ] {
            let message = format.check(shape, sample).unwrap_err();
            assert!(message.contains(advice), "{message}");
        }
        for channels in 1..=4 {
            assert_eq!(Format::Png.check([1 << 20, 1 << 20, channels], u16), Ok(()));
            assert_eq!(Format::Tiff.check([1 << 20, 1 << 20, channels], u16), Ok(()));
        }
    }
}
