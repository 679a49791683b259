//! The monotonic clock, as futexes want it.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

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
