//! `workers(0)`: runs a job in the calling process, one task after the other.
#![allow(unsafe_code)] // calls trampolines over the arena

use std::collections::BTreeMap;

use super::Progress;
use super::cancel::Terms;
use crate::arena::Arena;
use crate::control::PARAMS_BYTES_MAX;
use crate::segment::Share;
use crate::task::job::JobSpec;
use crate::task::kernel::{Invocation, Outcome, Params};
use crate::task::mirror::{Ended, FAILURES_MAX, Failure};
use crate::worker::caught;

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
