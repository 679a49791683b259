//! What sleepers sleep on. Futexes are what the engine uses; `raw_sync`'s events can take their place behind a feature, to
//! compare with.
//!
//! A sleeper waits for a word to change, and has a bed of its own in shared memory. Whoever changes the word wakes it
//! afterwards. A sleep may end without a reason: sleepers look at the word, never at why they woke.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::Result;
use crate::sync::AtomicU32;
use crate::sys::futex;

/// See the head of this file; `contract.rs` says what each one must do.
pub(crate) trait Backend {
    /// What a sleeper has of its own, in memory that all processes write.
    type Bed;

    /// Prepares a bed, whatever its bytes are, while nobody else is at it: before others have the memory, or after the death
    /// of its sleeper.
    fn make(bed: &Self::Bed) -> Result<()>;

    /// Sleeps while `word` holds `value`, until a wake that names one of `bits`, or `wait` has passed (`None`: for ever).
    fn sleep(word: &AtomicU32, value: u32, bits: NonZeroU32, bed: &Self::Bed, wait: Option<Duration>);

    /// Wakes the sleepers on `word` that one of `bits` names; `beds` are theirs, and those of nobody else.
    fn wake<'a>(word: &AtomicU32, bits: NonZeroU32, beds: impl Iterator<Item = &'a Self::Bed>)
    where
        Self::Bed: 'a;
}

/// One call wakes all, or those that a mask names; a killed sleeper leaves no trace in the kernel, and nobody holds
/// anything.
#[cfg_attr(feature = "raw-sync", allow(dead_code))] // only its contract runs then
pub(crate) struct Futexes;

impl Backend for Futexes {
    type Bed = ();

    fn make((): &()) -> Result<()> {
        Ok(())
    }

    fn sleep(word: &AtomicU32, value: u32, bits: NonZeroU32, (): &(), wait: Option<Duration>) {
        futex::wait(word, value, bits, wait);
    }

    fn wake<'a>(word: &AtomicU32, bits: NonZeroU32, _: impl Iterator<Item = &'a ()>) {
        futex::wake_all(word, bits);
    }
}

/// The one that the engine uses.
#[cfg(not(feature = "raw-sync"))]
pub(crate) type Active = Futexes;
#[cfg(feature = "raw-sync")]
pub(crate) type Active = super::events::Events;

/// A bed of it.
pub(crate) type Bed = <Active as Backend>::Bed;
