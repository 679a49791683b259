//! The monotonic clock: as futexes want it, and without the time for which this process was stopped.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::sync::{AtomicU32, AtomicU64, Relaxed};

/// Beats come at least this often while a pool lives.
pub(crate) const BEAT_MAX: Duration = Duration::from_secs(1);

/// When the last beat was, and how much of the time until then this process was stopped for.
static BEAT_NS: AtomicU64 = AtomicU64::new(0);
static STOPPED_NS: AtomicU64 = AtomicU64::new(0);
/// Threads that have promised beats.
static BEATING: AtomicU32 = AtomicU32::new(0);

/// The promise of beats, until it is dropped.
pub(crate) struct Beating(());

impl Beating {
    pub(crate) fn new() -> Self {
        // Relaxed, as below. Nobody has beaten while there was nobody to: that gap is none.
        if BEATING.fetch_add(1, Relaxed) == 0 {
            BEAT_NS.store(monotonic_ns(), Relaxed);
        }
        Beating(())
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        BEATING.fetch_sub(1, Relaxed);
    }
}

/// Says that this process runs. A gap between beats that is twice as long as the longest one means that it did not:
/// Ctrl-Z, a frozen cgroup, a debugger. That time does not count as [`awake`].
pub(crate) fn beat() {
    let now = monotonic_ns();
    // Relaxed: each gap is between two values of this one word, and whoever raises it accounts for it. A thread that has
    // read the clock long ago raises nothing.
    let gap = now.saturating_sub(BEAT_NS.fetch_max(now, Relaxed));
    let most = BEAT_MAX.as_nanos() as u64;
    if gap > 2 * most && BEATING.load(Relaxed) > 0 {
        STOPPED_NS.fetch_add(gap - most, Relaxed);
    }
}

/// The time that this process has had, from some moment on: deadlines are set in it, or all of them would have passed
/// after Ctrl-Z and `fg`.
pub(crate) fn awake() -> Duration {
    // Relaxed: late by a beat is early by a moment, and that deadline is looked at again after the next one.
    Duration::from_nanos(monotonic_ns().saturating_sub(STOPPED_NS.load(Relaxed)))
}

/// For how long this process was stopped, from the same moment on.
pub(crate) fn stopped() -> Duration {
    // Relaxed: as in `awake`.
    Duration::from_nanos(STOPPED_NS.load(Relaxed))
}

/// The time of the monotonic clock, which all processes share.
pub(crate) fn monotonic() -> Duration {
    Duration::from_nanos(monotonic_ns())
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec.cast_unsigned()).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.cast_unsigned())
}

#[cfg_attr(feature = "raw-sync", allow(dead_code))] // for futexes alone
/// The moment `wait` from now on the monotonic clock.
pub(crate) fn deadline(wait: Duration) -> Timespec {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = now.tv_nsec + i64::from(wait.subsec_nanos());
    let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX / 4);
    Timespec {
        tv_sec: now.tv_sec.saturating_add(seconds + nanos / 1_000_000_000),
        tv_nsec: nanos % 1_000_000_000,
    }
}

/// `wait` as a relative time.
pub(crate) fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() }
}
