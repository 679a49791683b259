//! Every format in, the right picture out: byte for byte what the kernels make of it without an engine.

mod common;

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Folder, decoded, encoded, expected, picture, run};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::pnm::{PnmEncoder, PnmSubtype, SampleEncoding};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat};
use shmpool::kernels::{Chain, Gaussian, Gray, Sobel};
use tiff::encoder::{Compression, TiffEncoder, colortype};

/// Runs the steps with several numbers of workers, and compares.
#[track_caller]
fn assert_works(folder: &Folder, input: &Path, image: &DynamicImage, steps: &[&str], workers: &[&str]) {
    let output = folder.path("out.png");
    let wanted = expected(image, steps);
    for workers in workers {
        let mut args = vec!["image", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "-w", workers];
        args.extend(steps);
        let ended = run(&args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
        assert!(decoded(&output) == wanted, "{args:?}: another picture than without the engine");
        fs::remove_file(&output).unwrap();
    }
    let name = input.file_name().unwrap().to_str().unwrap();
    assert_eq!(folder.names(), [name], "something was left behind");
    fs::remove_file(input).unwrap();
}

#[test]
fn one_and_three_workers_mean_the_chain_byte_for_byte() {
    let folder = Folder::new("chain");
    for (channels, width, height) in [(1, 1, 1), (1, 700, 301), (2, 65, 1200), (3, 640, 480), (4, 300, 200)] {
        let image = picture(width, height, channels);
        let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
        assert_works(&folder, &input, &image, &["gray", "blur:sigma=2", "sobel"], &["0", "1", "3"]);
        let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
        assert_works(&folder, &input, &image, &["sobel", "blur:sigma=1.5,border=wrap"], &["1", "3"]);
    }
}

#[test]
fn png_of_one_to_four_channels_is_read_and_written() {
    let folder = Folder::new("png");
    for channels in 1..=4 {
        let image = picture(130, 57, channels);
        let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
        assert_works(&folder, &input, &image, &[], &["1"]);
    }
}

#[test]
fn a_palette_is_read_as_the_colours_it_stands_for() {
    let folder = Folder::new("palette");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 16, 4);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![0, 1, 2, 30, 31, 32, 60, 61, 62, 90, 91, 92]);
    encoder.write_header().unwrap().write_image_data(&[0b0001_1011; 16]).unwrap();
    let image = DynamicImage::from_decoder(PngDecoder::new(Cursor::new(&bytes)).unwrap()).unwrap();
    assert_eq!(image.as_bytes()[..6], [0, 1, 2, 30, 31, 32]);
    let input = folder.write("in.png", bytes);
    assert_works(&folder, &input, &image, &["sobel"], &["1"]);
}

#[test]
fn jpeg_gray_and_colour_is_read() {
    let folder = Folder::new("jpeg");
    for channels in [1, 3] {
        let bytes = encoded(&picture(203, 97, channels), ImageFormat::Jpeg);
        let image = image::load_from_memory(&bytes).unwrap();
        assert_eq!(usize::from(image.color().channel_count()), channels);
        let input = folder.write("in.jpg", bytes);
        assert_works(&folder, &input, &image, &["blur"], &["1"]);
    }
}

#[test]
fn tiff_is_read_in_place_whatever_its_compression() {
    let folder = Folder::new("tiff");
    for channels in [1, 3, 4] {
        let image = picture(301, 77, channels);
        let input = folder.write("in.tif", encoded(&image, ImageFormat::Tiff));
        assert_works(&folder, &input, &image, &["sobel"], &["1"]);
    }
    let image = picture(301, 177, 3);
    for compression in [Compression::Lzw, Compression::Deflate(Default::default()), Compression::Packbits] {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
        encoder.write_image::<colortype::RGB8>(301, 177, image.as_bytes()).unwrap();
        let input = folder.write("in.tif", bytes.into_inner());
        assert_works(&folder, &input, &image, &["blur"], &["1"]);
    }
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new_big(&mut bytes).unwrap();
    encoder.write_image::<colortype::RGB8>(301, 177, image.as_bytes()).unwrap();
    let input = folder.write("in.tif", bytes.into_inner());
    assert_works(&folder, &input, &image, &["blur"], &["1"]);
}

#[test]
fn tiff_of_an_unusual_layout_is_read_too() {
    let folder = Folder::new("cmyk");
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let inks = common::samples(60 * 40 * 4, 9);
    encoder.write_image::<colortype::CMYK8>(60, 40, &inks).unwrap();
    let bytes = bytes.into_inner();
    let image = image::load_from_memory(&bytes).unwrap();
    let input = folder.write("in.tif", bytes);
    assert_works(&folder, &input, &image, &["gray"], &["1"]);
}

#[test]
fn pnm_binary_and_text_and_arbitrary_is_read() {
    let folder = Folder::new("pnm");
    let kinds = [
        (1, PnmSubtype::Graymap(SampleEncoding::Ascii)),
        (1, PnmSubtype::Graymap(SampleEncoding::Binary)),
        (3, PnmSubtype::Pixmap(SampleEncoding::Ascii)),
        (3, PnmSubtype::Pixmap(SampleEncoding::Binary)),
        (2, PnmSubtype::ArbitraryMap),
        (4, PnmSubtype::ArbitraryMap),
    ];
    for (channels, kind) in kinds {
        let image = picture(70, 45, channels);
        let mut bytes = Vec::new();
        let encoder = PnmEncoder::new(&mut bytes).with_subtype(kind);
        encoder.write_image(image.as_bytes(), 70, 45, image.color().into()).unwrap();
        let input = folder.write("in.pnm", bytes);
        assert_works(&folder, &input, &image, &["sobel"], &["1"]);
    }
}

#[test]
fn the_format_is_told_by_content_not_by_name() {
    let folder = Folder::new("content");
    let image = picture(20, 10, 3);
    let input = folder.write("really.jpg", encoded(&image, ImageFormat::Pnm));
    assert_works(&folder, &input, &image, &["gray"], &["1"]);
}

/// As it is, but with samples of 16 bits, of which the lower half differs from the upper.
fn deep(image: &DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let samples = image.as_bytes().iter().zip(common::samples(image.as_bytes().len(), 77));
    let samples: Vec<u16> = samples.map(|(&high, low)| u16::from_be_bytes([high, low])).collect();
    const FITS: &str = "as many samples as pixels and channels";
    match image.color().channel_count() {
        1 => DynamicImage::ImageLuma16(image::ImageBuffer::from_raw(width, height, samples).expect(FITS)),
        2 => DynamicImage::ImageLumaA16(image::ImageBuffer::from_raw(width, height, samples).expect(FITS)),
        3 => DynamicImage::ImageRgb16(image::ImageBuffer::from_raw(width, height, samples).expect(FITS)),
        _ => DynamicImage::ImageRgba16(image::ImageBuffer::from_raw(width, height, samples).expect(FITS)),
    }
}

#[test]
fn sixteen_bits_stay_sixteen_in_every_format_that_has_them() {
    let folder = Folder::new("deep");
    for channels in 1..=4 {
        let image = deep(&picture(53, 31, channels));
        let mut formats = vec![(ImageFormat::Png, "out.png"), (ImageFormat::Tiff, "out.tif")];
        match channels {
            1 => formats.push((ImageFormat::Pnm, "out.pgm")),
            3 => formats.push((ImageFormat::Pnm, "out.ppm")),
            _ => {}
        }
        for (format, name) in formats {
            // `image` writes no TIFF of gray with alpha; ours is read back below.
            let from = if (format, channels) == (ImageFormat::Tiff, 2) { ImageFormat::Png } else { format };
            let input = folder.write("in", encoded(&image, from));
            let output = folder.path(name);
            let ended = run([Path::new("image"), &input, Path::new("-o"), &output]);
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            if (format, channels) == (ImageFormat::Tiff, 2) {
                let again = folder.path("again.png");
                let ended = run([Path::new("image"), &output, Path::new("-o"), &again]);
                assert_eq!(ended.code, 0, "{}", ended.stderr);
                assert_eq!(image::open(again).unwrap(), image);
            } else {
                assert_eq!(image::open(&output).unwrap(), image, "{name}, {channels} channels");
            }
        }
    }
}

#[test]
fn sixteen_bits_run_through_the_chain_for_sixteen() {
    let folder = Folder::new("deep-chain");
    let image = deep(&picture(300, 200, 3));
    let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
    let output = folder.path("out.png");
    let chain = Chain::<u16, u16>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
    let mut wanted = vec![0; 300 * 200];
    chain.run(image.as_rgb16().unwrap(), [200, 300, 3], &mut wanted).unwrap();
    for workers in ["0", "2"] {
        let mut args = vec!["image", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "-w", workers];
        args.extend(["gray", "blur:sigma=2", "sobel"]);
        let ended = run(&args);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(*image::open(&output).unwrap().as_luma16().unwrap().as_raw() == wanted, "another picture");
    }
}

#[test]
fn eight_bits_are_written_in_every_format() {
    let folder = Folder::new("formats");
    for channels in 1..=4 {
        let image = picture(53, 31, channels);
        let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
        let names = match channels {
            1 => &["out.png", "out.tif", "out.TIFF", "out.pgm"][..],
            3 => &["out.png", "out.tif", "out.ppm"],
            4 => &["out.png", "out.tif"],
            _ => &["out.png"],
        };
        for name in names {
            let output = folder.path(name);
            let ended = run([Path::new("image"), &input, Path::new("-o"), &output]);
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            assert!(decoded(&output) == expected(&image, &[]), "{name}, {channels} channels");
        }
    }
}

#[test]
fn a_jpeg_is_as_good_as_its_quality() {
    let folder = Folder::new("quality");
    let image =
        image::RgbImage::from_fn(200, 150, |x, y| image::Rgb([x as u8, y as u8, (x / 2 + y / 2) as u8]));
    let input = folder.write("in.png", encoded(&image.clone().into(), ImageFormat::Png));
    let written = |quality: &str| {
        let output = folder.path("out.jpg");
        let path = |text: &str| Path::new(text).to_owned();
        let ended =
            run([path("image"), input.clone(), path("-o"), output.clone(), path("--quality"), path(quality)]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let found = image::open(&output).unwrap().into_rgb8();
        let error = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
        let errors: u64 = found.as_raw().iter().zip(image.as_raw()).map(error).sum();
        (errors as f64 / found.as_raw().len() as f64, output.metadata().unwrap().len())
    };
    let (coarse, fine) = (written("10"), written("95"));
    assert!(fine.0 < 4.0 && coarse.0 > 2.0 * fine.0, "mean squares {coarse:?} {fine:?}");
    assert!(coarse.1 < fine.1, "bytes {coarse:?} {fine:?}");
}

/// EXIF that says nothing but an orientation.
fn exif(orientation: Orientation) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0\x01\0".to_vec();
    bytes.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation.to_exif(), 0, 0, 0]);
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn every_orientation_is_turned_upright() {
    let folder = Folder::new("orientation");
    for channels in 1..=4 {
        for orientation in (1..=8).map(|number| Orientation::from_exif(number).unwrap()) {
            let mut image = picture(37, 22, channels);
            let mut bytes = Vec::new();
            let mut encoder = PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif(orientation)).unwrap();
            encoder.write_image(image.as_bytes(), 37, 22, image.color().into()).unwrap();
            image.apply_orientation(orientation);
            let input = folder.write("in.png", bytes);
            assert_works(&folder, &input, &image, &["blur"], &["0"]);
        }
    }
}

#[test]
fn a_photograph_on_its_side_is_turned_upright() {
    let folder = Folder::new("sideways");
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(Orientation::Rotate90)).unwrap();
    let lying = picture(64, 24, 3);
    encoder.write_image(lying.as_bytes(), 64, 24, lying.color().into()).unwrap();
    let mut image = image::load_from_memory(&bytes).unwrap();
    image.apply_orientation(Orientation::Rotate90);
    assert_eq!((image.width(), image.height()), (24, 64));
    let input = folder.write("in.jpg", bytes);
    assert_works(&folder, &input, &image, &["sobel"], &["1"]);
}

/// The colour profile of a file.
fn profile_in(path: &Path) -> Option<Vec<u8>> {
    if path.extension().unwrap() == "tif" {
        let mut decoder = tiff::decoder::Decoder::new(fs::File::open(path).unwrap()).unwrap();
        return decoder.get_tag_u8_vec(tiff::tags::Tag::IccProfile).ok();
    }
    image::ImageReader::open(path).unwrap().into_decoder().unwrap().icc_profile().unwrap()
}

#[test]
fn a_colour_profile_goes_where_it_still_fits() {
    let folder = Folder::new("icc");
    let mut profile = vec![7; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let image = picture(9, 9, 3);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.write_image(image.as_bytes(), 9, 9, image.color().into()).unwrap();
    let input = folder.write("in.png", bytes);
    for (step, wanted) in [("blur", Some(profile)), ("gray", None)] {
        for name in ["out.png", "out.jpg", "out.tif"] {
            let output = folder.path(name);
            let ended = run([Path::new("image"), &input, Path::new("-o"), &output, Path::new(step)]);
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            let found = profile_in(&output);
            assert_eq!(found, wanted, "{name} after {step}");
        }
    }
}

#[test]
fn the_input_may_be_the_output() {
    let folder = Folder::new("same");
    let image = picture(50, 40, 3);
    let path = folder.write("picture.png", encoded(&image, ImageFormat::Png));
    let ended = run(["image", path.to_str().unwrap(), "-o", path.to_str().unwrap(), "gray"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(decoded(&path) == expected(&image, &["gray"]));
    assert_eq!(folder.names(), ["picture.png"]);
}

#[test]
fn an_old_output_is_replaced_behind_its_link() {
    let folder = Folder::new("link");
    let image = picture(50, 40, 1);
    let input = folder.write("in.png", encoded(&image, ImageFormat::Png));
    let real = folder.write("real.png", "old");
    let link = folder.path("link.png");
    std::os::unix::fs::symlink("real.png", &link).unwrap();
    let ended = run([Path::new("image"), &input, Path::new("-o"), &link]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(decoded(&real) == expected(&image, &[]));
    // As any new file, with what the umask leaves: never 0o600, which only its owner could read.
    let plain = folder.write("plain", "");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&real), mode(&plain));
}
