//! Arrays in files, mapped in place.
#![allow(unsafe_code)] // constructors with a contract, and slices over a mapping

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytemuck::Pod;

use super::npy::{self, HEADER_BYTES_MAX, NpyElement};
use super::part::Part;
use super::shape::Shape;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Claim, Share, Use, check_file_size};

/// An array in a file on disk, mapped in place: no byte of it is read before a kernel asks for it, so it can be larger
/// than memory. Workers map the file themselves while they use it, and let go of it when they are idle: until then the disk
/// keeps the blocks of a file that was removed.
///
/// Derefs to a slice of all elements in row-major order.
///
/// # The contract of the constructors
/// They are `unsafe`, since a file belongs to everybody who can open it. While the array lives,
/// * nobody truncates the file: a touch beyond its end is a SIGBUS, which kills a worker (the job's error then names
///   the array) or, if the program itself looks there, the program. So is a write to a hole of a file that was opened to be
///   written when the disk is full; files that are created here have none;
/// * no other process writes the part that holds the array, and nothing else in this one: a `&[T]` would change. Two
///   arrays of one file in one process are seen to: [`ErrorKind::Busy`], unless both are read.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// # let folder = std::env::temp_dir().join(format!("shmpool-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// use shmpool::FileArray;
///
/// let path = folder.join("ramp.npy");
/// // SAFETY: nobody else knows the file.
/// let mut ramp = unsafe { FileArray::<f32>::create_npy(&path, [2, 3])? };
/// pool.map_into(&pool.array_with([2, 3], |[y, x]| (3 * y + x) as f32)?, &mut ramp, |x| x / 2.0)?;
/// ramp.flush()?;
/// drop(ramp); // or else the next line would say that the file is being written
/// // SAFETY: as above.
/// let again = unsafe { FileArray::<f32>::open_npy(&path)? };
/// assert_eq!(again[..], [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
/// let error = unsafe { FileArray::<f64>::open_npy(&path).unwrap_err() };
/// assert!(error.to_string().ends_with("ramp.npy: holds <f4, wanted <f8: open it as what it holds, or save a.astype(\"<f8\")"));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), shmpool::Error>(())
/// ```
pub struct FileArray<T: Pod> {
    part: Part<T>,
    how: Use,
}

impl<T: NpyElement> FileArray<T> {
    /// A `.npy` file, to be read.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Npy`] if it is none, or holds something else; [`ErrorKind::Shape`] in bytes if it ends before its
    /// last element; [`ErrorKind::Busy`] if this process has the file in another array, and one is written;
    /// [`ErrorKind::Os`].
    #[track_caller]
    pub unsafe fn open_npy(path: impl AsRef<Path>) -> Result<FileArray<T>> {
        let path = path.as_ref();
        open_npy(path, open(path, Use::Read)?, Use::Read)
    }

    /// A `.npy` file, to be read and written in place.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// As for [`open_npy`](FileArray::open_npy).
    #[track_caller]
    pub unsafe fn open_npy_mut(path: impl AsRef<Path>) -> Result<FileArray<T>> {
        let path = path.as_ref();
        open_npy(path, open(path, Use::Write)?, Use::Write)
    }

    /// A new `.npy` file of zeros, in place of what was there; its place on the disk is reserved.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the file cannot be made, or the disk has no room for it; [`ErrorKind::TooLarge`] beyond
    /// `RLIMIT_FSIZE`; [`ErrorKind::SizeOverflow`]; [`ErrorKind::Busy`] if it is there, and an array of this process.
    #[track_caller]
    pub unsafe fn create_npy(path: impl AsRef<Path>, shape: impl Into<Shape>) -> Result<FileArray<T>> {
        let (path, shape) = (path.as_ref(), shape.into());
        let fail = |error: io::Error| Error::os(format!("create {}", path.display()), error);
        // Before what is there is lost.
        npy_size::<T>(path, &shape)?;
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(&fail)?;
        // From here on, so that no array of this process is mapped there when it loses its bytes.
        let claim = Claim::of(&file, 0..usize::MAX, Use::Write, &path.display().to_string())?;
        file.set_len(0).map_err(fail)?;
        write_npy(path, file, shape, claim)
    }

    /// As [`create_npy`](FileArray::create_npy), into an empty file that is open for reading and writing, perhaps
    /// without a name yet; `path` is for messages.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// As for [`create_npy`](FileArray::create_npy).
    #[track_caller]
    pub unsafe fn npy_into(path: &Path, file: File, shape: impl Into<Shape>) -> Result<FileArray<T>> {
        let claim = Claim::of(&file, 0..usize::MAX, Use::Write, &path.display().to_string())?;
        write_npy(path, file, shape.into(), claim)
    }
}

impl<T: Pod> FileArray<T> {
    /// Elements in this machine's byte order, from byte `offset` of a file on, to be read.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] in bytes if the file ends before the last element; [`ErrorKind::Option`] if `offset` is
    /// no multiple of the elements' alignment; [`ErrorKind::Busy`] if this process has this part of the file in another
    /// array, and one is written; [`ErrorKind::SizeOverflow`], [`ErrorKind::Os`].
    #[track_caller]
    pub unsafe fn open_raw(
        path: impl AsRef<Path>,
        offset: usize,
        shape: impl Into<Shape>,
    ) -> Result<FileArray<T>> {
        let path = path.as_ref();
        map(path, open(path, Use::Read)?, offset, shape.into(), Use::Read)
    }

    /// As [`open_raw`](FileArray::open_raw), to be read and written in place.
    ///
    /// # Safety
    /// See [the contract](FileArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// As for [`open_raw`](FileArray::open_raw).
    #[track_caller]
    pub unsafe fn open_raw_mut(
        path: impl AsRef<Path>,
        offset: usize,
        shape: impl Into<Shape>,
    ) -> Result<FileArray<T>> {
        let path = path.as_ref();
        map(path, open(path, Use::Write)?, offset, shape.into(), Use::Write)
    }

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

    /// Whether it was opened to be written.
    pub fn is_writable(&self) -> bool {
        self.how == Use::Write
    }

    /// The elements in row-major order.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self.part.as_slice()
    }

    /// The elements in row-major order; `None` if it was opened to be read.
    pub fn as_mut_slice(&mut self) -> Option<&mut [T]> {
        if !self.is_writable() {
            return None;
        }
        // SAFETY: writable; nobody else has the file's part, as whoever opened it has promised; and `&mut self` is the
        // only way to it through this array.
        Some(unsafe { self.part.as_mut_slice() })
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the disk refuses.
    pub fn flush(&self) -> Result<()> {
        self.part.share().map_or(Ok(()), Share::flush)
    }

    pub(crate) fn part(&self) -> &Part<T> {
        &self.part
    }
}

/// Size of a `.npy` file, if it may have that.
fn npy_size<T: NpyElement>(path: &Path, shape: &Shape) -> Result<usize> {
    let size = end_of::<T>(shape, npy::format::<T>(shape).len())?;
    check_file_size(&path.display().to_string(), size)?;
    Ok(size)
}

/// Makes an empty file, which nobody else in this process has, a `.npy` file of zeros.
fn write_npy<T: NpyElement>(path: &Path, file: File, shape: Shape, claim: Claim) -> Result<FileArray<T>> {
    let header = npy::format::<T>(&shape);
    reserve(path, &file, npy_size::<T>(path, &shape)?)?;
    file.write_all_at(&header, 0).map_err(|error| Error::os(format!("write {}", path.display()), error))?;
    map_claimed(path, file, header.len(), shape, Use::Write, claim)
}

fn open(path: &Path, how: Use) -> Result<File> {
    let file = File::options().read(true).write(how == Use::Write).open(path);
    file.map_err(|error| Error::os(format!("open {}", path.display()), error))
}

#[track_caller]
fn open_npy<T: NpyElement>(path: &Path, mut file: File, how: Use) -> Result<FileArray<T>> {
    let mut beginning = Vec::new();
    let read = io::Read::by_ref(&mut file).take(HEADER_BYTES_MAX as u64).read_to_end(&mut beginning);
    read.map_err(|error| Error::os(format!("read {}", path.display()), error))?;
    let wrong = |error| Error::from(ErrorKind::Npy { path: path.to_owned(), error });
    let header = npy::parse(&beginning).map_err(wrong)?;
    let shape = npy::shape_of::<T>(&header).map_err(wrong)?;
    map(path, file, header.offset, shape, how)
}

/// Maps a file from its start to the last element.
#[track_caller]
fn map<T: Pod>(path: &Path, file: File, offset: usize, shape: Shape, how: Use) -> Result<FileArray<T>> {
    let end = end_of::<T>(&shape, offset)?;
    let claim = Claim::of(&file, offset..end, how, &path.display().to_string())?;
    map_claimed(path, file, offset, shape, how, claim)
}

fn map_claimed<T: Pod>(
    path: &Path,
    file: File,
    offset: usize,
    shape: Shape,
    how: Use,
    claim: Claim,
) -> Result<FileArray<T>> {
    if !offset.is_multiple_of(align_of::<T>()) {
        let why = "bytes into the file: the elements must lie on an edge of their type";
        return Err(ErrorKind::Option { option: "offset", value: offset.to_string(), why }.into());
    }
    let (len, end) = (shape.n_elements()?, end_of::<T>(&shape, offset)?);
    let size = file.metadata().map_err(|error| Error::os(format!("stat {}", path.display()), error))?.len();
    if (end as u64) > size {
        let (found, wanted) = (vec![size as usize], vec![end]);
        return Err(ErrorKind::Shape { what: "bytes of the file", found, wanted }.into());
    }
    let share = match len {
        0 => None, // nothing to map, and a mapping of no bytes is none
        _ => Some(Share::of_file(path.display().to_string(), file, end, how, claim)?),
    };
    let part = Part::new(share, offset, shape, len).expect("checked above");
    Ok(FileArray { part, how })
}

/// One past the last byte of elements that begin at `offset`.
pub(super) fn end_of<T: Pod>(shape: &Shape, offset: usize) -> Result<usize> {
    let end = shape.size_bytes(size_of::<T>())?.checked_add(offset);
    end.ok_or_else(|| ErrorKind::SizeOverflow { shape: shape.to_vec(), element_bytes: size_of::<T>() }.into())
}

/// Gives the file its size, and blocks on the disk: without them a full disk would be a SIGBUS in whoever writes.
pub(super) fn reserve(path: &Path, file: &File, len_bytes: usize) -> Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    check_file_size(&path.display().to_string(), len_bytes)?;
    let reserved = loop {
        match fallocate(file, FallocateFlags::empty(), 0, len_bytes as u64) {
            Err(Errno::INTR) => {}
            // A file system that cannot: its size at least.
            Err(Errno::OPNOTSUPP) => break file.set_len(len_bytes as u64),
            other => break other.map_err(io::Error::from),
        }
    };
    reserved.map_err(|error| Error::os(format!("reserve {len_bytes} bytes for {}", path.display()), error))
}

impl<T: Pod> Deref for FileArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> fmt::Debug for FileArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.part.share().map(Share::name);
        f.debug_struct("FileArray").field("file", &name).field("shape", self.part.shape()).finish()
    }
}
