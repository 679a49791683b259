//! Reductions and running totals that are made of blocks: the bits depend on the size of a block alone.

use shmpool_kernels::{Scan, ZipReduction};

use super::Call;
use super::job::{JobShape, REDUCE_BLOCK, same_shape};
use crate::array::{Array, Contiguous, Shape};
use crate::error::Result;
use crate::task::job::Policy;
use crate::task::verbs::{ByTotals, ByZipKernel, Fold, FoldZip, ScanBlocks};

impl Call<'_> {
    /// Folds the elements of two arrays, index by index, into one value by a kernel: a dot product, say. The same bits for
    /// any number of workers, as for [`reduce_with`](Call::reduce_with).
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Dot;
    ///
    /// let (a, b) = (pool.array_from(&[1.0_f32, 2.0, 3.0])?, pool.array_from(&[4.0_f32, 5.0, 6.0])?);
    /// assert_eq!(pool.reduce_zip(&a, &b, &Dot)?, 32.0);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`reduce_with`](Call::reduce_with), and [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ.
    pub fn reduce_zip<A, B, K>(&self, a: &A, b: &B, kernel: &K) -> Result<K::Acc>
    where
        A: Contiguous,
        B: Contiguous,
        K: ZipReduction<A::Item, B::Item>,
    {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        same_shape("b", b.shape(), a.shape())?;
        let n = a.elements().len();
        if n == 0 {
            return Ok(kernel.identity());
        }
        let (inputs, params) = ([self.input("a", a)?, self.input("b", b)?], bytemuck::bytes_of(kernel));
        let blocks = self.fold_groups::<FoldZip<K, A::Item, B::Item>, _>(&inputs, n, REDUCE_BLOCK, params)?;
        self.combine_all::<ByZipKernel<K, A::Item, B::Item>>(blocks, params)
    }

    /// Running totals by a kernel, into a new array: cumulative sums, say.
    ///
    /// Two passes over blocks of 64 Ki elements: the first makes the total of each, the second writes them.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::CumSum;
    ///
    /// let xs = pool.array_from(&[1_i32, 2, 3, 4])?;
    /// assert_eq!(pool.scan(&xs, &CumSum)?[..], [1_i64, 3, 6, 10]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn scan<S, K>(&self, xs: &S, kernel: &K) -> Result<Array<K::Out>>
    where
        S: Contiguous,
        K: Scan<S::Item>,
    {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        let (n, params) = (xs.elements().len(), bytemuck::bytes_of(kernel));
        let mut out = self.pool().arena().for_output::<K::Out>(Shape::try_from(xs.shape())?)?;
        if n == 0 {
            return Ok(out);
        }
        let input = self.input("xs", xs)?;
        let mut before =
            self.fold_groups::<Fold<ByTotals<K, S::Item>>, K::Acc>(&[input], n, REDUCE_BLOCK, params)?;
        kernel.exclusive(&mut before);
        let inputs = [input, self.input("totals", &before)?];
        let job = JobShape {
            n_elements: n as u64,
            grain: REDUCE_BLOCK as u64,
            shape: [0; 4],
            flags: 0,
            in_order: true,
        };
        let (job, ended) = self.start_with::<ScanBlocks<K, S::Item>, _>(
            "out",
            &mut out,
            job,
            &inputs,
            params,
            Policy::IDEMPOTENT,
        )?;
        job.conclude_with(out, ended)
    }
}
