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
    /// Whose cancelling is this one's too: of a background job, the token that its call was given.
    parent: Option<Arc<CancelToken>>,
}

#[derive(Default)]
struct State {
    asked: Option<Asked>,
    /// Jobs under way.
    running: Vec<Running>,
    /// Of the last job that has ended, or of one in this process.
    last: Progress,
}

struct Running {
    shared: Arc<Shared>,
    /// Its number in that pool.
    id: u64,
    /// The process that has it: a forked child's copy of the token names jobs that are not there.
    owner: u32,
}

impl Running {
    fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }
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
        self.lineage().any(|token| token.lock().asked.is_some())
    }

    /// A token of its own that this one cancels too.
    pub(super) fn child(&self) -> CancelToken {
        CancelToken { parent: Some(Arc::new(self.clone())), ..CancelToken::new() }
    }

    /// This token, and those that cancel it.
    fn lineage(&self) -> impl Iterator<Item = &CancelToken> {
        std::iter::successors(Some(self), |token| token.parent.as_deref())
    }

    fn ask(&self, kill: bool) {
        let mut state = self.lock();
        let before = state.asked.is_some_and(|asked| asked.kill);
        state.asked = Some(Asked { kill: kill || before });
        for Running { shared, id, .. } in state.running.iter().filter(|running| running.is_ours()) {
            shared.stop_job(*id, Stop::Cancelled, kill);
        }
    }

    /// How far its call is that runs now, or was when it ended.
    pub(super) fn progress(&self) -> Progress {
        let state = self.lock();
        let last = state.running.iter().rfind(|running| running.is_ours());
        last.and_then(|Running { shared, id, .. }| shared.progress(*id)).unwrap_or(state.last)
    }

    /// A job of its own has begun.
    pub(super) fn enter(&self, shared: &Arc<Shared>, id: u64) {
        for token in self.lineage() {
            let mut state = token.lock();
            state.running.push(Running { shared: Arc::clone(shared), id, owner: std::process::id() });
            if let Some(asked) = state.asked {
                shared.stop_job(id, Stop::Cancelled, asked.kill);
            }
        }
    }

    /// It has ended, this far if anybody knows.
    pub(super) fn leave(&self, shared: &Arc<Shared>, id: u64, progress: Option<Progress>) {
        for token in self.lineage() {
            let mut state = token.lock();
            state.running.retain(|other| !Arc::ptr_eq(&other.shared, shared) || other.id != id);
            state.last = progress.unwrap_or(state.last);
        }
    }

    pub(super) fn note(&self, progress: Progress) {
        self.lineage().for_each(|token| token.lock().last = progress);
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
