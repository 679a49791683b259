use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::{
    Filter, FilterCode, Resample,
    axis::Axis,
    check_channels,
    resample::{Across, Down, LANES, ROWS, premultiplies},
};
use crate::{GatherKernel, KernelError, Rect, Sample, Tile, Window, Workspace, scratch::LINE_BYTES};

/// The longest side of a result, in pixels.
const SIDE_MAX: f64 = (1u32 << 30) as f64;

/// Gives an image another size.
///
/// * source: 1 to 4 channels, at least one pixel
/// * result: `width` x `height` pixels; where one of them is 0, it follows from the other and the aspect ratio; where
///   both are, both sides are the source's times `scale`; rounded to the nearest pixel, at least 1
///
/// Every filter but [`Filter::Nearest`] widens when an image shrinks. Colour is weighted by alpha, so that what is
/// transparent does not bleed, unless [`Resize::straight_alpha`] is asked for: as Pillow does for `RGBA` and `LA`.
/// A result of the source's own size is the source.
///
/// Rows first, then columns, `O(radius)` a pixel each, with a rounded image in between for `u8`. `u8`: 16-bit weights
/// and 32-bit sums; within 1 of Pillow's `resize` and equal in more than 99 % of all samples; with alpha, the products of
/// colour and alpha are near Pillow's (within 3; a quotient by a small alpha is coarse). `u16` and `f32`: sums in
/// `f32`; within 1e-5 of Pillow's in mode `F` for samples in `0.0..=1.0`, `u16` within 1. `Nearest` is Pillow's
/// `NEAREST` to the bit. Mitchell, which Pillow lacks, is held against the same formulas in NumPy. Checked by
/// `kernels/tests/geometry.rs`. What the samples mean (linear light or gamma-coded) is not looked at.
///
/// # Errors
/// [`KernelError::NoPixels`] for an image without pixels, [`KernelError::Parameter`] for a `scale` that is not above
/// 0, [`KernelError::TooLarge`] for sides above 2^30.
///
/// # Source
/// A. Clark and others, Pillow, `src/libImaging/Resample.c`: where the weights lie and how they widen.
///
/// ```
/// use shmpool_kernels::{Chain, Filter, KernelError, Resize};
///
/// let half = Chain::<u8, u8>::of(Resize::by(0.5).filter(Filter::Box));
/// let mut small = [0; 2];
/// half.run(&[10, 20, 30, 50], [1, 4, 1], &mut small)?;
/// assert_eq!(small, [15, 40]);
///
/// let wide = Chain::<u8, u8>::of(Resize::to_width(800));
/// assert_eq!(wide.output_shape([3000, 4000, 3])?, [600, 800, 3]);
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Resize {
    width: u32,
    height: u32,
    scale: f32,
    filter: FilterCode,
    straight_alpha: u32,
}

impl Resize {
    fn new(width: u32, height: u32, scale: f32) -> Self {
        Resize { width, height, scale, filter: Filter::default().into(), straight_alpha: 0 }
    }

    /// To so many pixels; a 0 follows from the aspect ratio.
    #[must_use]
    pub fn to(width: u32, height: u32) -> Self {
        Resize::new(width, height, 1.0)
    }

    /// To so many columns, keeping the aspect ratio.
    #[must_use]
    pub fn to_width(width: u32) -> Self {
        Resize::to(width, 0)
    }

    /// To so many rows, keeping the aspect ratio.
    #[must_use]
    pub fn to_height(height: u32) -> Self {
        Resize::to(0, height)
    }

    /// Both sides times `scale`.
    #[must_use]
    pub fn by(scale: f32) -> Self {
        Resize::new(0, 0, scale)
    }

    /// With this filter; [`Filter::Lanczos3`] otherwise.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        Resize { filter: filter.into(), ..self }
    }

    /// Treats alpha as one more colour, for images whose colour has been multiplied by it already or whose second or
    /// fourth channel is none.
    #[must_use]
    pub fn straight_alpha(self) -> Self {
        Resize { straight_alpha: 1, ..self }
    }

    /// Height and width of the result.
    fn size(&self, [height, width]: [usize; 2]) -> [f64; 2] {
        let ([h, w], scale) = ([height, width].map(|n| n as f64), f64::from(self.scale));
        let exact = match (f64::from(self.height), f64::from(self.width)) {
            (0.0, 0.0) => [h * scale, w * scale],
            (0.0, columns) => [h * columns / w, columns],
            (rows, 0.0) => [rows, w * rows / h],
            size => size.into(),
        };
        exact.map(|n| n.round().max(1.0))
    }
}

/// Where each pixel of a result comes from. Part of [`Resize`]'s signature, of no use elsewhere.
pub enum ResizeTable<W> {
    /// Rows and columns of the source.
    Nearest { rows: Vec<usize>, columns: Vec<usize> },
    /// Runs of them, with weights.
    Weighted { rows: Axis<W>, columns: Axis<W> },
}

impl<T: Resample> GatherKernel<T> for Resize {
    type Out = T;
    type Table = ResizeTable<T::Weight>;

    fn name(&self) -> &'static str {
        "resize"
    }

    fn validate(&self) -> Result<(), KernelError> {
        if self.scale > 0.0 && self.scale.is_finite() {
            return Ok(());
        }
        let (found, wanted) = (self.scale.to_string(), "above 0".to_owned());
        Err(KernelError::Parameter { kernel: "resize", parameter: "scale", found, wanted })
    }

    fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
        check_channels("resize", channels)?;
        if height == 0 || width == 0 {
            return Err(KernelError::NoPixels { kernel: "resize", found: [height, width] });
        }
        let size = self.size([height, width]);
        let [rows, columns] = size.map(|n| n as usize);
        if size.iter().any(|&n| n > SIDE_MAX) {
            return Err(KernelError::TooLarge { shape: [rows, columns, channels] });
        }
        Ok([rows, columns, channels])
    }

    /// The rows in between should fit the cache, and few of them should be made twice: 128 rows of the result share
    /// their sources, and as many columns as give 1024 in the source.
    fn tile(&self, [height, width, _]: [usize; 3]) -> [usize; 2] {
        let [_, columns] = self.size([height, width]);
        [128, (1024.0 * columns / width.max(1) as f64).clamp(32.0, 1024.0) as usize]
    }

    fn table(&self, [height, width, _]: [usize; 3]) -> Self::Table {
        let [to_height, to_width] = self.size([height, width]).map(|n| n as usize);
        match Filter::from(self.filter) {
            filter if filter != Filter::Nearest && [to_height, to_width] != [height, width] => {
                ResizeTable::Weighted {
                    rows: Axis::new::<T>(filter_along(filter, height, to_height), height, to_height),
                    columns: Axis::new::<T>(filter_along(filter, width, to_width), width, to_width),
                }
            }
            _ => ResizeTable::Nearest { rows: nearest(height, to_height), columns: nearest(width, to_width) },
        }
    }

    #[inline(always)]
    fn run(
        &self,
        table: &Self::Table,
        src: &Window<'_, T>,
        at: Rect,
        dst: &mut Tile<'_, T>,
        workspace: &mut Workspace,
    ) {
        match (table, src.channels()) {
            (ResizeTable::Nearest { rows, columns }, 1) => pick::<T, 1>(rows, columns, src, at, dst),
            (ResizeTable::Nearest { rows, columns }, 2) => pick::<T, 2>(rows, columns, src, at, dst),
            (ResizeTable::Nearest { rows, columns }, 3) => pick::<T, 3>(rows, columns, src, at, dst),
            (ResizeTable::Nearest { rows, columns }, _) => pick::<T, 4>(rows, columns, src, at, dst),
            (ResizeTable::Weighted { rows, columns }, n) => {
                let premultiply = premultiplies(n, self.straight_alpha != 0);
                let pass = Pass { rows, columns, at, premultiply };
                match n {
                    1 => pass.run::<T, 1>(src, dst, workspace),
                    2 => pass.run::<T, 2>(src, dst, workspace),
                    3 => pass.run::<T, 3>(src, dst, workspace),
                    _ => pass.run::<T, 4>(src, dst, workspace),
                }
            }
        }
    }
}

/// An axis that keeps its length is not filtered, as in Pillow.
fn filter_along(filter: Filter, from: usize, to: usize) -> Filter {
    if from == to { Filter::Box } else { filter }
}

/// The position of the source at the centre of each position of the result, added up as Pillow does it: where a
/// centre falls on the edge between two pixels, the rounding of that sum decides.
fn nearest(from: usize, to: usize) -> Vec<usize> {
    let scale = from as f64 / to as f64;
    let mut place = scale * 0.5;
    let mut positions = Vec::with_capacity(to);
    for _ in 0..to {
        positions.push((place as usize).min(from - 1));
        place += scale;
    }
    positions
}

#[inline(always)]
fn pick<T: Resample, const N: usize>(
    rows: &[usize],
    columns: &[usize],
    src: &Window<'_, T>,
    at: Rect,
    dst: &mut Tile<'_, T>,
) {
    for y in 0..at.height {
        let (from, _) = src.row(rows[at.y + y]).as_chunks::<N>();
        let (to, _) = dst.row_mut(y).as_chunks_mut::<N>();
        for (pixel, &column) in to.iter_mut().zip(&columns[at.x..]) {
            *pixel = from[column];
        }
    }
}

/// One tile of a weighted resize.
struct Pass<'r, W> {
    rows: &'r Axis<W>,
    columns: &'r Axis<W>,
    at: Rect,
    premultiply: bool,
}

impl<W: Copy + Default> Pass<'_, W> {
    #[inline(always)]
    fn run<T: Resample<Weight = W>, const N: usize>(
        &self,
        src: &Window<'_, T>,
        dst: &mut Tile<'_, T>,
        workspace: &mut Workspace,
    ) {
        let Rect { y, x, height, width } = self.at;
        let (rows, columns) = (self.rows.source(y..y + height), self.columns.source(x..x + width));
        let samples = columns.start * N..columns.end * N;
        // One byte more than a row has, for what is written in fours; whole lines, so that no two rows share one.
        let stride = (width * N + 1).next_multiple_of(LINE_BYTES);
        let n_rows = rows.len().next_multiple_of(ROWS);
        let level = workspace.level();
        let memory = workspace.values::<T::Middle>(ROWS * samples.len() + n_rows * stride + stride);
        let (prepared, memory) = memory.split_at_mut(ROWS * samples.len());
        let (between, sum) = memory.split_at_mut(n_rows * stride);
        for (group, to) in between.chunks_exact_mut(ROWS * stride).enumerate() {
            let group = [0, 1, 2, 3].map(|row| src.row((rows.start + ROWS * group + row).min(rows.end - 1)));
            let rows = self.prepared::<T, N>(group, samples.clone(), prepared);
            let (axis, columns, first) = (self.columns, x..x + width, columns.start);
            T::across::<N>(Across { axis, columns, rows, first, to, stride, level });
        }
        // What lies behind the row is summed too, up to a whole block, and left there.
        let sum = &mut sum[..(width * N).next_multiple_of(LANES)];
        for line in 0..height {
            let run = self.rows.run(y + line);
            let (weights, fraction_bits) = (self.rows.weights(y + line), self.rows.fraction_bits);
            let rows = &between[(run.first - rows.start) * stride..][..run.n * stride];
            T::down(Down { rows, stride, n_rows: run.n, weights, fraction_bits, level }, sum);
            T::finish(&sum[..width * N], N, self.premultiply, dst.row_mut(line));
        }
    }

    /// These samples of the rows as they are summed: the rows themselves where they are that already, from the first
    /// sample to their ends, or else what is made of them in `memory`.
    #[inline(always)]
    fn prepared<'s, T: Resample<Weight = W>, const N: usize>(
        &self,
        rows: [&'s [T]; ROWS],
        samples: Range<usize>,
        memory: &'s mut [T::Middle],
    ) -> [&'s [T::Middle]; ROWS] {
        let mut prepared: [&[T::Middle]; ROWS] = [&[]; ROWS];
        if T::TYPE == T::Middle::TYPE && !self.premultiply {
            for (to, row) in prepared.iter_mut().zip(rows) {
                *to = bytemuck::cast_slice(&row[samples.start..]);
            }
            return prepared;
        }
        for ((to, row), memory) in prepared.iter_mut().zip(rows).zip(memory.chunks_exact_mut(samples.len())) {
            T::prepare(&row[samples.clone()], N, self.premultiply, memory);
            *to = memory;
        }
        prepared
    }
}
