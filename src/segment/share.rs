//! Memory beside the data segment, which workers map when a job first needs it: read-only inputs, mapped files.
//!
//! A share has a number that is never used again. A job names its shares by number, and a worker that has not mapped
//! one asks the supervisor for it: so nothing is sent to a worker that is stopped or busy, and a dropped share is
//! simply not asked for any more.
//!
//! Invariant, which `SAFETY` notes cite:
//! * **S3** The bytes of a [`Share`] are mapped and stay in place until it is dropped. Those of a memory file are also
//!   in the file until then: it is sealed against growing, nobody but its owner is given a descriptor that could
//!   shrink it (nor, unless it is root, can open one), and that happens in `Drop` alone. Those of a file on disk are in it by the contract of who opened it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytemuck::{Pod, Zeroable};
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::SealFlags;

use super::check_file_size;
use super::files::Claim;
use crate::error::{Error, Result};
use crate::sync::{AtomicU64, Relaxed};
use crate::sys::shm;

/// What may be done to a share's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

/// As its owner in the parent has it.
#[derive(Debug)]
pub(crate) struct Share {
    id: u64,
    /// For messages.
    name: String,
    map: MmapRaw,
    file: Arc<OwnedFd>,
    /// It is in memory, and ours alone to shrink; workers are given a descriptor for reading.
    is_memory: bool,
    by_workers: Use,
    /// Of a file on disk: what of it is ours.
    _claim: Option<Claim>,
    /// The process that made it: a forked child's copy is not its owner.
    owner: u32,
}

/// What a worker is told of a share, beside its descriptor.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    /// 0: there is no such share. [`Ticket::LATER`]: it cannot be handed over now.
    pub(crate) len_bytes: u64,
    pub(crate) writable: u32,
    pub(crate) on_disk: u32,
}

impl Ticket {
    /// The length of a share that is to be asked for again in a moment.
    pub(crate) const LATER: u64 = u64::MAX;
}

/// What a worker is given of a share, which does not keep the share alive: when its owner drops it, it is gone, though
/// the supervisor is just handing it over. (Otherwise the file would be claimed a moment longer than its array lives.)
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    ticket: Ticket,
    file: Arc<OwnedFd>,
}

struct Registered {
    share: Weak<Share>,
    offer: Offer,
}

/// Every living share of this process, by number.
static SHARES: Mutex<BTreeMap<u64, Registered>> = Mutex::new(BTreeMap::new());

fn shares() -> MutexGuard<'static, BTreeMap<u64, Registered>> {
    SHARES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Share {
    /// Zero bytes in memory, which this process alone can write.
    ///
    /// # Errors
    /// [`TooLarge`](crate::ErrorKind::TooLarge) beyond `RLIMIT_FSIZE`; [`Os`](crate::ErrorKind::Os) if the system
    /// refuses.
    pub(crate) fn create(name: String, len_bytes: usize) -> Result<Arc<Share>> {
        assert!(len_bytes > 0, "share {name:?} of no bytes");
        check_file_size(&name, len_bytes)?;
        let made = || {
            let memory = shm::create("shmpool-input")?;
            shm::set_size(&memory, len_bytes as u64)?;
            let map = MmapOptions::new().len(len_bytes).map_raw(&memory)?;
            // After the mapping, which stays writable. Not against shrinking: that is how the memory is given back at
            // once, though a worker that is stopped has it mapped.
            shm::add_seals(&memory, SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
            // Workers run as the same user: without this they could open it anew by its path, and shrink it.
            shm::forbid_writing(&memory)?;
            Ok((map, memory))
        };
        let (map, memory) = made()
            .map_err(|error: std::io::Error| Error::os(format!("make {name} of {len_bytes} bytes"), error))?;
        Ok(Share::register(name, map, memory, Use::Read, None))
    }

    /// The first `len_bytes` (above 0, and no more than it has) of a file on disk, of which `claim` is ours.
    ///
    /// # Errors
    /// [`Os`](crate::ErrorKind::Os) if the file cannot be mapped so.
    pub(crate) fn of_file(
        name: String,
        file: File,
        len_bytes: usize,
        by_workers: Use,
        claim: Claim,
    ) -> Result<Arc<Share>> {
        let mut options = MmapOptions::new();
        options.len(len_bytes);
        let map = match by_workers {
            Use::Read => options.map_raw_read_only(&file),
            Use::Write => options.map_raw(&file),
        };
        let map = map.map_err(|error| Error::os(format!("map {len_bytes} bytes of {name}"), error))?;
        Ok(Share::register(name, map, file.into(), by_workers, Some(claim)))
    }

    fn register(
        name: String,
        map: MmapRaw,
        file: OwnedFd,
        by_workers: Use,
        claim: Option<Claim>,
    ) -> Arc<Share> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only that no number comes twice.
        let id = NEXT.fetch_add(1, Relaxed);
        let (owner, is_memory) = (std::process::id(), claim.is_none());
        let ticket = Ticket {
            id,
            len_bytes: map.len() as u64,
            writable: (by_workers == Use::Write).into(),
            on_disk: (!is_memory).into(),
        };
        let file = Arc::new(file);
        let offer = Offer { ticket, file: Arc::clone(&file) };
        let share = Arc::new(Share { id, name, map, file, is_memory, by_workers, _claim: claim, owner });
        shares().insert(id, Registered { share: Arc::downgrade(&share), offer });
        share
    }

    /// The living share of that number.
    pub(crate) fn find(id: u64) -> Option<Arc<Share>> {
        shares().get(&id)?.share.upgrade()
    }

    /// What a worker is to be given of the living share of that number.
    pub(crate) fn offer(id: u64) -> Option<Offer> {
        Some(shares().get(&id)?.offer.clone())
    }

    /// Its number, above 0.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// For messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// First byte; on a page edge.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.map.len()
    }

    /// What workers may do to it.
    pub(crate) fn by_workers(&self) -> Use {
        self.by_workers
    }

    /// Writes what has been changed in a file on disk to the disk.
    pub(crate) fn flush(&self) -> Result<()> {
        self.map.flush().map_err(|error| Error::os(format!("write {} to disk", self.name), error))
    }
}

impl Offer {
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Calls `send` with the descriptor that workers are given. Of a memory file that is opened for the occasion: a
    /// program may have more inputs than descriptors for two each.
    pub(crate) fn hand_over<R>(
        &self,
        send: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<R>,
    ) -> std::io::Result<R> {
        match self.ticket.on_disk {
            0 => send(shm::read_only(&self.file)?.as_fd()),
            _ => send(self.file.as_fd()),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return; // a forked child; and another thread may have held the lock when it was forked
        }
        shares().remove(&self.id);
        if self.is_memory {
            // Whoever maps it still has no business there any more. Were it refused, the memory would stay until they
            // let go of it.
            let _ = shm::set_size(&self.file, 0);
        }
    }
}

/// As a worker has it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) ticket: Ticket,
    map: MmapRaw,
}

impl View {
    /// Maps what the parent has sent.
    pub(crate) fn map(ticket: Ticket, fd: &OwnedFd) -> Result<View> {
        let len_bytes = ticket.len_bytes as usize;
        let fail =
            |error: std::io::Error| Error::os(format!("map {len_bytes} bytes beside the arena"), error);
        let mut options = MmapOptions::new();
        options.len(len_bytes);
        let map = if ticket.writable == 0 { options.map_raw_read_only(fd) } else { options.map_raw(fd) };
        let map = map.map_err(fail)?;
        // As for the arena: a task's forked child must not write on, and a crash must not dump it.
        for advice in [Advice::DontFork, Advice::DontDump] {
            map.advise(advice).map_err(fail)?;
        }
        Ok(View { ticket, map })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn what_workers_get_can_be_read_and_not_written() {
        let share = Share::create("input".into(), PAGE).unwrap();
        let offer = Share::offer(share.id()).unwrap();
        let fd = offer.hand_over(|fd| fd.try_clone_to_owned()).unwrap();
        let view = View::map(offer.ticket(), &fd).unwrap();
        // SAFETY: both mappings have the byte, and this test alone has the share.
        let read = unsafe {
            share.as_ptr().write_volatile(7);
            view.as_ptr().read_volatile()
        };
        assert_eq!(read, 7);
        View::map(Ticket { writable: 1, ..offer.ticket() }, &fd).unwrap_err();
        shm::set_size(&fd, 0).unwrap_err();
        assert_eq!(
            rustix::fs::fstat(&fd).unwrap().st_mode & 0o777,
            0o400,
            "and nobody but root opens it to write"
        );
        rustix::io::pwrite(&fd, &[1], 0).unwrap_err();
    }

    #[test]
    fn a_dropped_share_gives_its_memory_back_though_somebody_maps_it() {
        let share = Share::create("input".into(), 16 * PAGE).unwrap();
        // SAFETY: within the mapping, which nobody else has yet.
        unsafe { share.as_ptr().write_bytes(1, 16 * PAGE) };
        let offer = Share::offer(share.id()).unwrap();
        let fd = offer.hand_over(|fd| fd.try_clone_to_owned()).unwrap();
        let _view = View::map(offer.ticket(), &fd).unwrap();
        assert_eq!(shm::resident_bytes(&fd).unwrap(), 16 * PAGE as u64);
        let id = share.id();
        assert!(Share::find(id).is_some());
        drop(share);
        assert!(Share::find(id).is_none() && Share::offer(id).is_none());
        assert_eq!(shm::resident_bytes(&fd).unwrap(), 0, "though its offer is still there");
    }

    #[test]
    fn a_dropped_share_is_gone_though_it_is_being_handed_over() {
        let file = File::from(shm::create("claimed").unwrap());
        file.set_len(PAGE as u64).unwrap();
        let map = |how| {
            let claim = Claim::of(&file, 0..PAGE, how, "a.npy")?;
            Share::of_file("a.npy".into(), file.try_clone().unwrap(), PAGE, how, claim)
        };
        let share = map(Use::Read).unwrap();
        let offer = Share::offer(share.id()).unwrap();
        map(Use::Write).unwrap_err();
        drop(share);
        let _again = map(Use::Write).unwrap();
        offer.hand_over(|_| Ok(())).unwrap();
    }
}
