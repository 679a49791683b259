//! `workers(0)`: runs a job in the calling process, one task after the other.
#![allow(unsafe_code)] // calls trampolines over the arena

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Progress;
use super::cancel::Terms;
use crate::arena::Arena;
use crate::array::{Array, LentAt};
use crate::control::{MESSAGE_BYTES_MAX, PARAMS_BYTES_MAX};
use crate::segment::Share;
use crate::task::call::{Answer, LENT_MAX, SingleCall};
use crate::task::job::JobSpec;
use crate::task::kernel::{Invocation, Outcome, Params};
use crate::task::mirror::{Ended, FAILURES_MAX, Failure};
use crate::task::panics::caught;
use crate::task::single::{self, Bytes, Failed, LentRecord, Payload, Single};

/// Runs every task, or up to the first error where that is what counts, or until the call is to end.
pub(super) fn run(arena: &Arena, spec: &JobSpec<'_>, terms: &Terms<'_>) -> Ended {
    let mut params = Box::new(Params([0; PARAMS_BYTES_MAX / 8]));
    bytemuck::cast_slice_mut(&mut params.0)[..spec.params.len()].copy_from_slice(spec.params);
    let mut call = Invocation::new();
    let shares = spec.args.operands.map(|operand| Share::find(operand.share));
    let bases = shares.each_ref().map(|share| share.as_ref().map_or(arena.first(), |share| share.as_ptr()));
    // SAFETY: the arena is mapped whole, and its arrays end inside it; so do shares, which live as long as the arrays
    // that the caller lends us; the parameters live until the last task.
    unsafe { call.bind(bases, &spec.args, &params, spec.params.len()) };
    // SAFETY: the place was made of a `Run` in this process.
    let code = unsafe { spec.code.trampoline() }.expect("a place made here leads back here");

    let mut done: Vec<(u64, u64)> = Vec::new();
    let (mut failures, mut n_failed, mut stopped) = (BTreeMap::new(), 0, None);
    for task in 0..spec.n_tasks {
        stopped = terms.stop();
        if stopped.is_some() {
            break;
        }
        // SAFETY: the verb made job and code for each other; this thread alone runs the job; the level was
        // checked when the pool was built.
        let failure = match caught(|| unsafe { code(&call, task) }) {
            Ok(Outcome::Done) => {
                let task = u64::from(task);
                match done.last_mut() {
                    Some(last) if last.1 == task => last.1 += 1,
                    _ => done.push((task, task + 1)),
                }
                None
            }
            Ok(Outcome::Failed) => {
                let (bytes, len) = call.error.get();
                Some(Failure::Returned(bytes[..len].to_vec()))
            }
            Err(panic) => Some(Failure::Panicked { message: panic.message, location: panic.location }),
        };
        if let Some(failure) = failure {
            n_failed += 1;
            failures.insert(task, failure);
            if spec.policy.first_error_wins || n_failed as usize >= FAILURES_MAX {
                break;
            }
        }
        let progress = Progress { n_done: u64::from(task) + 1, n_tasks: spec.n_tasks.into() };
        if let Some(report) = terms.report {
            report(progress);
        }
        if let Some(token) = terms.token {
            token.note(progress);
        }
    }
    Ended { n_tasks: spec.n_tasks, done, failures, n_failed, stopped }
}

/// Runs a submitted task at once, by way of the same bytes.
pub(super) fn run_single(arena: &Arena, task: &Single) {
    let outcome = task.with_payload(|payload| match payload {
        Payload::Inline(bytes) => outcome(arena, task, bytes.as_slice()),
        Payload::Arena(block, len) => outcome(arena, task, &block[..*len]),
    });
    if let Some(outcome) = outcome {
        task.end(outcome); // nobody has its future yet, who could want to hear
    }
}

fn outcome(arena: &Arena, task: &Single, payload: &[u8]) -> single::Outcome {
    let n_lent = (task.extra().n_lent as usize).min(LENT_MAX);
    let (records, argument) = payload.split_at(n_lent * size_of::<LentRecord>());
    let records: Vec<LentRecord> =
        records.chunks_exact(size_of::<LentRecord>()).map(bytemuck::pod_read_unaligned).collect();
    let lent: Vec<LentAt> = records
        .iter()
        .map(|record| {
            let share = Share::find(record.share);
            let base = share.map_or(arena.first(), |share| share.as_ptr());
            LentAt {
                // SAFETY: the arena is mapped whole, and the share lives as long as the task's lease on it.
                first: unsafe { base.add(record.offset as usize) },
                bytes: record.bytes as usize,
                n_dims: record.n_dims as usize,
                shape: record.shape.map(|extent| extent as usize),
            }
        })
        .collect();
    let mut room: Option<Array<u8>> = None;
    let mut find_room = |bytes: usize| {
        let block = arena.for_output::<u8>(bytes.into()).map_err(|error| error.to_string())?;
        Ok(room.insert(block).as_mut_slice().as_mut_ptr())
    };
    let mut text = [0; MESSAGE_BYTES_MAX];
    let mut call = SingleCall { argument, lent: &lent, text: &mut text, room: &mut find_room };
    // SAFETY: the place was made of a `RunSingle` in this process.
    let code = unsafe { task.code.single() }.expect("a place made here leads back here");
    // SAFETY: payload and code were made for each other, and the task holds leases on its arrays.
    match caught(|| unsafe { code(&mut call) }) {
        Ok(Ok(Answer::InText(len))) => single::Outcome::Returned(Bytes::new(&text[..len])),
        Ok(Ok(Answer::InRoom(len))) => {
            single::Outcome::InRoom(Arc::new(room.expect("it was asked for")), len)
        }
        Ok(Err(why)) => Failed::Refused(why).into(),
        Err(panic) => Failed::Panicked { message: panic.message, location: panic.location }.into(),
    }
}
