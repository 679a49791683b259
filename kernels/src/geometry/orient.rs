use bytemuck::{Pod, Zeroable};

use super::check_channels;
use crate::{GatherKernel, KernelError, Rect, Sample, Tile, Window, Workspace};

/// Pixels of a row or column of a block that is transposed at a time. A block of 16 x 16 pixels of at most 16 bytes
/// and the lines that it lies on stay in the first cache.
const BLOCK: usize = 16;

/// Turns and mirrors an image: the eight ways to lay a rectangle on itself.
///
/// * source: 1 to 4 channels of any sample type
/// * result: the same pixels; height and width change places for [`Orient::transpose`], [`Orient::rotate90`],
///   [`Orient::rotate270`] and [`Orient::transverse`]
///
/// Exact: what NumPy's `flip`, `rot90` and `transpose` give (`kernels/tests/geometry.rs`). One read and one write a
/// pixel; the four that exchange rows and columns go by blocks of 16 x 16.
///
/// # Errors
/// [`KernelError::Channels`] for more than four channels.
///
/// ```
/// use shmpool_kernels::{Chain, KernelError, Orient};
///
/// let chain = Chain::<u8, u8>::of(Orient::rotate90());
/// let mut turned = [0; 6];
/// chain.run(&[1, 2, 3, 4, 5, 6], [2, 3, 1], &mut turned)?;
/// assert_eq!(chain.output_shape([2, 3, 1])?, [3, 2, 1]);
/// assert_eq!(turned, [4, 1, 5, 2, 6, 3]);
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Orient {
    /// Not 0: rows become columns. The flags below are about the source, before that.
    transpose: u32,
    /// Not 0: the last row comes first.
    flip_rows: u32,
    /// Not 0: the last column comes first.
    flip_columns: u32,
}

impl Orient {
    const fn new(transpose: bool, flip_rows: bool, flip_columns: bool) -> Self {
        Orient { transpose: transpose as u32, flip_rows: flip_rows as u32, flip_columns: flip_columns as u32 }
    }

    /// Left becomes right. NumPy's `fliplr`.
    #[must_use]
    pub const fn flip_horizontal() -> Self {
        Orient::new(false, false, true)
    }

    /// Top becomes bottom. NumPy's `flipud`.
    #[must_use]
    pub const fn flip_vertical() -> Self {
        Orient::new(false, true, false)
    }

    /// A quarter turn clockwise. NumPy's `rot90(image, -1)`, OpenCV's `ROTATE_90_CLOCKWISE`, Pillow's `ROTATE_270`.
    #[must_use]
    pub const fn rotate90() -> Self {
        Orient::new(true, true, false)
    }

    /// Half a turn.
    #[must_use]
    pub const fn rotate180() -> Self {
        Orient::new(false, true, true)
    }

    /// A quarter turn counterclockwise. NumPy's `rot90(image)`, OpenCV's `ROTATE_90_COUNTERCLOCKWISE`.
    #[must_use]
    pub const fn rotate270() -> Self {
        Orient::new(true, false, true)
    }

    /// Rows become columns: mirrored at the diagonal from the upper left corner.
    #[must_use]
    pub const fn transpose() -> Self {
        Orient::new(true, false, false)
    }

    /// Mirrored at the diagonal from the upper right corner.
    #[must_use]
    pub const fn transverse() -> Self {
        Orient::new(true, true, true)
    }

    /// What makes an image upright whose EXIF orientation is `value`, of `1..=8`.
    #[must_use]
    pub const fn exif(value: u8) -> Option<Self> {
        Some(match value {
            1 => Orient::new(false, false, false),
            2 => Orient::flip_horizontal(),
            3 => Orient::rotate180(),
            4 => Orient::flip_vertical(),
            5 => Orient::transpose(),
            6 => Orient::rotate90(),
            7 => Orient::transverse(),
            8 => Orient::rotate270(),
            _ => return None,
        })
    }

    /// The row or column of the source that `index` of `0..n` stands for.
    #[inline(always)]
    fn place(flip: u32, index: usize, n: usize) -> usize {
        if flip == 0 { index } else { n - 1 - index }
    }
}

impl<T: Sample> GatherKernel<T> for Orient {
    type Out = T;
    type Table = ();

    fn name(&self) -> &'static str {
        match (self.transpose != 0, self.flip_rows != 0, self.flip_columns != 0) {
            (false, false, false) => "upright",
            (false, false, true) => "flip-horizontal",
            (false, true, false) => "flip-vertical",
            (false, true, true) => "rotate180",
            (true, false, false) => "transpose",
            (true, false, true) => "rotate270",
            (true, true, false) => "rotate90",
            (true, true, true) => "transverse",
        }
    }

    fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
        check_channels(GatherKernel::<T>::name(self), channels)?;
        let turned = self.transpose != 0;
        Ok(if turned { [width, height, channels] } else { [height, width, channels] })
    }

    fn table(&self, _: [usize; 3]) {}

    #[inline(always)]
    fn run(&self, _: &(), src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        match src.channels() {
            1 => self.run_pixels::<T, 1>(src, at, dst),
            2 => self.run_pixels::<T, 2>(src, at, dst),
            3 => self.run_pixels::<T, 3>(src, at, dst),
            _ => self.run_pixels::<T, 4>(src, at, dst),
        }
    }
}

impl Orient {
    #[inline(always)]
    fn run_pixels<T: Sample, const N: usize>(&self, src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, T>) {
        if self.transpose != 0 {
            self.run_turned::<T, N>(src, at, dst);
            return;
        }
        for y in 0..at.height {
            let from = src.row(Orient::place(self.flip_rows, at.y + y, src.height()));
            let to = dst.row_mut(y);
            if self.flip_columns == 0 {
                to.copy_from_slice(&from[at.x * N..][..to.len()]);
            } else {
                let first = src.width() - at.x - at.width;
                let (from, _) = from[first * N..][..to.len()].as_chunks::<N>();
                let (to, _) = to.as_chunks_mut::<N>();
                for (pixel, mirrored) in to.iter_mut().zip(from.iter().rev()) {
                    *pixel = *mirrored;
                }
            }
        }
    }

    /// A block at a time, so that what is read and what is written stay in the cache while it is done.
    #[inline(always)]
    fn run_turned<T: Sample, const N: usize>(&self, src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, T>) {
        for y in (0..at.height).step_by(BLOCK) {
            for x in (0..at.width).step_by(BLOCK) {
                let (height, width) = (BLOCK.min(at.height - y), BLOCK.min(at.width - x));
                let block = Rect { y, x, height, width };
                if [height, width] == [BLOCK; 2] {
                    self.turn_whole_block::<T, N>(src, at, block, dst);
                } else {
                    self.turn_part_of_block::<T, N>(src, at, block, dst);
                }
            }
        }
    }

    /// Lengths that the compiler knows need no checks.
    #[inline(always)]
    fn turn_whole_block<T: Sample, const N: usize>(
        &self,
        src: &Window<'_, T>,
        at: Rect,
        block: Rect,
        dst: &mut Tile<'_, T>,
    ) {
        let blank = [[T::default(); N]; BLOCK];
        let mut rows = [&blank; BLOCK];
        for (column, row) in rows.iter_mut().enumerate() {
            *row = self.source::<T, N>(src, at, block, column).try_into().expect("a whole block is wide");
        }
        for line in 0..BLOCK {
            let (to, _) = dst.row_mut(block.y + line)[block.x * N..].as_chunks_mut::<N>();
            let to = to.first_chunk_mut::<BLOCK>().expect("a whole block is wide");
            let line = Orient::place(self.flip_columns, line, BLOCK) % BLOCK;
            for (pixel, row) in to.iter_mut().zip(&rows) {
                *pixel = row[line];
            }
        }
    }

    #[inline(always)]
    fn turn_part_of_block<T: Sample, const N: usize>(
        &self,
        src: &Window<'_, T>,
        at: Rect,
        block: Rect,
        dst: &mut Tile<'_, T>,
    ) {
        for column in 0..block.width {
            let from = self.source::<T, N>(src, at, block, column);
            for line in 0..block.height {
                let (to, _) = dst.row_mut(block.y + line)[block.x * N..].as_chunks_mut::<N>();
                to[column] = from[Orient::place(self.flip_columns, line, block.height)];
            }
        }
    }

    /// The pixels of the source that become one column of a block of the tile `at`.
    #[inline(always)]
    fn source<'s, T: Sample, const N: usize>(
        &self,
        src: &Window<'s, T>,
        at: Rect,
        block: Rect,
        column: usize,
    ) -> &'s [[T; N]] {
        let row = src.row(Orient::place(self.flip_rows, at.x + block.x + column, src.height()));
        let first = Orient::place(self.flip_columns, at.y + block.y, src.width());
        let first = if self.flip_columns == 0 { first } else { first + 1 - block.height };
        row[first * N..][..block.height * N].as_chunks::<N>().0
    }
}
