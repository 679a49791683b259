//! Verbs over several arrays, element by element.

use bytemuck::Pod;
use shmpool_kernels::ZipKernel;

use super::call::Call;
use super::job::{same_shape, stateless};
use crate::array::{Array, Source};
use crate::error::Result;
use crate::task::verbs::{Zip2, Zip3, Zip4, ZipApply2, ZipApply3};

impl Call<'_> {
    /// `f(a, b)` for elements of the same index, into a new array: two to four inputs of one shape.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let (xs, ys) = (pool.array_from(&[1, 2, 3])?, pool.array_from(&[10, 20, 30])?);
    /// let sums = pool.zip_map((&xs, &ys), |x, y| x + y)?;
    /// assert_eq!(*sums, [11, 22, 33]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the inputs differ in shape.
    pub fn zip_map<Z, U, F>(&self, inputs: Z, f: F) -> Result<Array<U>>
    where
        Z: ZipInputs<F, U>,
        U: Pod,
        F: Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        inputs.run(self)
    }

    /// `kernel.apply((a, b))` for elements of the same index, into a new array: two or three inputs of one shape.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Axpy;
    ///
    /// let (xs, ys) = (pool.array_from(&[1.0_f32, 2.0])?, pool.array_from(&[10.0_f32, 20.0])?);
    /// assert_eq!(*pool.zip_with((&xs, &ys), &Axpy { a: 3.0 })?, [13.0, 26.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`zip_map`](Call::zip_map).
    pub fn zip_with<Z, K>(&self, inputs: Z, kernel: &K) -> Result<Array<Z::Out>>
    where
        Z: ZipWith<K>,
    {
        inputs.run(self, kernel)
    }
}

/// Two to four arrays that [`Call::zip_map`] can run `F` over.
pub trait ZipInputs<F, U: Pod>: sealed::Sealed {
    #[doc(hidden)]
    fn run(self, call: &Call<'_>) -> Result<Array<U>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! zip_inputs {
    ($kernel:ident, $first:ident $(, $rest:ident)*) => {
        impl<$first: Source $(, $rest: Source)*> sealed::Sealed for (&$first, $(&$rest),*) {}

        impl<Func, Out, $first, $($rest),*> ZipInputs<Func, Out> for (&$first, $(&$rest),*)
        where
            Func: Fn($first::Item, $($rest::Item),*) -> Out + Copy + Send + Sync + 'static,
            Out: Pod,
            $first: Source,
            $($rest: Source,)*
        {
            #[allow(non_snake_case)]
            fn run(self, call: &Call<'_>) -> Result<Array<Out>> {
                let ($first, $($rest),*) = self;
                $(same_shape("input of zip_map", $rest.shape(), $first.shape())?;)*
                let shape = $first.shape();
                let inputs = [call.input("input", $first)?, $(call.input("input", $rest)?),*];
                call.fill_lanes::<($first, $($rest),*), $kernel<Func, $first::Item, $($rest::Item,)* Out>>(
                    shape, &inputs, &[],
                )
            }
        }
    };
}

zip_inputs!(Zip2, A, B);
zip_inputs!(Zip3, A, B, C);
zip_inputs!(Zip4, A, B, C, D);

/// Two or three arrays that [`Call::zip_with`] can run a kernel over.
pub trait ZipWith<K>: sealed::Sealed {
    /// What the kernel makes.
    type Out: Pod;

    #[doc(hidden)]
    fn run(self, call: &Call<'_>, kernel: &K) -> Result<Array<Self::Out>>;
}

macro_rules! zip_with {
    ($lanes:ident, $first:ident $(, $rest:ident)*) => {
        impl<K, $first: Source, $($rest: Source),*> ZipWith<K> for (&$first, $(&$rest),*)
        where
            K: ZipKernel<($first::Item, $($rest::Item),*)>,
        {
            type Out = K::Out;

            #[allow(non_snake_case)]
            fn run(self, call: &Call<'_>, kernel: &K) -> Result<Array<K::Out>> {
                const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
                let ($first, $($rest),*) = self;
                $(same_shape("input of zip_with", $rest.shape(), $first.shape())?;)*
                let shape = $first.shape();
                let inputs = [call.input("input", $first)?, $(call.input("input", $rest)?),*];
                let params = bytemuck::bytes_of(kernel);
                call.fill_lanes::<($first, $($rest),*), $lanes<K, $first::Item, $($rest::Item),*>>(
                    shape, &inputs, params,
                )
            }
        }
    };
}

zip_with!(ZipApply2, A, B);
zip_with!(ZipApply3, A, B, C);
