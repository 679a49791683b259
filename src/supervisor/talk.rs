//! What workers say over their control sockets, and what they are answered.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytemuck::Zeroable;

use super::shared::{Engine, Shared};
use crate::control::events::{self, EVENT_BYTES_MAX, Forwarded};
use crate::control::handshake::{Room, last_words, requested_room, requested_share, room_answer};
use crate::segment::{Share, Ticket};
use crate::sync::Relaxed;
use crate::sys::socket;
use crate::task::panics::swallow;

/// Messages of one that has ended.
const MESSAGES_MAX: usize = 4096;

/// What one look at a live worker's socket has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// A message, which has got what it needs.
    More,
    Nothing,
    /// The other end is closed, or says what no worker says, or cannot be answered: the worker is none any more.
    Gone,
}

/// Hears a live worker, and answers its request.
pub(super) fn serve(shared: &Shared, slot: usize, pid: u32, socket: &OwnedFd) -> Served {
    let mut message = [0; EVENT_BYTES_MAX];
    let received = match socket::receive(socket, &mut message) {
        Ok(received) => received,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Nothing,
        Err(_) => return Served::Gone,
    };
    let message = &message[..received.n_bytes];
    let is_served = if let Some((entry, bytes)) = requested_room(message) {
        let room = make_room(shared, slot as u16, entry, bytes);
        socket::send(socket, &room_answer(&room), &[]).is_ok()
    } else if let Some(id) = requested_share(message) {
        hand_over(shared, socket, id)
    } else {
        hear(slot, pid, message)
    };
    if is_served { Served::More } else { Served::Gone }
}

/// Tells the program's subscriber what a worker says that wants no answer; false if it is nothing of that kind.
pub(super) fn hear(slot: usize, pid: u32, message: &[u8]) -> bool {
    if let Some(event) = Forwarded::from_message(message) {
        tell(|| events::tell_of(slot, pid, &event));
        return true;
    }
    let last_words = last_words(message);
    if let Some(why) = &last_words {
        tell(|| tracing::warn!(slot, pid, %why, "worker's last words"));
    }
    last_words.is_some()
}

/// What a worker that has ended had said before.
pub(super) fn hear_out(slot: usize, pid: u32, socket: &OwnedFd) {
    let mut message = [0; EVENT_BYTES_MAX];
    // No more than the socket's buffer holds; whoever has a descriptor of it could write on.
    for _ in 0..MESSAGES_MAX {
        match socket::receive(socket, &mut message) {
            Ok(received) if received.n_bytes > 0 => drop(hear(slot, pid, &message[..received.n_bytes])),
            _ => return,
        }
    }
}

/// Room for the result of the task that the worker in `slot` is at.
fn make_room(shared: &Shared, slot: u16, entry: u32, bytes: u64) -> Room {
    let may = |engine: &mut Engine| {
        let (mirror, control) = engine.split(shared.parent.get());
        mirror.may_have_room(control, slot, entry)
    };
    let refused = || "it runs no submitted task, or has room".to_owned();
    if !may(&mut shared.lock()) {
        return Err(refused());
    }
    let size = usize::try_from(bytes).map_err(|error| error.to_string())?;
    let room = shared.arena.for_output::<u8>(size.into()).map_err(|error| error.to_string())?;
    let offset = room.block().offset();
    // An honest worker waits for this answer. One that does not may have ended its task, and the entry is another's.
    let mut room = Some(room); // not dropped under the lock
    let mut engine = shared.lock();
    let (mirror, control) = engine.split(shared.parent.get());
    let given = mirror.give_room(control, slot, entry, &mut room);
    drop(engine);
    if given { Ok(offset) } else { Err(refused()) }
}

/// Hands a share over.
fn hand_over(shared: &Shared, socket: &OwnedFd, id: u64) -> bool {
    // What no job slot of this pool names, or has named last, is no business of its workers.
    let operands = shared.parent.get().jobs.iter().flat_map(|job| &job.operands);
    // Relaxed: the worker has found the number in a slot that was written before it could.
    let known = operands.into_iter().any(|operand| operand.share.load(Relaxed) == id)
        || shared.lock().mirror.lends(id);
    let bare = |len_bytes: u64| {
        let ticket = Ticket { id, len_bytes, ..Zeroable::zeroed() };
        socket::send(socket, bytemuck::bytes_of(&ticket), &[]).is_ok()
    };
    match Share::offer(id).filter(|_| known) {
        Some(offer) => {
            let ticket = offer.ticket();
            let sent = offer.hand_over(|fd| socket::send(socket, bytemuck::bytes_of(&ticket), &[fd]));
            sent.is_ok() || bare(Ticket::LATER)
        }
        None => bare(0),
    }
}

/// Tells the program's subscriber, which may panic, where nothing may unwind.
pub(crate) fn tell(event: impl FnOnce()) {
    swallow(catch_unwind(AssertUnwindSafe(event)));
}
