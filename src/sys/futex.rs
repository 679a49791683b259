//! Sleeping on a word of shared memory until it changes.
//!
//! The PRIVATE flag is never set: with it the kernel keys the word by this process's address space, and every
//! wake from another process is lost. A sleeper that is killed leaves no trace in the kernel.
#![cfg_attr(feature = "raw-sync", allow(dead_code))] // only their contract runs then

use std::num::NonZeroU32;
use std::time::Duration;

use rustix::thread::futex::{self, Flags};

use crate::sync::AtomicU32;

/// Sleeps while `word` holds `value`, until a wake that names one of `bits`, or `wait` has passed (`None`:
/// for ever).
///
/// Returns at any time without a reason: the caller looks at the word, never at why it woke.
pub(crate) fn wait(word: &AtomicU32, value: u32, bits: NonZeroU32, wait: Option<Duration>) {
    // The time of a bitset wait is absolute.
    let deadline = wait.map(super::clock::deadline);
    // Every outcome (woken, changed before we slept, interrupted, too late) means the same: look again.
    let _ = futex::wait_bitset(word, Flags::empty(), value, deadline.as_ref(), bits);
}

/// Wakes every sleeper on `word` that waits for one of `bits`.
pub(crate) fn wake_all(word: &AtomicU32, bits: NonZeroU32) {
    // Fails only for a bad address, and a reference is not one.
    let _ = futex::wake_bitset(word, Flags::empty(), i32::MAX as u32, bits);
}
