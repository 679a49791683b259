//! Ending calls before they are through: from another thread, or when their time is up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Progress;
use crate::supervisor::Shared;
use crate::sys::clock;
use crate::task::mirror::Stop;

/// Ends the calls that it was given to ([`Call::cancel_token`](crate::Call::cancel_token)), from any thread.
///
/// Clones are the same token. A call that is given a cancelled token ends before it begins.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// use shmpool::{CancelToken, ErrorKind};
///
/// let (token, xs) = (CancelToken::new(), pool.zeros::<f32>(1000)?);
/// token.cancel(); // a signal handler's thread, say
/// let error = pool.call().cancel_token(&token).map(&xs, |x| x + 1.0).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::Cancelled { n_done: 0, .. }));
/// # Ok::<(), shmpool::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CancelToken {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    asked: Option<Asked>,
    /// Jobs under way, by pool and number.
    running: Vec<(Arc<Shared>, u64)>,
    /// Of the last job that has ended, or of one in this process.
    last: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked {
    kill: bool,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Ends its calls: tasks that are not begun will not be, those that are run to their end. The calls fail with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), unless they are through.
    pub fn cancel(&self) {
        self.ask(false);
    }

    /// As [`cancel`](CancelToken::cancel), but workers that run a task of its calls are killed: for kernels that do not
    /// end. The pool replaces them, and other calls are none the worse. With `workers(0)` nobody can be killed.
    pub fn cancel_running(&self) {
        self.ask(true);
    }

    /// Whether somebody has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.lock().asked.is_some()
    }

    fn ask(&self, kill: bool) {
        let mut state = self.lock();
        let before = state.asked.is_some_and(|asked| asked.kill);
        state.asked = Some(Asked { kill: kill || before });
        for (shared, id) in &state.running {
            shared.stop_job(*id, Stop::Cancelled, kill);
        }
    }

    /// How far its call is that runs now, or was when it ended.
    pub(super) fn progress(&self) -> Progress {
        let state = self.lock();
        state.running.last().and_then(|(shared, id)| shared.progress(*id)).unwrap_or(state.last)
    }

    /// A job of its own has begun.
    pub(super) fn enter(&self, shared: &Arc<Shared>, id: u64) {
        let mut state = self.lock();
        state.running.push((Arc::clone(shared), id));
        if let Some(asked) = state.asked {
            shared.stop_job(id, Stop::Cancelled, asked.kill);
        }
    }

    /// It has ended, this far if anybody knows.
    pub(super) fn leave(&self, shared: &Arc<Shared>, id: u64, progress: Option<Progress>) {
        let mut state = self.lock();
        state.running.retain(|(of, other)| !Arc::ptr_eq(of, shared) || *other != id);
        state.last = progress.unwrap_or(state.last);
    }

    pub(super) fn note(&self, progress: Progress) {
        self.lock().last = progress;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelToken").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// What one call is bound by beside its job.
#[derive(Clone, Copy, Default)]
pub(crate) struct Terms<'a> {
    pub(crate) report: Option<&'a dyn Fn(Progress)>,
    pub(crate) token: Option<&'a CancelToken>,
    /// In the time of [`clock::awake`].
    pub(crate) deadline: Option<Duration>,
}

impl Terms<'_> {
    /// Time left until the deadline, if there is one.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(clock::awake()))
    }

    /// Why the call is to end now, if it is.
    pub(crate) fn stop(&self) -> Option<Stop> {
        if self.token.is_some_and(CancelToken::is_cancelled) {
            return Some(Stop::Cancelled);
        }
        (self.left() == Some(Duration::ZERO)).then_some(Stop::TimedOut)
    }
}
