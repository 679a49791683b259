//! Sleeping until there is work, without losing a wake-up, whoever dies.
//!
//! One word in the parent's segment, which no worker can write, and on which every worker sleeps on a bit of
//! its own: one system call wakes all of them, or one.
//!
//! ```text
//! worker                                  parent
//! e = epoch                               push hint
//! look for work: none                     epoch += 1
//! parked = 1                              fence(SeqCst)                       [F2]
//! fence(SeqCst)                    [F1]   some worker parked: wake its bit
//! a hint in any ring: parked = 0, again
//! sleep while epoch == e
//! parked = 0
//! ```
//!
//! Either the parent sees `parked`, or the worker's second look sees the hint: that is what the two fences
//! order. A wake between the second look and the sleep has changed the epoch, and the sleep does not begin. A
//! worker that is woken and dies leaves its hint in the ring, and its death wakes the supervisor; a sleeper
//! that is killed leaves no trace in the kernel. One that [leaves](leave) takes `parked` back and looks a last time, with a
//! fence between: either the parent does not count on waking it, or it stays.
//!
//! The sleep itself is a futex's, or behind the feature `raw-sync` that of an event of `raw_sync` (`backend.rs`); one suite,
//! `contract.rs`, runs over both, and shows the two deaths that the second does not survive.
//!
//! **P1.** While `parked` is 1, its worker holds no lease: the second look claims nothing, and `parked` is 0 again
//! before the next claim. So the parent can tell a lease that is taken in the name of one who sleeps ([`sleeps`]).

#[cfg(not(loom))]
mod backend;
#[cfg(all(test, not(loom)))]
mod contract;
#[cfg(all(feature = "raw-sync", not(loom)))]
mod events;
#[cfg(all(test, loom))]
mod model;
mod spin;

use std::num::NonZeroU32;
#[cfg(not(loom))]
use std::time::Duration;

#[cfg(not(loom))]
pub(crate) use backend::{Active, Backend, Bed};
pub(crate) use spin::Spin;

/// Models have sleepers of their own.
#[cfg(loom)]
pub(crate) type Bed = ();

use crate::control::parent::{Listener, WakeWord};
use crate::control::worker::{JobProgress, WorkerSlot};
#[cfg(not(loom))]
use crate::error::Result;
use crate::sync::{AcqRel, Acquire, AtomicU32, Relaxed, Release, SeqCst, fence};

/// Every bit: a sleeper on it hears every wake, a wake with it reaches every sleeper.
pub(crate) const ANY: NonZeroU32 = NonZeroU32::MAX;

/// Worker: sleeps until the epoch is no longer `epoch` and a wake names it, or `wait` has passed.
#[cfg(not(loom))]
pub(crate) fn sleep(wake: &WakeWord, epoch: u32, slot: (usize, &WorkerSlot), wait: Option<Duration>) {
    Active::sleep(&wake.epoch, epoch, bit(slot.0), &slot.1.bed, wait);
}

/// Parent: wakes the workers of `slots` that sleep on one of `bits`.
#[cfg(not(loom))]
pub(crate) fn wake_workers<'a>(
    wake: &WakeWord,
    bits: NonZeroU32,
    slots: impl Iterator<Item = (usize, &'a WorkerSlot)>,
) {
    let named = slots.filter(|(slot, _)| bits.get() & bit(*slot).get() != 0);
    Active::wake(&wake.epoch, bits, named.map(|(_, slot)| &slot.bed));
}

/// Supervisor: a fresh bed where a worker that is reaped has slept. Under the lock that every wake of workers is under:
/// nobody else is at the bed.
#[cfg(not(loom))]
pub(crate) fn renew_bed(slot: &WorkerSlot) -> Result<()> {
    Active::make(&slot.bed)
}

/// Caller: sleeps until the count is no longer `seen`, or `wait` has passed.
#[cfg(not(loom))]
pub(crate) fn sleep_on_count(progress: &JobProgress, seen: u32, wait: Duration) {
    Active::sleep(&progress.completed, seen, ANY, &progress.bed, Some(wait));
}

/// Wakes the caller that sleeps on a count, after it was changed.
#[cfg(not(loom))]
pub(crate) fn wake_caller(progress: &JobProgress) {
    Active::wake(&progress.completed, ANY, std::iter::once(&progress.bed));
}

/// The bit that the worker in `slot` sleeps on; beyond 32 workers several share one.
pub(crate) fn bit(slot: usize) -> NonZeroU32 {
    NonZeroU32::new(1 << (slot % 32)).expect("a shift below 32 keeps the bit")
}

/// Worker: the value to compare with before the first look.
pub(crate) fn prepare(wake: &WakeWord) -> u32 {
    // Acquire: pairs with the Release in `announce`; the looks that follow see the hints of every
    // announcement so far.
    wake.epoch.load(Acquire)
}

/// Worker: says that it is about to sleep. To be followed by a second look, which claims nothing, then by the sleep,
/// then by [`woke`].
pub(crate) fn park(slot: &WorkerSlot) {
    // Release [R6]: after the end of every lease that it had (P1); pairs with A6 in `sleeps`.
    slot.parked.store(1, Release);
    // [F1] `parked` before the second look's loads of heads and tails; pairs with F2.
    fence(SeqCst);
}

/// Worker: awake again, before it claims anything.
pub(crate) fn woke(slot: &WorkerSlot) {
    // Relaxed: whoever sees the next claim, which has Release, sees this too (P1). Too late a 0 costs the parent one
    // system call.
    slot.parked.store(0, Relaxed);
}

/// Worker: about to leave for good rather than to sleep. To be followed by a last look.
pub(crate) fn leave(slot: &WorkerSlot) {
    // Relaxed: as in `woke`.
    slot.parked.store(0, Relaxed);
    // [F7] `parked` before the last look's loads of heads and tails; pairs with F2. Who still sees us asleep, and may wake
    // nobody else, has pushed a hint that the look sees.
    fence(SeqCst);
}

/// Parent: true if the worker says that it sleeps. A lease that is its own before and after this look, read with
/// Acquire, was not taken by it.
pub(crate) fn sleeps(slot: &WorkerSlot) -> bool {
    // Acquire [A6]: pairs with R6; the ends of its leases are visible.
    slot.parked.load(Acquire) != 0
}

/// Parent, under its lock, after pushing hints: the bits to wake among `slots`, if any of them sleeps.
pub(crate) fn announce<'a>(
    wake: &WakeWord,
    slots: impl Iterator<Item = (usize, &'a WorkerSlot)>,
) -> Option<NonZeroU32> {
    // Relaxed load: the parent's lock orders its threads, and nobody else writes the word.
    let epoch = wake.epoch.load(Relaxed);
    // Release: pairs with `prepare`.
    wake.epoch.store(epoch.wrapping_add(1), Release);
    // [F2] tails and epoch before the loads of `parked`; pairs with F1.
    fence(SeqCst);
    let mut bits = 0;
    for (index, slot) in slots {
        // Relaxed: the fence orders it.
        if slot.parked.load(Relaxed) != 0 {
            bits |= bit(index).get();
        }
    }
    NonZeroU32::new(bits)
}

/// Worker, after a lease's last state: counts it; true if the caller of the job is to be woken.
pub(crate) fn count(progress: &JobProgress, wake_at: &AtomicU32) -> bool {
    // AcqRel: after the state, so that whoever sees the count sees the table; pairs with `counted`.
    let completed = progress.completed.fetch_add(1, AcqRel).wrapping_add(1);
    // Relaxed: a hint, the caller's sleep is timed.
    completed >= wake_at.load(Relaxed)
}

/// Worker, after a submitted task's last state: counts it for whoever listens; the word that he sleeps on, if he is to be
/// woken.
pub(crate) fn count_single<'a>(listener: &Listener, words: &'a [JobProgress; 2]) -> Option<&'a JobProgress> {
    // [F3] the task's state before the listener; pairs with F4. Either we see who listens now, or his look at the table
    // sees the task's end.
    fence(SeqCst);
    // Relaxed: the fence orders it.
    let who = (listener.who.load(Relaxed) as usize).min(words.len() - 1);
    let completed = words[who].completed.fetch_add(1, AcqRel).wrapping_add(1);
    // [F5] the count before `wake_at`; pairs with F6.
    fence(SeqCst);
    // Exactly one worker meets the number. Should it die before it wakes anybody: its death wakes the listeners.
    (completed == listener.wake_at[who].load(Relaxed)).then_some(&words[who])
}

/// Parent, under its lock: from now on workers tell `who`. To be followed by a look at the table.
pub(crate) fn listen(listener: &Listener, who: usize) {
    // Relaxed: the fence orders it.
    listener.who.store(who as u32, Relaxed);
    // [F4]
    fence(SeqCst);
}

/// Listener: to be woken at the next count after `seen`, which was read before the look at the table. To be followed by the
/// sleep, which does not begin if the count is another one by now.
pub(crate) fn wake_me(listener: &Listener, who: usize, seen: u32) {
    // Relaxed: the fence orders it.
    listener.wake_at[who].store(seen.wrapping_add(1), Relaxed);
    // [F6] `wake_at` before the count is compared.
    fence(SeqCst);
}

/// Caller: the count to sleep on, read before the look at the table. A lease that ends after the look has
/// changed it by then, and the sleep does not begin.
pub(crate) fn counted(progress: &JobProgress) -> u32 {
    // Acquire: pairs with `count`, and the look stays behind it.
    progress.completed.load(Acquire)
}
