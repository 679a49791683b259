//! A file to pixels in the arena.
//!
//! The header is read first and decides about memory: the arena's budget is the limit, and what is beyond it is refused before a byte is touched.
//! Then the decoder writes straight into an array, without a second buffer of the picture's size. The exceptions are pictures that need a quarter turn
//! (a second array, see `orient`), progressive JPEGs (the decoder's coefficients) and TIFFs of an unusual layout: planes, bits, CMYK (the decoder's
//! own buffer); all are counted beforehand.
//!
//! Decoders read what strangers wrote. A panic of theirs is an error like any other; a crash ends the process that they run in: the command itself for a
//! single picture, a worker where there are many.

use std::any::Any;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::rc::Rc;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, pnm::PnmDecoder, tiff::TiffDecoder};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, Limits};
use rustix::fs::OFlags;
use shmpool::kernels::SampleType;
use shmpool::{Arena, Array};
use tiff::tags::Tag;

use crate::depth::Depth;
use crate::failure::{Exit, Failure, in_words};
use crate::{jpeg, orient};

/// What a decoder may take beside the picture itself: lines, strips, tables, profiles.
const WORK_BYTES_MAX: usize = 512 << 20;
/// The longest header of a PNM file; its decoder would read on for ever.
const PNM_HEADER_BYTES_MAX: u64 = 64 << 10;

/// A picture whose header has been read, and nothing else yet.
pub(crate) struct Undecoded {
    header: Header,
    decoder: Decoder,
}

struct Header {
    width: u32,
    height: u32,
    color: ColorType,
    orientation: Orientation,
    icc: Option<Vec<u8>>,
    /// What the decoder is known to take beside the picture.
    work_bytes: usize,
}

enum Decoder {
    Any(Box<dyn ImageDecoder>),
    /// `image` decodes TIFF into a buffer of its own; the crate below it decodes the usual layouts in place.
    Tiff(Box<tiff::decoder::Decoder<BufReader<File>>>),
    Pnm(Box<PnmDecoder<Rationed>>, Ration),
}

/// A picture in the arena.
pub(crate) struct Picture<T: Depth> {
    /// Height, width and 1 to 4 channels.
    pub(crate) pixels: Array<T>,
    /// Its colour profile, whatever the file said it was.
    pub(crate) icc: Option<Vec<u8>>,
}

impl Undecoded {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let opened = guarded(|| read_header(path)).map_err(|failure| failure.about(path))?;
        opened.header.check().map_err(|failure| failure.about(path))?;
        Ok(opened)
    }

    /// Height, width and channels of the picture, upright.
    pub(crate) fn shape(&self) -> [usize; 3] {
        let [height, width, channels] = self.header.shape();
        match self.header.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => [width, height, channels],
            _ => [height, width, channels],
        }
    }

    /// The type of the samples: `u8` or `u16`.
    pub(crate) fn sample(&self) -> SampleType {
        self.header.sample()
    }

    /// Bytes that decoding takes: the picture, what its decoder keeps beside it, and a second array if it has to be turned.
    pub(crate) fn memory_bytes(&self) -> usize {
        let picture = self.header.shape().iter().product::<usize>() * self.sample().bytes();
        let is_turned = self.shape() != self.header.shape();
        picture + self.header.work_bytes.max(if is_turned { picture } else { 0 })
    }

    /// Decodes into the arena, and turns the picture upright.
    ///
    /// # Panics
    /// If `T` is not what [`Undecoded::sample`] says.
    pub(crate) fn decode<T: Depth>(self, arena: &Arena, path: &Path) -> Result<Picture<T>, Failure> {
        assert_eq!(self.sample(), T::TYPE, "the caller looked at the header");
        let Undecoded { header, decoder } = self;
        let about = |error: shmpool::Error| Failure::from(error).about(path);
        // Never touched, and so free of charge: while it lives, the arena counts what the decoder takes as taken.
        let reserve = arena.zeros::<u8>(header.work_bytes).map_err(about)?;
        let mut pixels = arena.zeros::<T>(header.shape()).map_err(about)?;
        let buffer = pixels.as_bytes_mut();
        let decoded = guarded(AssertUnwindSafe(|| match decoder {
            Decoder::Any(decoder) => decoder.read_image_boxed(buffer).map_err(refused),
            Decoder::Tiff(mut decoder) => decoder.read_image_bytes(buffer).map_err(refused_tiff),
            Decoder::Pnm(decoder, ration) => {
                ration.set(u64::MAX);
                decoder.read_image(buffer).map_err(refused)
            }
        }));
        decoded.map_err(|failure| failure.about(path))?;
        drop(reserve);
        let pixels = orient::upright(arena, pixels, header.orientation).map_err(about)?;
        Ok(Picture { pixels, icc: header.icc })
    }
}

impl Header {
    fn shape(&self) -> [usize; 3] {
        [self.height as usize, self.width as usize, usize::from(self.color.channel_count())]
    }

    fn sample(&self) -> SampleType {
        match self.color {
            ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => SampleType::U16,
            _ => SampleType::U8,
        }
    }

    /// The same questions to every format.
    fn check(&self) -> Result<(), Failure> {
        let Header { width, height, color, .. } = self;
        if *width == 0 || *height == 0 {
            return Err(bad(format!("{width} x {height} pixels: nothing to work on")));
        }
        let found = match color {
            ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => return Ok(()),
            ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => return Ok(()),
            _ => "floating-point samples",
        };
        Err(bad(format!("{found}: samples of 8 or 16 bits are read, with 1 to 4 channels")))
    }

    fn of(decoder: &mut impl ImageDecoder) -> Self {
        let (width, height) = decoder.dimensions();
        Header {
            width,
            height,
            color: decoder.color_type(),
            // A picture whose side notes are damaged is still a picture.
            orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
            icc: decoder.icc_profile().ok().flatten(),
            work_bytes: 0,
        }
    }
}

fn read_header(path: &Path) -> Result<Undecoded, Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, open(path)?);
    let mut magic = Vec::new();
    reader.by_ref().take(16).read_to_end(&mut magic).map_err(unreadable)?;
    reader.rewind().map_err(unreadable)?;
    match magic[..] {
        [] => Err(bad("the file is empty")),
        [0xff, 0xd8, 0xff, ..] => read_jpeg_header(reader),
        [0x89, b'P', b'N', b'G', ..] => {
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(WORK_BYTES_MAX as u64);
            any(PngDecoder::with_limits(reader, limits).map_err(refused)?)
        }
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => read_tiff_header(reader),
        [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => read_pnm_header(reader),
        _ => {
            let known = image::guess_format(&magic).map(|format| {
                format!(
                    "an image of format {}",
                    format.extensions_str().first().unwrap_or(&"").to_uppercase()
                )
            });
            let found = known.unwrap_or_else(|_| "not an image that is known here".to_owned());
            Err(bad(format!("{found}: JPEG, PNG, TIFF and PNM are read")))
        }
    }
}

/// Opens what is a file, and does not wait for what is none, such as a pipe without a writer.
fn open(path: &Path) -> Result<File, Failure> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?.file_type();
    match () {
        () if kind.is_file() => Ok(file),
        () if kind.is_dir() => Err(bad("a directory, not an image")),
        () if kind.is_fifo() => Err(bad("a pipe: an image is read from a file")),
        () => Err(bad("a device, not an image")),
    }
}

fn any(mut decoder: impl ImageDecoder + 'static) -> Result<Undecoded, Failure> {
    let header = Header::of(&mut decoder);
    Ok(Undecoded { header, decoder: Decoder::Any(Box::new(decoder)) })
}

fn read_jpeg_header(mut reader: BufReader<File>) -> Result<Undecoded, Failure> {
    let outline = jpeg::outline(&mut reader).map_err(bad)?;
    reader.rewind().map_err(unreadable)?;
    let reader = Rationed { reader, left: Rc::new(Cell::new(outline.n_bytes)) };
    let mut undecoded = any(JpegDecoder::new(reader).map_err(refused)?)?;
    let header = &mut undecoded.header;
    if !jpeg::is_plausible(&outline, header.width, header.height) {
        let (Header { width, height, .. }, n_bytes) = (header, outline.n_bytes);
        return Err(bad(format!("{width} x {height} pixels cannot come out of {n_bytes} bytes")));
    }
    if outline.progressive {
        header.work_bytes = 2 * header.shape().iter().product::<usize>();
    }
    Ok(undecoded)
}

fn read_tiff_header(reader: BufReader<File>) -> Result<Undecoded, Failure> {
    let again = reader.get_ref().try_clone().map_err(unreadable)?;
    let mut decoder = tiff::decoder::Decoder::new(reader).map_err(refused_tiff)?.with_limits(tiff_limits());
    if let Some(header) = usual_tiff(&mut decoder).map_err(refused_tiff)? {
        return Ok(Undecoded { header, decoder: Decoder::Tiff(Box::new(decoder)) });
    }
    drop(decoder); // it shares the file's position
    let mut reader = BufReader::with_capacity(1 << 16, again);
    reader.rewind().map_err(unreadable)?;
    let decoder = TiffDecoder::new(reader).map_err(|error| match error {
        // Its words are those of a library: "does not support the color type `Unknown(32)`".
        ImageError::Unsupported(_) => bad("a TIFF of other than 1 to 4 channels of 8 or 16 bits each"),
        error => refused(error),
    })?;
    let mut undecoded = any(decoder)?;
    let header = &mut undecoded.header;
    // Four samples a pixel: as CMYK they are more than the picture has.
    let pixel_bytes = 4 * header.sample().bytes();
    header.work_bytes =
        (header.width as usize).saturating_mul(header.height as usize).saturating_mul(pixel_bytes);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some((header.work_bytes.saturating_add(WORK_BYTES_MAX)) as u64);
    if let Decoder::Any(decoder) = &mut undecoded.decoder {
        decoder.set_limits(limits).map_err(refused)?;
    }
    Ok(undecoded)
}

/// What the decoder calls gray with one sample more, which is alpha wherever it was seen.
const GRAY_ALPHA_8: tiff::ColorType = tiff::ColorType::Multiband { bit_depth: 8, num_samples: 2 };
const GRAY_ALPHA_16: tiff::ColorType = tiff::ColorType::Multiband { bit_depth: 16, num_samples: 2 };

/// The header of a TIFF that can be decoded in place: unsigned samples, channels interleaved. `None` for all others.
fn usual_tiff(decoder: &mut tiff::decoder::Decoder<BufReader<File>>) -> tiff::TiffResult<Option<Header>> {
    let color = match decoder.colortype()? {
        tiff::ColorType::Gray(8) => ColorType::L8,
        GRAY_ALPHA_8 => ColorType::La8,
        tiff::ColorType::RGB(8) => ColorType::Rgb8,
        tiff::ColorType::RGBA(8) => ColorType::Rgba8,
        tiff::ColorType::Gray(16) => ColorType::L16,
        GRAY_ALPHA_16 => ColorType::La16,
        tiff::ColorType::RGB(16) => ColorType::Rgb16,
        tiff::ColorType::RGBA(16) => ColorType::Rgba16,
        _ => return Ok(None),
    };
    let planes = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration)?.unwrap_or(1);
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat)?.unwrap_or_default();
    if planes != 1 || formats.iter().any(|&format| format != 1) {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions()?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    Ok(Some(Header {
        width,
        height,
        color,
        orientation: orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms),
        icc: decoder.get_tag_u8_vec(Tag::IccProfile).ok(),
        work_bytes: 0,
    }))
}

fn tiff_limits() -> tiff::decoder::Limits {
    let mut limits = tiff::decoder::Limits::default();
    limits.decoding_buffer_size = usize::MAX; // ours, and its size is known to fit
    limits.intermediate_buffer_size = WORK_BYTES_MAX;
    limits.ifd_value_size = 64 << 20; // places of strips, of large scans
    limits
}

fn read_pnm_header(reader: BufReader<File>) -> Result<Undecoded, Failure> {
    let ration: Ration = Rc::new(Cell::new(PNM_HEADER_BYTES_MAX));
    let mut decoder = PnmDecoder::new(Rationed { reader, left: Rc::clone(&ration) }).map_err(refused)?;
    let header = Header::of(&mut decoder);
    Ok(Undecoded { header, decoder: Decoder::Pnm(Box::new(decoder), ration) })
}

/// Bytes that may still be read.
type Ration = Rc<Cell<u64>>;

/// A reader that ends when its ration does.
struct Rationed {
    reader: BufReader<File>,
    left: Ration,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.reader.by_ref().take(self.left.get()).read(buffer)?;
        self.left.set(self.left.get() - n_bytes as u64);
        Ok(n_bytes)
    }
}

impl io::BufRead for Rationed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.reader.fill_buf()?;
        let n_bytes = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[..n_bytes])
    }

    fn consume(&mut self, n_bytes: usize) {
        self.reader.consume(n_bytes);
        self.left.set(self.left.get() - n_bytes as u64);
    }
}

/// A decoder asks for it that reads all there is and never seeks.
impl Seek for Rationed {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

/// Runs a decoder; its panic is an error about the file.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {})); // one line, and it is ours
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    panic::set_hook(before);
    result.unwrap_or_else(|payload| Err(bad(format!("its decoder gave up: {}", message(&*payload)))))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

fn bad(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Input, message)
}

fn unreadable(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => bad(jpeg::CUT_OFF),
        _ => bad(in_words(&error)),
    }
}

fn refused(error: ImageError) -> Failure {
    match error {
        ImageError::IoError(error) => unreadable(error),
        ImageError::Limits(_) => beyond_limits(),
        error => bad(error),
    }
}

fn refused_tiff(error: tiff::TiffError) -> Failure {
    match error {
        tiff::TiffError::IoError(error) => unreadable(error),
        tiff::TiffError::LimitsExceeded => beyond_limits(),
        error => bad(error),
    }
}

fn beyond_limits() -> Failure {
    let message = format!("its decoder needs more than {} MB beside the picture", WORK_BYTES_MAX >> 20);
    Failure::new(Exit::Memory, message)
}
