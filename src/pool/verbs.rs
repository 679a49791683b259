//! The verbs: each turns its arguments into a job, runs it, and turns what became of it into a result.

use bytemuck::{CheckedBitPattern, NoUninit, Pod};
use shmpool_kernels::{Element, ElementStep, IndexKernel, Reduction};

use super::ApplyKernel;
use super::call::Call;
use super::job::{JobShape, same_shape, stateless, strided_head};
use crate::array::{Array, Contiguous, ContiguousMut, Layout, Shape, Source, Target};
use crate::control::MESSAGE_BYTES_MAX;
use crate::error::{Error, ErrorKind, Result};
use crate::task::job::Policy;
use crate::task::kernel::Place;
use crate::task::mirror::Failure;
use crate::task::strided::{FillStrided, MapLanes, UpdateStrided};
use crate::task::verbs::{
    ApplyStep, ByClosures, ByKernel, ElementHead, Fill, FillBy, FromFn, Generate, Map, MapChunks, MapIndexed,
    MapRows, MapWith, TryMap, Update,
};

/// A failed [`Call::try_map`].
#[derive(Debug, thiserror::Error)]
pub enum TryMapError<E> {
    /// The kernel returned an error: the one of the lowest index of all that there are.
    #[error("element {index}: {error:?}")]
    Element {
        /// Index of the element, in row-major order.
        index: usize,
        /// What the kernel returned.
        error: E,
    },
    /// The job failed otherwise.
    #[error(transparent)]
    Pool(#[from] Error),
}

impl Call<'_> {
    /// `f(x)` for every element, into a new array of the same shape.
    ///
    /// # Errors
    /// [`ErrorKind::KernelPanicked`] or [`ErrorKind::WorkerDied`], with a [`JobReport`](crate::JobReport) and the unfinished
    /// array ([`Error::take_partial`]), if a task failed; all others are run to their end first.
    /// [`ErrorKind::TooLarge`] if there is no memory for the output. [`ErrorKind::ForeignArray`] if `xs` is
    /// another pool's.
    pub fn map<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill_lanes::<(S,), Map<F, S::Item, U>>(xs.shape(), &[self.input("xs", xs)?], &[])
    }

    /// `f(x)` for every element, into an array that exists.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Shape`] if `out` has another shape than `xs`. What of
    /// `out` is done stands in the error's [`JobReport`](crate::JobReport).
    pub fn map_into<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Source,
        O: Target,
        F: Fn(S::Item) -> O::Item + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        same_shape("out", out.shape(), xs.shape())?;
        let inputs = [self.input("xs", xs)?];
        self.write_strided::<(S, O), Fill<Map<F, S::Item, O::Item>>, FillStrided<Map<F, S::Item, O::Item>>, O>(
            "out",
            out,
            &inputs,
            &[],
            Policy::IDEMPOTENT,
        )
    }

    /// `f(&params, x)` for every element, into a new array: for kernels that need more than their element.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::ParamsTooLarge`] beyond 4096 bytes of parameters, of which a view takes 256.
    pub fn map_with<P, S, U, F>(&self, xs: &S, params: P, f: F) -> Result<Array<U>>
    where
        P: Pod,
        S: Source,
        U: Pod,
        F: Fn(&P, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        const { assert!(align_of::<P>() <= 64, "parameters are aligned to 64 bytes at most") };
        self.fill_lanes::<(S,), MapWith<F, P, S::Item, U>>(
            xs.shape(),
            &[self.input("xs", xs)?],
            bytemuck::bytes_of(&params),
        )
    }

    /// `f(i, x)` for every element and its index in row-major order, into a new array.
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn map_indexed<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(usize, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill_lanes::<(S,), MapIndexed<F, S::Item, U>>(xs.shape(), &[self.input("xs", xs)?], &[])
    }

    /// `f(x)?` for every element, into a new array; or the first error by index, whatever order the tasks ran
    /// in.
    ///
    /// An error is plain bytes, up to 1000 of them: a number, or a `repr` enum with `bytemuck`'s `NoUninit`
    /// and `CheckedBitPattern`. Tasks behind a known error are not begun.
    ///
    /// # Errors
    /// [`TryMapError::Element`] with the kernel's own error; [`TryMapError::Pool`] as for [`map`](Call::map).
    pub fn try_map<S, U, E, F>(&self, xs: &S, f: F) -> std::result::Result<Array<U>, TryMapError<E>>
    where
        S: Contiguous,
        U: Pod,
        E: NoUninit + CheckedBitPattern,
        F: Fn(S::Item) -> std::result::Result<U, E> + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        const { assert!(size_of::<E>() + 8 <= MESSAGE_BYTES_MAX, "an error of a kernel has at most 1000 bytes") };
        let mut out = self.pool.arena().for_output(Shape::try_from(xs.shape())?)?;
        let policy = Policy { first_error_wins: true, ..Policy::IDEMPOTENT };
        let (job, ended) = self.start::<TryMap<F, S::Item, U, E>, Array<U>>(
            "out",
            &mut out,
            &[self.input("xs", xs)?],
            &[],
            policy,
        )?;
        match ended.failures.first_key_value() {
            Some((&task, Failure::Returned(bytes))) if ended.stopped.is_none() => {
                let (index, error) = bytes.split_at_checked(8).unwrap_or_default();
                let index = <[u8; 8]>::try_from(index).map_or(u64::MAX, u64::from_ne_bytes);
                match bytemuck::checked::try_pod_read_unaligned(error) {
                    Ok(error) if job.elements(task).contains(&index) => {
                        Err(TryMapError::Element { index: index as usize, error })
                    }
                    // No honest worker says such things.
                    _ => Err(Error::from(ErrorKind::ControlCorrupted { times: 1 }).into()),
                }
            }
            _ => Ok(job.conclude_with(out, ended)?),
        }
    }

    /// `f(&mut y)` for every element, in place.
    ///
    /// A task whose worker dies is not run again unless [`retries`](Call::retries) allows it: nobody knows
    /// how far it had come.
    ///
    /// # Errors
    /// As for [`map`](Call::map); the [`JobReport`](crate::JobReport) lists the ranges that are done.
    pub fn update<O, F>(&self, ys: &mut O, f: F) -> Result<()>
    where
        O: Target,
        F: Fn(&mut O::Item) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.write_strided::<(O,), Update<F, O::Item>, UpdateStrided<F, O::Item>, O>(
            "ys",
            ys,
            &[],
            &[],
            Policy::ONCE,
        )
    }

    /// `f([i, j, …])` for every index of a new array.
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn from_fn<U, F, const N: usize>(&self, shape: [usize; N], f: F) -> Result<Array<U>>
    where
        U: Pod,
        F: Fn([usize; N]) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill::<FromFn<F, U, N>, U>(&shape, &[], &[])
    }

    /// `f(&xs[chunk], &mut out[chunk])` for chunks of [`grain`](Call::grain) elements, the last one shorter.
    ///
    /// The chunk that `f` writes holds whatever was there before. A task whose worker dies is not run again
    /// unless [`retries`](Call::retries) allows it.
    ///
    /// # Errors
    /// As for [`map_into`](Call::map_into); the [`JobReport`](crate::JobReport) lists the ranges that are done.
    pub fn map_chunks<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Contiguous,
        O: ContiguousMut,
        F: Fn(&[S::Item], &mut [O::Item]) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        same_shape("out", out.shape(), xs.shape())?;
        self.write::<MapChunks<F, S::Item, O::Item>, O>(
            "out",
            out,
            &[self.input("xs", xs)?],
            &[],
            Policy::ONCE,
        )
    }

    /// `f(row, out)` for every row of `xs`, which is its last dimension, into rows of `width` elements of a new array.
    ///
    /// All other dimensions stay: `[height, width, 3]` and a `width` of 1 make `[height, width, 1]`. Each row of the output
    /// starts as zeros. A task is some rows ([`grain`](Call::grain) counts them), and so are the elements of errors.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let table = pool.array_with([2, 4], |[y, x]| (10 * y + x) as f32)?;
    /// let least_and_greatest = pool.map_rows(&table, 2, |row: &[f32], out: &mut [f32]| {
    ///     out[0] = row.iter().copied().fold(f32::INFINITY, f32::min);
    ///     out[1] = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    /// })?;
    /// assert_eq!((least_and_greatest.shape(), &least_and_greatest[..]), (&[2, 2][..], &[0.0, 3.0, 10.0, 13.0][..]));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn map_rows<S, U, F>(&self, xs: &S, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        if const { S::STRIDED } {
            return self.map_axis(xs, xs.shape().len() - 1, width, f);
        }
        let _ = stateless(f);
        let mut shape = xs.shape().to_vec();
        let from = std::mem::replace(shape.last_mut().expect("a shape has dimensions"), width);
        let input = self.input("xs", xs)?;
        let mut out = self.pool.arena().for_output(Shape::try_from(&shape[..])?)?;
        let n_rows = out.len().checked_div(width).unwrap_or(0);
        let job = JobShape {
            n_elements: n_rows as u64,
            grain: self.grain_for(n_rows as u64, width.max(from).saturating_mul(size_of::<U>()))?,
            shape: [from as u64, width as u64, 0, 0],
            flags: 0,
            in_order: true,
        };
        let policy = Policy::IDEMPOTENT;
        let (job, ended) =
            self.start_with::<MapRows<F, S::Item, U>, _>("out", &mut out, job, &[input], &[], policy)?;
        job.conclude_with(out, ended)
    }

    /// `f(lane, out)` for every lane along a dimension (`axis`, from 0), into lanes of `width` elements of a new array: columns
    /// of a table, say, or the samples of each pixel in a stack of images.
    ///
    /// All other dimensions stay. What `f` sees is a copy of the lane in one piece, and each lane of the output starts as
    /// zeros. A task is some lanes ([`grain`](Call::grain) counts them), and so are the elements of errors.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let table = pool.array_from_shape([3, 2], &[5, 1, 9, 2, 7, 3])?;
    /// let medians = pool.map_axis(&table, 0, 1, |column: &[i32], out: &mut [i32]| {
    ///     let mut sorted = [column[0], column[1], column[2]];
    ///     sorted.sort_unstable();
    ///     out[0] = sorted[1];
    /// })?;
    /// assert_eq!((medians.shape(), &medians[..]), (&[1, 2][..], &[7, 2][..]));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Option`] if there is no such dimension.
    pub fn map_axis<S, U, F>(&self, xs: &S, axis: usize, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        let input = self.input("xs", xs)?;
        let from = input.layout(xs.shape())?.with_last(axis)?;
        let mut out = self.pool.arena().for_output(from.shape_before(axis, width)?)?;
        let to = Layout::whole(Shape::try_from(out.shape())?).with_last(axis)?;
        let ((from, along_from, len), (to, along_to, _)) = (from.split_last(), to.split_last());
        let n_lanes = if width == 0 { 0 } else { from.len() as u64 };
        let job = JobShape {
            n_elements: n_lanes,
            grain: self.grain_for(n_lanes, width.max(len).saturating_mul(size_of::<U>()))?,
            shape: [len as u64, width as u64, 0, 0],
            flags: 0,
            in_order: false,
        };
        let mut head = strided_head(from.shape, [Some(from), None, None, None, Some(to)]);
        head.along = [along_from as i64, along_to as i64];
        let params = bytemuck::bytes_of(&head);
        let policy = Policy::IDEMPOTENT;
        let (job, ended) =
            self.start_with::<MapLanes<F, S::Item, U>, _>("out", &mut out, job, &[input], params, policy)?;
        job.conclude_with(out, ended)
    }

    /// Folds all elements into one value: the same bits for any number of workers.
    ///
    /// Blocks of 64 Ki elements are folded by themselves, each in eight runs of neighbours that start at
    /// `identity`; runs, then blocks, are combined in a fixed tree. So `identity` must change nothing (0 for
    /// a sum), and `combine` must be associative, up to rounding. [`grain`](Call::grain) has no say here.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let xs = pool.array_from(&[1.5_f32, 2.5, 3.0])?;
    /// let sum = pool.reduce(&xs, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b)?;
    /// assert_eq!(sum, 7.0);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::ParamsTooLarge`] if an accumulator has more than 4096
    /// bytes.
    pub fn reduce<S, A, F, G>(&self, xs: &S, identity: A, fold: F, combine: G) -> Result<A>
    where
        S: Source,
        A: Pod,
        F: Fn(A, S::Item) -> A + Copy + Send + Sync + 'static,
        G: Fn(A, A) -> A + Copy + Send + Sync + 'static,
    {
        let _ = (stateless(fold), stateless(combine));
        const { assert!(align_of::<A>() <= 64, "an accumulator is aligned to 64 bytes at most") };
        if xs.shape().contains(&0) {
            return Ok(identity);
        }
        self.reduce_by::<ByClosures<F, G, S::Item, A>, S>(xs, bytemuck::bytes_of(&identity))
    }

    /// Folds all elements into one value by a kernel: the same bits for any number of workers.
    ///
    /// Blocks of 64 Ki elements are folded by [`Reduction::fold`], then combined in a fixed tree.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::MinMax;
    ///
    /// let xs = pool.array_from(&[1.5_f32, -2.5, 3.0])?;
    /// assert_eq!(pool.reduce_with(&xs, &MinMax)?, [-2.5, 3.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`reduce`](Call::reduce), where the kernel has the accumulator's part.
    pub fn reduce_with<S, K>(&self, xs: &S, kernel: &K) -> Result<K::Acc>
    where
        S: Source,
        K: Reduction<S::Item>,
    {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        if xs.shape().contains(&0) {
            return Ok(kernel.identity());
        }
        self.reduce_by::<ByKernel<K, S::Item>, S>(xs, bytemuck::bytes_of(kernel))
    }

    /// `kernel.at(i)` for every index in row-major order, into a new array of `shape`: random numbers, for example, that
    /// are the same for any number of workers.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Uniform;
    ///
    /// let noise = pool.generate::<f64, _>([2, 3], &Uniform { seed: 7 })?;
    /// assert!(noise.iter().all(|x| (0.0..1.0).contains(x)));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn generate<U: Pod, K: IndexKernel<U>>(
        &self,
        shape: impl Into<Shape>,
        kernel: &K,
    ) -> Result<Array<U>> {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        self.fill::<FillBy<Generate<K, U>>, U>(&shape.into(), &[], bytemuck::bytes_of(kernel))
    }

    /// An element kernel that is known at run time alone, such as one that
    /// [`parse_element_step`](crate::kernels::parse_element_step) has made of a word, into an array that exists.
    ///
    /// # Errors
    /// As for [`map_into`](Call::map_into), and [`ErrorKind::Kernel`] if the step is for other types of elements.
    pub fn apply_step<S, O>(&self, step: &ElementStep, xs: &S, out: &mut O) -> Result<()>
    where
        S: Contiguous,
        O: ContiguousMut,
        S::Item: Element,
        O::Item: Element,
    {
        same_shape("out", out.shape(), xs.shape())?;
        step.check::<S::Item, O::Item>()?;
        let parameters = step.parameters();
        let head = ElementHead {
            table: Place::of(std::ptr::from_ref(step.table()) as usize)?.0,
            n_bytes: parameters.len() as u32,
            level: self.pool.level() as u32,
        };
        let params = [bytemuck::bytes_of(&head), parameters].concat();
        self.write::<ApplyStep, O>("out", out, &[self.input("xs", xs)?], &params, Policy::IDEMPOTENT)
    }

    /// Any kernel of [`crate::kernels`], or your own: an element kernel over an array, an image kernel or a
    /// chain over an image.
    ///
    /// An image has the shape `[height, width]` or `[height, width, channels]`. A chain means its steps one
    /// after the other, byte for byte, but runs them tile by tile: nothing in between is ever as large as the
    /// image.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Kernel`] if the kernel refuses the image or its own
    /// parameters.
    pub fn apply<S, K, How>(&self, kernel: &K, input: &S) -> Result<Array<K::Out>>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
    {
        kernel.run(self, input)
    }

    /// As [`apply`](Call::apply), into an array that exists: one that is used again and again, or a
    /// [`FileArray`](crate::FileArray) that is larger than memory. It has the shape that `apply` would make.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::BoxBlur;
    ///
    /// let image = pool.array_from_shape([1, 5], &[0.0_f32, 0.0, 9.0, 0.0, 0.0])?;
    /// let mut out = pool.zeros::<f32>([1, 5])?;
    /// pool.apply_into(&BoxBlur::new(1), &image, &mut out)?;
    /// assert_eq!(out[..], [0.0, 3.0, 3.0, 3.0, 0.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`apply`](Call::apply), and [`ErrorKind::Shape`] if `out` has another one. A job that failed leaves in it what
    /// it had done.
    pub fn apply_into<S, K, O, How>(&self, kernel: &K, input: &S, out: &mut O) -> Result<()>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
        O: ContiguousMut<Item = K::Out>,
    {
        kernel.run_into(self, input, out)
    }
}
