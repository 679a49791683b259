//! Arrays that workers can read and not write.
#![allow(unsafe_code)] // fills memory that nobody else has yet

use std::any::type_name;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;

use super::part::Part;
use super::shape::Shape;
use crate::arena::Arena;
use crate::error::{ErrorKind, Result};
use crate::segment::Share;

/// An array that workers can read and nobody but this process can ever write: the kernel refuses it.
///
/// Whatever a kernel does through wild pointers, an input keeps its values: a stray store into it is a SIGSEGV, and
/// the error of the job names the array. It can be used by every pool of this process. Its memory is given back when
/// it is dropped, even while a worker is busy or stopped. Small ones share a segment and go together, at 4 MiB. A
/// forked child that has not called exec must not read it once its parent has dropped it: that is a SIGBUS.
///
/// Derefs to a slice of all elements in row-major order.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let weights = pool.input_from(&[0.25_f32, 0.5, 0.25])?;
/// let doubled = pool.map(&weights, |w| 2.0 * w)?;
/// assert_eq!((weights[1], doubled[1]), (0.5, 1.0));
/// # Ok::<(), shmpool::Error>(())
/// ```
pub struct Input<T: Pod> {
    part: Part<T>,
}

/// Inputs up to this size lie together in one segment.
const SMALL_BYTES: usize = 64 << 10;
/// How large such a segment is.
const PACK_BYTES: usize = 4 << 20;

/// The segment that small inputs are put into now. It lives as long as one of them does.
static PACK: Mutex<Pack> = Mutex::new(Pack { share: Weak::new(), used_bytes: 0, owner: 0 });

struct Pack {
    share: Weak<Share>,
    used_bytes: usize,
    /// The process that made it: a forked child must not write into its parent's.
    owner: u32,
}

impl Arena {
    /// A copy of a slice that workers can only read, in one dimension.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if there is no room for it.
    pub fn input_from<T: Pod>(&self, elements: &[T]) -> Result<Input<T>> {
        self.input_from_shape(elements.len(), elements)
    }

    /// A copy of a slice that workers can only read, its elements in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if the slice has more or fewer elements than the shape; [`ErrorKind::SizeOverflow`],
    /// [`ErrorKind::TooLarge`].
    pub fn input_from_shape<T: Pod>(&self, shape: impl Into<Shape>, elements: &[T]) -> Result<Input<T>> {
        let shape = shape.into();
        let wanted = shape.n_elements()?;
        if elements.len() != wanted {
            let (what, found) = ("number of elements", vec![elements.len()]);
            return Err(ErrorKind::Shape { what, found, wanted: vec![wanted] }.into());
        }
        self.input_fill(shape, |place| place.copy_from_slice(elements))
    }

    /// An array that workers can only read, filled in place by a closure that finds zeros: for decoders and readers,
    /// which then need no second buffer.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`], [`ErrorKind::TooLarge`].
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let squares = arena.input_fill(4, |xs: &mut [u32]| (0..).zip(xs).for_each(|(i, x)| *x = i * i))?;
    /// assert_eq!(squares[..], [0, 1, 4, 9]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn input_fill<T: Pod>(
        &self,
        shape: impl Into<Shape>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Input<T>> {
        self.check_owner()?;
        let shape = shape.into();
        let (len, len_bytes) = (shape.n_elements()?, shape.size_bytes(size_of::<T>())?);
        let name = format!("input of {} {shape}", type_name::<T>());
        let (share, offset) = match len_bytes {
            0 => (None, 0),
            1..=SMALL_BYTES => {
                let (share, offset) = small(self, len_bytes)?;
                (Some(share), offset)
            }
            _ => (Some(create(self, name, len_bytes)?), 0),
        };
        let mut part = Part::new(share, offset, shape, len).expect("made large enough");
        // SAFETY: memory that was just made, or reserved in a pack of this process: nobody else has its place, and
        // workers learn of it from a job that borrows the input.
        fill(unsafe { part.as_mut_slice() });
        Ok(Input { part })
    }
}

/// A share of its own, if the system has room for it.
fn create(arena: &Arena, name: String, len_bytes: usize) -> Result<Arc<Share>> {
    arena.check_headroom(&name, len_bytes)?;
    Share::create(name, len_bytes)
}

/// A place for `len_bytes` in the current pack, or in a new one.
fn small(arena: &Arena, len_bytes: usize) -> Result<(Arc<Share>, usize)> {
    let mut pack = PACK.lock().unwrap_or_else(PoisonError::into_inner);
    let offset = pack.used_bytes.next_multiple_of(64);
    let current = pack.share.upgrade().filter(|_| pack.owner == std::process::id());
    let (share, offset) = match current {
        Some(share) if offset + len_bytes <= PACK_BYTES => (share, offset),
        _ => (create(arena, "small inputs".to_owned(), PACK_BYTES)?, 0),
    };
    *pack = Pack { share: Arc::downgrade(&share), used_bytes: offset + len_bytes, owner: std::process::id() };
    Ok((share, offset))
}

impl<T: Pod> Input<T> {
    /// Its lengths, one to four.
    pub fn shape(&self) -> &[usize] {
        self.part.shape()
    }

    /// The number of its elements.
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in row-major order.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self.part.as_slice()
    }

    pub(crate) fn part(&self) -> &Part<T> {
        &self.part
    }
}

impl<T: Pod> Deref for Input<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("shape", self.part.shape()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inputs_share_a_segment_and_large_ones_do_not() {
        let arena = Arena::builder().capacity(1 << 20).create().unwrap();
        let a = arena.input_from(&[1_u8; 100]).unwrap();
        let b = arena.input_from(&[2_u64; 100]).unwrap();
        let c = arena.input_from(&[3_u8; SMALL_BYTES + 1]).unwrap();
        let id = |share: Option<&Share>| share.unwrap().id();
        assert_eq!(id(a.part.share()), id(b.part.share()));
        assert_ne!(id(a.part.share()), id(c.part.share()));
        assert!(a.iter().all(|&x| x == 1) && b.iter().all(|&x| x == 2) && c.iter().all(|&x| x == 3));
    }

    #[test]
    fn nothing_is_an_input_too_and_too_much_is_an_error() {
        let arena = Arena::new().unwrap();
        assert!(arena.input_from::<f64>(&[]).unwrap().is_empty());
        assert_eq!(arena.input_from_shape([0, 3], &[0_u8; 0]).unwrap().shape(), [0, 3]);
        let error = arena.input_from_shape([2, 2], &[1_u8; 3]).unwrap_err();
        assert_eq!(error.to_string(), "number of elements: found [3], wanted [4]");
        let error = arena.input_fill(1 << 50, |_: &mut [u8]| ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    }
}
