//! What a worker says of an event of its own, and how its parent tells it to the program's subscriber.

use serde::{Deserialize, Serialize};
use tracing::Level;

use super::handshake::EVENT;

/// One event, as a message on the control socket: [`EVENT`], then this by `postcard`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwarded<'a> {
    /// [`number_of`] its level.
    pub(crate) level: u32,
    pub(crate) target: &'a str,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
    pub(crate) message: &'a str,
    /// Its other fields, as `name=value name=value`.
    pub(crate) fields: &'a str,
    /// Events before this one that found no way.
    pub(crate) n_lost: u64,
}

/// Bytes of an event's message, at most.
pub(crate) const EVENT_BYTES_MAX: usize = 4096;
/// Bytes of its message, and of its other fields, that are kept.
const TEXT_MAX: usize = 1500;
/// Bytes of its target, and of its file, that are kept: their ends, which tell more.
const PLACE_MAX: usize = 400;

/// 1 for errors to 5 for traces, as words of shared memory and messages have it.
pub(crate) fn number_of(level: &Level) -> u32 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl<'a> Forwarded<'a> {
    pub(crate) fn to_message(&self) -> Vec<u8> {
        let short = Forwarded {
            target: last(self.target),
            file: self.file.map(last),
            message: first(self.message),
            fields: first(self.fields),
            ..*self
        };
        // Texts that are bounded, and numbers: there is nothing that `postcard` could refuse.
        postcard::to_extend(&short, vec![EVENT]).unwrap_or_default()
    }

    /// Out of a message, if that is what it is.
    pub(crate) fn from_message(message: &'a [u8]) -> Option<Self> {
        let (&EVENT, rest) = message.split_first()? else { return None };
        postcard::from_bytes(rest).ok()
    }
}

/// The beginning of a text, as much as may travel.
fn first(text: &str) -> &str {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// The end of a text, as much as may travel.
fn last(text: &str) -> &str {
    let start = (text.len().saturating_sub(PLACE_MAX)..text.len()).find(|&at| text.is_char_boundary(at));
    &text[start.unwrap_or(0)..]
}

/// Tells the program's subscriber of a worker's event, as one of our own.
pub(crate) fn tell_of(slot: usize, pid: u32, event: &Forwarded<'_>) {
    let Forwarded { target, line, message, fields, n_lost, .. } = *event;
    let file = event.file.map(tracing::field::display);
    macro_rules! tell {
        ($level:expr) => {
            tracing::event!(target: "shmpool::worker", $level, slot, pid, from = %target, file, line, fields = %fields, n_lost, "{message}")
        };
    }
    match event.level {
        1 => tell!(Level::ERROR),
        2 => tell!(Level::WARN),
        3 => tell!(Level::INFO),
        4 => tell!(Level::DEBUG),
        _ => tell!(Level::TRACE),
    }
}

/// The number of the least urgent level at which the program's subscriber wants to hear of workers' events; 0: of none.
pub(crate) fn wanted() -> u32 {
    macro_rules! wants {
        ($level:expr) => {
            tracing::event_enabled!(target: "shmpool::worker", $level, slot, pid, from, file, line, fields, n_lost, message)
        };
    }
    let wants = [
        wants!(Level::ERROR),
        wants!(Level::WARN),
        wants!(Level::INFO),
        wants!(Level::DEBUG),
        wants!(Level::TRACE),
    ];
    wants.iter().rposition(|&wants| wants).map_or(0, |at| at as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Forwarded<'_> {
        Forwarded {
            level: 3,
            target: "program::part",
            file: Some("src/part.rs"),
            line: Some(7),
            message,
            fields: "n=1",
            n_lost: 2,
        }
    }

    #[test]
    fn what_was_said_is_told() {
        let message = event("hello").to_message();
        assert_eq!(Forwarded::from_message(&message), Some(event("hello")));
        assert_eq!(Forwarded::from_message(&message[..9]), None);
        assert_eq!(Forwarded::from_message(&[]), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(5000);
        let event = Forwarded { target: &long, file: Some(&long), fields: &long, ..event(&long) };
        let message = event.to_message();
        assert!(message.len() <= EVENT_BYTES_MAX, "{}", message.len());
        let told = Forwarded::from_message(&message).unwrap();
        assert!(told.message.chars().all(|c| c == 'ä') && told.message.len() == TEXT_MAX);
        assert_eq!(told.target.len(), PLACE_MAX);
    }
}
