//! What parent and worker say to each other over the control socket before the worker goes live.
//!
//! The parent sends a [`Welcome`] with four descriptors (parent-written, worker-written and data segment, setup);
//! the worker compares, maps, and answers with [`READY`], or with [`REFUSED`] and the reason as text. One
//! round trip, under a deadline.
//!
//! A live worker asks for the shares that its jobs name, one at a time: [`share_request`], answered by a
//! [`Ticket`](crate::segment::Ticket) with a descriptor, or without one if there is no such share. And it asks for room for
//! the result of a submitted task: [`room_request`], answered by [`Room`]. Between these it sends its events, to which there is
//! no answer.

use bytemuck::{Pod, Zeroable};

use crate::control::parent::{LAYOUT, MAGIC};
use crate::sys::process::ExecutableId;

/// Marks a process as a worker: the parent's process id, and the worker's slot.
pub(crate) const VARIABLE: &str = "SHMPOOL_WORKER";

/// The parent's first message. Every bit pattern is legal; the worker compares each field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Welcome {
    pub(crate) magic: u64,
    pub(crate) layout: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mtime_ns: u64,
    pub(crate) probe: u64,
    /// Size of the data segment.
    pub(crate) data_bytes: u64,
    pub(crate) slot: u32,
    pub(crate) incarnation: u32,
}

impl Welcome {
    pub(crate) fn new(
        slot: u16,
        incarnation: u16,
        executable: ExecutableId,
        probe: u64,
        data_bytes: u64,
    ) -> Self {
        let ExecutableId { device, inode, size, mtime_ns } = executable;
        let (slot, incarnation) = (slot.into(), incarnation.into());
        Welcome {
            magic: MAGIC,
            layout: LAYOUT,
            device,
            inode,
            size,
            mtime_ns,
            probe,
            data_bytes,
            slot,
            incarnation,
        }
    }

    /// Says what differs from this process.
    pub(crate) fn check(&self, executable: ExecutableId, probe: u64) -> Result<(), String> {
        let pairs = [
            ("protocol", self.magic, MAGIC),
            ("layout of the control segments", self.layout, LAYOUT),
            ("executable's device", executable.device, self.device),
            ("executable's inode", executable.inode, self.inode),
            ("executable's size", executable.size, self.size),
            ("executable's modification time", executable.mtime_ns, self.mtime_ns),
            ("place of the probe function", probe, self.probe),
        ];
        match pairs.iter().find(|(_, found, wanted)| found != wanted) {
            Some((what, found, wanted)) => Err(format!("{what}: found {found:#x}, wanted {wanted:#x}")),
            None => Ok(()),
        }
    }
}

/// First byte of the worker's answer: it is live.
pub(crate) const READY: u8 = 1;
/// First byte of the worker's answer: it is not, and the rest says why.
pub(crate) const REFUSED: u8 = 2;
/// Bytes of an answer, at most.
pub(crate) const ANSWER_BYTES_MAX: usize = 512;

/// First byte of a live worker's request for a share.
const SHARE: u8 = 3;
/// First byte of a live worker's request for room.
const ROOM: u8 = 4;

/// A worker's request for room in the data segment, for the result of the task in `entry`.
pub(crate) fn room_request(entry: u32, bytes: u64) -> [u8; 13] {
    let mut request = [ROOM; 13];
    request[1..5].copy_from_slice(&entry.to_ne_bytes());
    request[5..].copy_from_slice(&bytes.to_ne_bytes());
    request
}

/// The entry and the size that a message asks room for, if that is what it is.
pub(crate) fn requested_room(message: &[u8]) -> Option<(u32, u64)> {
    let (&ROOM, rest) = message.split_first()? else { return None };
    let (entry, bytes) = rest.split_first_chunk()?;
    Some((u32::from_ne_bytes(*entry), u64::from_ne_bytes(bytes.try_into().ok()?)))
}

/// Exit code of a worker that has run as many tasks as it may.
pub(crate) const EXIT_RETIRED: i32 = 121;

/// First byte of a worker's event ([`events`](super::events)).
pub(crate) const EVENT: u8 = 6;

/// First byte of a worker's last words: what its finalizer has to say.
const FAREWELL: u8 = 5;

/// A worker's last words.
pub(crate) fn farewell(why: &str) -> Vec<u8> {
    [&[FAREWELL], why.as_bytes().get(..ANSWER_BYTES_MAX - 1).unwrap_or(why.as_bytes())].concat()
}

/// A worker's last words, if that is what the message is.
pub(crate) fn last_words(message: &[u8]) -> Option<String> {
    let (&FAREWELL, why) = message.split_first()? else { return None };
    Some(String::from_utf8_lossy(why).into_owned())
}

/// The parent's answer to a request for room: where it is, or why there is none.
pub(crate) type Room = std::result::Result<u64, String>;

/// As a message.
pub(crate) fn room_answer(room: &Room) -> Vec<u8> {
    match room {
        Ok(offset) => [&[1], &offset.to_ne_bytes()[..]].concat(),
        Err(why) => [&[0], why.as_bytes().get(..ANSWER_BYTES_MAX - 1).unwrap_or(why.as_bytes())].concat(),
    }
}

/// Out of a message, if it is one.
pub(crate) fn answered_room(message: &[u8]) -> Option<Room> {
    match message.split_first()? {
        (1, offset) => Some(Ok(u64::from_ne_bytes(offset.try_into().ok()?))),
        (0, why) => Some(Err(String::from_utf8_lossy(why).into_owned())),
        _ => None,
    }
}

/// A worker's request for the share of that number.
pub(crate) fn share_request(id: u64) -> [u8; 9] {
    let mut bytes = [SHARE; 9];
    bytes[1..].copy_from_slice(&id.to_ne_bytes());
    bytes
}

/// The number of the share that a message asks for, if that is what it is.
pub(crate) fn requested_share(message: &[u8]) -> Option<u64> {
    let (&SHARE, id) = message.split_first()? else { return None };
    id.try_into().ok().map(u64::from_ne_bytes)
}
