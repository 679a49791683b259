use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, order::Ordered, sliding};
use crate::{Border, BorderCode, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// The median of the square window around each sample, for each channel: removes specks and keeps edges.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `radius`: 0 to [`RADIUS_MAX`](crate::RADIUS_MAX); the window is `2 * radius + 1` pixels squared
///
/// Exactly OpenCV's `medianBlur` and SciPy's `median_filter(mode="nearest")`, which all usual implementations agree with
/// (`kernels/tests/everyday.rs`). The border is [`Border::Replicate`] unless another is named, as theirs is. An `f32`
/// window with NaN gives one of its samples.
///
/// Cost: radius 1 and 2 by networks of minima and maxima, 30 and 198 operations a sample, whole registers at a time.
/// Larger ones for `u8` by histograms of columns, the same for every radius (about 200 times as long as radius 1); for
/// `u16` and `f32` by partial sorting, `O(radius^2)`: minutes for a photograph at radius 30.
///
/// # Errors
/// [`KernelError::Parameter`] if `radius` is out of its range.
///
/// # Source
/// N. Devillard, "Fast median search: an ANSI C implementation", 1998 (the network for 25); S. Perreault and P. Hébert,
/// "Median Filtering in Constant Time", IEEE Transactions on Image Processing 16, 2007 (histograms).
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Median {
    /// Half the side of the window, in pixels.
    pub radius: u32,
    /// What lies beyond the edge; [`Border::Replicate`] by default.
    pub border: BorderCode,
}

impl Median {
    /// The filter with a window of `2 * radius + 1` pixels squared and [`Border::Replicate`].
    #[must_use]
    pub fn new(radius: u32) -> Self {
        Median { radius, border: Border::Replicate.into() }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Median { border: border.into(), ..self }
    }
}

/// A sample type that [`Median`] has a way to find the middle of many of: every one. Part of [`Median`]'s signature, of
/// no use elsewhere.
pub trait Ranked: Ordered {
    /// The medians of one tile, for a window of any size; alpha too.
    fn medians(src: &Window<'_, Self>, dst: &mut Tile<'_, Self>, workspace: &mut Workspace);
}

impl Ranked for u8 {
    #[inline(always)]
    fn medians(src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, workspace: &mut Workspace) {
        count_tile(src, dst, workspace);
    }
}

impl Ranked for u16 {
    #[inline(always)]
    fn medians(src: &Window<'_, u16>, dst: &mut Tile<'_, u16>, workspace: &mut Workspace) {
        select_tile(src, dst, workspace);
    }
}

impl Ranked for f32 {
    #[inline(always)]
    fn medians(src: &Window<'_, f32>, dst: &mut Tile<'_, f32>, workspace: &mut Workspace) {
        select_tile(src, dst, workspace);
    }
}

impl<T: Ranked> TileKernel<T> for Median {
    type Out = T;

    fn name(&self) -> &'static str {
        "median"
    }

    fn halo(&self) -> usize {
        sliding::halo(self.radius)
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        sliding::validate_radius("median", self.radius)
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        match src.halo() {
            1 => median_of_9_tile(src, dst),
            2 => median_of_25_tile(src, dst),
            _ => T::medians(src, dst, workspace),
        }
        carry_alpha(src, dst);
    }
}

#[inline(always)]
fn median_of_9_tile<T: Ordered>(src: &Window<'_, T>, dst: &mut Tile<'_, T>) {
    for y in 0..dst.height() {
        median_of_9_row([src.row(y), src.row(y + 1), src.row(y + 2)], src.channels(), dst.row_mut(y));
    }
}

/// One row of the result from three of the window, each a pixel longer at both ends.
///
/// With the columns in order, the median of nine is the median of three: the greatest of the least, the median of the
/// middle ones, and the least of the greatest. To order each column again for every pixel that it is next to costs less
/// than to keep it.
#[inline(always)]
fn median_of_9_row<T: Ordered>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let n = out.len();
    let a = shifted::<T, 3>(rows[0], channels, n);
    let b = shifted::<T, 3>(rows[1], channels, n);
    let c = shifted::<T, 3>(rows[2], channels, n);
    for x in 0..n {
        let left = ordered(a[0][x], b[0][x], c[0][x]);
        let own = ordered(a[1][x], b[1][x], c[1][x]);
        let right = ordered(a[2][x], b[2][x], c[2][x]);
        let low = left[0].greatest(own[0]).greatest(right[0]);
        let middle = median_of_3(left[1], own[1], right[1]);
        let high = left[2].least(own[2]).least(right[2]);
        out[x] = median_of_3(low, middle, high);
    }
}

#[inline(always)]
fn ordered<T: Ordered>(a: T, b: T, c: T) -> [T; 3] {
    let (lesser, greater) = (a.least(b), a.greatest(b));
    let (rest, highest) = (greater.least(c), greater.greatest(c));
    [lesser.least(rest), lesser.greatest(rest), highest]
}

#[inline(always)]
fn median_of_3<T: Ordered>(a: T, b: T, c: T) -> T {
    a.least(b).greatest(a.greatest(b).least(c))
}

#[inline(always)]
fn median_of_25_tile<T: Ordered>(src: &Window<'_, T>, dst: &mut Tile<'_, T>) {
    for y in 0..dst.height() {
        let rows = [src.row(y), src.row(y + 1), src.row(y + 2), src.row(y + 3), src.row(y + 4)];
        median_of_25_row(rows, src.channels(), dst.row_mut(y));
    }
}

/// One row of the result from five of the window, each two pixels longer at both ends.
#[inline(always)]
fn median_of_25_row<T: Ordered>(rows: [&[T]; 5], channels: usize, out: &mut [T]) {
    let n = out.len();
    let a = shifted::<T, 5>(rows[0], channels, n);
    let b = shifted::<T, 5>(rows[1], channels, n);
    let c = shifted::<T, 5>(rows[2], channels, n);
    let d = shifted::<T, 5>(rows[3], channels, n);
    let e = shifted::<T, 5>(rows[4], channels, n);
    for x in 0..n {
        out[x] = median_of_25([
            a[0][x], a[1][x], a[2][x], a[3][x], a[4][x], b[0][x], b[1][x], b[2][x], b[3][x], b[4][x],
            c[0][x], c[1][x], c[2][x], c[3][x], c[4][x], d[0][x], d[1][x], d[2][x], d[3][x], d[4][x],
            e[0][x], e[1][x], e[2][x], e[3][x], e[4][x],
        ]);
    }
}

/// The row from its start, and 1, 2, ... pixels later; `n` samples each.
#[inline(always)]
fn shifted<T, const N: usize>(row: &[T], channels: usize, n: usize) -> [&[T]; N] {
    let mut shifted = [row; N];
    for (pixels, part) in shifted.iter_mut().enumerate() {
        *part = &row[pixels * channels..][..n];
    }
    shifted
}

/// Values that can be put in order in pairs.
trait Exchange: Copy {
    fn lower(self, other: Self) -> Self;
    fn upper(self, other: Self) -> Self;
}

impl<T: Ordered> Exchange for T {
    #[inline(always)]
    fn lower(self, other: T) -> T {
        self.least(other)
    }

    #[inline(always)]
    fn upper(self, other: T) -> T {
        self.greatest(other)
    }
}

/// Puts pairs of entries in order, one pair after the other. A macro, so that all indices are constants and the values
/// stay in registers.
macro_rules! exchange {
    ($values:ident: $($first:literal $second:literal),*) => {
        $({
            let (first, second) = ($values[$first], $values[$second]);
            $values[$first] = first.lower(second);
            $values[$second] = first.upper(second);
        })*
    };
}

/// Devillard's network of 99 exchanges, which brings the median to place 12.
#[inline(always)]
fn median_of_25<T: Exchange>(mut p: [T; 25]) -> T {
    exchange!(p: 0 1, 3 4, 2 4, 2 3, 6 7, 5 7, 5 6, 9 10, 8 10, 8 9, 12 13, 11 13, 11 12, 15 16, 14 16, 14 15);
    exchange!(p: 18 19, 17 19, 17 18, 21 22, 20 22, 20 21, 23 24, 2 5, 3 6, 0 6, 0 3, 4 7, 1 7, 1 4, 11 14);
    exchange!(p: 8 14, 8 11, 12 15, 9 15, 9 12, 13 16, 10 16, 10 13, 20 23, 17 23, 17 20, 21 24, 18 24, 18 21);
    exchange!(p: 19 22, 8 17, 9 18, 0 18, 0 9, 10 19, 1 19, 1 10, 11 20, 2 20, 2 11, 12 21, 3 21, 3 12, 13 22);
    exchange!(p: 4 22, 4 13, 14 23, 5 23, 5 14, 15 24, 6 24, 6 15, 7 16, 7 19, 13 21, 15 23, 7 13, 7 15, 1 9);
    exchange!(p: 3 11, 5 17, 11 17, 9 17, 4 10, 6 12, 7 14, 4 6, 4 7, 12 14, 10 14, 6 7, 10 12, 6 10, 6 17);
    exchange!(p: 12 17, 7 17, 7 10, 12 18, 7 12, 10 18, 12 20, 10 20, 10 12);
    p[12]
}

/// How often each level occurs: in runs of 16 levels, and each by itself.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Histogram {
    runs: [u16; 16],
    levels: [u16; 256],
}

impl Histogram {
    #[inline(always)]
    fn count(&mut self, level: u8) {
        self.runs[usize::from(level >> 4)] += 1;
        self.levels[usize::from(level)] += 1;
    }

    #[inline(always)]
    fn uncount(&mut self, level: u8) {
        self.runs[usize::from(level >> 4)] -= 1;
        self.levels[usize::from(level)] -= 1;
    }

    #[inline(always)]
    fn add(&mut self, other: &Histogram) {
        for (count, more) in self.runs.iter_mut().zip(other.runs) {
            *count = count.wrapping_add(more);
        }
        for (count, more) in self.levels.iter_mut().zip(other.levels) {
            *count = count.wrapping_add(more);
        }
    }

    #[inline(always)]
    fn subtract(&mut self, other: &Histogram) {
        for (count, less) in self.runs.iter_mut().zip(other.runs) {
            *count = count.wrapping_sub(less);
        }
        for (count, less) in self.levels.iter_mut().zip(other.levels) {
            *count = count.wrapping_sub(less);
        }
    }

    /// The level with `rank` others before it, in ascending order.
    #[inline(always)]
    fn level_at(&self, mut rank: u16) -> u8 {
        let mut run = 0;
        while run < 15 && self.runs[run] <= rank {
            rank -= self.runs[run];
            run += 1;
        }
        let mut level = 16 * run;
        while level < 16 * run + 15 && self.levels[level] <= rank {
            rank -= self.levels[level];
            level += 1;
        }
        level as u8
    }
}

/// Samples of a row whose histograms are kept at a time: with small radii they stay in the second-level cache.
const COUNTED_SAMPLES: usize = 240;

/// Medians by histograms. Each column has one, of as many rows as the window; it loses a sample and gains one from row to
/// row, and the window's own loses a column and gains one from pixel to pixel. No count is above 255 x 255.
#[inline(always)]
fn count_tile(src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, workspace: &mut Workspace) {
    let (channels, n_window) = (src.channels(), 2 * src.halo() + 1);
    let side = 2 * src.halo() * channels;
    let n_samples = dst.width() * channels;
    // Whole pixels; and narrow strips would count their sides again and again.
    let strip = COUNTED_SAMPLES.max(side).next_multiple_of(channels.max(1));
    let columns = workspace.values::<Histogram>(strip + side);
    for start in (0..n_samples).step_by(strip) {
        let n = strip.min(n_samples - start);
        let columns = &mut columns[..n + side];
        columns.fill(Histogram::zeroed());
        for y in 0..dst.height() + n_window - 1 {
            for (column, &sample) in columns.iter_mut().zip(&src.row(y)[start..]) {
                column.count(sample);
            }
            if y + 1 < n_window {
                continue;
            }
            let top = y + 1 - n_window;
            for channel in 0..channels {
                count_along(columns, channel, channels, n_window, &mut dst.row_mut(top)[start..start + n]);
            }
            for (column, &sample) in columns.iter_mut().zip(&src.row(top)[start..]) {
                column.uncount(sample);
            }
        }
    }
}

/// The medians of one channel of a row.
#[inline(always)]
fn count_along(columns: &[Histogram], channel: usize, channels: usize, n_window: usize, out: &mut [u8]) {
    let mut window = Histogram::zeroed();
    for pixel in 0..n_window - 1 {
        window.add(&columns[pixel * channels + channel]);
    }
    let rank = (n_window * n_window / 2) as u16;
    for x in (channel..out.len()).step_by(channels) {
        window.add(&columns[x + (n_window - 1) * channels]);
        out[x] = window.level_at(rank);
        window.subtract(&columns[x]);
    }
}

/// Medians by partial sorting of each window.
#[inline(always)]
fn select_tile<T: Sample>(src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
    let (channels, n_window) = (src.channels(), 2 * src.halo() + 1);
    let samples = workspace.values::<T>(n_window * n_window);
    for y in 0..dst.height() {
        for x in 0..dst.width() * channels {
            for (row, samples) in samples.chunks_exact_mut(n_window).enumerate() {
                let from = src.row(y + row)[x..].iter().step_by(channels);
                for (sample, &found) in samples.iter_mut().zip(from) {
                    *sample = found;
                }
            }
            let middle = n_window * n_window / 2;
            let by_value = |a: &T, b: &T| a.to_f32().total_cmp(&b.to_f32());
            dst.row_mut(y)[x] = *samples.select_nth_unstable_by(middle, by_value).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64 inputs of one bit each.
    #[derive(Clone, Copy)]
    struct Bits(u64);

    impl Exchange for Bits {
        fn lower(self, other: Bits) -> Bits {
            Bits(self.0 & other.0)
        }

        fn upper(self, other: Bits) -> Bits {
            Bits(self.0 | other.0)
        }
    }

    /// A network of exchanges that finds the median of all inputs of zeros and ones finds that of any values (Knuth, "The
    /// Art of Computer Programming" 3, section 5.3.4). The lowest six bits of an input are its place in the word.
    #[test]
    fn the_network_finds_the_median_of_25() {
        let places: [u64; 6] = [
            0xaaaa_aaaa_aaaa_aaaa,
            0xcccc_cccc_cccc_cccc,
            0xf0f0_f0f0_f0f0_f0f0,
            0xff00_ff00_ff00_ff00,
            0xffff_0000_ffff_0000,
            0xffff_ffff_0000_0000,
        ];
        // Where at least so many of the lowest six bits are one.
        let at_least: [u64; 7] = std::array::from_fn(|n| {
            (0..64u64)
                .filter(|place| place.count_ones() as usize >= n)
                .fold(0, |word, place| word | 1 << place)
        });
        for high in 0u32..1 << 19 {
            // Inputs 6 and 7 are put in order first, so 1 and 0 are no other case than 0 and 1.
            if high & 0b11 == 0b01 {
                continue;
            }
            let mut inputs = [Bits(0); 25];
            for (bit, input) in inputs.iter_mut().enumerate() {
                let is_one = bit >= 6 && high >> (bit - 6) & 1 == 1;
                *input = Bits(if bit < 6 { places[bit] } else { 0u64.wrapping_sub(is_one.into()) });
            }
            let missing = 13usize.saturating_sub(high.count_ones() as usize);
            let wanted = at_least.get(missing).copied().unwrap_or(0);
            assert_eq!(median_of_25(inputs).0, wanted, "{high:b}");
        }
    }
}
