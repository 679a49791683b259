//! How long to look again before sleeping.
//!
//! Waking a core that has halted costs tens of microseconds, on a virtual machine most of a small job's time;
//! looking again keeps it awake. While nobody else wants the core that is free; so each look that finds
//! nothing offers the core to whoever does (`sched_yield`), which with as many workers as CPUs is the caller
//! itself. And the budget shrinks while looking comes to nothing.

use std::time::{Duration, Instant};

use crate::sync::spin_loop;

/// An adaptive budget for looking again.
pub(crate) struct Spin {
    max: Duration,
    now: Duration,
    since: Option<Instant>,
}

/// Work that comes within so many budgets, even if it had to wake us, says that looking again would have
/// paid.
const NEAR: u32 = 4;

impl Spin {
    /// Looks again for at most `max` a time; zero never does.
    pub(crate) fn new(max: Duration) -> Self {
        Spin { max, now: max, since: None }
    }

    /// Calls `look` until it finds something or the budget is used up.
    pub(crate) fn until<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.max.is_zero() {
            return None;
        }
        let start = Instant::now();
        self.since = Some(start);
        while start.elapsed() < self.now {
            for _ in 0..8 {
                spin_loop();
                if let Some(found) = look() {
                    return Some(found);
                }
            }
            std::thread::yield_now();
        }
        None
    }

    /// Work has come, whether while looking or after a sleep.
    pub(crate) fn found(&mut self) {
        let Some(since) = self.since.take() else { return };
        self.now = if since.elapsed() < self.max * NEAR {
            self.max
        } else {
            // Not for nothing: 16 sleeps in a row all but end it.
            (self.now - self.now / 4).max(self.max / 64)
        };
    }
}
