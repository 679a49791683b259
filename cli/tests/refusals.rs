//! What cannot work: one clear line, the documented exit code, no output, nothing left, and the old output still there.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{Ended, Folder, encoded, picture, run, samples, start};
use image::{DynamicImage, ImageFormat};

/// Runs the command on a file, which must fail with this code and one line that contains all these words.
#[track_caller]
fn assert_refused(folder: &Folder, input: &Path, code: i32, words: &[&str]) {
    let before = folder.names();
    let output = folder.path("out.png");
    let (input, output_name) = (input.to_str().unwrap(), output.to_str().unwrap());
    let ended = run(["image", input, "-o", output_name, "--workers", "1", "blur"]);
    assert_line(&ended, code, words);
    assert!(ended.stderr.starts_with(&format!("shmpool: {input}: ")), "{}", ended.stderr);
    assert_eq!(folder.names(), before, "something was left behind");
    fs::write(&output, "old").unwrap();
    let again = run(["image", input, "-o", output_name, "--workers", "1", "blur"]);
    assert_eq!(again.code, code);
    assert_eq!(fs::read(&output).unwrap(), b"old", "the old output was touched");
    fs::remove_file(output).unwrap();
}

#[track_caller]
fn assert_line(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

#[test]
fn what_is_no_image_is_named_for_what_it_is() {
    let folder = Folder::new("no-image");
    assert_refused(&folder, &folder.path("missing.jpg"), 3, &["no such file"]);
    assert_refused(&folder, &folder.path("."), 3, &["a directory"]);
    assert_refused(&folder, Path::new("/dev/zero"), 3, &["a device"]);
    assert_refused(&folder, &folder.write("empty.png", ""), 3, &["the file is empty"]);
    assert_refused(
        &folder,
        &folder.write("text.jpg", "no picture\n"),
        3,
        &["JPEG, PNG, TIFF and PNM are read"],
    );
    assert_refused(
        &folder,
        &folder.write("a.gif", "GIF89a........"),
        3,
        &["an image of format GIF", "are read"],
    );
    let pipe = folder.path("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_refused(&folder, &pipe, 3, &["a pipe"]);
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    if rustix::process::geteuid().is_root() {
        return; // whom nothing is forbidden
    }
    let folder = Folder::new("forbidden");
    let input = folder.write("in.png", "x");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    fs::set_permissions(&input, mode).unwrap();
    assert_refused(&folder, &input, 3, &["permission denied"]);
}

const FORMATS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Pnm];

#[test]
fn a_cut_off_file_is_refused_wherever_it_was_cut() {
    let folder = Folder::new("cut");
    for format in FORMATS {
        let whole = encoded(&picture(90, 70, 3), format);
        for tenths in [1, 3, 5, 8] {
            let cut = &whole[..whole.len() * tenths / 10];
            assert_refused(&folder, &folder.write("cut", cut), 3, &[]);
        }
        // Without its last bytes; a PNG's are no more than its word of goodbye.
        let n_left = whole.len() - if format == ImageFormat::Png { 30 } else { 2 };
        assert_refused(&folder, &folder.write("cut", &whole[..n_left]), 3, &[]);
    }
}

#[test]
fn a_cut_off_photograph_says_that_it_was_cut_off() {
    let folder = Folder::new("cut-photo");
    let whole = encoded(&picture(90, 70, 3), ImageFormat::Jpeg);
    let input = folder.write("cut.jpg", &whole[..whole.len() - 100]);
    assert_refused(&folder, &input, 3, &["the file ends before the image does"]);
}

#[test]
fn samples_that_are_no_integers_are_refused_by_what_they_are() {
    let folder = Folder::new("float");
    let float = DynamicImage::from(picture(8, 8, 3).into_rgb32f());
    let input = folder.write("float.tif", encoded(&float, ImageFormat::Tiff));
    assert_refused(&folder, &input, 3, &["floating-point samples", "8 or 16 bits", "1 to 4 channels"]);
}

#[test]
fn a_format_that_cannot_hold_the_picture_says_which_can() {
    let folder = Folder::new("hold");
    let deep = DynamicImage::from(picture(8, 8, 3).into_rgb16());
    let deep = folder.write("deep.png", encoded(&deep, ImageFormat::Png));
    let alpha = folder.write("alpha.png", encoded(&picture(8, 8, 4), ImageFormat::Png));
    let gray = folder.write("gray.png", encoded(&picture(8, 8, 1), ImageFormat::Png));
    let colour = folder.write("colour.png", encoded(&picture(8, 8, 3), ImageFormat::Png));
    let before = folder.names();
    for (input, output, words) in [
        (&deep, "o.jpg", ["8-bit samples", "write .png or .tif"]),
        (&alpha, "o.jpeg", ["alpha", "write .png or .tif"]),
        (&alpha, "o.ppm", ["alpha", "write .png or .tif"]),
        (&gray, "o.ppm", ["gray", "write .pgm"]),
        (&colour, "o.pgm", ["colours", "write .ppm, or add the step gray"]),
    ] {
        let ended = run([Path::new("image"), input, Path::new("-o"), &folder.path(output)]);
        assert_line(&ended, 2, &words);
        assert!(ended.stderr.starts_with(&format!("shmpool: {}: ", input.display())), "{}", ended.stderr);
    }
    assert_eq!(folder.names(), before);
}

/// A PNG that claims a size and has one line of it.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&picture(16, 1, 3), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The check sum of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| bit(crc)))
}

#[test]
fn a_size_beyond_all_memory_is_refused_before_any_is_taken() {
    let folder = Folder::new("huge");
    let input = folder.write("huge.png", png_of(10_000_000, 1_000_000));
    assert_refused(&folder, &input, 5, &["needs 30000000000000 bytes, but"]);
    let input = folder.write("wide.png", png_of(0x7fff_ffff, 1));
    assert_refused(&folder, &input, 5, &["its decoder needs more than 512 MB beside the picture"]);
    let input = folder.write("huge.ppm", "P6 10000000 1000000 255\n...");
    assert_refused(&folder, &input, 5, &["needs 30000000000000 bytes, but"]);
}

#[test]
fn a_size_that_the_file_cannot_fill_is_refused() {
    let folder = Folder::new("claims");
    assert_refused(&folder, &folder.write("claims.png", png_of(20_000, 20_000)), 3, &[]);
    assert_refused(&folder, &folder.write("claims.ppm", "P6 20000 20000 255\n..."), 3, &["the file ends"]);
    let mut photo = encoded(&picture(64, 64, 3), ImageFormat::Jpeg);
    let frame = photo.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    photo[frame + 5..frame + 9].copy_from_slice(&[0xff, 0x00, 0xff, 0x00]);
    let input = folder.write("claims.jpg", photo);
    assert_refused(&folder, &input, 3, &["65280 x 65280 pixels cannot come out of"]);
}

#[test]
fn an_image_without_pixels_is_refused() {
    let folder = Folder::new("nothing");
    assert_refused(&folder, &folder.write("nothing.ppm", "P6 0 5 255\n"), 3, &[]);
    assert_refused(&folder, &folder.write("nothing.png", png_of(0, 0)), 3, &[]);
}

#[test]
fn an_endless_header_takes_neither_time_nor_memory() {
    let folder = Folder::new("endless");
    for start in ["P6\n#", "P7\nWIDTH 1\n", "P5 000"] {
        let path = folder.write("endless.pnm", start);
        let file = File::options().append(true).open(&path).unwrap();
        file.set_len(8 << 30).unwrap(); // takes no room on the disk
        assert_refused(&folder, &path, 3, &[]);
    }
}

#[test]
fn no_damage_to_a_file_ends_in_anything_but_an_answer() {
    let folder = Folder::new("damage");
    let output = folder.path("out.png");
    for format in FORMATS {
        let whole = encoded(&picture(24, 16, 3), format);
        for round in 0..25 {
            let mut bytes = whole.clone();
            let places = samples(8, round * 7 + 1);
            for pair in places.chunks(2) {
                // Mostly near the start, where the structure is.
                let place = usize::from(pair[0]) * if round % 2 == 0 { 1 } else { 5 } % bytes.len();
                bytes[place] ^= pair[1] | 1;
            }
            let input = folder.write("damaged", &bytes);
            let ended =
                run(["image", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "-w", "0", "sobel"]);
            assert!(matches!(ended.code, 0 | 3 | 5), "{format:?}, round {round}: {ended:?}");
            assert_eq!(output.exists(), ended.code == 0, "{ended:?}");
            let _ = fs::remove_file(&output);
        }
    }
}

#[test]
fn a_senseless_command_line_is_refused_before_anything_is_read() {
    let image = |args: &[&str]| run(["image", "missing.jpg"].iter().chain(args));
    assert_line(&image(&["-o", "out.webp"]), 2, &["out.webp: ", ".png"]);
    assert_line(&image(&["-o", "out"]), 2, &["out: ", ".png"]);
    assert_line(&image(&["-o", "o.png", "gray", "b.jpg"]), 2, &["\"b.jpg\"", "inputs come first"]);
    assert_line(&image(&["-o", "{stm}.png"]), 2, &["{stm}", "{stem}"]);
    for args in [&["--quality", "0"][..], &["--timeout", "0"], &["--timeout", "x"], &["-q", "-v"]] {
        let ended = image(&[&["-o", "o.jpg"], args].concat());
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
    }
    for option in ["--quality", "--timeout", "--workers", "--opacity"] {
        let ended = image(&["-o", "o.jpg", "--blend", "b.png", option, "-1"]);
        assert!(ended.code == 2 && ended.stderr.contains("invalid value '-1'"), "{ended:?}");
    }
    let image_first = |args: &[&str]| run(["image", "-o", "o.png"].iter().chain(args));
    for args in [&["gray"][..], &["blur:sigma=2", "a.png"]] {
        assert_line(&image_first(args), 2, &[args[0], "images come first, then steps"]);
    }
    assert_line(&image(&["-o", "o.png", "exp"]), 2, &["exp is a kernel of arrays: `shmpool map` runs it"]);
    assert_line(&image(&["-o", "o.png", "blr"]), 2, &["\"blr\"", "did you mean blur?"]);
    assert_line(&image(&["-o", "o.png", "blur:sigma=-1"]), 2, &["sigma", "-1"]);
    assert_line(&image(&["-o", "o.png", "blur:width=3"]), 2, &["width", "sigma"]);
    for args in [&["image"][..], &["image", "a.png"], &["imagine"], &["image", "a", "-o", "b.png", "-w", "x"]]
    {
        let ended = run(args);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn too_many_workers_are_refused() {
    let folder = Folder::new("workers");
    let input = folder.write("in.png", encoded(&picture(4, 4, 1), ImageFormat::Png));
    let output = folder.path("out.png");
    let ended =
        run([Path::new("image"), &input, Path::new("-o"), &output, Path::new("-w"), Path::new("257")]);
    assert_line(&ended, 2, &["workers", "257", "256"]);
    assert!(!output.exists());
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = Folder::new("output");
    let input = folder.write("in.png", encoded(&picture(4, 4, 1), ImageFormat::Png));
    fs::create_dir(folder.path("folder.png")).unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.path("null.png")).unwrap();
    for (name, word) in
        [("none/out.png", "there is no folder "), ("folder.png", "not a file"), ("null.png", "not a file")]
    {
        let output = folder.path(name);
        let ended = run([Path::new("image"), &input, Path::new("-o"), &output]);
        assert_line(&ended, 6, &[output.to_str().unwrap(), word]);
    }
    assert_eq!(folder.names(), ["folder.png", "in.png", "null.png"]);
}

#[test]
fn a_reader_that_has_gone_away_is_an_output_that_cannot_be_written() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = common::shmpool();
    let child = command.arg("kernels").stdout(full()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("shmpool: standard output: "));
}

/// The command under a limit of the shell.
fn limited(limit: &str, input: &Path, output: &Path) -> Ended {
    let script = format!("{limit}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_shmpool"), "image"]);
    start(command.arg(input).arg("-o").arg(output).args(["-w", "1", "copy"])).wait()
}

#[test]
fn a_limit_is_an_error_that_names_it_not_a_signal() {
    let folder = Folder::new("limits");
    let input = folder.path("in.ppm");
    let mut file = File::create(&input).unwrap();
    file.write_all(b"P6 4000 4000 255\n").unwrap();
    file.set_len(17 + 48_000_000).unwrap();
    let output = folder.path("out.png");
    // In units of 512 bytes and of 1024.
    for (limit, word) in [("ulimit -f 60000", "needs 48000000 bytes, but"), ("ulimit -v 150000", "but")] {
        assert_line(&limited(limit, &input, &output), 5, &[word]);
        assert_eq!(folder.names(), ["in.ppm"]);
    }
}

#[test]
fn a_picture_is_decoded_without_a_second_buffer() {
    let folder = Folder::new("in-place");
    let image =
        image::RgbImage::from_fn(2400, 2400, |x, y| image::Rgb([x, y, x / 8 + y].map(|v| (v / 4) as u8)));
    let image = DynamicImage::from(image);
    for format in FORMATS {
        let input = folder.write("in", encoded(&image, format));
        // 17 MB of pixels; the limit on private memory is 12 MB, and the arena's is shared.
        let ended = limited("ulimit -d 12000", &input, &folder.path("out.png"));
        assert_eq!(ended.code, 0, "{format:?}: {ended:?}");
    }
}

#[test]
fn what_a_decoder_takes_beside_the_picture_counts() {
    let folder = Folder::new("progressive");
    let plain = encoded(&picture(64, 64, 3), ImageFormat::Jpeg);
    let frame = plain.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    // Called progressive, of 20,000 x 20,000 pixels, and with comments until it is large enough for so many.
    let mut bytes = plain[..frame].to_vec();
    for _ in 0..13 {
        bytes.extend([0xff, 0xfe, 0xff, 0xff]);
        bytes.extend([b' '; 0xffff - 2]);
    }
    let start = bytes.len();
    bytes.extend(&plain[frame..]);
    bytes[start + 1] = 0xc2;
    bytes[start + 5..start + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let input = folder.write("large.jpg", bytes);
    // 3 GB are left: enough for the picture (1.2 GB) or for its coefficients (2.4 GB), not for both.
    let ended = limited("ulimit -f 6000000", &input, &folder.path("out.png"));
    assert_line(&ended, 5, &["array of u8 [20000, 20000, 3] needs 1200000000 bytes, but"]);
}
