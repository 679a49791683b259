//! Several outputs of one kernel.

use bytemuck::Pod;

use super::Call;
use super::job::stateless;
use crate::array::{Array, Contiguous, Shape, Written};
use crate::error::Result;
use crate::task::job::Policy;
use crate::task::verbs::{Unzip2, Unzip3, Unzip4};

/// What a kernel of [`Call::map_unzip`] returns: two to four values, each for an array of its own.
pub trait Unzip: sealed::Sealed + Sized {
    /// An array of each.
    type Arrays;

    #[doc(hidden)]
    fn run<S, F>(call: &Call<'_>, xs: &S) -> Result<Self::Arrays>
    where
        S: Contiguous,
        F: Fn(S::Item) -> Self + Copy + Send + Sync + 'static;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! unzip {
    ($kernel:ident, $first:ident $(, $rest:ident)+) => {
        impl<$first: Pod, $($rest: Pod),+> sealed::Sealed for ($first, $($rest),+) {}

        impl<$first: Pod, $($rest: Pod),+> Unzip for ($first, $($rest),+) {
            type Arrays = (Array<$first>, $(Array<$rest>),+);

            #[allow(non_snake_case)]
            fn run<S, Func>(call: &Call<'_>, xs: &S) -> Result<Self::Arrays>
            where
                S: Contiguous,
                Func: Fn(S::Item) -> Self + Copy + Send + Sync + 'static,
            {
                let (arena, shape) = (call.pool().arena(), Shape::try_from(xs.shape())?);
                let mut $first = arena.for_output::<$first>(shape)?;
                $(let mut $rest = arena.for_output::<$rest>(shape)?;)+
                let inputs = [call.input("xs", xs)?, $(call.output("out", &$rest)?),+];
                let (job, ended) = call.start::<$kernel<Func, S::Item, $first, $($rest),+>, _>(
                    "out", &mut $first, &inputs, &[], Policy::IDEMPOTENT,
                )?;
                match job.conclude(ended) {
                    Ok(()) => {
                        $($rest.mark_written();)+
                        Ok(($first, $($rest),+))
                    }
                    Err(error) => Err(error.with_partial(($first, $($rest),+))),
                }
            }
        }
    };
}

unzip!(Unzip2, A, B);
unzip!(Unzip3, A, B, C);
unzip!(Unzip4, A, B, C, D);

impl Call<'_> {
    /// `f(x)` for every element, whose two to four values go to an array each.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let angles = pool.array_from(&[0.0_f64, 1.0])?;
    /// let (sines, signs) = pool.map_unzip(&angles, |x| (x.sin(), i8::from(x.cos() > 0.0)))?;
    /// assert_eq!((sines[1], &signs[..]), (1.0_f64.sin(), &[1, 1][..]));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map); the unfinished output is the tuple of arrays.
    pub fn map_unzip<S, O, F>(&self, xs: &S, f: F) -> Result<O::Arrays>
    where
        S: Contiguous,
        O: Unzip,
        F: Fn(S::Item) -> O + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        O::run::<S, F>(self, xs)
    }
}
