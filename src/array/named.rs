//! Arrays that have a name: other programs open them by it, Python's `multiprocessing.shared_memory` among them.
#![allow(unsafe_code)] // constructors with a contract, and slices over a mapping

use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use shared_memory::ShmemConf;

use super::file::{end_of, reserve};
use super::npy::{self, Header, NpyElement};
use super::part::Part;
use super::shape::Shape;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Claim, Share, Use, check_file_size};

/// An array with a name, for programs that were started on their own: POSIX shared memory.
///
/// The elements come first, so that who knows type and shape needs nothing else
/// (`numpy.ndarray(shape, dtype, buffer=SharedMemory(name).buf)`); behind them lies a trailer that says both, which
/// [`open`](NamedArray::open) compares. It says last that the array is ready: a name that does not belongs to a program that is
/// about to fill it, or was killed meanwhile; one without a trailer to a program that is none of ours.
///
/// Dropping the array does not remove the name: that is what it is for. [`NamedArray::remove`] does, and
/// [`collect_garbage`](NamedArray::collect_garbage) removes those that nobody uses; who has it open keeps it.
///
/// Python before 3.13 removes a name when the process that merely opened it ends (its resource tracker takes it for its
/// own): there, `multiprocessing.resource_tracker.unregister(shm._name, "shared_memory")` after opening it.
///
/// # The contract of the constructors
/// They are `unsafe`, since every process of this user can open the name. While the array lives, nobody cuts it short,
/// and no other process writes an element while this one or a job uses it. Programs agree on that by means of their own.
/// What another library has made may have holes (Python's has where nobody has written yet): a read of one while
/// `/dev/shm` is full is a SIGBUS too.
/// Two arrays of one name in one process are seen to: [`ErrorKind::Busy`], unless both are read.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// # let name = format!("shmpool-doc-{}", std::process::id());
/// use shmpool::NamedArray;
///
/// // SAFETY: nobody else uses this name.
/// let scan = unsafe { NamedArray::create(&name, [2, 3], |xs: &mut [f32]| xs.fill(1.5))? };
/// drop(scan); // or else the next line would say that it is being written
/// // SAFETY: as above; in another program, perhaps.
/// let again = unsafe { NamedArray::<f32>::open(&name)? };
/// assert_eq!((again.shape(), again[5]), (&[2, 3][..], 1.5));
/// assert_eq!(pool.reduce(&again, 0.0, |sum, x| sum + x, |a, b| a + b)?, 9.0);
/// NamedArray::remove(&name)?;
/// # Ok::<(), shmpool::Error>(())
/// ```
pub struct NamedArray<T: Pod = u8> {
    part: Part<T>,
    name: String,
    how: Use,
}

/// A name that some program has made with [`NamedArray::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedInfo {
    /// The name.
    pub name: String,
    /// NumPy's word for the element type.
    pub descr: String,
    /// Lengths of the array.
    pub shape: Vec<usize>,
    /// Whether it can be opened: its program has filled it. One that is not ready and not open was left so, by a program that was
    /// killed meanwhile.
    pub is_ready: bool,
    /// Bytes of memory that it takes.
    pub size_bytes: u64,
    /// Processes that have it mapped, as far as this user may look into them.
    pub users: Vec<u32>,
    /// Whether somebody has it open, mapped or not (yet).
    pub is_open: bool,
}

/// What stands behind the elements, at the very end.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Trailer {
    magic: [u8; 8],
    version: u32,
    ndim: u32,
    shape: [u64; 4],
    /// NumPy's word for the type, filled up with zeros.
    descr: [u8; 8],
    len_bytes: u64,
}

const MAGIC: [u8; 8] = *b"shmpool\0";
/// Of an array that is not filled yet: should its program be killed, somebody has to know whose it was.
const MAGIC_NOT_READY: [u8; 8] = *b"shmpool?";
const VERSION: u32 = 1;
/// The trailer begins on such an edge.
const EDGE: usize = 64;

/// How long to wait for somebody who has a name locked to look at it.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Where Linux keeps POSIX shared memory.
const FOLDER: &str = "/dev/shm";

impl Trailer {
    fn is_ready(&self) -> bool {
        self.magic == MAGIC
    }

    fn write(&self, file: &File, at: usize) -> std::io::Result<()> {
        file.write_all_at(bytemuck::bytes_of(self), at as u64)
    }

    fn read(file: &File) -> Option<(Trailer, Header)> {
        let size = file.metadata().ok()?.len();
        let mut bytes = [0; size_of::<Trailer>()];
        let at = size.checked_sub(bytes.len() as u64)?;
        file.read_exact_at(&mut bytes, at).ok()?;
        let trailer: Trailer = bytemuck::pod_read_unaligned(&bytes);
        let ndim = trailer.ndim as usize;
        if ![MAGIC, MAGIC_NOT_READY].contains(&trailer.magic)
            || trailer.version != VERSION
            || !(1..=4).contains(&ndim)
        {
            return None;
        }
        let descr = trailer.descr.split(|&byte| byte == 0).next()?;
        let descr = std::str::from_utf8(descr).ok()?.to_owned();
        let shape = trailer.shape[..ndim].iter().map(|&len| len as usize).collect();
        Some((trailer, Header { descr, shape, offset: 0 }))
    }
}

impl<T: NpyElement> NamedArray<T> {
    /// A new array of this name, filled by `fill`, which finds zeros; others can open it once that is done.
    ///
    /// # Safety
    /// See [the contract](NamedArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the name is taken, or `/dev/shm` has no room for it (containers often get 64 MiB);
    /// [`ErrorKind::Option`] for a name with a slash, or none; [`ErrorKind::SizeOverflow`].
    #[track_caller]
    pub unsafe fn create(
        name: &str,
        shape: impl Into<Shape>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<NamedArray<T>> {
        let (path, shape) = (path_of(name)?, shape.into());
        let len_bytes = end_of::<T>(&shape, 0)?;
        let trailer_at = len_bytes.checked_next_multiple_of(EDGE);
        let size = trailer_at.and_then(|at| at.checked_add(size_of::<Trailer>()));
        let (Some(trailer_at), Some(size)) = (trailer_at, size) else {
            let (shape, element_bytes) = (shape.to_vec(), size_of::<T>());
            return Err(ErrorKind::SizeOverflow { shape, element_bytes }.into());
        };
        let fail = |error: std::io::Error| Error::os(format!("create named array {name:?}"), error);
        // Before it is given its size: beyond the limit the kernel kills.
        check_file_size(name, size)?;
        let made = ShmemConf::new().os_id(name).size(size).create();
        // As long as it is the owner, an error below removes the name again.
        let mut made = made.map_err(|error| fail(std::io::Error::other(error)))?;
        let file = File::options().read(true).write(true).open(&path).map_err(fail)?;
        reserve(&path, &file, size)?;
        flock(&file, FlockOperation::LockShared).map_err(|error| fail(error.into()))?;
        let trailer_file = file.try_clone().map_err(fail)?;
        let mut trailer = Trailer {
            magic: MAGIC_NOT_READY,
            version: VERSION,
            len_bytes: len_bytes as u64,
            ..Zeroable::zeroed()
        };
        trailer.ndim = shape.len() as u32;
        for (word, &len) in trailer.shape.iter_mut().zip(shape.iter()) {
            *word = len as u64;
        }
        trailer.descr[..T::DESCR.len()].copy_from_slice(T::DESCR.as_bytes());
        trailer.write(&trailer_file, trailer_at).map_err(fail)?;
        let mut array = map(name, file, &shape, size, Use::Write)?;
        // SAFETY: nobody else opens it: the trailer says that it is not ready.
        fill(unsafe { array.part.as_mut_slice() });
        trailer.magic = MAGIC;
        trailer.write(&trailer_file, trailer_at).map_err(fail)?;
        made.set_owner(false);
        Ok(array)
    }

    /// The array of this name, which this library has created, perhaps in another program; to be read.
    ///
    /// # Safety
    /// See [the contract](NamedArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if there is none; [`ErrorKind::Named`] if it is not ready, or not ours: then
    /// [`open_foreign`](NamedArray::open_foreign) opens it; [`ErrorKind::Npy`] if its elements are of another type;
    /// [`ErrorKind::Busy`] if this process has another array of this name, and one is written.
    #[track_caller]
    pub unsafe fn open(name: &str) -> Result<NamedArray<T>> {
        open_ours(name, Use::Read)
    }

    /// As [`open`](NamedArray::open), to be read and written.
    ///
    /// # Safety
    /// See [the contract](NamedArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// As for [`open`](NamedArray::open).
    #[track_caller]
    pub unsafe fn open_mut(name: &str) -> Result<NamedArray<T>> {
        open_ours(name, Use::Write)
    }
}

#[track_caller]
fn open_ours<T: NpyElement>(name: &str, how: Use) -> Result<NamedArray<T>> {
    let (path, file) = open(name, how)?;
    let Some((trailer, header)) = Trailer::read(&file).filter(|(trailer, _)| trailer.is_ready()) else {
        let why = "has no trailer that says it is ready: its program is not, or it is not shmpool's";
        return Err(ErrorKind::Named { name: name.to_owned(), why }.into());
    };
    let shape = match npy::shape_of::<T>(&header) {
        Ok(shape) => shape,
        Err(error) => return Err(ErrorKind::Npy { path, error }.into()),
    };
    let size = end_of::<T>(&shape, 0)?;
    if size as u64 != trailer.len_bytes {
        let why = "has a damaged trailer: shape and size contradict each other";
        return Err(ErrorKind::Named { name: name.to_owned(), why }.into());
    }
    map(name, file, &shape, size, how)
}

impl<T: Pod> NamedArray<T> {
    /// Shared memory that another library has made, as an array of this shape that begins at its first byte; to be read.
    ///
    /// # Safety
    /// See [the contract](NamedArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if there is none; [`ErrorKind::Shape`] in bytes if it is too small;
    /// [`ErrorKind::SizeOverflow`]; [`ErrorKind::Busy`] as for [`open`](NamedArray::open).
    #[track_caller]
    pub unsafe fn open_foreign(name: &str, shape: impl Into<Shape>) -> Result<NamedArray<T>> {
        open_foreign(name, shape.into(), Use::Read)
    }

    /// As [`open_foreign`](NamedArray::open_foreign), to be read and written.
    ///
    /// # Safety
    /// See [the contract](NamedArray#the-contract-of-the-constructors).
    ///
    /// # Errors
    /// As for [`open_foreign`](NamedArray::open_foreign).
    #[track_caller]
    pub unsafe fn open_foreign_mut(name: &str, shape: impl Into<Shape>) -> Result<NamedArray<T>> {
        open_foreign(name, shape.into(), Use::Write)
    }

    /// Whether it was opened to be written.
    pub fn is_writable(&self) -> bool {
        self.how == Use::Write
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
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
        // SAFETY: writable; nobody else writes or reads meanwhile, as whoever opened it has promised; and `&mut self` is
        // the only way to it in this process [the claim of its share].
        Some(unsafe { self.part.as_mut_slice() })
    }

    pub(crate) fn part(&self) -> &Part<T> {
        &self.part
    }
}

/// Names.
impl NamedArray {
    /// Removes a name. Who has the array open keeps it.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if there is none; [`ErrorKind::Option`] for a name with a slash, or none.
    pub fn remove(name: &str) -> Result<()> {
        let path = path_of(name)?;
        std::fs::remove_file(&path).map_err(|error| Error::os(format!("remove named array {name:?}"), error))
    }

    /// Every name that [`create`](NamedArray::create) has made or is making, and that this user may open, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if `/dev/shm` or `/proc` cannot be read.
    pub fn list() -> Result<Vec<NamedInfo>> {
        let uses = Uses::read()?;
        let mut found: Vec<NamedInfo> =
            ours()?.into_iter().map(|(name, file)| info(name, &file, &uses)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes the names that `wanted` picks and nobody uses, and returns them: no process has them open or mapped,
    /// whatever library it uses (Python takes no lock).
    ///
    /// Processes that this user may not look into do not count, unless it is root. Who takes no lock and opens a name between
    /// our look and its removal keeps what it has opened, and finds the name gone.
    ///
    /// # Errors
    /// As for [`list`](NamedArray::list).
    pub fn collect_garbage(wanted: impl Fn(&NamedInfo) -> bool) -> Result<Vec<NamedInfo>> {
        let mut removed = Vec::new();
        for (name, file) in ours()? {
            // Before it is locked: the caller's own code may take its time.
            if !wanted(&info(name.clone(), &file, &Uses::read()?)) {
                continue;
            }
            // Whoever opens it from here on waits for us, and then finds that the name is gone.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let info = info_locked(name, &file, &Uses::read()?, false);
            let unused = !info.is_open && is_still(&info.name, &file);
            if unused && NamedArray::remove(&info.name).is_ok() {
                removed.push(info);
            }
        }
        removed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(removed)
    }
}

fn path_of(name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') || name.len() > 255 {
        let why = "is no name: up to 255 bytes without a slash, and no dot first";
        return Err(ErrorKind::Option { option: "name", value: format!("{name:?}"), why }.into());
    }
    Ok(Path::new(FOLDER).join(name))
}

#[track_caller]
fn open_foreign<T: Pod>(name: &str, shape: Shape, how: Use) -> Result<NamedArray<T>> {
    let (path, file) = open(name, how)?;
    let size = end_of::<T>(&shape, 0)?;
    if how == Use::Write && file.metadata().is_ok_and(|file| file.len() >= size as u64) {
        // Others may have made it of holes, and to fill one where there is no room is a SIGBUS.
        reserve(&path, &file, size)?;
    }
    map(name, file, &shape, size, how)
}

/// Opens and locks a name, and makes sure that it has not been collected meanwhile.
fn open(name: &str, how: Use) -> Result<(PathBuf, File)> {
    let path = path_of(name)?;
    let fail = |error: std::io::Error| Error::os(format!("open named array {name:?}"), error);
    let start = Instant::now();
    loop {
        let file = File::options().read(true).write(how == Use::Write).open(&path).map_err(fail)?;
        // Whoever looks for garbage holds the lock for moments; one that is stopped there must not stop us.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) if is_still(name, &file) => return Ok((path, file)),
            Err(error) if start.elapsed() > LOCK_WAIT => return Err(fail(error.into())),
            Ok(()) | Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(fail(error.into())),
        }
    }
}

/// Whether the name leads to this file.
fn is_still(name: &str, file: &File) -> bool {
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let there = path_of(name).ok().and_then(|path| path.metadata().ok()).map(id);
    there.is_some() && there == file.metadata().ok().map(id)
}

#[track_caller]
fn map<T: Pod>(name: &str, file: File, shape: &Shape, size: usize, how: Use) -> Result<NamedArray<T>> {
    let found =
        file.metadata().map_err(|error| Error::os(format!("stat named array {name:?}"), error))?.len();
    if (size as u64) > found {
        let (found, wanted) = (vec![found as usize], vec![size]);
        return Err(ErrorKind::Shape { what: "bytes of the named array", found, wanted }.into());
    }
    let share = match size {
        0 => None,
        _ => {
            let claim = Claim::of(&file, 0..size, how, name)?;
            Some(Share::of_file(name.to_owned(), file, size, how, claim)?)
        }
    };
    let part = Part::new(share, 0, *shape, shape.n_elements()?).expect("checked above");
    Ok(NamedArray { part, name: name.to_owned(), how })
}

/// Every file with our trailer, and its name.
fn ours() -> Result<Vec<(String, File)>> {
    let entries = std::fs::read_dir(FOLDER).map_err(|error| Error::os(format!("read {FOLDER}"), error))?;
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        if !entry.file_type().ok()?.is_file() {
            return None;
        }
        let name = entry.file_name().into_string().ok()?;
        let file = File::open(entry.path()).ok()?;
        Trailer::read(&file).is_some().then_some((name, file))
    });
    Ok(named.collect())
}

fn info(name: String, file: &File, uses: &Uses) -> NamedInfo {
    let is_locked = flock(file, FlockOperation::NonBlockingLockExclusive).is_err();
    if !is_locked {
        // Or whoever opens it would wait until the caller is through with it.
        let _ = flock(file, FlockOperation::Unlock);
    }
    info_locked(name, file, uses, is_locked)
}

/// As [`info`], where it is known whether somebody else has a lock.
fn info_locked(name: String, file: &File, uses: &Uses, is_locked: bool) -> NamedInfo {
    let read = Trailer::read(file);
    let is_ready = read.as_ref().is_some_and(|(trailer, _)| trailer.is_ready());
    let (descr, shape) = read.map_or((String::new(), Vec::new()), |(_, header)| (header.descr, header.shape));
    let metadata = file.metadata().ok();
    let id = metadata.as_ref().map_or((0, 0), |file| (file.dev(), file.ino()));
    let users = uses.users(id);
    let is_open = is_locked || !users.is_empty() || uses.is_open(id);
    let size_bytes = metadata.map_or(0, |file| file.len());
    NamedInfo { name, descr, shape, size_bytes, is_ready, users, is_open }
}

/// Who uses which files.
struct Uses {
    /// Device and inode of what is mapped, and by which process.
    mapped: Vec<(u64, u64, u32)>,
    /// Of what other processes have open in the folder of the names, mapped or not yet.
    open: Vec<(u64, u64)>,
}

/// Device and inode of a line `start-end perms offset major:minor inode path`, if it is of a file.
fn mapped_file(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (major, minor) = fields.next()?.split_once(':')?;
    let number = |hex| u32::from_str_radix(hex, 16).ok();
    let device = rustix::fs::makedev(number(major)?, number(minor)?);
    fields.next()?.parse().ok().filter(|&inode| inode != 0).map(|inode| (device, inode))
}

/// Device and inode of a descriptor under `/proc/PID/fd`, if it is of a file in the folder of the names.
fn open_file(descriptor: &Path) -> Option<(u64, u64)> {
    let is_ours = std::fs::read_link(descriptor).is_ok_and(|target| target.starts_with(FOLDER));
    let metadata = is_ours.then(|| descriptor.metadata().ok())??;
    Some((metadata.dev(), metadata.ino()))
}

impl Uses {
    fn read() -> Result<Uses> {
        let processes = std::fs::read_dir("/proc").map_err(|error| Error::os("read /proc", error))?;
        let (mut mapped, mut open) = (Vec::new(), Vec::new());
        for process in processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
            // This process has open what it looks at; its arrays are mapped, or have a lock.
            if process != std::process::id()
                && let Ok(descriptors) = std::fs::read_dir(format!("/proc/{process}/fd"))
            {
                open.extend(descriptors.filter_map(|entry| open_file(&entry.ok()?.path())));
            }
            // After the descriptors: who has opened a file maps it later.
            let Ok(maps) = std::fs::read(format!("/proc/{process}/maps")) else { continue };
            // Paths may be anything, and the process may know the file by another one.
            let files = String::from_utf8_lossy(&maps);
            mapped.extend(
                files.lines().filter_map(mapped_file).map(|(device, inode)| (device, inode, process)),
            );
        }
        mapped.sort_unstable();
        mapped.dedup();
        Ok(Uses { mapped, open })
    }

    /// The processes that have it mapped.
    fn users(&self, (device, inode): (u64, u64)) -> Vec<u32> {
        let of_file = self.mapped.iter().filter(|(on, mapped, _)| (*on, *mapped) == (device, inode));
        of_file.map(|(_, _, process)| *process).collect()
    }

    fn is_open(&self, file: (u64, u64)) -> bool {
        self.open.contains(&file)
    }
}

impl<T: Pod> Deref for NamedArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> fmt::Debug for NamedArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedArray").field("name", &self.name).field("shape", self.part.shape()).finish()
    }
}
