use bytemuck::{Pod, Zeroable};

use crate::{GatherKernel, KernelError, Rect, Sample, Tile, Window, Workspace, has_alpha};

/// Pixels of a band, which with three colours are less than the 2^24 that `f32` counts exactly.
const BAND: usize = 1 << 20;

/// Counts how often each value comes up among the colours of an image, alpha left out, all channels together.
///
/// * source: 1 to 4 channels
/// * result: a row for each run of 2^20 pixels (the last one is shorter), a column for each value a sample can have,
///   one channel: the counts, exact. The sum over the rows is the histogram, as NumPy's `bincount` gives it
///
/// One read a sample. Checked by `kernels/tests/global.rs`.
///
/// # Errors
/// [`KernelError::Channels`] for more than four channels, and for more than two after [`ImageHistogram::of_gray`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ImageHistogram {
    only_gray: u32,
}

impl ImageHistogram {
    /// The histogram that refuses colour.
    #[must_use]
    pub fn of_gray() -> Self {
        ImageHistogram { only_gray: 1 }
    }

    /// The counts of the whole image, from those of its bands.
    pub(super) fn sum<T: Binned>(measured: &[f32]) -> Vec<u64> {
        let mut counts = vec![0; T::BINS];
        for band in measured.chunks_exact(T::BINS) {
            for (count, &of_band) in counts.iter_mut().zip(band) {
                *count += of_band as u64;
            }
        }
        counts
    }
}

/// A sample type with few enough values to count each: `u8` and `u16`. Part of [`ImageHistogram`]'s signature.
pub trait Binned: Sample {
    /// Values that there are.
    const BINS: usize;
    /// Counters for each value; neighbours take turns, since a counter that was just written is slow to read.
    const TURNS: usize;
    /// The value as an index.
    fn bin(self) -> usize;
}

impl Binned for u8 {
    const BINS: usize = 256;
    const TURNS: usize = 4;

    #[inline(always)]
    fn bin(self) -> usize {
        self.into()
    }
}

impl Binned for u16 {
    const BINS: usize = 65_536;
    const TURNS: usize = 1;

    #[inline(always)]
    fn bin(self) -> usize {
        self.into()
    }
}

impl<T: Binned> GatherKernel<T> for ImageHistogram {
    type Out = f32;
    type Table = ();

    fn name(&self) -> &'static str {
        "histogram"
    }

    fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
        let (max, wanted) = if self.only_gray == 0 { (4, "1 to 4") } else { (2, "1 or 2 (gray)") };
        if !(1..=max).contains(&channels) {
            return Err(KernelError::Channels { kernel: "histogram", found: channels, wanted });
        }
        Ok([height.saturating_mul(width).div_ceil(BAND), T::BINS, 1])
    }

    fn tile(&self, _: [usize; 3]) -> [usize; 2] {
        [1, T::BINS]
    }

    fn table(&self, _: [usize; 3]) {}

    #[inline(always)]
    fn run(&self, _: &(), src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, f32>, workspace: &mut Workspace) {
        for line in 0..at.height {
            let counts = workspace.values::<u32>(T::TURNS * T::BINS);
            counts.fill(0);
            count_band(src, at.y + line, counts);
            let columns = at.x..at.x + at.width;
            for (out, bin) in dst.row_mut(line).iter_mut().zip(columns) {
                let mut sum = 0;
                for turn in 0..T::TURNS {
                    sum += counts[turn * T::BINS + bin];
                }
                *out = sum as f32;
            }
        }
    }
}

/// Counts the pixels of one band, row by row as far as they are in it.
#[inline(always)]
fn count_band<T: Binned>(src: &Window<'_, T>, band: usize, counts: &mut [u32]) {
    let (width, channels) = (src.width(), src.channels());
    let end = ((band + 1) * BAND).min(src.height() * width);
    let mut pixel = band * BAND;
    while pixel < end {
        let (y, x) = (pixel / width, pixel % width);
        let n = (width - x).min(end - pixel);
        count(&src.row(y)[x * channels..][..n * channels], channels, counts);
        pixel += n;
    }
}

#[inline(always)]
fn count<T: Binned>(samples: &[T], channels: usize, counts: &mut [u32]) {
    if !has_alpha(channels) {
        for (index, sample) in samples.iter().enumerate() {
            counts[index % T::TURNS * T::BINS + sample.bin()] += 1;
        }
        return;
    }
    for pixel in samples.chunks_exact(channels) {
        for (index, sample) in pixel[..channels - 1].iter().enumerate() {
            counts[index % T::TURNS * T::BINS + sample.bin()] += 1;
        }
    }
}
