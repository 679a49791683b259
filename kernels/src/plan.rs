//! How a chain runs on one image: which tiles there are, and what each step computes for a tile.
//!
//! # Fusing
//! A tile of the result goes through all steps before the next one starts, so that the images in between exist a
//! tile at a time. What a step makes for a tile is what the step after it needs: the tile grown by the halos of all
//! the steps after it, and cut to the image. Each step sees that region of its input with its own halo around it;
//! what lies beyond the image is filled in by its border rule, from its own input.
//!
//! That is enough to fill from, for every rule but `wrap`: a mirrored index is no further from the edge than the
//! index it stands in for, and where it bounces off the other edge too, the halo spans the whole image. `wrap` reads
//! at the opposite edge, so only a step whose input is a whole image can have it (see [`passes`]).
//!
//! # Gathering
//! A [`GatherKernel`](crate::GatherKernel) reads its source anywhere, so it is a plan by itself: its tiles are parts
//! of its output, and it sees its whole source for each.
//!
//! Pixels come from and go to memory that other processes work on too, by raw pointer and offset.
#![allow(unsafe_code)]

use std::{ops::Range, ptr};

use crate::{
    Border, KernelError, Level, SampleType, Scratch, Step,
    scratch::{Buffer, LINE_BYTES},
    step::{RawTile, RawWindow},
};

/// The largest halo of a step, in pixels.
pub const HALO_MAX: usize = 4096;

/// Cuts steps into runs that one [`Plan`] each can fuse. A step with a wrapped border and a global step need their
/// whole input, so they start a new run; a gather step is a run of its own. Never empty runs, but for no steps there
/// are none.
///
/// A run that starts with a global step ([`Step::measurement`] is there) is planned once that is resolved:
/// [`resolved`] says how.
#[must_use]
pub fn passes(steps: &[Step]) -> Vec<&[Step]> {
    let mut passes = Vec::new();
    let mut first = 0;
    for (index, pair) in steps.windows(2).enumerate() {
        let [before, step] = [&pair[0], &pair[1]];
        let whole_input = step.border() == Border::Wrap || step.measurement().is_some();
        if whole_input || before.is_gather() || step.is_gather() {
            passes.push(&steps[first..=index]);
            first = index + 1;
        }
    }
    passes.extend((first < steps.len()).then(|| &steps[first..]));
    passes
}

/// The steps of a pass whose first one is global, with the kernel in its place that it is for a source of which
/// [`Step::measurement`] made `measured`. Other passes are what they are.
#[must_use]
pub fn resolved(pass: &[Step], measured: &[f32]) -> Vec<Step> {
    let mut steps = pass.to_vec();
    if let Some(first) = steps.first_mut() {
        *first = first.resolved(measured);
    }
    steps
}

/// A rectangle of pixels, all of it inside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First row.
    pub y: usize,
    /// First pixel of each row.
    pub x: usize,
    /// Rows.
    pub height: usize,
    /// Pixels in each row.
    pub width: usize,
}

/// Steps that run fused, tile by tile, over one image. The same arguments always make the same plan.
///
/// ```
/// use shmpool_kernels::{Chain, Gray, KernelError, Level, Plan, Scratch};
///
/// let chain = Chain::<u8, u8>::of(Gray);
/// let plan = Plan::new(chain.steps(), [2, 2, 3], Some([1, 2]))?;
/// assert_eq!((plan.output_shape(), plan.n_tiles()), ([2, 2, 1], 2));
/// let red_and_white = [255, 0, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255];
/// let mut gray = [0; 4];
/// plan.run_all(&red_and_white, &mut gray, &mut Scratch::new(), Level::detect())?;
/// assert_eq!(gray, [76, 76, 255, 255]);
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    body: Body,
    /// Height and width of the source, and bytes from one of its rows to the next.
    source: [usize; 2],
    source_row_bytes: usize,
    /// Of the result.
    height: usize,
    width: usize,
    input: Pixels,
    output: Pixels,
    tile: [usize; 2],
    n_tiles: [usize; 2],
}

/// What a plan runs for each tile.
#[derive(Clone, Debug)]
enum Body {
    /// Tile kernels, one after the other.
    Fused(Vec<Stage>),
    Gather(Box<Step>),
}

/// A step and what the plan knows about it.
#[derive(Clone, Debug)]
struct Stage {
    step: Step,
    input: Pixels,
    output: Pixels,
    halo: usize,
    border: Border,
    /// Pixels by which a tile has to grow to be what this step must make: the halos of all the steps after it.
    reach: usize,
}

/// What one pixel is.
#[derive(Clone, Copy, Debug)]
struct Pixels {
    sample: SampleType,
    channels: usize,
}

impl Pixels {
    fn bytes(self) -> usize {
        self.channels * self.sample.bytes()
    }
}

impl Plan {
    /// Plans `steps` for an image of `shape` (height, width, channels).
    ///
    /// `tile` is the height and width of a tile, cut at the image's edges. Without it the plan chooses by the halos:
    /// some 250,000 pixels in long rows, up to 1024 x 1024 where the halos are wide.
    ///
    /// # Errors
    /// [`KernelError::NoSteps`], [`StepInput`](KernelError::StepInput), [`Channels`](KernelError::Channels),
    /// [`Parameter`](KernelError::Parameter), [`Halo`](KernelError::Halo), [`WrapInside`](KernelError::WrapInside),
    /// [`GatherInside`](KernelError::GatherInside), [`Unresolved`](KernelError::Unresolved), [`TooLarge`](KernelError::TooLarge) and
    /// [`EmptyTile`](KernelError::EmptyTile), each for what its text says; and what a gather kernel says.
    pub fn new(steps: &[Step], shape: [usize; 3], tile: Option<[usize; 2]>) -> Result<Plan, KernelError> {
        let [height, width, _] = shape;
        let first = steps.first().ok_or(KernelError::NoSteps)?;
        let input = checked_pixels(first.input(), shape)?;
        let (body, [height, width], output, default) = match (steps, first.gather_tile(shape)) {
            ([step], Some(default)) => {
                let (size, output) = gathered(step, shape)?;
                (Body::Gather(Box::new(*step)), size, output, default)
            }
            _ => {
                let stages = stages(steps, input, [height, width])?;
                let (output, default) =
                    (stages.last().map_or(input, |stage| stage.output), default_tile(&stages));
                (Body::Fused(stages), [height, width], output, default)
            }
        };
        let tile = tile.unwrap_or(default);
        if tile.contains(&0) {
            return Err(KernelError::EmptyTile { found: tile });
        }
        let n_tiles = [height.div_ceil(tile[0]), width.div_ceil(tile[1])];
        let source = [shape[0], shape[1]];
        let source_row_bytes = source[1] * input.bytes();
        Ok(Plan { body, source, source_row_bytes, height, width, input, output, tile, n_tiles })
    }

    /// The same for a source whose rows begin `row_bytes` apart, such as a region of a larger image.
    ///
    /// # Panics
    /// If that is less than a row has, or no multiple of a sample's size.
    #[must_use]
    pub fn with_rows_apart(mut self, row_bytes: usize) -> Plan {
        let (sample_bytes, least) = (self.input.sample.bytes(), self.source[1] * self.input.bytes());
        assert!(self.source[0] <= 1 || row_bytes >= least, "rows of {least} bytes begin {row_bytes} apart");
        assert!(
            row_bytes.is_multiple_of(sample_bytes),
            "rows {row_bytes} bytes apart, samples of {sample_bytes}"
        );
        self.source_row_bytes = row_bytes;
        self
    }

    /// Height, width and channels of the result.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        [self.height, self.width, self.output.channels]
    }

    /// The type of the samples of the source.
    #[must_use]
    pub fn input(&self) -> SampleType {
        self.input.sample
    }

    /// The type of the samples of the result.
    #[must_use]
    pub fn output(&self) -> SampleType {
        self.output.sample
    }

    /// Bytes of the whole source, without what lies between its rows.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        self.source[0] * self.source[1] * self.input.bytes()
    }

    /// Bytes from the first one of the source to its last, with what lies between its rows.
    fn source_span(&self) -> usize {
        let row = self.source[1] * self.input.bytes();
        if row == 0 {
            0
        } else {
            self.source[0].checked_sub(1).map_or(0, |n| n * self.source_row_bytes + row)
        }
    }

    /// Bytes from one row of the source to the next.
    #[must_use]
    pub fn input_row_bytes(&self) -> usize {
        self.source_row_bytes
    }

    /// Bytes of the whole result.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.height * self.width * self.output.bytes()
    }

    /// Height and width of a tile that no edge cuts.
    #[must_use]
    pub fn tile_size(&self) -> [usize; 2] {
        self.tile
    }

    /// Tiles in the image; they have no pixel in common. None for an image without pixels.
    #[must_use]
    pub fn n_tiles(&self) -> u64 {
        self.n_tiles[0] as u64 * self.n_tiles[1] as u64
    }

    /// The pixels of tile `index`, counted along the rows.
    ///
    /// # Panics
    /// If `index` is not below [`Plan::n_tiles`].
    #[must_use]
    pub fn tile(&self, index: u64) -> Rect {
        assert!(index < self.n_tiles(), "tile {index} of {}", self.n_tiles());
        let per_row = self.n_tiles[1] as u64;
        let y = (index / per_row) as usize * self.tile[0];
        let x = (index % per_row) as usize * self.tile[1];
        let height = self.tile[0].min(self.height - y);
        let width = self.tile[1].min(self.width - x);
        Rect { y, x, height, width }
    }

    /// Computes tile `index`. Writes the pixels of [`Plan::tile`] in the result, all of them and nothing else.
    ///
    /// The buffers in `scratch` grow to about a tile and its halo, in the largest pixel type of the steps, twice.
    ///
    /// # Panics
    /// If `index` is not below [`Plan::n_tiles`], or if a kernel panics.
    ///
    /// # Safety
    /// 1. (P1) `src` is the first byte of the source, whose rows lie [`Plan::input_row_bytes`] apart, all in one
    ///    allocation or mapping. They are initialised, and nobody writes them during the call.
    /// 2. (P2) `dst` is the first of [`Plan::output_bytes`] initialised bytes, of which nobody else reads or writes
    ///    those of this tile during the call. None of them is among the bytes of (P1).
    /// 3. (P3) `src` and `dst` are aligned for the sample types of the source and the result.
    pub unsafe fn run(&self, index: u64, src: *const u8, dst: *mut u8, scratch: &mut Scratch, level: Level) {
        let tile = self.tile(index);
        match &self.body {
            Body::Fused(stages) => {
                for part in
                    self.parts(stages, tile).into_iter().filter(|part| part.height > 0 && part.width > 0)
                {
                    // SAFETY: (P1) to (P3), and the part is one of the tile.
                    unsafe { self.run_fused(stages, part, src, dst, scratch, level) };
                }
            }
            // SAFETY: as above.
            Body::Gather(step) => unsafe { self.run_gather(step, tile, src, dst, scratch, level) },
        }
    }

    /// # Safety
    /// (P1) to (P3) of [`Plan::run`], for `tile`.
    unsafe fn run_gather(
        &self,
        step: &Step,
        tile: Rect,
        src: *const u8,
        dst: *mut u8,
        scratch: &mut Scratch,
        level: Level,
    ) {
        let row_bytes = self.source_row_bytes;
        let src =
            RawWindow { first: src, row_bytes, size: self.source, channels: self.input.channels, halo: 0 };
        let row_bytes = self.width * self.output.bytes();
        let out = RawTile {
            // SAFETY: the tile's first pixel is one of the result (P2).
            first: unsafe { dst.add(tile.y * row_bytes + tile.x * self.output.bytes()) },
            row_bytes,
            size: [tile.height, tile.width],
            channels: self.output.channels,
        };
        let Scratch { tables, workspace, .. } = scratch;
        // SAFETY: the window is the whole source, which nobody writes (P1), the tile is ours by (P2), both are
        // aligned by (P3).
        unsafe { step.run_gather(&src, tile, &out, (tables, workspace), level) };
    }

    /// The tile in parts: what one step can make from the source as it lies there, and around it what needs the border
    /// and is copied for that. The others may be empty; all are but the first where nothing is to gain.
    ///
    /// Long tiles reach from edge to edge of most images, so that all of them would be copied whole. Wide halos would
    /// be computed again for each part, and are little next to their kernels.
    fn parts(&self, stages: &[Stage], tile: Rect) -> [Rect; 5] {
        let whole = [tile, EMPTY, EMPTY, EMPTY, EMPTY];
        let [stage] = stages else { return whole };
        let inner = |first: usize, n: usize, of: usize| {
            let start = first.max(stage.halo);
            start..(first + n).min(of.saturating_sub(stage.halo)).max(start)
        };
        let (rows, columns) =
            (inner(tile.y, tile.height, self.height), inner(tile.x, tile.width, self.width));
        let is_whole = rows.len() == tile.height && columns.len() == tile.width;
        if is_whole || stage.halo > PARTED_HALO_MAX || rows.is_empty() || columns.is_empty() {
            return whole;
        }
        let (bottom, right) = (tile.y + tile.height, tile.x + tile.width);
        let beside = |x, end| Rect { y: rows.start, x, height: rows.len(), width: end - x };
        [
            beside(columns.start, columns.end),
            Rect { height: rows.start - tile.y, ..tile },
            Rect { y: rows.end, height: bottom - rows.end, ..tile },
            beside(tile.x, columns.start),
            beside(columns.end, right),
        ]
    }

    /// Writes the pixels of `tile`, which need not be a whole one.
    ///
    /// # Safety
    /// (P1) to (P3) of [`Plan::run`], for `tile`.
    unsafe fn run_fused(
        &self,
        stages: &[Stage],
        tile: Rect,
        src: *const u8,
        dst: *mut u8,
        scratch: &mut Scratch,
        level: Level,
    ) {
        let Scratch { bands: [even, odd], workspace, .. } = scratch;
        let (mut here, mut next) = (even, odd);
        for (index, stage) in stages.iter().enumerate() {
            let made = self.grown(tile, stage.reach);
            let source = (index == 0).then_some(src);
            // SAFETY: (P1); and the step before wrote into `here` what it made, which is this step's `made` grown by
            // this step's halo and cut to the image: the part of the band that lies in the image.
            let window = unsafe { self.window(stage, made, source, here) };
            let out = match stages.get(index + 1) {
                Some(after) => self.part_of_band(made, stage, after, tile, next),
                None => {
                    let row_bytes = self.width * stage.output.bytes();
                    // SAFETY: nothing comes after, so `made` is the tile itself, a part of the result (P2).
                    let first = unsafe { dst.add(made.y * row_bytes + made.x * stage.output.bytes()) };
                    stage.tile(first, row_bytes, made)
                }
            };
            // SAFETY: the window is rows of the source, which nobody writes (P1), aligned by (P3), or rows of `here`,
            // each on a cache line and filled just now. The tile is ours by (P2), or rows of `next`.
            unsafe { stage.step.run(&window, &out, workspace, level) };
            std::mem::swap(&mut here, &mut next);
        }
    }

    /// Computes every tile, on this thread.
    ///
    /// # Errors
    /// [`KernelError::Samples`] or [`KernelError::Alignment`] if a slice does not hold the samples of its image.
    pub fn run_all(
        &self,
        src: &[u8],
        dst: &mut [u8],
        scratch: &mut Scratch,
        level: Level,
    ) -> Result<(), KernelError> {
        check_slice("source", src, self.input.sample, self.source_span())?;
        check_slice("output", dst, self.output.sample, self.output_bytes())?;
        for index in 0..self.n_tiles() {
            // SAFETY: the slices have the plan's lengths and alignment, just checked (P1) (P3); one is shared and
            // one is borrowed for us alone, so they do not overlap and nobody else writes (P2).
            unsafe { self.run(index, src.as_ptr(), dst.as_mut_ptr(), scratch, level) };
        }
        Ok(())
    }

    /// What `stage` reads to make `made`: the source itself where no border is needed, or else a band that is complete
    /// then.
    ///
    /// # Safety
    /// 1. `source` is the source of this plan (P1), there for the first step alone.
    /// 2. `buffer` holds the part of the band that lies in the image, for the others.
    unsafe fn window(
        &self,
        stage: &Stage,
        made: Rect,
        source: Option<*const u8>,
        buffer: &mut Buffer,
    ) -> RawWindow {
        let band = Band::around(made, stage);
        if let Some(src) = source.filter(|_| self.holds(&band)) {
            let row_bytes = self.source_row_bytes;
            let offset = band.y.cast_unsigned() * row_bytes + band.x.cast_unsigned() * stage.input.bytes();
            // SAFETY: the band lies inside the image, whose first byte is `src`.
            let first = unsafe { src.add(offset) };
            return stage.window(first, row_bytes, made);
        }
        let first = buffer.bytes(band.n_bytes()).as_mut_ptr();
        match source {
            // SAFETY: `first` has room for the band, and `src` is a whole image of its pixels.
            Some(src) => unsafe { self.fill_from_image(&band, stage, src, first) },
            // SAFETY: `first` has room for the band, whose part in the image is there.
            None => unsafe { self.fill_margins(&band, stage, first) },
        }
        stage.window(first, band.row_bytes, made)
    }

    /// Where `stage` leaves what it made: in the band that the step after it will read.
    fn part_of_band(
        &self,
        made: Rect,
        stage: &Stage,
        after: &Stage,
        tile: Rect,
        buffer: &mut Buffer,
    ) -> RawTile {
        let band = Band::around(self.grown(tile, after.reach), after);
        let inner = &mut buffer.bytes(band.n_bytes())[band.offset(made.y, made.x)..];
        stage.tile(inner.as_mut_ptr(), band.row_bytes, made)
    }

    /// `rect` with `by` more pixels on every side, as far as the image goes.
    fn grown(&self, rect: Rect, by: usize) -> Rect {
        let y = rect.y.saturating_sub(by);
        let x = rect.x.saturating_sub(by);
        let height = (rect.y + rect.height).saturating_add(by).min(self.height) - y;
        let width = (rect.x + rect.width).saturating_add(by).min(self.width) - x;
        Rect { y, x, height, width }
    }

    /// Whether no pixel of the band lies beyond the image.
    fn holds(&self, band: &Band) -> bool {
        let rows = band.rows();
        let columns = band.columns();
        rows.start >= 0
            && columns.start >= 0
            && rows.end <= self.height.cast_signed()
            && columns.end <= self.width.cast_signed()
    }

    /// The columns of the band that lie in the image, as image columns.
    fn inner_columns(&self, band: &Band) -> Range<usize> {
        let columns = band.columns();
        let end = columns.end.min(self.width.cast_signed());
        columns.start.max(0).cast_unsigned()..end.cast_unsigned()
    }

    /// Writes the whole band from the image that it is a part of.
    ///
    /// # Safety
    /// `src` is the first byte of the source, with pixels of `stage.input`; `first` is the first of `band.n_bytes()`
    /// writable bytes elsewhere.
    unsafe fn fill_from_image(&self, band: &Band, stage: &Stage, src: *const u8, first: *mut u8) {
        let pixel_bytes = stage.input.bytes();
        let inner = self.inner_columns(band);
        for (index, y) in band.rows().enumerate() {
            // SAFETY: `index` counts the rows of the band.
            let to = unsafe { first.add(index * band.row_bytes) };
            let Some(y) = stage.border.source_index(y, self.height) else {
                // SAFETY: the row's pixels are writable.
                unsafe { stage.fill_constant(to, band.width) };
                continue;
            };
            // SAFETY: `y` is a row of the image.
            let from = unsafe { src.add(y * self.source_row_bytes) };
            let left = inner.start.cast_signed() - band.x;
            // SAFETY: `inner` is inside both the image and the band, and the image is not the band.
            unsafe {
                ptr::copy_nonoverlapping(
                    from.add(inner.start * pixel_bytes),
                    to.offset(left * pixel_bytes.cast_signed()),
                    inner.len() * pixel_bytes,
                );
            }
            // SAFETY: `from` is the first pixel of a whole row of the image, and `to` a row of the band.
            unsafe { self.fill_sides(band, stage, from, to) };
        }
    }

    /// Writes the pixels of the band that lie beyond the image, from those inside it.
    ///
    /// # Safety
    /// `first` is the first of `band.n_bytes()` writable bytes, and the part that lies in the image has been written.
    unsafe fn fill_margins(&self, band: &Band, stage: &Stage, first: *mut u8) {
        let pixel_bytes = stage.input.bytes();
        let inside = 0..self.height.cast_signed();
        for (index, _) in band.rows().enumerate().filter(|(_, y)| inside.contains(y)) {
            let row = first.wrapping_add(index * band.row_bytes);
            // The address that the image's column 0 would have if the whole row were in the band.
            let image_row = row.wrapping_offset(-band.x * pixel_bytes.cast_signed()).cast_const();
            // SAFETY: `row` is one of the band's, and the columns that `fill_sides` reads are in it (head of this file).
            unsafe { self.fill_sides(band, stage, image_row, row) };
        }
        for (index, y) in band.rows().enumerate().filter(|(_, y)| !inside.contains(y)) {
            let row = first.wrapping_add(index * band.row_bytes);
            match stage.border.source_index(y, self.height) {
                // SAFETY: `row` is one of the band's.
                None => unsafe { stage.fill_constant(row, band.width) },
                Some(y) => {
                    let from = (y.cast_signed() - band.y).cast_unsigned();
                    let from = first.wrapping_add(from * band.row_bytes).cast_const();
                    // SAFETY: image row `y` is in the band (head of this file) and complete by now. It is not `row`,
                    // which lies beyond the image.
                    unsafe { ptr::copy_nonoverlapping(from, row, band.width * pixel_bytes) };
                }
            }
        }
    }

    /// Writes the pixels of one row of the band that lie left and right of the image.
    ///
    /// # Safety
    /// `image_row` is the address of the image's pixel in column 0, and the columns that the border rule names may be
    /// read; `row` is the first of the band's `width` writable pixels in that row.
    unsafe fn fill_sides(&self, band: &Band, stage: &Stage, image_row: *const u8, row: *mut u8) {
        let pixel_bytes = stage.input.bytes();
        let columns = band.columns();
        let inner = self.inner_columns(band);
        let left = columns.start..inner.start.cast_signed();
        let right = inner.end.cast_signed()..columns.end;
        for x in left.chain(right) {
            let to = row.wrapping_add((x - band.x).cast_unsigned() * pixel_bytes);
            match stage.border.source_index(x, self.width) {
                // SAFETY: one writable pixel.
                None => unsafe { stage.fill_constant(to, 1) },
                // SAFETY: the caller says that this column may be read; it lies in the image, and `to` beyond it.
                Some(x) => unsafe {
                    ptr::copy_nonoverlapping(image_row.wrapping_add(x * pixel_bytes), to, pixel_bytes);
                },
            }
        }
    }
}

impl Stage {
    fn window(&self, first: *const u8, row_bytes: usize, made: Rect) -> RawWindow {
        let size = [made.height, made.width];
        RawWindow { first, row_bytes, size, channels: self.input.channels, halo: self.halo }
    }

    fn tile(&self, first: *mut u8, row_bytes: usize, made: Rect) -> RawTile {
        let size = [made.height, made.width];
        RawTile { first, row_bytes, size, channels: self.output.channels }
    }

    /// Writes the border's constant into every sample of `n` pixels.
    ///
    /// # Safety
    /// `first` is the first of `n` writable pixels of `self.input`.
    unsafe fn fill_constant(&self, first: *mut u8, n: usize) {
        let Border::Constant(value) = self.border else { return };
        let (sample, n_bytes) = self.input.sample.bytes_of(value);
        for index in 0..n * self.input.channels {
            // SAFETY: one of the samples of those pixels.
            unsafe { ptr::copy_nonoverlapping(sample.as_ptr(), first.add(index * n_bytes), n_bytes) };
        }
    }
}

/// A tile of one step's input with the halo around it, partly beyond the image: where it lies in the image, and how
/// its rows lie in a buffer.
struct Band {
    y: isize,
    x: isize,
    height: usize,
    width: usize,
    pixel_bytes: usize,
    row_bytes: usize,
}

impl Band {
    /// What `stage` reads in order to make `made`.
    fn around(made: Rect, stage: &Stage) -> Band {
        let halo = stage.halo;
        let width = made.width + 2 * halo;
        let pixel_bytes = stage.input.bytes();
        Band {
            y: made.y.cast_signed() - halo.cast_signed(),
            x: made.x.cast_signed() - halo.cast_signed(),
            height: made.height + 2 * halo,
            width,
            pixel_bytes,
            row_bytes: (width * pixel_bytes).next_multiple_of(LINE_BYTES),
        }
    }

    fn n_bytes(&self) -> usize {
        self.height * self.row_bytes
    }

    /// Image rows.
    fn rows(&self) -> Range<isize> {
        self.y..self.y + self.height.cast_signed()
    }

    /// Image columns.
    fn columns(&self) -> Range<isize> {
        self.x..self.x + self.width.cast_signed()
    }

    /// Bytes from the start of the buffer to the pixel of the image at (y, x), which lies in the band.
    fn offset(&self, y: usize, x: usize) -> usize {
        let row = (y.cast_signed() - self.y).cast_unsigned();
        let column = (x.cast_signed() - self.x).cast_unsigned();
        row * self.row_bytes + column * self.pixel_bytes
    }
}

fn stages(steps: &[Step], input: Pixels, [height, width]: [usize; 2]) -> Result<Vec<Stage>, KernelError> {
    let mut stages = Vec::with_capacity(steps.len());
    let mut pixels = input;
    for (index, &step) in steps.iter().enumerate() {
        let (kernel, halo, border) = (step.name(), step.halo(), step.border());
        step.validate()?;
        if step.input() != pixels.sample {
            return Err(KernelError::StepInput { kernel, found: pixels.sample, wanted: step.input() });
        }
        if halo > HALO_MAX {
            return Err(KernelError::Halo { kernel, found: halo });
        }
        if step.measurement().is_some() {
            return Err(KernelError::Unresolved { kernel });
        }
        if step.is_gather() {
            return Err(KernelError::GatherInside { kernel });
        }
        if index > 0 && border == Border::Wrap {
            return Err(KernelError::WrapInside { kernel });
        }
        let output = checked_pixels(step.output(), step.output_shape([height, width, pixels.channels])?)?;
        stages.push(Stage { step, input: pixels, output, halo, border, reach: 0 });
        pixels = output;
    }
    let mut reach = 0;
    for stage in stages.iter_mut().rev() {
        stage.reach = reach;
        reach += stage.halo;
    }
    Ok(stages)
}

/// Height and width of what a gather step makes, and its pixels.
fn gathered(step: &Step, shape: [usize; 3]) -> Result<([usize; 2], Pixels), KernelError> {
    step.validate()?;
    let made = step.output_shape(shape)?;
    Ok(([made[0], made[1]], checked_pixels(step.output(), made)?))
}

/// Pixels of an image of that shape, if its bytes can be counted.
fn checked_pixels(sample: SampleType, shape: [usize; 3]) -> Result<Pixels, KernelError> {
    let [height, width, channels] = shape;
    // The sides count even if there are no pixels: halos are added to them.
    let sides = height.max(1).checked_mul(width.max(1));
    let bytes = sides.and_then(|pixels| pixels.checked_mul(channels.max(1))?.checked_mul(sample.bytes()));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(Pixels { sample, channels }),
        _ => Err(KernelError::TooLarge { shape }),
    }
}

fn check_slice(
    what: &'static str,
    slice: &[u8],
    sample: SampleType,
    wanted_bytes: usize,
) -> Result<(), KernelError> {
    if slice.len() != wanted_bytes {
        let (found, wanted) = (slice.len() / sample.bytes(), wanted_bytes / sample.bytes());
        return Err(KernelError::Samples { what, found, wanted });
    }
    if !slice.is_empty() && slice.as_ptr().align_offset(sample.bytes()) != 0 {
        return Err(KernelError::Alignment { what, sample });
    }
    Ok(())
}

/// The largest halo of a step for which tiles are cut into parts.
const PARTED_HALO_MAX: usize = 4;

const EMPTY: Rect = Rect { y: 0, x: 0, height: 0, width: 0 };

/// Long rows suit the memory's prefetcher: 64 x 4096 took 20 ms where 512 x 512 took 32 (gray of 48 megapixels, one
/// thread); and erosion by 3 x 3 of 12 megapixels RGB 9.3 ms where 256 x 1024 took 13.4. Halos ask for height, since
/// they are computed twice: a sixteenth of it at most, as far as 1024 rows go.
fn default_tile(stages: &[Stage]) -> [usize; 2] {
    let reach: usize = stages.iter().map(|stage| stage.halo).sum();
    match 16 * reach {
        0..=64 => [64, 4096],
        65..=256 => [256, 1024],
        257..=512 => [512, 1024],
        _ => [1024, 1024],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Erode, Gaussian};

    fn stages_of(plan: &Plan) -> &[Stage] {
        let Body::Fused(stages) = &plan.body else { panic!("a plan of tile kernels") };
        stages
    }

    /// How often the parts of all tiles cover each pixel.
    fn covered(plan: &Plan) -> Vec<u32> {
        let mut covered = vec![0; plan.height * plan.width];
        for part in (0..plan.n_tiles()).flat_map(|index| plan.parts(stages_of(plan), plan.tile(index))) {
            for y in part.y..part.y + part.height {
                for x in part.x..part.x + part.width {
                    covered[y * plan.width + x] += 1;
                }
            }
        }
        covered
    }

    #[test]
    fn parts_cover_every_pixel_once() {
        for shape in [[1, 1, 1], [2, 9, 1], [9, 2, 1], [3, 3, 1], [20, 30, 3]] {
            for radius in [0, 1, 2, 4, 5] {
                for tile in [[64, 64], [1, 1], [7, 5], [64, 4]] {
                    let plan =
                        Plan::new(&[Step::of::<u8, _>(Erode::new(radius))], shape, Some(tile)).unwrap();
                    assert!(covered(&plan).iter().all(|&n| n == 1), "{shape:?} {radius} {tile:?}");
                }
            }
        }
    }

    #[test]
    fn only_one_step_with_a_small_halo_is_cut_into_parts() {
        let n_parts = |steps: &[Step]| {
            let plan = Plan::new(steps, [20, 30, 1], None).unwrap();
            plan.parts(stages_of(&plan), plan.tile(0)).iter().filter(|part| part.height > 0).count()
        };
        let erode = Step::of::<u8, _>(Erode::new(1));
        assert_eq!(n_parts(&[erode]), 5);
        assert_eq!(n_parts(&[erode, erode]), 1);
        assert_eq!(n_parts(&[Step::of::<u8, _>(Gaussian::new(2.0))]), 1);
    }
}
