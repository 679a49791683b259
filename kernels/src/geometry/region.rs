use bytemuck::{Pod, Zeroable};

use super::check_channels;
use crate::{Border, BorderCode, GatherKernel, KernelError, Rect, Sample, Tile, Window, Workspace};

/// The most pixels that [`Pad`] adds on one side.
const PAD_MAX: u32 = 1 << 24;

/// Cuts a rectangle out of an image.
///
/// * source: 1 to 4 channels of any sample type
/// * result: `height` x `width` pixels, the first one from row `y`, column `x`; a side of 0 reaches to the edge
///
/// Exact: NumPy's `image[y : y + height, x : x + width]`. One copy.
///
/// # Errors
/// [`KernelError::Outside`] if the rectangle is not a part of the image, or has no pixel.
///
/// ```
/// use shmpool_kernels::{Chain, Crop};
///
/// let chain = Chain::<u8, u8>::of(Crop { x: 2, y: 0, width: 2, height: 1 });
/// let error = chain.run(&[1, 2, 3], [1, 3, 1], &mut [0; 2]).unwrap_err();
/// assert_eq!(error.to_string(), "crop: found height 1 and width 2 at row 0, column 2, wanted a part of height 1 and width 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Crop {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns; 0: all from `x` on.
    pub width: u32,
    /// Rows; 0: all from `y` on.
    pub height: u32,
}

impl<T: Sample> GatherKernel<T> for Crop {
    type Out = T;
    type Table = ();

    fn name(&self) -> &'static str {
        "crop"
    }

    fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
        check_channels("crop", channels)?;
        let [x, y, columns, rows] = [self.x, self.y, self.width, self.height].map(|n| n as usize);
        let columns = if columns == 0 { width.saturating_sub(x) } else { columns };
        let rows = if rows == 0 { height.saturating_sub(y) } else { rows };
        let is_inside = x.saturating_add(columns) <= width && y.saturating_add(rows) <= height;
        if !is_inside || columns == 0 || rows == 0 {
            let found = Rect { y, x, height: rows, width: columns };
            return Err(KernelError::Outside { kernel: "crop", found, wanted: [height, width] });
        }
        Ok([rows, columns, channels])
    }

    fn table(&self, _: [usize; 3]) {}

    #[inline(always)]
    fn run(&self, _: &(), src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        let first = (self.x as usize + at.x) * src.channels();
        for y in 0..at.height {
            let to = dst.row_mut(y);
            to.copy_from_slice(&src.row(self.y as usize + at.y + y)[first..][..to.len()]);
        }
    }
}

/// Puts more pixels around an image, as its border rule makes them.
///
/// * source: 1 to 4 channels of any sample type, at least one pixel
/// * result: `top` and `bottom` more rows, `left` and `right` more columns; alpha is padded as colour is
///
/// Exact: NumPy's `pad` with `mode` `reflect` (for [`Border::Reflect101`]), `symmetric` ([`Border::Reflect`]), `edge`
/// ([`Border::Replicate`]), `constant` and `wrap`. One copy.
///
/// # Errors
/// [`KernelError::NoPixels`] for an image without pixels, [`KernelError::Parameter`] for a side above 2^24.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Pad {
    /// Columns to the left.
    pub left: u32,
    /// Rows above.
    pub top: u32,
    /// Columns to the right.
    pub right: u32,
    /// Rows below.
    pub bottom: u32,
    /// What they hold.
    pub border: BorderCode,
}

impl Pad {
    /// `n` pixels on every side.
    #[must_use]
    pub fn all(n: u32, border: Border) -> Self {
        Pad { left: n, top: n, right: n, bottom: n, border: border.into() }
    }
}

impl<T: Sample> GatherKernel<T> for Pad {
    type Out = T;
    type Table = ();

    fn name(&self) -> &'static str {
        "pad"
    }

    fn validate(&self) -> Result<(), KernelError> {
        let sides = [("left", self.left), ("top", self.top), ("right", self.right), ("bottom", self.bottom)];
        for (parameter, found) in sides {
            if found > PAD_MAX {
                let (found, wanted) = (found.to_string(), format!("at most {PAD_MAX}"));
                return Err(KernelError::Parameter { kernel: "pad", parameter, found, wanted });
            }
        }
        Ok(())
    }

    fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
        check_channels("pad", channels)?;
        if height == 0 || width == 0 {
            return Err(KernelError::NoPixels { kernel: "pad", found: [height, width] });
        }
        let [left, top, right, bottom] = [self.left, self.top, self.right, self.bottom].map(|n| n as usize);
        Ok([height.saturating_add(top + bottom), width.saturating_add(left + right), channels])
    }

    fn table(&self, _: [usize; 3]) {}

    #[inline(always)]
    fn run(&self, _: &(), src: &Window<'_, T>, at: Rect, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        let border = Border::from(self.border);
        for y in 0..at.height {
            let row = (at.y + y).cast_signed() - (self.top as usize).cast_signed();
            let to = dst.row_mut(y);
            match border.source_index(row, src.height()) {
                Some(row) => self.pad_row(border, src.row(row), src.channels(), at.x, to),
                None => to.fill(constant(border)),
            }
        }
    }
}

impl Pad {
    /// Columns `first..` of the padded row, as many as `to` has room for.
    #[inline(always)]
    fn pad_row<T: Sample>(&self, border: Border, from: &[T], channels: usize, first: usize, to: &mut [T]) {
        let (width, n) = (from.len() / channels, to.len() / channels);
        // Where the padded row's column `first` lies in the source.
        let first = first.cast_signed() - (self.left as usize).cast_signed();
        let inner_start = (-first).clamp(0, n.cast_signed()).cast_unsigned();
        let inner_end = (width.cast_signed() - first).clamp(inner_start.cast_signed(), n.cast_signed());
        let inner_end = inner_end.cast_unsigned();
        for column in (0..inner_start).chain(inner_end..n) {
            let pixel = &mut to[column * channels..][..channels];
            match border.source_index(first + column.cast_signed(), width) {
                Some(column) => pixel.copy_from_slice(&from[column * channels..][..channels]),
                None => pixel.fill(constant(border)),
            }
        }
        if inner_start < inner_end {
            let to = &mut to[inner_start * channels..inner_end * channels];
            let from = &from[(first.max(0)).cast_unsigned() * channels..];
            to.copy_from_slice(&from[..to.len()]);
        }
    }
}

/// The sample that a constant border puts everywhere.
#[inline(always)]
fn constant<T: Sample>(border: Border) -> T {
    match border {
        Border::Constant(value) => T::from_f32(value),
        _ => T::default(),
    }
}
