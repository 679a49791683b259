//! Arrays: blocks of the arena with a type and a shape.
#![allow(unsafe_code)] // slices over a block's bytes

use std::any::type_name;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::ops::{
    Deref, DerefMut, Index, IndexMut, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};
use std::slice;

use bytemuck::Pod;

use super::shape::{Indices, Shape};
use crate::arena::{Arena, Block};
use crate::error::{Error, ErrorKind, Result};

/// An array in memory that worker processes share: one to four dimensions, row-major, contiguous, on a
/// 64-byte edge.
///
/// Derefs to a slice of all elements in order; `array[[y, x]]` is the element at an index. The bytes of `T`
/// mean the same in every process, which is what [`Pod`] says. The memory is freed when the array is dropped,
/// and an array may outlive the pool that made it.
///
/// # Trust
/// Workers can write the memory that arrays lie in. That `&[T]` does not change rests on honest workers: one
/// writes only what a running job lends it as an output, and a job holds that borrow until its last task has
/// ended. A kernel that writes through wild pointers (a bug in a C library, say) can spoil arrays, and
/// nothing else of the parent's.
///
/// ```
/// let arena = shmpool::Arena::new()?;
/// let mut image = arena.zeros::<u8>([2, 3])?;
/// image[[1, 2]] = 7;
/// assert_eq!(image.shape(), [2, 3]);
/// assert_eq!(image[..], [0, 0, 0, 0, 0, 7]);
/// # Ok::<(), shmpool::Error>(())
/// ```
///
/// Elements must have a size, and one that fits a 64-byte edge:
/// ```compile_fail,E0080
/// let nothing = shmpool::Arena::new().unwrap().zeros::<()>(3);
/// ```
pub struct Array<T: Pod> {
    block: Block,
    shape: Shape,
    len: usize,
    /// Not `PhantomData<T>`: a `Pod` value is bytes without pointers or interior mutability, which anybody
    /// may make anywhere, so arrays may cross threads whatever `T` says of itself.
    _elements: PhantomData<fn() -> T>,
}

/// Makes arrays; a pool has the same methods.
impl Arena {
    /// A copy of a slice, in one dimension.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if there is no room for it.
    pub fn array_from<T: Pod>(&self, elements: &[T]) -> Result<Array<T>> {
        self.array_from_shape(elements.len(), elements)
    }

    /// A copy of a slice, its elements in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if the slice has more or fewer elements than the shape,
    /// [`ErrorKind::SizeOverflow`], [`ErrorKind::TooLarge`].
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let table = arena.array_from_shape([2, 2], &[1, 2, 3, 4])?;
    /// assert_eq!(table[[1, 0]], 3);
    /// let error = arena.array_from_shape([2, 2], &[1, 2, 3]).unwrap_err();
    /// assert_eq!(error.to_string(), "number of elements: found [3], wanted [4]");
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn array_from_shape<T: Pod>(&self, shape: impl Into<Shape>, elements: &[T]) -> Result<Array<T>> {
        let shape = shape.into();
        check_len("number of elements", elements.len(), shape.n_elements()?)?;
        let mut array = self.for_filling(shape)?;
        array.copy_from_slice(elements);
        Ok(array)
    }

    /// Calls a closure with the index of each element, in row-major order: a `usize` for one length, `[y, x]`
    /// for two.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`], [`ErrorKind::TooLarge`].
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let ramp = arena.array_with(4, |i| i as f32 / 2.0)?;
    /// assert_eq!(ramp[..], [0.0, 0.5, 1.0, 1.5]);
    /// let table = arena.array_with([2, 3], |[y, x]| (10 * y + x) as u32)?;
    /// assert_eq!(table[..], [0, 1, 2, 10, 11, 12]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn array_with<T: Pod, S: Indices>(&self, shape: S, f: impl FnMut(S::Index) -> T) -> Result<Array<T>> {
        let mut array = self.for_filling(shape.into())?;
        shape.fill(0, &mut array, f);
        Ok(array)
    }

    /// An array of zero bytes. Pages that are fresh are zero already and stay untouched; only kept ones are
    /// cleared.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`], [`ErrorKind::TooLarge`].
    pub fn zeros<T: Pod>(&self, shape: impl Into<Shape>) -> Result<Array<T>> {
        let mut array = self.for_output(shape.into())?;
        let stale: Vec<_> = array.block.stale_parts().collect();
        for part in stale {
            array.as_bytes_mut()[part].fill(0);
        }
        Ok(array)
    }

    /// Reads all elements from a reader, straight into shared memory, in this machine's byte order. What the
    /// reader has beyond them stays in it.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] with the number of bytes if the reader ends before; [`ErrorKind::Os`] if it
    /// fails; [`ErrorKind::SizeOverflow`], [`ErrorKind::TooLarge`].
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let mut file: &[u8] = &[1, 0, 2, 0, 3];
    /// let xs = arena.array_from_reader::<u16>(2, &mut file)?;
    /// assert_eq!(xs[..], [1, 2].map(u16::from_le));
    /// let error = arena.array_from_reader::<u16>(2, &mut file).unwrap_err();
    /// assert_eq!(error.to_string(), "bytes read: found [1], wanted [4]");
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn array_from_reader<T: Pod>(
        &self,
        shape: impl Into<Shape>,
        reader: &mut (impl Read + ?Sized),
    ) -> Result<Array<T>> {
        let mut array = self.for_filling(shape.into())?;
        let n_read =
            read_full(reader, array.as_bytes_mut()).map_err(|error| Error::os("read an array", error))?;
        check_len("bytes read", n_read, array.size_bytes())?;
        Ok(array)
    }

    /// An array to be overwritten: its elements are what the last array there held, or zeros.
    ///
    /// That is sound to read, since every byte of the arena has a value (zero, or what was stored there) and
    /// every bit pattern is a `T`; it only means nothing.
    pub(crate) fn for_output<T: Pod>(&self, shape: Shape) -> Result<Array<T>> {
        const {
            assert!(size_of::<T>() > 0, "elements of an array must have a size");
            assert!(align_of::<T>() <= 64, "elements of an array must not need more than a 64-byte edge");
        }
        let block = self.allocate(shape.size_bytes(size_of::<T>())?, &Described::<T>(shape, PhantomData))?;
        Ok(Array { block, shape, len: shape.n_elements()?, _elements: PhantomData })
    }

    /// As [`for_output`](Arena::for_output), for this process to write all of it. The pages of an output come
    /// from the workers instead, each its own part.
    fn for_filling<T: Pod>(&self, shape: Shape) -> Result<Array<T>> {
        let array = self.for_output(shape)?;
        array.block.populate()?;
        Ok(array)
    }
}

/// `array of f32 [1080, 1920]`, for messages.
struct Described<T>(Shape, PhantomData<T>);

impl<T> fmt::Display for Described<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "array of {} {}", type_name::<T>(), self.0)
    }
}

fn check_len(what: &'static str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(ErrorKind::Shape { what, found: vec![found], wanted: vec![wanted] }.into())
}

/// Reads until the bytes are full or the reader ends; `read_exact` would not say how far it came.
fn read_full(reader: &mut (impl Read + ?Sized), bytes: &mut [u8]) -> io::Result<usize> {
    let mut n_read = 0;
    while n_read < bytes.len() {
        match reader.read(&mut bytes[n_read..]) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

impl<T: Pod> Array<T> {
    /// Its lengths, one to four.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of its dimensions.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The number of its elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size of all elements in bytes.
    pub fn size_bytes(&self) -> usize {
        self.block.len_bytes()
    }

    /// Where it lies: for another pool that is to work on it.
    pub fn arena(&self) -> &Arena {
        self.block.arena()
    }

    /// The elements in row-major order.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: the block has `len` elements' bytes (`for_output` asked for them), in the mapping and
        // nobody else's [B1]; it lives as long as `self` [B2] and begins on a 64-byte edge, enough for `T`
        // (`for_output` asserts it). Its bytes are initialised: zero pages, or what was stored. `T: Pod` is
        // valid for every bit pattern. `&self` keeps this process from writing; an honest worker writes only
        // what a running job borrows mutably.
        unsafe { slice::from_raw_parts(self.block.first().as_ptr().cast(), self.len) }
    }

    /// The elements in row-major order.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`; and `&mut self` is the only way to these bytes in this process, while an
        // honest worker touches only what a running job borrows.
        unsafe { slice::from_raw_parts_mut(self.block.first().as_ptr().cast(), self.len) }
    }

    /// The bytes of all elements, in this machine's byte order.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::must_cast_slice(self.as_slice())
    }

    /// The bytes of all elements, to be filled in place: by a decoder, or through a
    /// [`Cursor`](std::io::Cursor) by whatever wants to write.
    ///
    /// ```
    /// use std::io::{Cursor, Write};
    ///
    /// let arena = shmpool::Arena::new()?;
    /// let mut text = arena.zeros::<u8>(8)?;
    /// write!(Cursor::new(text.as_bytes_mut()), "{}-{}", 12, 34).expect("5 bytes fit into 8");
    /// assert_eq!(&text[..], b"12-34\0\0\0");
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self.as_mut_slice())
    }

    /// The same elements in the same order, in another shape.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if that has more or fewer elements; the array is lost then.
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// let pairs = arena.array_with(6, |i| i as u8)?.reshape([3, 2])?;
    /// assert_eq!(pairs[[2, 1]], 5);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Array<T>> {
        let shape = shape.into();
        if shape.n_elements()? != self.len {
            let (found, wanted) = (self.shape.to_vec(), shape.to_vec());
            return Err(ErrorKind::Shape { what: "reshape", found, wanted }.into());
        }
        Ok(Array { shape, ..self })
    }

    /// The same bytes as elements of another type, in another shape: samples as pixels and back.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] in bytes if that has more or fewer of them; the array is lost then.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Over;
    ///
    /// let image = |pixel: [u8; 4]| pool.array_with([2, 3, 4], |[_, _, channel]| pixel[channel]);
    /// let (below, above) = (image([0, 0, 255, 255])?, image([255, 0, 0, 128])?);
    /// let (below, above) = (below.cast::<[u8; 4]>([2, 3])?, above.cast::<[u8; 4]>([2, 3])?);
    /// let over = pool.zip_with((&below, &above), &Over)?.cast::<u8>([2, 3, 4])?;
    /// assert_eq!(over[..4], [128, 0, 127, 255]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn cast<U: Pod>(self, shape: impl Into<Shape>) -> Result<Array<U>> {
        const {
            assert!(size_of::<U>() > 0, "elements of an array must have a size");
            assert!(align_of::<U>() <= 64, "elements of an array must not need more than a 64-byte edge");
        }
        let shape = shape.into();
        check_len("bytes of the array", self.size_bytes(), shape.size_bytes(size_of::<U>())?)?;
        Ok(Array { block: self.block, shape, len: shape.n_elements()?, _elements: PhantomData })
    }

    /// What is at an index: one element by `[y, x]` or by its place in row-major order, or a slice by a range
    /// of places. `None` if any of it lies outside, or the number of dimensions is another.
    pub fn get<I: ArrayIndex<T>>(&self, index: I) -> Option<&I::Output> {
        index.get(self)
    }

    /// As [`get`](Array::get), to be written.
    pub fn get_mut<I: ArrayIndex<T>>(&mut self, index: I) -> Option<&mut I::Output> {
        index.get_mut(self)
    }

    /// Its bytes' place in the arena.
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }

    pub(crate) fn block_mut(&mut self) -> &mut Block {
        &mut self.block
    }
}

impl<T: Pod> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> DerefMut for Array<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

/// What can stand in the brackets of an [`Array`]: `[usize; N]` with as many numbers as dimensions, or what a
/// slice takes.
pub trait ArrayIndex<T: Pod>: sealed::Sealed {
    /// What is there.
    type Output: ?Sized;

    #[doc(hidden)]
    fn get(self, array: &Array<T>) -> Option<&Self::Output>;
    #[doc(hidden)]
    fn get_mut(self, array: &mut Array<T>) -> Option<&mut Self::Output>;
    #[doc(hidden)]
    fn index(self, array: &Array<T>) -> &Self::Output;
    #[doc(hidden)]
    fn index_mut(self, array: &mut Array<T>) -> &mut Self::Output;
}

mod sealed {
    pub trait Sealed {}
}

impl<const N: usize> sealed::Sealed for [usize; N] {}

impl<T: Pod, const N: usize> ArrayIndex<T> for [usize; N] {
    type Output = T;

    #[inline]
    fn get(self, array: &Array<T>) -> Option<&T> {
        array.as_slice().get(array.shape.position(self)?)
    }

    #[inline]
    fn get_mut(self, array: &mut Array<T>) -> Option<&mut T> {
        let position = array.shape.position(self)?;
        array.as_mut_slice().get_mut(position)
    }

    #[inline]
    #[track_caller]
    fn index(self, array: &Array<T>) -> &T {
        self.get(array).unwrap_or_else(|| outside(&self, array.shape))
    }

    #[inline]
    #[track_caller]
    fn index_mut(self, array: &mut Array<T>) -> &mut T {
        let shape = array.shape;
        self.get_mut(array).unwrap_or_else(|| outside(&self, shape))
    }
}

#[cold]
#[track_caller]
fn outside(index: &[usize], shape: Shape) -> ! {
    panic!("index {index:?} lies outside the array's shape {shape}")
}

/// `Index` on the array hides that of the slice behind it, so these are passed on.
macro_rules! pass_on_to_the_slice {
    ($($index:ty),*) => {$(
        impl sealed::Sealed for $index {}

        impl<T: Pod> ArrayIndex<T> for $index {
            type Output = <[T] as Index<$index>>::Output;

            #[inline]
            fn get(self, array: &Array<T>) -> Option<&Self::Output> {
                array.as_slice().get(self)
            }

            #[inline]
            fn get_mut(self, array: &mut Array<T>) -> Option<&mut Self::Output> {
                array.as_mut_slice().get_mut(self)
            }

            #[inline]
            #[track_caller]
            fn index(self, array: &Array<T>) -> &Self::Output {
                &array.as_slice()[self]
            }

            #[inline]
            #[track_caller]
            fn index_mut(self, array: &mut Array<T>) -> &mut Self::Output {
                &mut array.as_mut_slice()[self]
            }
        }
    )*};
}

pass_on_to_the_slice!(
    usize,
    Range<usize>,
    RangeFrom<usize>,
    RangeFull,
    RangeInclusive<usize>,
    RangeTo<usize>,
    RangeToInclusive<usize>
);

impl<T: Pod, I: ArrayIndex<T>> Index<I> for Array<T> {
    type Output = I::Output;

    #[inline]
    #[track_caller]
    fn index(&self, index: I) -> &I::Output {
        index.index(self)
    }
}

impl<T: Pod, I: ArrayIndex<T>> IndexMut<I> for Array<T> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: I) -> &mut I::Output {
        index.index_mut(self)
    }
}

impl<'a, T: Pod> IntoIterator for &'a Array<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

impl<'a, T: Pod> IntoIterator for &'a mut Array<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_mut_slice().iter_mut()
    }
}

/// Type, shape and the first few elements.
impl<T: Pod + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "Array<{}>{} ", type_name::<T>(), self.shape)?;
        let mut list = f.debug_list();
        list.entries(self.iter().take(SHOWN));
        if self.len > SHOWN { list.finish_non_exhaustive() } else { list.finish() }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn arena() -> Arena {
        Arena::builder().capacity(16 << 20).create().unwrap()
    }

    fn panic_message(f: impl FnOnce()) -> String {
        *catch_unwind(AssertUnwindSafe(f)).unwrap_err().downcast().unwrap()
    }

    #[test]
    fn arrays_of_one_to_four_dimensions_are_row_major() {
        let arena = arena();
        assert_eq!(arena.array_with(5, |i| i).unwrap()[..], [0, 1, 2, 3, 4]);
        assert_eq!(arena.array_with([2, 2], |[y, x]| 10 * y + x).unwrap()[..], [0, 1, 10, 11]);
        let cube = arena.array_with([2, 3, 4], |[z, y, x]| (100 * z + 10 * y + x) as u16).unwrap();
        assert_eq!((cube[[1, 2, 3]], cube[23], cube.ndim(), cube.len()), (123, 123, 3, 24));
        let four = arena.array_with([2, 1, 2, 2], |[a, b, c, d]| (8 * a + 4 * b + 2 * c + d) as u8).unwrap();
        assert_eq!(four[..], [0, 1, 2, 3, 8, 9, 10, 11]);
    }

    #[test]
    fn every_array_begins_on_a_cache_line() {
        let arena = arena();
        let arrays: Vec<_> = (0..50).map(|n| arena.zeros::<u8>(n * n).unwrap()).collect();
        for array in &arrays {
            assert!((array.as_ptr() as usize).is_multiple_of(64));
            assert!(array.block().offset().is_multiple_of(64));
        }
        assert!((arena.zeros::<u128>(3).unwrap().as_ptr() as usize).is_multiple_of(64));
    }

    #[test]
    fn zeros_are_zeros_after_reuse() {
        let arena = arena();
        for len in [10, 5000, 70_000, 3 << 20] {
            arena.zeros::<u8>(len).unwrap().fill(0xff);
            let again = arena.zeros::<u8>(len + 999).unwrap();
            assert!(again.iter().all(|&byte| byte == 0), "{len}");
        }
        // Outputs are not cleared: that is what makes them cheap, and what the test above needs to mean
        // anything.
        arena.trim();
        arena.zeros::<u8>(100).unwrap().fill(7);
        assert_eq!(arena.for_output::<u8>(Shape::from(100)).unwrap()[..], [7; 100]);
    }

    #[test]
    fn zeros_touch_no_fresh_page() {
        let arena = arena();
        let zeros = arena.zeros::<f64>(1 << 20).unwrap();
        assert_eq!((zeros.size_bytes(), arena.stats().unwrap().resident_bytes), (8 << 20, 0));
    }

    #[test]
    fn arrays_of_no_elements_work() {
        let arena = arena();
        for shape in [Shape::from(0), Shape::from([0, 5]), Shape::from([5, 0, usize::MAX])] {
            let mut array = arena.zeros::<f32>(shape).unwrap();
            assert_eq!((array.len(), array.is_empty(), array.shape()), (0, true, &shape[..]));
            array.fill(1.0);
            assert_eq!((array.as_bytes(), array.get([0]), array.get(0)), (&[][..], None, None));
        }
        assert!(arena.array_from::<u8>(&[]).unwrap().as_slice().is_empty());
        assert_eq!(arena.array_from_reader::<u8>(0, &mut &b"x"[..]).unwrap().len(), 0);
        assert_eq!(arena.array_with([3, 0], |_| 1u8).unwrap().len(), 0);
    }

    #[test]
    fn sizes_that_overflow_or_exceed_the_arena_are_errors() {
        let arena = arena();
        let error = arena.zeros::<f64>([1 << 40, 1 << 40]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SizeOverflow { element_bytes: 8, .. }), "{error}");
        let error = arena.zeros::<f64>(usize::MAX / 8).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("array of f64 [2305843009213693951] needs 18446744073709551608 bytes"),
            "{message}"
        );
    }

    #[test]
    fn an_index_outside_is_none_or_a_panic_that_says_so() {
        let mut array = arena().zeros::<u8>([2, 3]).unwrap();
        assert_eq!(array.get([1, 2]), Some(&0));
        assert_eq!(
            (array.get([2, 0]), array.get([0, 3]), array.get([0]), array.get(6)),
            (None, None, None, None)
        );
        *array.get_mut([1, 1]).unwrap() = 4;
        array[[0, 1]] = 3;
        array[5] = 5;
        assert_eq!((&array[1..], array.get(7..)), (&[3, 0, 0, 4, 5][..], None));
        assert_eq!(array.get_mut([0, 0, 0]), None);
        let message = panic_message(|| array[[2, 1]] = 1);
        assert_eq!(message, "index [2, 1] lies outside the array's shape [2, 3]");
        let message = panic_message(|| assert_eq!(array[[1]], 0));
        assert_eq!(message, "index [1] lies outside the array's shape [2, 3]");
        let message = panic_message(|| assert_eq!(array[6], 0));
        assert_eq!(message, "index out of bounds: the len is 6 but the index is 6");
    }

    #[test]
    fn reshaping_keeps_elements_and_counts_them() {
        let array = arena().array_with(6, |i| i as i32).unwrap();
        let first = array.as_ptr();
        let array = array.reshape([1, 2, 3]).unwrap();
        assert_eq!((array.as_ptr(), array.shape(), array[[0, 1, 0]]), (first, &[1, 2, 3][..], 3));
        let error = array.reshape([4, 2]).unwrap_err();
        assert_eq!(error.to_string(), "reshape: found [1, 2, 3], wanted [4, 2]");
    }

    #[test]
    fn a_reader_is_read_to_the_last_element_and_no_further() {
        /// Gives one byte at a time, and is interrupted before each.
        struct Slow<'a>(&'a [u8], bool);
        impl Read for Slow<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut bytes[..1]) }
            }
        }
        let (arena, bytes) = (arena(), [1, 2, 3, 4, 5, 6, 7]);
        let mut reader = Slow(&bytes, false);
        let array = arena.array_from_reader::<[u8; 2]>([3, 1], &mut reader).unwrap();
        assert_eq!((&array[..], reader.0), (&[[1, 2], [3, 4], [5, 6]][..], &[7][..]));
        let error = arena.array_from_reader::<u32>(2, &mut Slow(&bytes, false)).unwrap_err();
        assert_eq!(error.to_string(), "bytes read: found [7], wanted [8]");
        assert_eq!(arena.stats().unwrap().allocated_bytes, 64, "the failed one is freed");
    }

    #[test]
    fn a_reader_that_fails_is_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let error = arena().array_from_reader::<u8>(1, &mut Broken).unwrap_err();
        assert_eq!(error.to_string(), "read an array: broken");
    }

    #[test]
    fn debug_shows_type_shape_and_the_first_few() {
        let arena = arena();
        let few = arena.array_from(&[1.5f32, 2.0]).unwrap();
        assert_eq!(format!("{few:?}"), "Array<f32>[2] [1.5, 2.0]");
        let many = arena.array_with([3, 3], |[y, x]| (y + x) as u8).unwrap();
        assert_eq!(format!("{many:?}"), "Array<u8>[3, 3] [0, 1, 2, 1, 2, 3, 2, 3, ..]");
    }

    #[test]
    fn an_array_keeps_its_memory_alive_and_goes_to_other_threads() {
        let mut array = arena().array_from(&[1, 2, 3]).unwrap();
        let sum = std::thread::spawn(move || {
            array[0] = 10;
            array.into_iter().sum::<i32>()
        });
        assert_eq!(sum.join().unwrap(), 15);
    }
}
