//! What a tile kernel reads and writes: rows of an image, a few at a time.
//!
//! Raw pointers, since the memory around a tile belongs to other processes: they write the neighbouring tiles of the
//! same output at the same time, so no reference may ever cover a byte outside the tile's own rectangle.
#![allow(unsafe_code)]

use std::{marker::PhantomData, slice};

use crate::{HALO_MAX, KernelError, Sample};

/// The part of an image that one tile is computed from: the tile's own pixels and `halo` more on every side.
///
/// Row 0 lies `halo` pixels above the tile, sample 0 of a row `halo` pixels left of it; what lies beyond the image is
/// there too, filled in by the kernel's [`Border`](crate::Border).
#[derive(Clone, Copy, Debug)]
pub struct Window<'a, I> {
    first: *const I,
    row_bytes: usize,
    height: usize,
    width: usize,
    channels: usize,
    halo: usize,
    memory: PhantomData<&'a [I]>,
}

impl<'a, I: Sample> Window<'a, I> {
    /// A window over plain memory: rows of `(width + 2 * halo) * channels` samples, one after the other.
    ///
    /// `tile` is the height and width of the tile, without the halo.
    ///
    /// # Errors
    /// [`KernelError::Halo`] if the halo is beyond [`HALO_MAX`], [`KernelError::Samples`] if `samples` does not hold
    /// exactly `height + 2 * halo` such rows.
    pub fn new(
        samples: &'a [I],
        tile: [usize; 2],
        channels: usize,
        halo: usize,
    ) -> Result<Self, KernelError> {
        let [height, width] = tile;
        if halo > HALO_MAX {
            return Err(KernelError::Halo { kernel: "window", found: halo });
        }
        let wanted = n_samples(height.saturating_add(2 * halo), width.saturating_add(2 * halo), channels)?;
        if samples.len() != wanted {
            return Err(KernelError::Samples { what: "source", found: samples.len(), wanted });
        }
        let row_bytes = (width + 2 * halo) * channels * size_of::<I>();
        // SAFETY: (V1) to (V3) hold for the slice, whose length was just compared, and it is borrowed for 'a.
        Ok(unsafe { Window::from_raw(samples.as_ptr(), row_bytes, tile, channels, halo) })
    }

    /// A window over memory that somebody else vouches for.
    ///
    /// # Safety
    /// 1. (V1) From `first`, `height + 2 * halo` rows lie `row_bytes` apart, each with `(width + 2 * halo) * channels`
    ///    initialised samples, all in one allocation or mapping.
    /// 2. (V2) `first` is aligned for `I` and `row_bytes` is a multiple of its size.
    /// 3. (V3) Nobody writes these samples during 'a.
    pub(crate) unsafe fn from_raw(
        first: *const I,
        row_bytes: usize,
        [height, width]: [usize; 2],
        channels: usize,
        halo: usize,
    ) -> Self {
        Window { first, row_bytes, height, width, channels, halo, memory: PhantomData }
    }

    /// Rows of the tile, without the halo.
    #[inline(always)]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row of the tile, without the halo.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Samples in a pixel.
    #[inline(always)]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Pixels on each side of the tile.
    #[inline(always)]
    pub fn halo(&self) -> usize {
        self.halo
    }

    /// Row `index` of `0..height + 2 * halo`: `(width + 2 * halo) * channels` samples.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [I] {
        assert!(index < self.height + 2 * self.halo, "window row out of range");
        // SAFETY: the row is one of those in (V1), aligned by (V2), unchanged during 'a by (V3).
        unsafe {
            let first = self.first.byte_add(index * self.row_bytes);
            slice::from_raw_parts(first, (self.width + 2 * self.halo) * self.channels)
        }
    }

    /// The tile's own part of row `index` of `0..height`: `width * channels` samples, no halo.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn inner_row(&self, index: usize) -> &'a [I] {
        assert!(index < self.height, "tile row out of range");
        &self.row(index + self.halo)[self.halo * self.channels..][..self.width * self.channels]
    }
}

/// The rectangle of the output that one call of a kernel writes, all of it.
#[derive(Debug)]
pub struct Tile<'a, O> {
    first: *mut O,
    row_bytes: usize,
    height: usize,
    width: usize,
    channels: usize,
    memory: PhantomData<&'a mut [O]>,
}

impl<'a, O: Sample> Tile<'a, O> {
    /// A tile over plain memory: `height` rows of `width * channels` samples, one after the other.
    ///
    /// # Errors
    /// [`KernelError::Samples`] if `samples` does not hold exactly that many.
    pub fn new(samples: &'a mut [O], size: [usize; 2], channels: usize) -> Result<Self, KernelError> {
        let wanted = n_samples(size[0], size[1], channels)?;
        if samples.len() != wanted {
            return Err(KernelError::Samples { what: "output", found: samples.len(), wanted });
        }
        let row_bytes = size[1] * channels * size_of::<O>();
        // SAFETY: (T1) to (T3) hold for the slice, whose length was just compared, and it is borrowed for 'a.
        Ok(unsafe { Tile::from_raw(samples.as_mut_ptr(), row_bytes, size, channels) })
    }

    /// A tile over memory that somebody else vouches for.
    ///
    /// # Safety
    /// 1. (T1) From `first`, `height` rows lie `row_bytes` apart, each with `width * channels` initialised samples,
    ///    all in one allocation or mapping, no two overlapping.
    /// 2. (T2) `first` is aligned for `O` and `row_bytes` is a multiple of its size.
    /// 3. (T3) Nobody else reads or writes these samples during 'a. What lies between the rows is not ours.
    pub(crate) unsafe fn from_raw(
        first: *mut O,
        row_bytes: usize,
        [height, width]: [usize; 2],
        channels: usize,
    ) -> Self {
        Tile { first, row_bytes, height, width, channels, memory: PhantomData }
    }

    /// Rows of the tile.
    #[inline(always)]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Samples in a pixel.
    #[inline(always)]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Row `index` of `0..height`: `width * channels` samples. What they hold before the first write means nothing.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn row_mut(&mut self, index: usize) -> &mut [O] {
        assert!(index < self.height, "tile row out of range");
        // SAFETY: the row is one of those in (T1), aligned by (T2), and ours alone by (T3) while `self` is borrowed.
        unsafe {
            let first = self.first.byte_add(index * self.row_bytes);
            slice::from_raw_parts_mut(first, self.width * self.channels)
        }
    }
}

fn n_samples(height: usize, width: usize, channels: usize) -> Result<usize, KernelError> {
    let product = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
    product.ok_or(KernelError::TooLarge { shape: [height, width, channels] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shows_the_halo_and_a_tile_does_not() {
        let samples: Vec<u8> = (0..25).collect();
        let window = Window::new(&samples, [3, 3], 1, 1).unwrap();
        assert_eq!(window.row(0), [0, 1, 2, 3, 4]);
        assert_eq!(window.row(4), [20, 21, 22, 23, 24]);
        assert_eq!(window.inner_row(0), [6, 7, 8]);

        let mut out = [0u8; 6];
        let mut tile = Tile::new(&mut out, [3, 2], 1).unwrap();
        tile.row_mut(1).fill(7);
        assert_eq!(out, [0, 0, 7, 7, 0, 0]);
    }

    #[test]
    fn a_slice_of_another_length_is_refused() {
        let error = Window::new(&[0u8; 24], [3, 3], 1, 1).unwrap_err();
        assert_eq!(error.to_string(), "source: found 24 samples, wanted 25");
        let error = Tile::new(&mut [0u8; 24], [usize::MAX, 2], 1).unwrap_err();
        assert!(matches!(error, KernelError::TooLarge { .. }));
    }
}
