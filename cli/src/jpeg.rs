//! What must be known of a JPEG before its decoder is trusted with it.
//!
//! The decoder paints what a cut-off file lacks in gray, and takes all the memory that a header asks for. So the segments are walked
//! first: that reads the file once, keeps nothing of it, and knows nothing of its pixels.

use std::io::{BufRead, Seek, SeekFrom};

/// The most that is read of one file: its decoder holds it in memory.
const BYTES_MAX: u64 = 1 << 30;

/// A whole JPEG.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    /// From the first byte to the end-of-image marker; what comes behind it is somebody else's.
    pub(crate) n_bytes: u64,
    /// Several scans, for which the decoder keeps all coefficients: two bytes a sample beside the picture.
    pub(crate) progressive: bool,
}

/// Walks from the start of the image to its end.
///
/// # Errors
/// One line that says what is wrong; among it, that the file ends before the image does.
pub(crate) fn outline(reader: &mut (impl BufRead + Seek)) -> Result<Outline, String> {
    let mut progressive = false;
    let mut position = 2;
    seek(reader, position)?;
    loop {
        let marker = next_marker(reader, &mut position)?;
        match marker {
            END => return Ok(Outline { n_bytes: position, progressive }),
            // Restarts and their like stand alone: no length follows.
            0x01 | 0xd0..=0xd8 => continue,
            0xc2 | 0xca => progressive = true,
            _ => {}
        }
        let mut length = [0; 2];
        reader.read_exact(&mut length).map_err(|_| CUT_OFF)?;
        position += u64::from(u16::from_be_bytes(length).max(2));
        seek(reader, position)?;
    }
}

/// Whether so many pixels can come out of so few bytes: each block of 8 by 8 takes a bit at least.
pub(crate) fn is_plausible(outline: &Outline, width: u32, height: u32) -> bool {
    u64::from(width) * u64::from(height) <= outline.n_bytes.saturating_mul(8 * 64)
}

const END: u8 = 0xd9;
pub(crate) const CUT_OFF: &str = "the file ends before the image does";

fn seek(reader: &mut impl Seek, position: u64) -> Result<(), String> {
    reader.seek(SeekFrom::Start(position)).map_err(|error| error.to_string())?;
    Ok(())
}

/// Skips to behind the next marker, through coded samples (in which 0xff is followed by 0) and padding.
fn next_marker(reader: &mut impl BufRead, position: &mut u64) -> Result<u8, String> {
    let mut after_ff = false;
    loop {
        let bytes = reader.fill_buf().map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Err(CUT_OFF.to_owned());
        }
        let mut used = 0;
        let mut found = None;
        while used < bytes.len() && found.is_none() {
            if !after_ff {
                let skipped = bytes[used..].iter().position(|&byte| byte == 0xff);
                after_ff = skipped.is_some();
                used = skipped.map_or(bytes.len(), |n| used + n + 1);
            } else {
                found = (!matches!(bytes[used], 0 | 0xff)).then_some(bytes[used]);
                after_ff = bytes[used] == 0xff;
                used += 1;
            }
        }
        reader.consume(used);
        *position += used as u64;
        if *position > BYTES_MAX {
            return Err(format!("a JPEG of more than {} MB", BYTES_MAX >> 20));
        }
        if let Some(marker) = found {
            return Ok(marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    /// A JPEG in outline: start, a comment, a frame, a scan with stuffed bytes and a restart, the end, and a stranger's bytes.
    fn example(frame: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xfe, 0, 4, 0xff, 0xd9]; // an end marker inside a comment is none
        bytes
            .extend([0xff, frame, 0, 3, 1, 0xff, 0xda, 0, 2, 7, 0xff, 0, 8, 0xff, 0xd0, 9, 0xff, 0xff, 0xd9]);
        bytes.extend([1, 2, 3]);
        bytes
    }

    fn outline_of(bytes: &[u8], buffer: usize) -> Result<Outline, String> {
        outline(&mut BufReader::with_capacity(buffer, Cursor::new(bytes)))
    }

    #[test]
    fn a_whole_image_ends_at_its_end_marker_however_it_is_buffered() {
        for buffer in 1..30 {
            let wanted = Outline { n_bytes: 27, progressive: false };
            assert_eq!(outline_of(&example(0xc0), buffer), Ok(wanted));
        }
        assert!(outline_of(&example(0xc2), 64).unwrap().progressive);
    }

    #[test]
    fn every_cut_is_seen() {
        let whole = example(0xc0);
        for n in 2..27 {
            assert_eq!(outline_of(&whole[..n], 8), Err(CUT_OFF.to_owned()), "cut after {n} bytes");
        }
    }

    #[test]
    fn a_small_file_holds_no_large_image() {
        let outline = Outline { n_bytes: 1000, progressive: true };
        assert!(is_plausible(&outline, 800, 600));
        assert!(!is_plausible(&outline, 65_500, 65_500));
    }
}
