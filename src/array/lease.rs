//! Leases on arrays, checked when the program runs: for arrays that several parts of a program use in turn.
//!
//! Verbs borrow arrays, and the compiler checks that. What outlives a call owns its arrays instead; and where several such
//! owners want one array, each takes a lease on its [`Handle`]: any number to read, or one to write. Who comes in the way
//! is told so at once ([`ErrorKind::Busy`]), with the places of both in the program, rather than made to wait: two jobs
//! that wait for each other's arrays would wait for ever.
//!
//! A lease to write takes the array out of its handle, and one to read shares it, so there is no way to what somebody else
//! writes; a lease that is forgotten makes its array busy for good, and nothing worse.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::source::{Contiguous, ContiguousMut, Lies, Place, Source, Target, Written};
use crate::error::{Access, Error, ErrorKind, Result};

/// An array that several parts of a program use, each with a lease of its own. Clones are the same array.
///
/// Leases own their share of it, so that they can go into [background jobs](crate::Pool::background) and other threads; they
/// are [`Source`]s, and those to write are [`Target`]s.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// use shmpool::{ErrorKind, Handle};
///
/// let (image, out) = (Handle::new(pool.zeros::<f32>(4)?), Handle::new(pool.zeros::<f32>(4)?));
/// let (from, mut to) = (image.read()?, out.write()?);
/// let job = pool.background(move |call| call.map_into(&from, &mut to, |x| x + 1.0))?;
/// if let Err(error) = out.read() {
///     // `array of f32 [4] is being written since src/main.rs:6:44, and cannot be read at src/main.rs:8:27`
///     assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
/// }
/// job.wait()?;
/// assert_eq!(out.read()?[..], [1.0; 4]);
/// # Ok::<(), shmpool::Error>(())
/// ```
pub struct Handle<A> {
    cell: Arc<Cell<A>>,
}

struct Cell<A> {
    state: Mutex<State<A>>,
}

/// Which leases there are.
enum State<A> {
    /// Where the leases to read were taken; none: it is free.
    Read(Arc<A>, Vec<&'static Location<'static>>),
    /// The writer has the array.
    Written { what: String, since: &'static Location<'static> },
}

/// The right to read an array, until it is dropped. Derefs to the array.
pub struct ReadLease<A> {
    /// Present until the lease is dropped.
    array: Option<Arc<A>>,
    cell: Arc<Cell<A>>,
    since: &'static Location<'static>,
}

/// The right to write an array, until it is dropped. Derefs to the array.
pub struct WriteLease<A: Source> {
    /// Present until the lease is dropped.
    array: Option<A>,
    cell: Arc<Cell<A>>,
}

impl<A: Source> Handle<A> {
    /// A handle of an array of any kind.
    pub fn new(array: A) -> Self {
        Handle { cell: Arc::new(Cell { state: Mutex::new(State::Read(Arc::new(array), Vec::new())) }) }
    }

    /// A lease to read.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while somebody has one to write.
    #[track_caller]
    pub fn read(&self) -> Result<ReadLease<A>> {
        let since = Location::caller();
        match &mut *self.cell.lock() {
            State::Read(array, readers) => {
                readers.push(since);
                Ok(ReadLease { array: Some(Arc::clone(array)), cell: Arc::clone(&self.cell), since })
            }
            State::Written { what, since: writer } => {
                Err(busy(what.clone(), Access::Write, writer, 0, Access::Read))
            }
        }
    }

    /// A lease to write.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while somebody has another lease.
    #[track_caller]
    pub fn write(&self) -> Result<WriteLease<A>> {
        let since = Location::caller();
        let mut state = self.cell.lock();
        let what = match &*state {
            State::Written { what, since } => {
                return Err(busy(what.clone(), Access::Write, since, 0, Access::Write));
            }
            State::Read(array, readers) => {
                let what = what(&**array);
                if let Some(first) = readers.first() {
                    return Err(busy(what, Access::Read, first, readers.len() - 1, Access::Write));
                }
                what
            }
        };
        let before = mem::replace(&mut *state, State::Written { what, since });
        let array = match before {
            State::Read(array, _) => Arc::into_inner(array),
            State::Written { .. } => None,
        };
        Ok(WriteLease {
            array: Some(array.expect("readers let go of it before they leave")),
            cell: Arc::clone(&self.cell),
        })
    }

    /// The array, if this is its only handle and nobody has a lease.
    ///
    /// # Errors
    /// The handle.
    pub fn into_inner(self) -> std::result::Result<A, Self> {
        // Leases hold the cell too.
        let cell = Arc::try_unwrap(self.cell).map_err(|cell| Handle { cell })?;
        match cell.state.into_inner().unwrap_or_else(PoisonError::into_inner) {
            State::Read(array, _) => Ok(Arc::into_inner(array).expect("no lease")),
            State::Written { .. } => unreachable!("a lease to write would hold the cell"),
        }
    }
}

/// `array of f32 [4]`, for messages.
fn what<A: Source>(array: &A) -> String {
    format!("array of {} {:?}", std::any::type_name::<A::Item>(), array.shape())
}

#[track_caller]
fn busy(
    what: String,
    held: Access,
    since: &'static Location<'static>,
    n_more: usize,
    wanted: Access,
) -> Error {
    ErrorKind::Busy { what, held, since, n_more, wanted, at: Location::caller() }.into()
}

impl<A> Cell<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Handle { cell: Arc::clone(&self.cell) }
    }
}

impl<A> Drop for ReadLease<A> {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        // Under the lock: who finds no readers is alone with the array.
        self.array = None;
        if let State::Read(_, readers) = &mut *state
            && let Some(ours) = readers.iter().position(|other| std::ptr::eq(*other, self.since))
        {
            readers.swap_remove(ours);
        }
    }
}

impl<A: Source> Drop for WriteLease<A> {
    fn drop(&mut self) {
        if let Some(array) = self.array.take() {
            *self.cell.lock() = State::Read(Arc::new(array), Vec::new());
        }
    }
}

impl<A> Deref for ReadLease<A> {
    type Target = A;

    fn deref(&self) -> &A {
        self.array.as_ref().expect("present until it is dropped")
    }
}

impl<A: Source> Deref for WriteLease<A> {
    type Target = A;

    fn deref(&self) -> &A {
        self.array.as_ref().expect("present until it is dropped")
    }
}

impl<A: Source> DerefMut for WriteLease<A> {
    fn deref_mut(&mut self) -> &mut A {
        self.array.as_mut().expect("present until it is dropped")
    }
}

macro_rules! read_as_the_array {
    ($lease:ident) => {
        impl<A: Source> Source for $lease<A> {
            type Item = A::Item;

            fn shape(&self) -> &[usize] {
                (**self).shape()
            }
        }

        impl<A: Contiguous> Contiguous for $lease<A> {
            fn elements(&self) -> &[A::Item] {
                (**self).elements()
            }
        }

        impl<A: Source> Lies for $lease<A> {
            const STRIDED: bool = A::STRIDED;

            fn place(&self) -> Place<'_> {
                (**self).place()
            }
        }

        impl<A: Source> fmt::Debug for $lease<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} of {}", stringify!($lease), what(&**self))
            }
        }
    };
}

read_as_the_array!(ReadLease);
read_as_the_array!(WriteLease);

impl<A: Target> Target for WriteLease<A> {}

impl<A: ContiguousMut> ContiguousMut for WriteLease<A> {
    fn elements_mut(&mut self) -> Option<&mut [A::Item]> {
        (**self).elements_mut()
    }
}

impl<A: Target> Written for WriteLease<A> {
    fn is_warm(&self) -> bool {
        (**self).is_warm()
    }

    fn mark_written(&mut self) {
        (**self).mark_written();
    }
}

impl<A: Source> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cell.lock() {
            State::Read(array, readers) => {
                write!(f, "Handle of {}, {} reading", what(&**array), readers.len())
            }
            State::Written { what, .. } => write!(f, "Handle of {what}, being written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arena;

    fn handle() -> Handle<crate::Array<u8>> {
        let arena = Arena::builder().capacity(1 << 20).create().unwrap();
        Handle::new(arena.array_from(&[1, 2, 3]).unwrap())
    }

    #[test]
    fn many_read_or_one_writes() {
        let handle = handle();
        let (a, b) = (handle.read().unwrap(), handle.clone().read().unwrap());
        assert_eq!((a[0], b[2]), (1, 3));
        let error = handle.write().unwrap_err().to_string();
        assert!(error.starts_with("array of u8 [3] is being read since src/array/lease.rs:"), "{error}");
        assert!(error.contains(" (and by 1 more), and cannot be written at src/array/lease.rs:"), "{error}");
        drop(a);
        handle.write().unwrap_err();
        drop(b);
        handle.write().unwrap()[0] = 9;
        assert_eq!(handle.read().unwrap()[..], [9, 2, 3]);
    }

    #[test]
    fn nobody_reads_or_writes_what_is_being_written() {
        let handle = handle();
        let writer = handle.write().unwrap();
        for error in [handle.read().unwrap_err(), handle.write().unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with("array of u8 [3] is being written since src/array/lease.rs:"), "{text}");
        }
        drop(writer);
        handle.read().unwrap();
    }

    #[test]
    fn the_only_handle_gives_the_array_back() {
        let handle = handle();
        drop(handle.clone().into_inner().unwrap_err());
        let lease = handle.read().unwrap();
        let handle = handle.into_inner().unwrap_err();
        drop(lease);
        assert_eq!(handle.into_inner().unwrap()[..], [1, 2, 3]);
    }

    #[test]
    fn a_forgotten_lease_keeps_its_array_busy_and_alive() {
        let handle = handle();
        std::mem::forget(handle.write().unwrap());
        handle.read().unwrap_err();
    }

    #[test]
    fn threads_that_write_in_turn_lose_nothing() {
        let handle = handle();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut n_left = 100;
                    while n_left > 0 {
                        if let Ok(mut array) = handle.write() {
                            array[0] = array[0].wrapping_add(1);
                            n_left -= 1;
                        } else {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        assert_eq!(handle.read().unwrap()[0], 1_u8.wrapping_add((400 % 256) as u8));
    }
}
