//! What verbs read and write: arrays of every kind.

use std::rc::Rc;
use std::sync::Arc;

use bytemuck::Pod;

use super::{Array, FileArray, Input, NamedArray};

/// Anything that a verb can read: an [`Array`], an [`Input`], a [`FileArray`], a [`NamedArray`]; also in an `Arc`, `Rc`
/// or `Box`. Another guard is to be dereferenced: `&*mutex.lock()…`.
pub trait Source: sealed::Lies {
    /// Its elements.
    type Item: Pod;

    /// Its lengths, one to four.
    fn shape(&self) -> &[usize];
}

/// Anything that a verb can write: an [`Array`], a writable [`FileArray`], a [`NamedArray`].
pub trait Target: Source + sealed::Written {}

pub(crate) use sealed::{Lies, Place, Written};

mod sealed {
    use crate::arena::Arena;
    use crate::segment::{Share, Use};

    /// Where the bytes of an array lie.
    #[derive(Clone, Copy)]
    pub struct Place<'a> {
        pub(crate) home: Home<'a>,
        /// Bytes from the beginning of its home.
        pub(crate) offset: u64,
        pub(crate) len_bytes: u64,
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
        Place { home, offset, len_bytes: self.size_bytes() as u64 }
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

/// An array in a smart pointer is read as the array itself.
macro_rules! pass_on {
    ($($pointer:ty),*) => {$(
        impl<S: Source> Source for $pointer {
            type Item = S::Item;

            fn shape(&self) -> &[usize] {
                (**self).shape()
            }
        }

        impl<S: Lies> Lies for $pointer {
            fn place(&self) -> Place<'_> {
                (**self).place()
            }
        }
    )*};
}

pass_on!(&S, Arc<S>, Rc<S>, Box<S>);
