//! What verbs read and write: arrays of every kind.

use std::rc::Rc;
use std::sync::Arc;

use bytemuck::Pod;

use super::{Array, FileArray, Input, NamedArray};

/// Anything that a verb can read: an [`Array`], an [`Input`], a [`FileArray`], a [`NamedArray`], a
/// [`View`](crate::View) of one, a [`ReadLease`](crate::ReadLease) on one; also in an `Arc`, `Rc` or `Box`. Another guard is
/// to be dereferenced: `&*mutex.lock()…`.
pub trait Source: sealed::Lies {
    /// Its elements.
    type Item: Pod;

    /// Its lengths, one to four.
    fn shape(&self) -> &[usize];
}

/// Anything that a verb can write: an [`Array`], a writable [`FileArray`] or [`NamedArray`], a
/// [`ViewMut`](crate::ViewMut) of one, a [`WriteLease`](crate::WriteLease) on one.
pub trait Target: Source + sealed::Written {}

/// A [`Source`] whose elements lie one behind the other: everything but a [`View`](crate::View).
pub trait Contiguous: Source {
    /// Its elements in row-major order.
    fn elements(&self) -> &[Self::Item];
}

/// A [`Target`] whose elements lie one behind the other.
pub trait ContiguousMut: Contiguous + Target {
    /// Its elements in row-major order; `None` if it was opened to be read.
    fn elements_mut(&mut self) -> Option<&mut [Self::Item]>;
}

pub(crate) use sealed::{Lies, Place, Written};

mod sealed {
    use crate::arena::Arena;
    use crate::array::Layout;
    use crate::segment::{Share, Use};

    /// Where the bytes of an array lie.
    #[derive(Clone, Copy)]
    pub struct Place<'a> {
        pub(crate) home: Home<'a>,
        /// Bytes from the beginning of its home.
        pub(crate) offset: u64,
        pub(crate) len_bytes: u64,
        /// Which of its elements are meant; all of them, in order, unless said.
        pub(crate) layout: Option<Layout>,
    }

    /// In which memory.
    #[derive(Clone, Copy)]
    pub(crate) enum Home<'a> {
        Arena(&'a Arena),
        Share(&'a Share),
        /// It has no bytes.
        Nowhere,
    }

    impl Place<'_> {
        /// Whether workers can write it.
        pub(crate) fn by_workers(&self) -> Use {
            match self.home {
                Home::Arena(_) | Home::Nowhere => Use::Write,
                Home::Share(share) => share.by_workers(),
            }
        }
    }

    pub trait Lies {
        /// Its elements may lie apart from each other.
        const STRIDED: bool = false;

        fn place(&self) -> Place<'_>;
    }

    /// What the engine asks of an output.
    pub trait Written: Lies {
        /// Whether every page of it exists.
        fn is_warm(&self) -> bool;
        /// A job has written every element.
        fn mark_written(&mut self);
    }
}

pub(crate) use sealed::Home;

impl<T: Pod> Source for Array<T> {
    type Item = T;

    fn shape(&self) -> &[usize] {
        self.shape()
    }
}

impl<T: Pod> Target for Array<T> {}

impl<T: Pod> Lies for Array<T> {
    fn place(&self) -> Place<'_> {
        let (home, offset) = (Home::Arena(self.arena()), self.block().offset());
        Place { home, offset, len_bytes: self.size_bytes() as u64, layout: None }
    }
}

impl<T: Pod> Written for Array<T> {
    fn is_warm(&self) -> bool {
        self.block().is_warm()
    }

    fn mark_written(&mut self) {
        self.block_mut().mark_written();
    }
}

impl<T: Pod> Source for Input<T> {
    type Item = T;

    fn shape(&self) -> &[usize] {
        self.shape()
    }
}

impl<T: Pod> Lies for Input<T> {
    fn place(&self) -> Place<'_> {
        self.part().place()
    }
}

impl<T: Pod> Source for FileArray<T> {
    type Item = T;

    fn shape(&self) -> &[usize] {
        self.shape()
    }
}

impl<T: Pod> Target for FileArray<T> {}

impl<T: Pod> Lies for FileArray<T> {
    fn place(&self) -> Place<'_> {
        self.part().place()
    }
}

impl<T: Pod> Written for FileArray<T> {
    fn is_warm(&self) -> bool {
        true // the page cache makes its own
    }

    fn mark_written(&mut self) {}
}

impl<T: Pod> Source for NamedArray<T> {
    type Item = T;

    fn shape(&self) -> &[usize] {
        self.shape()
    }
}

impl<T: Pod> Target for NamedArray<T> {}

impl<T: Pod> Lies for NamedArray<T> {
    fn place(&self) -> Place<'_> {
        self.part().place()
    }
}

impl<T: Pod> Written for NamedArray<T> {
    fn is_warm(&self) -> bool {
        true // reserved when it was made
    }

    fn mark_written(&mut self) {}
}

macro_rules! contiguous {
    ($($array:ident),*) => {$(
        impl<T: Pod> Contiguous for $array<T> {
            fn elements(&self) -> &[T] {
                self.as_slice()
            }
        }
    )*};
}

contiguous!(Array, Input, FileArray, NamedArray);

impl<T: Pod> ContiguousMut for Array<T> {
    fn elements_mut(&mut self) -> Option<&mut [T]> {
        Some(self.as_mut_slice())
    }
}

impl<T: Pod> ContiguousMut for FileArray<T> {
    fn elements_mut(&mut self) -> Option<&mut [T]> {
        self.as_mut_slice()
    }
}

impl<T: Pod> ContiguousMut for NamedArray<T> {
    fn elements_mut(&mut self) -> Option<&mut [T]> {
        self.as_mut_slice()
    }
}

/// An array in a smart pointer is read as the array itself.
macro_rules! pass_on {
    ($($pointer:ty),*) => {$(
        impl<S: Source> Source for $pointer {
            type Item = S::Item;

            fn shape(&self) -> &[usize] {
                (**self).shape()
            }
        }

        impl<S: Contiguous> Contiguous for $pointer {
            fn elements(&self) -> &[S::Item] {
                (**self).elements()
            }
        }

        impl<S: Lies> Lies for $pointer {
            const STRIDED: bool = S::STRIDED;

            fn place(&self) -> Place<'_> {
                (**self).place()
            }
        }
    )*};
}

pass_on!(&S, Arc<S>, Rc<S>, Box<S>);
