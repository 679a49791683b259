//! The arena: one large, sparse segment that arrays lie in, and its allocator.
//!
//! Invariants, which `SAFETY` notes cite:
//! * **B1** The range of a living [`Block`] lies in the mapping and overlaps no other living block's.
//! * **B2** The mapping lives as long as any [`Arena`] handle, every block holds one, and it never moves.
#![allow(unsafe_code)] // `Send` and `Sync` of `Block`

mod books;
pub(crate) mod budget;
mod kept;
mod ranges;
mod redzones;

use std::fmt;
use std::ops::Range;
use std::process;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Access, Mapping, Segment};
use crate::sys::limits;
use books::{Books, HUGE_PAGE, Place};
use budget::{Budget, Headroom, Limits, system_limits};
pub(crate) use redzones::Overrun;
use redzones::ZONE_BYTES;

/// Memory that worker processes share, where arrays live.
///
/// It is as large as the machine's memory and costs only the pages that are touched. The pages of a dropped
/// array are kept for a while for the next one, and then given back to the system: by the pool that the arena
/// belongs to about once a second, by [`trim`](Arena::trim) at once. What is too large is refused before it
/// is touched.
///
/// A handle is cheap to clone, and every array holds one: arrays may outlive the pool that made them.
///
/// Nothing of it has a name, and nothing is left behind when the process ends, however it ends.
///
/// ```
/// let arena = shmpool::Arena::new()?;
/// let xs = arena.array_from(&[1.0f32, 2.0, 3.0])?;
/// assert_eq!(xs.iter().sum::<f32>(), 6.0);
/// # Ok::<(), shmpool::Error>(())
/// ```
#[derive(Clone)]
pub struct Arena {
    inner: Arc<Inner>,
}

struct Inner {
    mapping: Mapping,
    /// The process whose books these are. A forked child has a copy that nobody keeps true.
    owner: u32,
    born: Instant,
    kept_bytes_max: usize,
    kept_age: Duration,
    huge_pages: HugePages,
    /// Painted bytes on each side of an array; 0: none.
    zone_bytes: usize,
    state: Mutex<State>,
    /// A range that was withdrawn is in the books again.
    returned: Condvar,
}

/// What one tick gives back, in bytes, at most: 13 ms and more.
const TICK_BYTES: usize = 256 << 20;
/// How long an allocation waits for a range that is being given back: it takes some 50 ms a GiB.
const RETURN_WAIT: Duration = Duration::from_secs(10);

struct State {
    books: Books,
    budget: Budget,
    /// Ranges that were withdrawn from the books and are being given back to the system.
    n_returning: usize,
}

impl State {
    /// Withdraws what is overdue, for [`Arena::give_back`].
    fn take_overdue(&mut self, second: Option<u64>, bytes_max: usize, at_most: usize) -> Vec<Range<usize>> {
        let overdue = self.books.take_overdue(second, bytes_max, at_most);
        self.n_returning += overdue.len();
        overdue
    }
}

/// Whether an arena has huge pages (2 MiB), which make the first touch of large arrays up to 15 times
/// cheaper.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// Nobody asked for them.
    NotRequested,
    /// The kernel uses them where it finds any.
    Enabled,
    /// The kernel will not, and why.
    Unavailable(String),
}

impl fmt::Display for HugePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HugePages::NotRequested => write!(f, "not requested"),
            HugePages::Enabled => write!(f, "enabled"),
            HugePages::Unavailable(reason) => write!(f, "unavailable: {reason}"),
        }
    }
}

/// Sizes of an [`Arena`] at one moment, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStats {
    /// The most that all arrays together can have.
    pub capacity_bytes: u64,
    /// What living arrays have, rounded up to cache lines or pages.
    pub allocated_bytes: u64,
    /// Of what dropped arrays had, the part that is kept for the next ones.
    pub kept_bytes: u64,
    /// What has pages, by the kernel's count: less than the sum of the two where nobody has touched them.
    pub resident_bytes: u64,
    /// Whether there are huge pages.
    pub huge_pages: HugePages,
}

/// Settings of a new [`Arena`].
#[derive(Default)]
#[must_use = "ends with `create`"]
pub struct ArenaBuilder {
    capacity_bytes: Option<usize>,
    huge_pages: bool,
    kept_bytes_max: Option<usize>,
    kept_age: Option<Duration>,
    redzones: bool,
    limits: Option<Limits>,
}

impl ArenaBuilder {
    /// The most that all arrays together can have, in bytes, above 0; address space only, until it is
    /// touched.
    ///
    /// Without it: the machine's memory, or what `RLIMIT_FSIZE` and half of what `RLIMIT_AS` allow, if that
    /// is less.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity_bytes = Some(bytes);
        self
    }

    /// Asks the kernel for huge pages; [`ArenaStats::huge_pages`] says what came of it. Not by default.
    pub fn huge_pages(mut self, wanted: bool) -> Self {
        self.huge_pages = wanted;
        self
    }

    /// The most to keep of what dropped arrays had, in bytes. By default a quarter of the memory that is
    /// available now.
    pub fn kept_bytes_max(mut self, bytes: usize) -> Self {
        self.kept_bytes_max = Some(bytes);
        self
    }

    /// How long to keep it. By default 10 s.
    pub fn kept_age(mut self, age: Duration) -> Self {
        self.kept_age = Some(age);
        self
    }

    /// Puts a painted cache line on each side of every array, which verbs look at when their job has ended: a kernel
    /// that writes past its output is an [`Overrun`](ErrorKind::Overrun) then. Costs up to 192 bytes an array and less
    /// than a microsecond a job. Not by default.
    pub fn redzones(mut self, wanted: bool) -> Self {
        self.redzones = wanted;
        self
    }

    /// Whom to ask for headroom instead of the system.
    #[cfg(test)]
    fn limits(mut self, limits: impl Fn() -> Result<Headroom> + Send + Sync + 'static) -> Self {
        self.limits = Some(Box::new(limits));
        self
    }

    /// Makes the arena.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the capacity exceeds `RLIMIT_FSIZE`, [`ErrorKind::Option`] if it is 0 or no
    /// address space has room for it, [`ErrorKind::Os`] if the system refuses.
    pub fn create(self) -> Result<Arena> {
        let machine = limits::meminfo().map_err(|error| Error::os("read /proc/meminfo", error))?;
        let page = rustix::param::page_size();
        let wanted = self.capacity_bytes.unwrap_or_else(|| default_capacity(machine.total_bytes));
        // Beyond `isize::MAX` no slice could cover it, and no address space has it.
        let capacity = wanted
            .checked_next_multiple_of(page)
            .filter(|bytes| (1..=isize::MAX as usize).contains(bytes))
            .ok_or_else(|| ErrorKind::Option {
                option: "capacity",
                value: wanted.to_string(),
                why: "is not a size that memory can have",
            })?;
        let mapping = Segment::create("data", capacity, Access::Shared)?;
        let huge_pages = if self.huge_pages { ask_for_huge_pages(&mapping) } else { HugePages::NotRequested };
        let state = State {
            books: Books::new(capacity, page),
            budget: Budget::new(self.limits.unwrap_or_else(system_limits)),
            n_returning: 0,
        };
        Ok(Arena {
            inner: Arc::new(Inner {
                mapping,
                owner: process::id(),
                born: Instant::now(),
                kept_bytes_max: self.kept_bytes_max.unwrap_or((machine.available_bytes / 4) as usize),
                kept_age: self.kept_age.unwrap_or(Duration::from_secs(10)),
                zone_bytes: if self.redzones { ZONE_BYTES } else { 0 },
                huge_pages,
                state: Mutex::new(state),
                returned: Condvar::new(),
            }),
        })
    }
}

fn default_capacity(total_bytes: u64) -> usize {
    let file_size_max = limits::file_size_max().unwrap_or(u64::MAX);
    // The heap needs some of it too.
    let address_space_max = limits::address_space_left().map_or(u64::MAX, |left| left / 2);
    let page = rustix::param::page_size() as u64;
    (total_bytes.min(file_size_max).min(address_space_max) / page * page) as usize
}

fn ask_for_huge_pages(mapping: &Mapping) -> HugePages {
    let enabled = limits::shmem_huge_pages().and_then(|()| {
        if !(mapping.as_ptr() as usize).is_multiple_of(HUGE_PAGE) {
            return Err("the kernel chose an address that no huge page can have".to_owned());
        }
        mapping.want_huge_pages().map_err(|error| error.to_string())
    });
    match enabled {
        Ok(()) => HugePages::Enabled,
        Err(reason) => HugePages::Unavailable(reason),
    }
}

impl Arena {
    /// An arena with the default settings.
    ///
    /// # Errors
    /// As [`ArenaBuilder::create`].
    pub fn new() -> Result<Arena> {
        Arena::builder().create()
    }

    /// Settings for another one.
    ///
    /// ```
    /// use shmpool::{Arena, ErrorKind};
    ///
    /// let arena = Arena::builder().capacity(1 << 20).create()?;
    /// let error = arena.zeros::<u8>(2 << 20).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: "the arena's capacity", .. }));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn builder() -> ArenaBuilder {
        ArenaBuilder::default()
    }

    /// Whether both handles are of one arena.
    pub fn same(&self, other: &Arena) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Its sizes now.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the kernel does not tell; [`ErrorKind::ForkedChild`] in a forked child.
    pub fn stats(&self) -> Result<ArenaStats> {
        self.check_owner()?;
        let resident_bytes = self.segment().resident_bytes()?;
        let state = self.state();
        Ok(ArenaStats {
            capacity_bytes: self.segment().size_bytes() as u64,
            allocated_bytes: state.books.allocated_bytes() as u64,
            kept_bytes: state.books.kept_bytes() as u64,
            resident_bytes,
            huge_pages: self.inner.huge_pages.clone(),
        })
    }

    /// Gives all pages that no array uses back to the system, and returns how many bytes that were by the
    /// kernel's count.
    ///
    /// ```
    /// let arena = shmpool::Arena::new()?;
    /// drop(arena.array_from(&[1u8; 100_000])?);
    /// assert!(arena.trim() >= 100_000);
    /// assert_eq!(arena.stats()?.resident_bytes, 0);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn trim(&self) -> u64 {
        if self.check_owner().is_err() {
            return 0;
        }
        let overdue = self.state().take_overdue(Some(u64::MAX), 0, usize::MAX);
        self.give_back(overdue)
    }

    /// Gives back some of what has been kept too long, or of everything when memory is short; true if there may be
    /// more. To be called about once a second, and again while there is more: the caller has other things to do too.
    pub(crate) fn tick(&self, now: Instant) -> bool {
        if self.check_owner().is_err() {
            return false;
        }
        let mut state = self.state();
        if state.books.kept_bytes() == 0 {
            return false;
        }
        // A system that does not tell is not short of memory for that.
        let short = state.budget.headroom().is_ok_and(|headroom| headroom.bytes == 0);
        let old =
            if short { Some(u64::MAX) } else { self.second(now).checked_sub(self.inner.kept_age.as_secs()) };
        let overdue = state.take_overdue(old, self.inner.kept_bytes_max, TICK_BYTES);
        drop(state);
        // What could not be given back is not tried again at once.
        !overdue.is_empty() && self.give_back(overdue) > 0
    }

    /// Allocates `len_bytes`; `what` is for the message.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the capacity, the cgroup or the machine has no room for it;
    /// [`ErrorKind::ForkedChild`] in a forked child.
    pub(crate) fn allocate(&self, len_bytes: usize, what: &dyn fmt::Display) -> Result<Block> {
        self.check_owner()?;
        if len_bytes == 0 {
            return Ok(self.block(Place { range: 0..0, stale: Vec::new() }, 0));
        }
        let zones = 2 * self.inner.zone_bytes;
        let mut placed = self.place(len_bytes, zones, what)?;
        if placed.is_err() && self.trim() > 0 {
            placed = self.place(len_bytes, zones, what)?;
        }
        match placed {
            Ok(place) => {
                let block = self.block(place, len_bytes);
                if zones > 0 {
                    self.paint(block.offset() as usize, len_bytes);
                }
                Ok(block)
            }
            Err(left) => Err(budget::too_large(what, len_bytes as u64, left)),
        }
    }

    /// Refuses what is to lie beside the arena and is larger than what the system leaves; kept pages are given back
    /// for it first.
    pub(crate) fn check_headroom(&self, what: &dyn fmt::Display, len_bytes: usize) -> Result<()> {
        self.check_owner()?;
        let left = || {
            let state = self.state();
            let headroom = state.budget.headroom()?;
            let promised = (state.books.allocated_bytes() + state.books.kept_bytes()) as u64;
            let untouched = promised.saturating_sub(self.segment().resident_bytes()?);
            Ok::<_, Error>(Headroom { bytes: headroom.bytes.saturating_sub(untouched), ..headroom })
        };
        let mut headroom = left()?;
        if headroom.bytes < len_bytes as u64 && self.trim() > 0 {
            headroom = left()?;
        }
        if headroom.bytes < len_bytes as u64 {
            return Err(budget::too_large(what, len_bytes as u64, headroom));
        }
        Ok(())
    }

    /// Says what is left if the system is short of memory: then a trim may help.
    fn place(
        &self,
        len_bytes: usize,
        zones: usize,
        what: &dyn fmt::Display,
    ) -> Result<std::result::Result<Place, Headroom>> {
        let (mut guard, mut waited) = (self.state(), false);
        let place = loop {
            // The zones begin on a cache line of their own.
            let wanted =
                len_bytes.checked_next_multiple_of(ZONE_BYTES).and_then(|len| len.checked_add(zones));
            let place = if zones == 0 { Some(len_bytes) } else { wanted };
            if let Some(place) = place.and_then(|bytes| guard.books.plan(bytes)) {
                break place;
            }
            if guard.n_returning == 0 || waited {
                let bytes = guard.books.longest_free().saturating_sub(zones) as u64;
                let left = Headroom { bytes, limit: "the arena's capacity" };
                return Err(budget::too_large(what, len_bytes as u64, left));
            }
            // Somebody is giving back what may be just the room that is missing.
            let returned = self.inner.returned.wait_timeout(guard, RETURN_WAIT);
            let (again, timeout) = returned.unwrap_or_else(PoisonError::into_inner);
            (guard, waited) = (again, timeout.timed_out());
        };
        let State { books, budget, .. } = &mut *guard;
        let untouched = || {
            let promised = (books.allocated_bytes() + books.kept_bytes()) as u64;
            Ok(promised.saturating_sub(self.segment().resident_bytes()?))
        };
        Ok(budget.promise(place.fresh_bytes() as u64, untouched)?.map(|()| {
            books.take(&place);
            place
        }))
    }

    fn block(&self, Place { range, stale }: Place, len_bytes: usize) -> Block {
        let offset = if range.is_empty() { 0 } else { range.start + self.inner.zone_bytes };
        let first =
            self.inner.mapping.at(offset as u64, len_bytes).expect("the books end where the mapping does");
        Block { arena: self.clone(), first, offset, len_bytes, range, stale, written: false }
    }

    fn free(&self, range: Range<usize>) {
        // A forked child frees nothing: its parent uses the block still. And it must not lock: a thread that
        // is not there may hold the lock.
        if range.is_empty() || self.check_owner().is_err() {
            return;
        }
        let mut state = self.state();
        state.books.free(range, self.second(Instant::now()));
        let overdue = state.take_overdue(None, self.inner.kept_bytes_max, usize::MAX);
        drop(state);
        self.give_back(overdue);
    }

    /// Punches ranges that were withdrawn from the books, without holding the lock: it takes 50 ms a GiB or
    /// more.
    fn give_back(&self, ranges: Vec<Range<usize>>) -> u64 {
        let resident_bytes = || self.segment().resident_bytes().unwrap_or(0);
        let before = if ranges.is_empty() { 0 } else { resident_bytes() };
        for range in &ranges {
            let punched = self.segment().punch(range.clone());
            let mut state = self.state();
            match &punched {
                Ok(()) => state.books.put_back(range.clone()),
                Err(_) => state.books.keep(range.clone(), self.second(Instant::now())),
            }
            state.n_returning -= 1;
            drop(state);
            self.inner.returned.notify_all();
            if let Err(error) = punched {
                // Without the lock: the subscriber is the program's.
                tracing::warn!(%error, "pages stay resident");
            }
        }
        if ranges.is_empty() { 0 } else { before.saturating_sub(resident_bytes()) }
    }

    /// First byte of the mapping, which is as large as the capacity.
    pub(crate) fn first(&self) -> *mut u8 {
        self.inner.mapping.as_ptr()
    }

    /// The segment, for workers to attach.
    pub(crate) fn segment(&self) -> &Segment {
        self.inner.mapping.segment()
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.inner.born).as_secs()
    }

    pub(crate) fn check_owner(&self) -> Result<()> {
        let (owner, child) = (self.inner.owner, process::id());
        if owner == child { Ok(()) } else { Err(ErrorKind::ForkedChild { owner, child }.into()) }
    }

    /// A poisoned lock is taken all the same: blocks must be able to free themselves while a panic unwinds.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capacity_bytes = self.segment().size_bytes();
        f.debug_struct("Arena").field("capacity_bytes", &capacity_bytes).finish_non_exhaustive()
    }
}

/// From here on a block is populated before this process fills it.
const POPULATE_BYTES: usize = 1 << 20;

/// One allocation. Dropping it frees it.
pub(crate) struct Block {
    arena: Arena,
    first: NonNull<u8>,
    /// Where that is in the arena.
    offset: usize,
    len_bytes: usize,
    /// What it has for itself: `len_bytes` rounded up, with its zones.
    range: Range<usize>,
    stale: Vec<Range<usize>>,
    /// A job has written all of it.
    written: bool,
}

// SAFETY: `first` points to bytes that no other block of any process has [B1] and that live as long as
// `arena`, which the block holds [B2]; it is handed out as a raw pointer alone. Everything else in a block is
// `Send` and `Sync`.
unsafe impl Send for Block {}
// SAFETY: as above; `&Block` changes nothing.
unsafe impl Sync for Block {}

impl Block {
    /// Where it lies.
    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Bytes from the segment's start, a multiple of 64.
    pub(crate) fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Its size, as it was asked for.
    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// First byte.
    pub(crate) fn first(&self) -> NonNull<u8> {
        self.first
    }

    /// Makes its pages present, if there are enough of them to be worth a system call: for what this process
    /// is about to write from end to end. If there is no memory for them after all, it is an error here, and
    /// a signal in a touch. Not for warm ones, where looking at each again takes half as long as writing it.
    pub(crate) fn populate(&self) -> Result<()> {
        if self.len_bytes < POPULATE_BYTES || self.is_warm() {
            return Ok(());
        }
        // From the page that it begins in.
        let page = self.offset - self.offset % rustix::param::page_size();
        self.arena.inner.mapping.populate(page..self.offset + self.len_bytes)
    }

    /// Whether every page of it exists: it was kept from an earlier block, or a job has written all of it.
    pub(crate) fn is_warm(&self) -> bool {
        self.written || self.stale.iter().map(ExactSizeIterator::len).sum::<usize>() == self.range.len()
    }

    /// Its pages exist from now on.
    pub(crate) fn mark_written(&mut self) {
        self.written = true;
    }

    /// The parts, in bytes from its start, that held old bytes when it was allocated; the rest was zero.
    pub(crate) fn stale_parts(&self) -> impl Iterator<Item = Range<usize>> {
        let (start, len) = (self.offset, self.len_bytes);
        let inside = move |byte: usize| byte.saturating_sub(start).min(len);
        self.stale.iter().map(move |part| inside(part.start)..inside(part.end))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.free(self.range.clone());
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of one range
mod tests {
    use std::thread;

    use super::*;

    const MIB: usize = 1 << 20;

    fn small_arena() -> Arena {
        Arena::builder().capacity(64 * MIB).kept_bytes_max(64 * MIB).create().unwrap()
    }

    fn touched(arena: &Arena, len_bytes: usize) -> Block {
        let block = arena.allocate(len_bytes, &"test").unwrap();
        let start = block.range.start;
        arena.inner.mapping.populate(start..start + len_bytes).unwrap();
        block
    }

    fn resident_bytes(arena: &Arena) -> usize {
        arena.stats().unwrap().resident_bytes as usize
    }

    #[test]
    fn an_arena_costs_what_is_touched() {
        let arena = small_arena();
        let block = arena.allocate(32 * MIB, &"test").unwrap();
        let stats = arena.stats().unwrap();
        assert_eq!((stats.capacity_bytes, stats.allocated_bytes), (64 * MIB as u64, 32 * MIB as u64));
        assert_eq!((stats.kept_bytes, stats.resident_bytes), (0, 0));
        assert_eq!(block.len_bytes(), 32 * MIB);
        assert!(!block.is_warm());
    }

    #[test]
    fn a_dropped_block_is_the_next_one_and_warm() {
        let arena = small_arena();
        let block = touched(&arena, 5 * MIB + 1);
        let offset = block.offset();
        drop(block);
        let again = arena.allocate(5 * MIB + 1, &"test").unwrap();
        assert_eq!((again.offset(), again.is_warm()), (offset, true));
        assert_eq!(again.stale_parts().collect::<Vec<_>>(), [0..5 * MIB + 1]);
        assert_eq!(resident_bytes(&arena), 5 * MIB + 4096);
    }

    #[test]
    fn a_trim_gives_back_what_no_block_has() {
        let arena = small_arena();
        let (a, b) = (touched(&arena, 3 * MIB), touched(&arena, 4 * MIB));
        drop(a);
        assert_eq!(arena.trim(), 3 * MIB as u64);
        assert_eq!((arena.trim(), resident_bytes(&arena)), (0, 4 * MIB));
        drop(b);
        assert_eq!(arena.trim(), 4 * MIB as u64);
        assert!(!arena.allocate(3 * MIB, &"test").unwrap().is_warm());
    }

    #[test]
    fn a_tick_gives_back_what_is_old() {
        let arena = small_arena();
        drop(touched(&arena, 3 * MIB));
        arena.tick(arena.inner.born + Duration::from_secs(9));
        assert_eq!(resident_bytes(&arena), 3 * MIB);
        // One second more than the age, for dropping may have taken a moment.
        arena.tick(arena.inner.born + Duration::from_secs(11));
        assert_eq!((resident_bytes(&arena), arena.stats().unwrap().kept_bytes), (0, 0));
    }

    #[test]
    fn a_drop_above_the_cap_gives_the_excess_back() {
        let arena = Arena::builder().capacity(64 * MIB).kept_bytes_max(3 * MIB).create().unwrap();
        drop(touched(&arena, 2 * MIB));
        assert_eq!(resident_bytes(&arena), 2 * MIB);
        drop(touched(&arena, 8 * MIB));
        assert_eq!((resident_bytes(&arena), arena.stats().unwrap().kept_bytes), (3 * MIB, 3 * MIB as u64));
    }

    /// Limits that leave what a cell says.
    fn leaving(bytes: &Arc<Mutex<u64>>) -> impl Fn() -> Result<Headroom> + Send + Sync + 'static {
        let bytes = bytes.clone();
        move || Ok(Headroom { bytes: *bytes.lock().unwrap(), limit: "the test" })
    }

    #[test]
    fn under_pressure_a_tick_gives_back_everything() {
        let left = Arc::new(Mutex::new(1 << 30));
        let arena = Arena::builder().capacity(64 * MIB).limits(leaving(&left)).create().unwrap();
        drop(touched(&arena, 3 * MIB));
        arena.tick(Instant::now());
        assert_eq!(resident_bytes(&arena), 3 * MIB);
        *left.lock().unwrap() = 0;
        arena.tick(Instant::now());
        assert_eq!(resident_bytes(&arena), 0);
    }

    #[test]
    fn what_the_system_has_no_room_for_is_refused_untouched() {
        let left = Arc::new(Mutex::new(20 * MIB as u64));
        let arena = Arena::builder().capacity(64 * MIB).limits(leaving(&left)).create().unwrap();
        let _untouched = arena.allocate(15 * MIB, &"first").unwrap();
        let error = arena.allocate(6 * MIB, &"second").err().unwrap();
        assert_eq!(error.to_string(), "second needs 6291456 bytes, but the test leaves 5242880");
        assert_eq!((resident_bytes(&arena), arena.stats().unwrap().allocated_bytes), (0, 15 * MIB as u64));
        arena.allocate(5 * MIB, &"third").unwrap();
    }

    #[test]
    fn a_trim_is_tried_before_a_refusal() {
        let arena = small_arena();
        let weak = Arc::downgrade(&arena.inner);
        // 8 MiB for all, of which the pages of the arena take their part.
        let machine = move || {
            let resident =
                weak.upgrade().map_or(0, |inner| inner.mapping.segment().resident_bytes().unwrap());
            Ok(Headroom { bytes: (8 * MIB as u64).saturating_sub(resident), limit: "the test" })
        };
        arena.state().budget = Budget::new(Box::new(machine));
        drop(touched(&arena, 6 * MIB));
        let block = touched(&arena, 7 * MIB);
        assert_eq!(resident_bytes(&arena), 7 * MIB);
        arena.allocate(2 * MIB, &"test").err().unwrap();
        drop(block);
        arena.allocate(8 * MIB, &"test").unwrap();
    }

    #[test]
    fn beyond_the_capacity_is_an_error_that_names_it() {
        let arena = small_arena();
        let _half = arena.allocate(40 * MIB, &"first").unwrap();
        let error = arena.allocate(40 * MIB, &"second").err().unwrap();
        let ErrorKind::TooLarge { wanted_bytes, limit_bytes, limit, .. } = error.kind() else {
            panic!("{error}")
        };
        assert_eq!((*limit, *wanted_bytes, *limit_bytes), ("the arena's capacity", 40 << 20, 20 << 20));
        arena.allocate(usize::MAX, &"third").err().unwrap();
    }

    #[test]
    fn blocks_of_no_bytes_take_nothing() {
        let arena = Arena::builder().capacity(4096).create().unwrap();
        let _all = arena.allocate(4096, &"test").unwrap();
        let empty = [(); 3].map(|()| arena.allocate(0, &"test").unwrap());
        assert_eq!(empty.map(|block| (block.offset(), block.len_bytes())), [(0, 0); 3]);
        assert_eq!(arena.stats().unwrap().allocated_bytes, 4096);
    }

    #[test]
    fn a_capacity_that_no_memory_has_is_refused() {
        for wrong in [0, usize::MAX, isize::MAX as usize + 1] {
            let error = Arena::builder().capacity(wrong).create().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Option { option: "capacity", .. }), "{error}");
        }
        assert_eq!(Arena::builder().capacity(1).create().unwrap().stats().unwrap().capacity_bytes, 4096);
    }

    #[test]
    fn huge_pages_are_reported_as_the_kernel_says() {
        let arena = Arena::builder().capacity(8 * MIB).huge_pages(true).create().unwrap();
        let found = arena.stats().unwrap().huge_pages;
        match limits::shmem_huge_pages() {
            Ok(()) => assert_ne!(found, HugePages::NotRequested),
            Err(reason) => assert_eq!(found, HugePages::Unavailable(reason)),
        }
        assert_eq!(small_arena().stats().unwrap().huge_pages, HugePages::NotRequested);
    }

    #[test]
    fn arenas_are_told_apart() {
        let (one, other) = (small_arena(), small_arena());
        assert!(one.same(&one.clone()) && !one.same(&other));
    }

    #[test]
    fn what_is_being_given_back_is_waited_for() {
        let arena = Arena::builder().capacity(64 * MIB).create().unwrap();
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let trimmed = &arena;
            scope.spawn(move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    trimmed.trim();
                }
            });
            for _ in 0..30 {
                let mut array = arena.zeros::<u8>(40 * MIB).unwrap();
                array[..MIB].fill(1);
            }
            drop(stop);
        });
    }

    #[test]
    fn threads_never_get_each_others_bytes() {
        let arena = small_arena();
        thread::scope(|scope| {
            for id in 0..4u8 {
                let arena = &arena;
                scope.spawn(move || {
                    for round in 0..200usize {
                        let len = 1 + (round * 7919 * (id as usize + 1)) % 200_000;
                        let mut array = arena.zeros::<u8>(len).unwrap();
                        assert!(array.iter().all(|&byte| byte == 0));
                        array.fill(id + 1);
                        thread::yield_now();
                        assert!(array.iter().all(|&byte| byte == id + 1));
                        if round % 50 == 0 {
                            arena.trim();
                        }
                    }
                });
            }
        });
        arena.trim();
        let stats = arena.stats().unwrap();
        assert_eq!((stats.allocated_bytes, stats.kept_bytes, stats.resident_bytes), (0, 0, 0));
    }
}
