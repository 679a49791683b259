//! `raw_sync`'s events as beds (feature `raw-sync`): pthread mutexes and condition variables in shared memory.
//!
//! For comparison alone. They are not robust: a process that is killed while it holds the mutex locks everybody out for
//! ever, and one that is killed while it waits can make the next `set` hang inside of the C library, with the mutex held
//! (`contract.rs` shows both). So with this feature a death can hang a pool, and a worker that scribbles over its control
//! segment can hang the parent.
#![allow(unsafe_code)] // events over raw memory

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};

use super::backend::Backend;
use crate::error::{Error, Result};
use crate::sync::{AtomicU32, AtomicU64, Relaxed};

pub(crate) struct Events;

/// Room for an event, which is 96 bytes here.
#[repr(C, align(64))]
pub(crate) struct EventBed {
    room: [AtomicU64; 16],
}

/// No sleep is longer: should a wake be lost, that is what it costs.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl EventBed {
    fn room(&self) -> *mut u8 {
        self.room.as_ptr().cast_mut().cast()
    }

    /// The event; `None` if its bytes are not those of one.
    fn event(&self) -> Option<Box<dyn EventImpl>> {
        // SAFETY: the room holds an event, as `make` was called before anybody else had the memory; its own mutex guards it.
        unsafe { Event::from_existing(self.room()) }.ok().map(|(event, _)| event)
    }
}

impl Backend for Events {
    type Bed = EventBed;

    fn make(bed: &EventBed) -> Result<()> {
        let needed = Event::size_of(None);
        assert!(needed <= size_of::<EventBed>(), "an event of {needed} bytes");
        // SAFETY: the room is as large as an event, on an edge that suits it, and nobody else is at it. Reset by whoever has
        // waited: each bed has one sleeper.
        let made = unsafe { Event::new(bed.room(), true) };
        made.map(drop).map_err(|error| Error::os("make an event", std::io::Error::other(error.to_string())))
    }

    fn sleep(word: &AtomicU32, value: u32, _: NonZeroU32, bed: &EventBed, wait: Option<Duration>) {
        // Relaxed: a change that is not seen here has its `set` still to come, or behind it, and the event remembers.
        if word.load(Relaxed) != value {
            return;
        }
        let (wait, left) = (wait.unwrap_or(SLEEP_MAX), left_of_the_second());
        if left <= MARGIN {
            // Sleepers look again, and what is set meanwhile, the event remembers.
            return std::thread::sleep(wait.min(left));
        }
        let wait = wait.min(left - MARGIN);
        if let Some(event) = bed.event() {
            // Set, too late or failed: look again.
            let _ = event.wait(Timeout::Val(wait));
        }
    }

    fn wake<'a>(_: &AtomicU32, _: NonZeroU32, beds: impl Iterator<Item = &'a EventBed>) {
        for event in beds.filter_map(EventBed::event) {
            let _ = event.set(EventState::Signaled);
        }
    }
}

/// `raw_sync` reads the clock after us.
const MARGIN: Duration = Duration::from_millis(1);

/// A wait must end within this second of the clock: `raw_sync` adds nanoseconds without a carry, and a sum of a whole second
/// or more fails at once with EINVAL (its issue 39).
fn left_of_the_second() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_secs(1) - Duration::from_nanos(now.into())
}
