//! Pixels to PPM or PGM: a line of text, then samples.

use std::io::{self, BufWriter, Write};

use super::Image;
use crate::depth::Depth;

pub(super) fn write<T: Depth>(
    out: impl Write,
    image: &Image<'_, T>,
    mut written: impl FnMut(u64),
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let [height, width, channels] = image.shape;
    let kind = if channels == 1 { "P5" } else { "P6" };
    let white = if size_of::<T>() == 1 { 255 } else { 65535 };
    write!(out, "{kind}\n{width} {height}\n{white}\n")?;
    let mut bytes = Vec::new();
    for (row, n_written) in image.rows().zip(1..) {
        bytes.clear();
        T::extend_big_endian(&mut bytes, row);
        out.write_all(&bytes)?;
        written(n_written);
    }
    out.flush()
}
