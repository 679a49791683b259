//! How long to look again before sleeping.
//!
//! Waking an idle core costs tens of microseconds, looking again costs nothing as long as nobody else wants the core, and
//! twenty times more than sleeping when somebody does. So an idle worker spins only where CPUs are left over, and less and less while
//! that comes to nothing.

use std::time::{Duration, Instant};

use crate::sync::spin_loop;

/// An adaptive budget for looking again.
pub(crate) struct Spin {
    max: Duration,
    now: Duration,
}

impl Spin {
    /// Spins for at most `max` a time; zero never spins.
    pub(crate) fn new(max: Duration) -> Self {
        Spin { max, now: max }
    }

    /// Calls `look` until it finds something or the budget is used up.
    pub(crate) fn until<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.now.is_zero() {
            return None;
        }
        let start = Instant::now();
        while start.elapsed() < self.now {
            for _ in 0..32 {
                spin_loop();
            }
            if let Some(found) = look() {
                self.now = self.max;
                return Some(found);
            }
        }
        // Not for nothing: one success restores it, 16 failures in a row all but end it.
        self.now = (self.now - self.now / 4).max(self.max / 64);
        None
    }
}
