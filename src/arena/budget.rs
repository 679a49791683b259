//! May more memory be promised? Asked before any of it is touched, for later the answer is a signal.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::limits::{self, Cgroups};

/// What the system leaves for new pages, and which limit says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headroom {
    pub(crate) bytes: u64,
    pub(crate) limit: &'static str,
}

/// Asks the system. A test asks something else.
pub(crate) type Limits = Box<dyn Fn() -> Result<Headroom> + Send + Sync>;

/// What the machine and the cgroups of this process leave, less a margin for everything else that runs here.
pub(crate) fn system_limits() -> Limits {
    let cgroups = Cgroups::find();
    Box::new(move || {
        let machine = limits::meminfo().map_err(|error| Error::os("read /proc/meminfo", error))?;
        let of_machine = Headroom {
            bytes: machine.available_bytes.saturating_sub(margin_bytes(machine.total_bytes)),
            limit: "available memory",
        };
        let of_cgroups = cgroups.memory().map(|cgroup| Headroom {
            bytes: cgroup
                .max_bytes
                .saturating_sub(cgroup.used_bytes)
                .saturating_sub(margin_bytes(cgroup.max_bytes)),
            limit: "the cgroup's memory limit",
        });
        Ok(of_cgroups.fold(of_machine, |least, other| if other.bytes < least.bytes { other } else { least }))
    })
}

fn margin_bytes(total_bytes: u64) -> u64 {
    (total_bytes / 32).min(512 << 20)
}

/// How many bytes one look at the system may cover.
const CREDIT_BYTES: u64 = 16 << 20;

/// The promises of one arena.
pub(super) struct Budget {
    limits: Limits,
    /// Bytes that the last look at the system still covers.
    credit_bytes: u64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Budget {
        Budget { limits, credit_bytes: 0 }
    }

    /// What the system leaves, promised bytes not counted.
    pub(super) fn headroom(&self) -> Result<Headroom> {
        (self.limits)()
    }

    /// Promises `wanted_bytes` more, or says what is left. `untouched` counts what was promised and has no
    /// page yet.
    pub(super) fn promise(
        &mut self,
        wanted_bytes: u64,
        untouched: impl FnOnce() -> Result<u64>,
    ) -> Result<std::result::Result<(), Headroom>> {
        if let Some(left) = self.credit_bytes.checked_sub(wanted_bytes) {
            self.credit_bytes = left;
            return Ok(Ok(()));
        }
        let system = self.headroom()?;
        let bytes = system.bytes.saturating_sub(untouched()?);
        let Some(left) = bytes.checked_sub(wanted_bytes) else {
            self.credit_bytes = 0;
            return Ok(Err(Headroom { bytes, ..system }));
        };
        self.credit_bytes = left.min(CREDIT_BYTES);
        Ok(Ok(()))
    }
}

pub(super) fn too_large(what: &dyn fmt::Display, wanted_bytes: u64, left: Headroom) -> Error {
    let Headroom { bytes: limit_bytes, limit } = left;
    ErrorKind::TooLarge { what: what.to_string(), wanted_bytes, limit_bytes, limit }.into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc;

    use super::*;

    fn fixed(bytes: u64) -> Limits {
        Box::new(move || Ok(Headroom { bytes, limit: "the test" }))
    }

    #[test]
    fn what_is_promised_but_untouched_counts() {
        let mut budget = Budget::new(fixed(100 << 20));
        assert_eq!(budget.promise(40 << 20, || Ok(60 << 20)).unwrap(), Ok(()));
        let refused = budget.promise((40 << 20) + 1, || Ok(60 << 20)).unwrap();
        assert_eq!(refused, Err(Headroom { bytes: 40 << 20, limit: "the test" }));
    }

    #[test]
    fn small_promises_look_at_the_system_once_in_16_mib() {
        let (sender, looks) = mpsc::channel();
        let mut budget = Budget::new(Box::new(move || {
            sender.send(()).unwrap();
            Ok(Headroom { bytes: 1 << 40, limit: "the test" })
        }));
        let untouched = Cell::new(0);
        for _ in 0..(64 << 20) / 4096 {
            budget.promise(4096, || Ok(untouched.get())).unwrap().unwrap();
            untouched.set(untouched.get() + 4096);
        }
        assert_eq!(looks.try_iter().count(), 4);
    }

    #[test]
    fn credit_never_covers_more_than_there_is() {
        let mut budget = Budget::new(fixed(1000));
        assert_eq!(budget.promise(600, || Ok(0)).unwrap(), Ok(()));
        assert_eq!(budget.promise(400, || Ok(600)).unwrap(), Ok(()));
        assert_eq!(budget.promise(1, || Ok(1000)).unwrap(), Err(Headroom { bytes: 0, limit: "the test" }));
    }

    #[test]
    fn this_machine_leaves_something() {
        assert!(system_limits()().unwrap().bytes > 0);
    }
}
