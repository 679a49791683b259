//! Arrays that a submitted task works on: leases go along with it, and it has slices.
#![allow(unsafe_code)] // slices over what a task was lent

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::Arc;

use bytemuck::Pod;

use super::input::Input;
use super::lease::{ReadLease, WriteLease};
use super::shape::Shape;
use super::source::{Contiguous, ContiguousMut, Lies, Place};

/// An array that a submitted task may read. Derefs to a slice of its elements, in row-major order.
#[derive(Clone, Copy)]
pub struct Lent<'t, T> {
    elements: &'t [T],
    shape: Shape,
}

/// An array that a submitted task may write, and nobody else touches meanwhile. Derefs to a slice of its elements, in
/// row-major order.
pub struct LentMut<'t, T> {
    elements: &'t mut [T],
    shape: Shape,
}

impl<T> Lent<'_, T> {
    /// Its lengths, one to four.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

impl<T> LentMut<'_, T> {
    /// Its lengths, one to four.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

impl<T> Deref for Lent<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.elements
    }
}

impl<T> Deref for LentMut<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.elements
    }
}

impl<T> DerefMut for LentMut<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.elements
    }
}

impl<T> fmt::Debug for Lent<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent array of {} {}", std::any::type_name::<T>(), self.shape)
    }
}

impl<T> fmt::Debug for LentMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LentMut array of {} {}", std::any::type_name::<T>(), self.shape)
    }
}

/// What a task can be lent ([`Pool::submit_on`](crate::Pool::submit_on)), and keeps until it has ended: a
/// [`ReadLease`] or a [`WriteLease`] on an array of any kind, an [`Input`], or an array in an `Arc`, which it reads; or a tuple
/// of up to four of them.
pub trait Loan: Send + 'static {
    /// What the task has of it.
    type Lent<'t>;

    #[doc(hidden)]
    const N: usize;

    #[doc(hidden)]
    fn each(&self, see: &mut dyn FnMut(Place<'_>, &[usize], bool));

    /// # Safety
    /// As many addresses as arrays, of these types, which nobody else writes (nor reads, where they are written) while `'t`
    /// lasts.
    #[doc(hidden)]
    unsafe fn lent<'t>(at: &[LentAt]) -> Self::Lent<'t>;
}

/// An array that a task works on, where its worker has it.
#[derive(Debug, Clone, Copy)]
pub struct LentAt {
    /// On an edge of its elements' type.
    pub(crate) first: *mut u8,
    pub(crate) bytes: usize,
    pub(crate) n_dims: usize,
    pub(crate) shape: [usize; 4],
}

impl LentAt {
    fn shape(&self) -> Shape {
        Shape::try_from(&self.shape[..self.n_dims.clamp(1, 4)]).expect("one to four lengths")
    }

    fn len<T>(&self) -> usize {
        self.bytes / size_of::<T>()
    }
}

/// # Safety
/// As for [`Loan::lent`], of one array.
unsafe fn read<'t, T: Pod>(at: &[LentAt]) -> Lent<'t, T> {
    // SAFETY: by contract the elements are mapped, on an edge of their type, and nobody writes them while `'t` lasts. `T: Pod`
    // is valid for every bit pattern.
    let elements = unsafe { slice::from_raw_parts(at[0].first.cast(), at[0].len::<T>()) };
    Lent { elements, shape: at[0].shape() }
}

macro_rules! lend_to_read {
    ($([$($bound:tt)*] $array:ty, $item:ty;)*) => {$(
        impl<$($bound)*> Loan for $array {
            type Lent<'t> = Lent<'t, $item>;

            const N: usize = 1;

            fn each(&self, see: &mut dyn FnMut(Place<'_>, &[usize], bool)) {
                see(self.place(), self.shape(), false);
            }

            unsafe fn lent<'t>(at: &[LentAt]) -> Lent<'t, $item> {
                // SAFETY: by contract.
                unsafe { read(at) }
            }
        }
    )*};
}

lend_to_read! {
    [A: Contiguous<Item: Send> + Send + Sync + 'static] ReadLease<A>, A::Item;
    [A: Contiguous<Item: Send> + Send + Sync + 'static] Arc<A>, A::Item;
    [T: Pod + Send] Input<T>, T;
}

impl<A: ContiguousMut<Item: Send> + Send + Sync + 'static> Loan for WriteLease<A> {
    type Lent<'t> = LentMut<'t, A::Item>;

    const N: usize = 1;

    unsafe fn lent<'t>(at: &[LentAt]) -> LentMut<'t, A::Item> {
        // SAFETY: as in `read`, and by contract nobody else has the elements while `'t` lasts.
        let elements = unsafe { slice::from_raw_parts_mut(at[0].first.cast(), at[0].len::<A::Item>()) };
        LentMut { elements, shape: at[0].shape() }
    }

    fn each(&self, see: &mut dyn FnMut(Place<'_>, &[usize], bool)) {
        see(self.place(), self.shape(), true);
    }
}

macro_rules! lend_tuples {
    ($($array:ident $i:tt),+) => {
        impl<$($array: Loan),+> Loan for ($($array,)+) {
            type Lent<'t> = ($($array::Lent<'t>,)+);

            const N: usize = 0 $(+ $array::N)+;

            unsafe fn lent<'t>(at: &[LentAt]) -> Self::Lent<'t> {
                let mut rest = at;
                // SAFETY: by contract, each its own part of the addresses.
                ($(unsafe {
                    let (mine, others) = rest.split_at($array::N);
                    rest = others;
                    let _ = rest;
                    $array::lent(mine)
                },)+)
            }

            fn each(&self, see: &mut dyn FnMut(Place<'_>, &[usize], bool)) {
                $(self.$i.each(see);)+
            }
        }
    };
}

lend_tuples!(A 0);
lend_tuples!(A 0, B 1);
lend_tuples!(A 0, B 1, C 2);
lend_tuples!(A 0, B 1, C 2, D 3);
