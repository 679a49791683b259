//! Runs one submitted task.
#![allow(unsafe_code)] // calls trampolines over the arena

use std::os::fd::OwnedFd;

use super::{Worker, faults, shares};
use crate::array::LentAt;
use crate::control::entry::{Claim, Tag};
use crate::control::handshake::{ANSWER_BYTES_MAX, answered_room, room_request};
use crate::control::parent::{INLINE, TIMED};
use crate::control::worker::{ERROR, IN_ROOM, PANIC, RESULT};
use crate::control::{MESSAGE_BYTES_MAX, N_OPERANDS, PAYLOAD_BYTES_MAX};
use crate::park;
use crate::segment::Mapping;
use crate::sync::Relaxed;
use crate::sys::{clock, process, socket};
use crate::task::call::{Answer, LENT_MAX, SingleCall};
use crate::task::job::{JobArgs, Operand};
use crate::task::kernel::Place;
use crate::task::message::write_message;
use crate::task::panics::caught;
use crate::task::single::LentRecord;

/// The operand that a payload in the data segment is.
const PAYLOAD: usize = N_OPERANDS - 1;
const _: () = assert!(LENT_MAX <= PAYLOAD);

/// Runs the task that was claimed, and says what came of it. True if its argument or result was large.
pub(super) fn run(worker: &mut Worker, claim: &Claim) -> bool {
    let entry = claim.entry as usize;
    let timed = worker.parent.get().singles[entry].flags.load(Relaxed) & TIMED != 0;
    let words = &worker.workers.get().entries[entry];
    if timed {
        words.began_ns.store(clock::monotonic().as_nanos() as u64, Relaxed);
    }
    // From here on a death is the task's: its argument's own code runs too.
    words.begin(0);
    let mut text = [0; MESSAGE_BYTES_MAX];
    let has_block = worker.parent.get().singles[entry].offset.load(Relaxed) != INLINE;
    let ended = caught(|| call(worker, claim, &mut text));
    let was_large = has_block || matches!(ended, Ok(Ok(Answer::InRoom(_))));

    let workers = worker.workers.get();
    let (words, message) = (&workers.entries[entry], &workers.messages[entry]);
    let tag = match ended {
        Ok(Ok(answer)) => {
            match answer {
                Answer::InText(len) => write_message(message, RESULT, 0, &text[..len]),
                Answer::InRoom(len) => {
                    write_message(message, IN_ROOM, 0, &[]);
                    message.bytes.store(len as u64, Relaxed);
                }
            }
            words.end(0);
            Tag::Done
        }
        Ok(Err(reason)) => {
            write_message(message, ERROR, 0, reason.as_bytes());
            Tag::Failed
        }
        Err(panic) => {
            write_message(message, PANIC, panic.location.len(), (panic.location + &panic.message).as_bytes());
            Tag::Failed
        }
    };
    if !words.finish(claim, tag) {
        // As for leases of jobs.
        process::exit_now(super::run::EXIT_ROBBED);
    }
    if let Some(listener) = park::count_single(&worker.parent.get().listener, &workers.listeners) {
        park::wake_caller(listener);
    }
    was_large
}

/// Finds the argument and the arrays, and calls the function.
fn call(worker: &mut Worker, claim: &Claim, text: &mut [u8; MESSAGE_BYTES_MAX]) -> Result<Answer, String> {
    let slot = &worker.parent.get().singles[claim.entry as usize];
    // Relaxed throughout: published by the state that we have claimed (A3).
    let (code, bytes, offset) =
        (slot.code.load(Relaxed), slot.bytes.load(Relaxed), slot.offset.load(Relaxed));
    let n_lent = (slot.n_lent.load(Relaxed) as usize).min(LENT_MAX);
    let mut buffer = [0_u64; PAYLOAD_BYTES_MAX / 8];
    let mut args = JobArgs { n_elements: 0, grain: 1, shape: [0; 4], operands: Default::default(), flags: 0 };
    let (mut inline, in_arena);
    let payload: &[u8] = if offset == INLINE {
        let words = (bytes as usize).min(PAYLOAD_BYTES_MAX).div_ceil(8);
        for (place, word) in buffer.iter_mut().zip(&slot.payload[..words]) {
            *place = word.load(Relaxed);
        }
        inline = bytemuck::cast_slice(&buffer);
        inline = &inline[..bytes as usize];
        inline
    } else {
        args.operands[PAYLOAD] = Operand { share: 0, offset, bytes };
        let at = worker.bases(&args)?[PAYLOAD];
        // SAFETY: `bases` has mapped to the end of the operand; the parent has written the bytes before it offered the task,
        // and writes them no more; and no other worker has been told of them. The mapping may move below, so nothing but
        // the records is read through this slice, and those before it does.
        in_arena = unsafe { std::slice::from_raw_parts(at.add(offset as usize), bytes as usize) };
        in_arena
    };
    let records_bytes = n_lent * size_of::<LentRecord>();
    let records =
        payload.get(..records_bytes).ok_or("its payload is shorter than the arrays that it names")?;
    let records: Vec<LentRecord> =
        records.chunks_exact(size_of::<LentRecord>()).map(bytemuck::pod_read_unaligned).collect();
    for (operand, record) in args.operands.iter_mut().zip(&records) {
        *operand = Operand { share: record.share, offset: record.offset, bytes: record.bytes };
    }
    // Again, since each call may move what the one before has mapped.
    let bases = worker.bases(&args)?;
    faults::bind(bases, &args);
    let lent: Vec<LentAt> = (0..n_lent)
        .map(|i| LentAt {
            // SAFETY: `bases` has mapped to the end of each operand.
            first: unsafe { bases[i].add(records[i].offset as usize) },
            bytes: records[i].bytes as usize,
            n_dims: records[i].n_dims as usize,
            shape: records[i].shape.map(|extent| extent as usize),
        })
        .collect();
    let argument = match offset {
        INLINE => &payload[records_bytes..],
        // SAFETY: as above, and what may move the mapping from now on, a request for room, comes when the argument has been
        // turned into a value.
        _ => unsafe {
            let first = bases[PAYLOAD].add(offset as usize + records_bytes);
            std::slice::from_raw_parts(first, bytes as usize - records_bytes)
        },
    };
    // SAFETY: the parent wrote a place that it made of a `RunSingle`.
    let code = unsafe { Place(code).single() }.ok_or("no function at this place")?;
    let watch = faults::watch(&worker.workers.get().messages[claim.entry as usize], claim.state.0);
    let (data, control) = (&mut worker.data, &worker.socket);
    let mut room = |bytes: usize| room(data, control, claim.entry, bytes);
    let mut call = SingleCall { argument, lent: &lent, text, room: &mut room };
    // SAFETY: the parent made payload and code for each other, and holds leases on the arrays until the task has ended; the
    // handshake has shown that both processes run the same executable.
    let answer = unsafe { code(&mut call) };
    drop(watch);
    answer
}

/// Asks the parent for room in the data segment, and makes its pages.
fn room(data: &mut Mapping, control: &OwnedFd, entry: u32, bytes: usize) -> Result<*mut u8, String> {
    let failed = |why: &dyn std::fmt::Display| format!("its result of {bytes} bytes finds no room: {why}");
    socket::send_when_possible(control, &room_request(entry, bytes as u64), shares::LONG)
        .map_err(|error| failed(&error))?;
    let answer = shares::hear::<ANSWER_BYTES_MAX, _>(control, |message, _| answered_room(message));
    let offset = answer.map_err(|error| failed(&error))?.map_err(|why| failed(&why))? as usize;
    super::attach::map_to(data, offset.saturating_add(bytes) as u64)?;
    let page = offset - offset % rustix::param::page_size();
    data.populate(page..offset + bytes).map_err(|error| failed(&error))?;
    // SAFETY: mapped to beyond its end.
    Ok(unsafe { data.as_ptr().add(offset) })
}
