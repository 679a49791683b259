//! The child: attach, take, run, publish, repeat.
//!
//! It is entered with a control socket and nothing else, and believes what the parent wrote only after a
//! look: a bad descriptor fails its task, it does not crash the worker.

mod attach;
mod events;
mod faults;
mod run;
mod setup;
mod shares;
mod single;
mod start;

pub(crate) use start::require_init;
pub use start::{enter_before_main, init};

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::control::entry::{Claim, Owner};
use crate::control::handshake::{EXIT_RETIRED, farewell};
use crate::control::mapped::Mapped;
use crate::control::parent::ParentControl;
use crate::control::setup::Setup;
use crate::control::worker::{WorkerControl, WorkerSlot};
use crate::park::{self, Spin};
use crate::ring::Ring;
use crate::segment::Mapping;
use crate::sync::Relaxed;
use crate::sys::{clock, socket};

/// A worker that has attached.
pub(crate) struct Worker {
    me: Owner,
    parent: Mapped<ParentControl>,
    workers: Mapped<WorkerControl>,
    /// The data segment, up to a high-water mark that grows on demand: a wild write reaches no further.
    data: Mapping,
    /// What its jobs use beside it.
    shares: shares::Shares,
    /// What the builder has said of all workers.
    setup: Setup,
    /// Kept open: its end tells the parent that we are gone, and the other way round.
    socket: OwnedFd,
}

/// How long a worker waits to be heard before it ends.
const FAREWELL_WAIT: Duration = Duration::from_millis(100);

/// After this long without work a worker gives its scratch memory back.
const IDLE: Duration = Duration::from_millis(20);
/// The same after a task with a large argument or result: its like needs that memory again, and each page costs. Who sends
/// one now and then, and works on it meanwhile, finds it there.
const IDLE_LARGE: Duration = Duration::from_secs(1);

impl Worker {
    /// Runs tasks until the pool ends, or as many as it may, and then the finalizer; the exit code.
    pub(crate) fn run(mut self) -> i32 {
        let code = self.run_tasks();
        if let Err(why) = setup::finish(&self.setup, code) {
            // Should the parent not hear it: so it does not want to.
            let _ = socket::send_when_possible(&self.socket, &farewell(&why), FAREWELL_WAIT);
        }
        code
    }

    fn run_tasks(&mut self) -> i32 {
        let n_workers = (self.parent.get().header.n_workers.load(Relaxed) as usize).max(1);
        let spin_ns = self.parent.get().header.spin_ns.load(Relaxed);
        let mut spin = Spin::new(Duration::from_nanos(spin_ns));
        let mut runner = run::Runner::new();
        let mut idle = false;
        loop {
            let epoch = park::prepare(&self.parent.get().wake);
            // Relaxed: as for `stop` below.
            events::want(self.parent.get().header.events.load(Relaxed));
            if let Some(claim) = self.take(n_workers).or_else(|| spin.until(|| self.take(n_workers))) {
                idle = false;
                self.note_work();
                spin.found();
                runner.run(self, &claim);
                if self.setup.tasks_max.is_some_and(|max| runner.n_singles >= max) {
                    return EXIT_RETIRED;
                }
                continue;
            }
            let slot = self.slot();
            self.note_idle();
            park::park(slot);
            if self.rings(n_workers).any(Ring::has_hints) {
                park::woke(slot);
                continue;
            }
            // Relaxed: nothing travels with it; it is looked at after every wake.
            if self.parent.get().header.stop.load(Relaxed) != 0 {
                return 0;
            }
            // Relaxed: likewise.
            if self.parent.get().dismissed[usize::from(self.me.slot)].load(Relaxed) != 0 {
                // Not asleep any more, so that nobody counts on waking us, and then a last look: what comes after it is for
                // those who sleep, or for our successor.
                park::leave(slot);
                if !self.rings(n_workers).any(Ring::has_hints) {
                    return EXIT_RETIRED;
                }
                continue;
            }
            let busy_for = if runner.was_large { IDLE_LARGE } else { IDLE };
            let wait = (!idle).then_some(busy_for);
            park::sleep(&self.parent.get().wake, epoch, (self.me.slot.into(), slot), wait);
            park::woke(slot);
            if !idle && self.parent.get().wake.epoch.load(Relaxed) == epoch {
                // Nothing came for a while.
                idle = true;
                runner.release_memory(self);
            }
        }
    }

    fn slot(&self) -> &WorkerSlot {
        &self.workers.get().slots[usize::from(self.me.slot)]
    }

    /// There is nothing to do, from now on unless it was so before.
    fn note_idle(&self) {
        let slot = self.slot();
        // Relaxed, as below: figures for those who look, and nobody else writes them.
        if slot.idle_since_ns.load(Relaxed) == 0 {
            slot.idle_since_ns.store(now_ns(), Relaxed);
        }
    }

    /// There is something to do.
    fn note_work(&self) {
        let slot = self.slot();
        let since = slot.idle_since_ns.load(Relaxed);
        if since != 0 {
            slot.idle_since_ns.store(0, Relaxed);
            let idle_ns = now_ns().saturating_sub(since).saturating_add(slot.idle_ns.load(Relaxed));
            slot.idle_ns.store(idle_ns, Relaxed);
        }
    }

    /// A lease from our own ring, or else from the next worker's that has one.
    fn take(&self, n_workers: usize) -> Option<Claim> {
        self.rings(n_workers).find_map(|ring| ring.take(&self.workers.get().entries, self.me))
    }

    /// Every ring, our own first.
    fn rings(&self, n_workers: usize) -> impl Iterator<Item = Ring<'_>> {
        let (parent, workers) = (self.parent.get(), self.workers.get());
        let own = usize::from(self.me.slot);
        (own..n_workers)
            .chain(0..own)
            .map(|ring| Ring { parent: &parent.rings[ring], workers: &workers.heads[ring] })
    }
}

fn now_ns() -> u64 {
    clock::monotonic().as_nanos() as u64
}
