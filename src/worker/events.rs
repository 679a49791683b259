//! Events of this worker, for the parent's subscriber: each goes over the control socket as one message.
//!
//! Spans stay here, and cost nothing. What the parent's subscriber does not want is not made: the parent says up to which
//! level it does, in the header that we look at between leases.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

use crate::control::events::{Forwarded, number_of};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Relaxed};
use crate::sys::socket;

/// The least urgent level that the parent wants, by its number; 0: none.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// How long an event waits for the parent to take earlier ones before it is lost. The next ones do not wait, until one has gone.
const PATIENCE: Duration = Duration::from_millis(100);

/// Has events of this thread forwarded, until the guard is dropped: for initializers, which may choose a subscriber of their
/// own for the rest.
pub(super) fn forward_here(socket: &OwnedFd) -> Option<DefaultGuard> {
    Forward::new(socket).map(tracing::subscriber::set_default)
}

/// Has all events forwarded, unless the program has chosen a subscriber.
pub(super) fn forward(socket: &OwnedFd) {
    if let Some(forward) = Forward::new(socket) {
        let _ = tracing::subscriber::set_global_default(forward);
    }
}

/// Up to which level the parent wants events.
pub(super) fn want(level: u32) {
    // Relaxed: nothing travels with it.
    if WANTED.load(Relaxed) != level {
        WANTED.store(level, Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

struct Forward {
    socket: OwnedFd,
    n_lost: AtomicU64,
    /// The last event was lost.
    is_stuck: AtomicBool,
}

thread_local! {
    /// This thread is about to send an event: what its fields' own code says is not one.
    static SENDING: Cell<bool> = const { Cell::new(false) };
}

/// This thread is sending, until this is dropped: its fields' own code may panic.
struct Sending;

impl Drop for Sending {
    fn drop(&mut self) {
        SENDING.set(false);
    }
}

impl Forward {
    fn new(socket: &OwnedFd) -> Option<Self> {
        let socket = socket.try_clone().ok()?;
        Some(Forward { socket, n_lost: AtomicU64::new(0), is_stuck: AtomicBool::new(false) })
    }

    fn send(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let metadata = event.metadata();
        // Relaxed, all of these: counts for messages.
        let n_lost = self.n_lost.swap(0, Relaxed);
        let forwarded = Forwarded {
            level: number_of(metadata.level()),
            target: metadata.target(),
            file: metadata.file(),
            line: metadata.line(),
            message: &words.message,
            fields: &words.fields,
            n_lost,
        };
        let patience = if self.is_stuck.load(Relaxed) { Duration::ZERO } else { PATIENCE };
        let sent = socket::send_when_possible(&self.socket, &forwarded.to_message(), patience);
        self.is_stuck.store(sent.is_err(), Relaxed);
        if sent.is_err() {
            self.n_lost.fetch_add(n_lost + 1, Relaxed);
        }
    }
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number_of(metadata.level()) <= WANTED.load(Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let levels =
            [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG];
        Some(levels.get(WANTED.load(Relaxed) as usize).copied().unwrap_or(LevelFilter::TRACE))
    }

    fn event(&self, event: &Event<'_>) {
        // A thread that ends has no cell any more, and its last words are lost.
        if SENDING.try_with(|sending| sending.replace(true)) != Ok(false) {
            return;
        }
        let _sending = Sending;
        self.send(event);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // none is enabled
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event's message, and its other fields as `name=value name=value`.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes everything; a value that cannot say itself leaves what it has said.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let space = if self.fields.is_empty() { "" } else { " " };
            write!(self.fields, "{space}{}={value:?}", field.name())
        };
    }
}
