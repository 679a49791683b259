//! `--timeout`: the whole run ends when its time is up.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::Exit;
use crate::show::Show;

/// The longest time that can be asked for: some thirty years.
const SECONDS_MAX: f64 = 1e9;

/// The watch over a run.
#[derive(Clone)]
pub(crate) struct Deadline {
    /// Whether the run has got beyond what its end could undo.
    is_done: Arc<Mutex<bool>>,
}

impl Deadline {
    /// Starts the watch, if a time is given. When it is up, this process ends with a line and an exit code of its own; workers end with it, and outputs
    /// without a name are forgotten by the kernel.
    pub(crate) fn start(time: Option<Duration>, show: &Show) -> Self {
        let deadline = Deadline { is_done: Arc::default() };
        if let Some(time) = time {
            let (watch, clear) = (deadline.clone(), show.clearer());
            thread::spawn(move || {
                thread::sleep(time);
                let is_done = watch.lock();
                if !*is_done {
                    clear();
                    eprintln!("shmpool: the run took longer than {} s (--timeout)", time.as_secs_f64());
                    process::exit(Exit::Timeout as i32);
                }
            });
        }
        deadline
    }

    /// Does what cannot be undone; from its begin on the run counts as done in time.
    pub(crate) fn commit<T>(&self, last_step: impl FnOnce() -> T) -> T {
        *self.lock() = true;
        last_step()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds above 0, as the command line has them.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| 0.0 < *seconds && *seconds <= SECONDS_MAX);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("a number of seconds above 0, up to {SECONDS_MAX:e}, was expected"))
}
