//! Runs the tasks of one lease after the other.
#![allow(unsafe_code)] // calls trampolines over the arena

use super::{Worker, faults, single};
use crate::control::PARAMS_BYTES_MAX;
use crate::control::entry::{Claim, Tag};
use crate::control::parent::{POPULATE, SINGLE};
use crate::control::worker::{ERROR, PANIC};
use crate::park;
use crate::sync::Relaxed;
use crate::sys::process;
use crate::task::job::JobArgs;
use crate::task::kernel::{Invocation, Outcome, Params, Place, Run};
use crate::task::message::write_message;
use crate::task::panics::caught;

/// A job as this worker sees it, kept from lease to lease.
pub(super) struct Runner {
    /// Submitted tasks so far.
    pub(super) n_singles: u64,
    /// The last task had an argument or a result that did not fit beside it.
    pub(super) was_large: bool,
    /// Number of the job that `invocation` was made for; 0: none.
    job_id: u64,
    code: Option<Run>,
    invocation: Invocation,
    /// The job's parameters, copied out of shared memory once.
    params: Box<Params>,
    populate: bool,
    /// End of the output bytes that the current lease has made pages for.
    populated: usize,
}

impl Runner {
    pub(super) fn new() -> Self {
        let params = Box::new(Params([0; PARAMS_BYTES_MAX / 8]));
        Runner {
            n_singles: 0,
            was_large: false,
            job_id: 0,
            code: None,
            invocation: Invocation::new(),
            params,
            populate: false,
            populated: 0,
        }
    }

    /// Gives back what the last jobs needed beside the arena.
    pub(super) fn release_memory(&mut self, worker: &mut Worker) {
        worker.shares.release_files();
        self.job_id = 0; // its operands may lie there
        self.invocation.scratch.get_mut().release();
        process::release_heap();
        process::release_stack();
    }

    /// Runs a lease from its cursor to its end, to its first failure, or until its job is cancelled.
    pub(super) fn run(&mut self, worker: &mut Worker, claim: &Claim) {
        let descriptor = &worker.parent.get().entries[claim.entry as usize];
        // Relaxed throughout: published by the state that we have claimed (A3).
        let (start, len) =
            (u64::from(descriptor.start.load(Relaxed)), u64::from(descriptor.len.load(Relaxed)));
        let job = descriptor.job.load(Relaxed);
        if job == SINGLE {
            self.n_singles += 1;
            self.job_id = 0; // its mappings may move, and a fault is in the task's arrays then
            self.was_large = single::run(worker, claim);
            return;
        }
        let job = (job as usize).min(crate::control::N_JOBS - 1);
        let prepared = self.prepare(worker, job, descriptor.job_id.load(Relaxed), start + len);

        self.populated = 0;
        let (parent, workers) = (worker.parent.get(), worker.workers.get());
        let (slot, words) = (&parent.jobs[job], &workers.entries[claim.entry as usize]);
        let watch = faults::watch(&workers.messages[claim.entry as usize], claim.state.0);
        let failed = |kind, place, text: &[u8]| {
            write_message(&workers.messages[claim.entry as usize], kind, place, text);
            Tag::Failed
        };
        let ended = match prepared {
            Ok(code) => caught(|| {
                for task in start..start + len {
                    // Relaxed: nothing travels with it; late by a task is soon enough.
                    if slot.cancel.load(Relaxed) != 0 {
                        return Ok(Tag::Cancelled);
                    }
                    words.begin(task);
                    if self.populate {
                        self.populate_output(worker, task, start + len)?;
                    }
                    // SAFETY: the parent built the job for this code from one verb, and the handshake has
                    // shown that both run the same executable; `prepare` has checked operands and tasks; the
                    // lease is ours; the parent chose the level by looking at this machine's CPU.
                    if unsafe { code(&self.invocation, task as u32) } == Outcome::Failed {
                        return Ok(Tag::Failed);
                    }
                    words.end(task);
                }
                Ok(Tag::Done)
            }),
            Err(reason) => {
                words.begin(start);
                Ok(Err(reason))
            }
        };
        drop(watch);
        let tag = match ended {
            Ok(Ok(Tag::Failed)) => {
                let (bytes, len) = self.invocation.error.get();
                failed(ERROR, 0, &bytes[..len])
            }
            Ok(Ok(tag)) => tag,
            Ok(Err(reason)) => failed(PANIC, 0, reason.as_bytes()),
            Err(panic) => failed(PANIC, panic.location.len(), (panic.location + &panic.message).as_bytes()),
        };
        if !words.finish(claim, tag) {
            // A stranger wrote our state, and the parent may take the lease for ended: touch nothing more.
            process::exit_now(EXIT_ROBBED);
        }
        let progress = &workers.jobs[job];
        if park::count(progress, &slot.wake_at) || tag == Tag::Failed {
            park::wake_caller(progress);
        }
    }

    /// Makes the invocation for a job, unless the last lease was of the same one.
    fn prepare(&mut self, worker: &mut Worker, job: usize, job_id: u64, end: u64) -> Result<Run, String> {
        let code = match self.code {
            Some(code) if self.job_id == job_id => code,
            _ => {
                self.job_id = 0;
                let code = self.load(worker, job, job_id)?;
                (self.job_id, self.code) = (job_id, Some(code));
                code
            }
        };
        let n_tasks = self.invocation.n_elements.div_ceil(self.invocation.grain) as u64;
        if end > n_tasks {
            return Err(format!("lease ends at task {end}, job has {n_tasks}"));
        }
        Ok(code)
    }

    fn load(&mut self, worker: &mut Worker, job: usize, job_id: u64) -> Result<Run, String> {
        let args = JobArgs::read(&worker.parent.get().jobs[job]);
        let bases = worker.bases(&args)?;
        let slot = &worker.parent.get().jobs[job];
        let (found, params_bytes) = (slot.id.load(Relaxed), slot.params_bytes.load(Relaxed) as usize);
        if found != job_id || params_bytes > PARAMS_BYTES_MAX {
            return Err(format!(
                "entry of job {job_id} leads to job {found} with {params_bytes} bytes of parameters"
            ));
        }
        for (mine, word) in self.params.0.iter_mut().zip(&slot.params[..params_bytes.div_ceil(8)]) {
            *mine = word.load(Relaxed);
        }
        self.populate = args.flags & POPULATE != 0;
        faults::bind(bases, &args);
        // SAFETY: `bases` has mapped to the end of every operand, and is asked again before the next job may move the
        // mappings; the parameters are ours.
        unsafe { self.invocation.bind(bases, &args, &self.params, params_bytes) };
        // SAFETY: the parent wrote a place that it made of a `Run`.
        unsafe { Place(slot.code.load(Relaxed)).trampoline() }
            .ok_or_else(|| "no kernel at this place".to_owned())
    }

    /// Makes the pages of a task's output, and of some of the lease's next ones, in one call: far cheaper
    /// than a fault each, and an error where a fault would be a signal.
    fn populate_output(&mut self, worker: &Worker, task: u64, end: u64) -> Result<(), String> {
        let call = &self.invocation;
        let element_bytes = call.output_bytes / call.n_elements.max(1);
        let output = call.output as usize - worker.data.as_ptr() as usize;
        let until = |task: u64| output + (task as usize * call.grain).min(call.n_elements) * element_bytes;
        if until(task + 1) <= self.populated {
            return Ok(());
        }
        let start = until(task);
        let ahead = until(end).min(start + POPULATE_BYTES).max(until(task + 1));
        // The kernel wants whole pages; a neighbour's page is no harm.
        let page = start - start % rustix::param::page_size();
        worker
            .data
            .populate(page..ahead)
            .map_err(|error| format!("memory for the output of task {task}: {error}"))?;
        self.populated = ahead;
        Ok(())
    }
}

/// Exit code of a worker whose lease somebody else has ended.
pub(super) const EXIT_ROBBED: i32 = 122;

/// Pages are made this far ahead, in bytes: enough that the call costs little, little enough that they are
/// still in the cache.
const POPULATE_BYTES: usize = 1 << 20;
