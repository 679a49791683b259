//! What a kernel is: a trait for each kind. A kernel is a `Pod` value, so that its parameters can be sent as bytes.

use bytemuck::Pod;

use crate::{Border, KernelError, Rect, Sample, Tile, Window, Workspace};

/// A function of one element, with its parameters.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use shmpool_kernels::ElementKernel;
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Gain {
///     k: f32,
/// }
///
/// impl ElementKernel<f32> for Gain {
///     type Out = f32;
///     #[inline(always)]
///     fn apply(&self, x: f32) -> f32 {
///         x * self.k
///     }
/// }
///
/// assert_eq!(Gain { k: 2.0 }.apply(21.0), 42.0);
/// ```
pub trait ElementKernel<I: Pod>: Pod + Send + Sync {
    /// What it makes of an element.
    type Out: Pod;

    /// The result for one element. Write `#[inline(always)]` before it, or it stays compiled for the baseline.
    fn apply(&self, x: I) -> Self::Out;

    /// Writes the result for every element of `xs` to `out`, which is as long: the same bits as `apply` gives.
    ///
    /// Kernels override it where a look at many elements is faster than one at each.
    #[inline(always)]
    fn apply_all(&self, xs: &[I], out: &mut [Self::Out]) {
        for (out, &x) in out.iter_mut().zip(xs) {
            *out = self.apply(x);
        }
    }
}

/// A function of the elements at one index of several arrays, with its parameters. `I` is the tuple of them.
///
/// ```
/// use shmpool_kernels::{Axpy, ZipKernel};
///
/// assert_eq!(Axpy { a: 2.0 }.apply((20.0f32, 2.0)), 42.0);
/// ```
pub trait ZipKernel<I>: Pod + Send + Sync {
    /// What it makes of them.
    type Out: Pod;

    /// The result for one index. Write `#[inline(always)]` before it, or it stays compiled for the baseline.
    fn apply(&self, inputs: I) -> Self::Out;
}

/// A function of an index alone, with its parameters: arrays that are made of nothing, such as random numbers.
///
/// `O` is what it makes of an index. Since nothing but the index counts, the array is the same for any number of workers and after any death.
pub trait IndexKernel<O: Pod>: Pod + Send + Sync {
    /// The element at `index`. Write `#[inline(always)]` before it.
    fn at(&self, index: u64) -> O;

    /// Writes the elements from `first` on to `out`: the same bits as `at` gives.
    ///
    /// Kernels override it where neighbours are cheaper together.
    #[inline(always)]
    fn fill(&self, first: u64, out: &mut [O]) {
        let mut index = first;
        for out in out {
            *out = self.at(index);
            index = index.wrapping_add(1);
        }
    }
}

/// A function from a neighbourhood of pixels to a pixel, computed a tile at a time; height and width stay.
///
/// [`Chain`](crate::Chain) strings them together. It calls `validate` and `channels` before anything else, and asks
/// `halo`, `border` and `channels` again in other processes: they must depend on the value and the argument alone.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use shmpool_kernels::{Chain, KernelError, Tile, TileKernel, Window, Workspace};
///
/// /// How much brighter a pixel is than its left neighbour; 0 where it is darker.
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Rise;
///
/// impl TileKernel<u8> for Rise {
///     type Out = u8;
///
///     fn halo(&self) -> usize {
///         1
///     }
///
///     #[inline(always)]
///     fn run(&self, src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, _: &mut Workspace) {
///         for y in 0..dst.height() {
///             let left = src.row(y + 1); // starts one pixel left of the tile
///             let here = src.inner_row(y);
///             for (x, out) in dst.row_mut(y).iter_mut().enumerate() {
///                 *out = here[x].saturating_sub(left[x]);
///             }
///         }
///     }
/// }
///
/// let chain = Chain::<u8, u8>::of(Rise);
/// let mut out = [0; 4];
/// chain.run(&[1, 2, 5, 3], [1, 4, 1], &mut out)?;
/// assert_eq!(out, [0, 1, 3, 0]); // beyond the left edge lies the mirrored 2
/// # Ok::<(), KernelError>(())
/// ```
pub trait TileKernel<I: Sample>: Pod + Send + Sync {
    /// The type of the samples it makes.
    type Out: Sample;

    /// What errors call it; the path of its type, if it does not say otherwise.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// How many pixels beyond a tile it reads on each side, up to [`HALO_MAX`](crate::HALO_MAX). Most read none.
    fn halo(&self) -> usize {
        0
    }

    /// What it sees beyond the edge of its input.
    fn border(&self) -> Border {
        Border::Reflect101
    }

    /// How many channels it makes of `input` channels; the same number, if it does not say otherwise.
    ///
    /// # Errors
    /// [`KernelError::Channels`] if it does not take images with that many.
    fn channels(&self, input: usize) -> Result<usize, KernelError> {
        Ok(input)
    }

    /// Whether its parameters make sense.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] names the one that does not.
    fn validate(&self) -> Result<(), KernelError> {
        Ok(())
    }

    /// Writes every sample of `dst` from the pixels of `src`, which has `dst`'s size and `self.halo()` more all round.
    ///
    /// The result must not depend on where the tile lies in the image or how large it is. Write `#[inline(always)]`
    /// before it and before what it calls, or they stay compiled for the baseline.
    fn run(&self, src: &Window<'_, I>, dst: &mut Tile<'_, Self::Out>, workspace: &mut Workspace);
}

/// A function from a whole image to another one, of which any rectangle can be computed by itself: for kernels that
/// change an image's size, or that fetch pixels from anywhere.
///
/// In a [`Chain`](crate::Chain) it takes a pass of its own, so it costs an image in memory before and after it. It is
/// asked about shapes and tiles again in other processes: the answers must depend on the value and the argument
/// alone.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use shmpool_kernels::{Chain, GatherKernel, KernelError, Rect, Tile, Window, Workspace};
///
/// /// Every second pixel of every second row.
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[repr(C)]
/// struct Skip;
///
/// impl GatherKernel<u8> for Skip {
///     type Out = u8;
///     type Table = ();
///
///     fn output_shape(&self, [height, width, channels]: [usize; 3]) -> Result<[usize; 3], KernelError> {
///         Ok([height.div_ceil(2), width.div_ceil(2), channels])
///     }
///
///     fn table(&self, _: [usize; 3]) {}
///
///     #[inline(always)]
///     fn run(&self, _: &(), src: &Window<'_, u8>, at: Rect, dst: &mut Tile<'_, u8>, _: &mut Workspace) {
///         let n = src.channels();
///         for y in 0..at.height {
///             let from = src.row(2 * (at.y + y));
///             for (x, pixel) in dst.row_mut(y).chunks_exact_mut(n).enumerate() {
///                 pixel.copy_from_slice(&from[2 * (at.x + x) * n..][..n]);
///             }
///         }
///     }
/// }
///
/// let mut out = [0; 2];
/// Chain::<u8, u8>::of(Skip).run(&[1, 2, 5, 3], [1, 4, 1], &mut out)?;
/// assert_eq!(out, [1, 5]);
/// # Ok::<(), KernelError>(())
/// ```
pub trait GatherKernel<I: Sample>: Pod + Send + Sync {
    /// The type of the samples it makes.
    type Out: Sample;

    /// What every tile of one image needs and is not made anew for each, such as weights; `()` for most.
    type Table: Send + 'static;

    /// What errors call it; the path of its type, if it does not say otherwise.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Whether its parameters make sense.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] names the one that does not.
    fn validate(&self) -> Result<(), KernelError> {
        Ok(())
    }

    /// Height, width and channels of what it makes of an image of that shape. Asked after `validate`.
    ///
    /// # Errors
    /// What there is to say about images that it does not take.
    fn output_shape(&self, source: [usize; 3]) -> Result<[usize; 3], KernelError>;

    /// A good height and width of a tile of the output, if nobody says otherwise.
    fn tile(&self, _source: [usize; 3]) -> [usize; 2] {
        [256, 1024]
    }

    /// The table for images of that shape. Made once for each thread and plan, in general.
    fn table(&self, source: [usize; 3]) -> Self::Table;

    /// Writes every sample of `dst`, which is the part `at` of the output, from `src`, which is the whole source and
    /// has no halo.
    ///
    /// The result must not depend on how the output is cut. Write `#[inline(always)]` before it and before what it
    /// calls, or they stay compiled for the baseline.
    fn run(
        &self,
        table: &Self::Table,
        src: &Window<'_, I>,
        at: Rect,
        dst: &mut Tile<'_, Self::Out>,
        workspace: &mut Workspace,
    );
}

/// A function of pixels that has to know something of the whole image first, such as its histogram.
///
/// It comes in two parts. A gather kernel measures: it makes of the source a small image of numbers, which workers
/// compute in parts like any other. From these numbers `resolved` makes the tile kernel that then runs over the
/// source, fused with the steps after it. So whoever runs a chain (see [`passes`](crate::passes)) runs
/// [`Step::measurement`](crate::Step::measurement) first and puts [`Step::resolved`](crate::Step::resolved) in the
/// step's place.
///
/// Counts are exact in `f32` up to 2^24, so a measurement has a row for each band of at most so many samples; sums
/// over the rows are `resolved`'s work, and the same for every way to run it.
pub trait GlobalKernel<I: Sample>: Pod + Send + Sync {
    /// What measures. It also refuses what this kernel does not take.
    type Measurement: GatherKernel<I, Out = f32>;

    /// What it is once the measure is known.
    type Resolved: TileKernel<I>;

    /// What errors call it; the path of its type, if it does not say otherwise.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The kernel that measures a source.
    fn measurement(&self) -> Self::Measurement;

    /// The kernel for a source of which the measurement made these samples; none of a source without pixels.
    fn resolved(&self, measured: &[f32]) -> Self::Resolved;
}

/// A way to fold many elements into one value.
///
/// The engine folds blocks of a fixed size and combines them in a fixed tree, so the result has the same bits for
/// any number of workers even where `combine` is not associative (as with floats).
pub trait Reduction<I: Pod>: Pod + Send + Sync {
    /// The value so far.
    type Acc: Pod + Send + Sync;

    /// The result for no elements: `combine(identity, a)` is `a`.
    fn identity(&self) -> Self::Acc;

    /// Takes one element in. Write `#[inline(always)]` before it.
    fn step(&self, acc: Self::Acc, x: I) -> Self::Acc;

    /// Joins the value of a run of elements with that of the run after it.
    fn combine(&self, left: Self::Acc, right: Self::Acc) -> Self::Acc;

    /// Takes a slice in, in any order that is fixed by its length. Kernels override it to use several lanes.
    #[inline(always)]
    fn fold(&self, mut acc: Self::Acc, xs: &[I]) -> Self::Acc {
        for &x in xs {
            acc = self.step(acc, x);
        }
        acc
    }
}

/// A way to fold the elements of two arrays, index by index, into one value. All else as for [`Reduction`].
pub trait ZipReduction<A: Pod, B: Pod>: Pod + Send + Sync {
    /// The value so far.
    type Acc: Pod + Send + Sync;

    /// The result for no elements: `combine(identity, a)` is `a`.
    fn identity(&self) -> Self::Acc;

    /// Joins the value of a run of elements with that of the run after it.
    fn combine(&self, left: Self::Acc, right: Self::Acc) -> Self::Acc;

    /// Takes two slices of one length in, in any order that is fixed by the length. Write `#[inline(always)]` before it.
    fn fold(&self, acc: Self::Acc, a: &[A], b: &[B]) -> Self::Acc;
}

/// A running total: element `i` of the result is made of all elements up to `i`.
///
/// It takes two passes over blocks of a fixed size. The first makes the [`total`](Scan::total) of each block; one
/// [`exclusive`](Scan::exclusive) pass over the totals makes of them what comes before each block; then each block is
/// written by [`scan`](Scan::scan). Blocks are independent in both passes, and the bits depend on their size alone.
///
/// ```
/// use shmpool_kernels::{CumSum, Scan};
///
/// let (xs, mut out) = ([1i32, 2, 3, 4, 5], [0i64; 5]);
/// let mut before: Vec<i64> = xs.chunks(2).map(|block| CumSum.total(block)).collect();
/// let sum = Scan::<i32>::exclusive(&CumSum, &mut before);
/// for ((block, out), before) in xs.chunks(2).zip(out.chunks_mut(2)).zip(before) {
///     CumSum.scan(before, block, out);
/// }
/// assert_eq!((out, sum), ([1, 3, 6, 10, 15], 15));
/// ```
pub trait Scan<I: Pod>: Pod + Send + Sync {
    /// A total.
    type Acc: Pod + Send + Sync;
    /// An element of the result.
    type Out: Pod;

    /// The total of no elements: `combine(identity, a)` is `a`.
    fn identity(&self) -> Self::Acc;

    /// The total of a run of elements and the run after it.
    fn combine(&self, left: Self::Acc, right: Self::Acc) -> Self::Acc;

    /// The total of a block. Write `#[inline(always)]` before it.
    fn total(&self, xs: &[I]) -> Self::Acc;

    /// Writes the running totals of a block to `out`, which is as long, given the total of all that comes before.
    /// Write `#[inline(always)]` before it.
    fn scan(&self, before: Self::Acc, xs: &[I], out: &mut [Self::Out]);

    /// Replaces the total of each block by that of all blocks before it, and returns the total of all.
    fn exclusive(&self, totals: &mut [Self::Acc]) -> Self::Acc {
        let mut before = self.identity();
        for total in totals {
            let after = self.combine(before, *total);
            *total = before;
            before = after;
        }
        before
    }
}

/// Whether the last of `channels` is alpha: in images with two (gray) or four (colour) it is.
///
/// The stock kernels carry alpha past, unchanged.
#[must_use]
pub const fn has_alpha(channels: usize) -> bool {
    matches!(channels, 2 | 4)
}
