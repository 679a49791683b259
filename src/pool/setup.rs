//! Choices about the workers of a pool: what they do first and last, what they may use, what becomes of their words.

use std::ffi::{OsStr, OsString};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmpool_kernels::Level;

use super::Builder;
use super::job::stateless;
use crate::control::setup::Prepared;
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::{WorkerOutput, Workers};
use crate::sys::process;
use crate::task::call::{Started, Starting, code_of_single};
use crate::task::codec::encode;

impl Builder {
    /// Has each worker call `f(argument)` before its first task, those that replace others too. An error or a panic of it is
    /// that of [`build`](Builder::build); a worker that is started later is tried again, and after some time the pool is
    /// broken. It counts as part of the start ([`start_timeout`](Builder::start_timeout)).
    ///
    /// What it sets up, in statics and thread-locals, is there for all tasks of the worker, which run on one thread.
    ///
    /// ```
    /// # use std::cell::OnceCell;
    /// thread_local!(static TABLE: OnceCell<Vec<f64>> = const { OnceCell::new() });
    ///
    /// fn make_table(n: usize) -> Result<(), std::num::TryFromIntError> {
    ///     let n = u32::try_from(n)?;
    ///     TABLE.with(|table| table.set((0..n).map(|i| f64::from(i).sqrt()).collect())).expect("set once");
    ///     Ok(())
    /// }
    ///
    /// fn main() -> shmpool::Result<()> {
    ///     shmpool::init();
    ///     let pool = shmpool::Pool::builder().workers(2).initializer(make_table, 100)?.build()?;
    ///     let root = pool.submit(|n: usize| TABLE.with(|table| table.get().unwrap()[n]), 16)?;
    ///     assert_eq!(root.result()?, 4.0);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ForeignFunction`]; [`ErrorKind::TaskRefused`] if the argument does not go into bytes.
    pub fn initializer<F, A, R>(mut self, f: F, argument: A) -> Result<Self>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Started,
    {
        self.setup.initializer = Some(prepared(f, &argument)?);
        Ok(self)
    }

    /// Has each worker call `f(argument)` when it ends by itself: with the pool, or after its last task
    /// ([`max_tasks_per_worker`](Builder::max_tasks_per_worker)). An error or a panic of it is a warning among the events of
    /// `tracing`. One that takes longer than 10 s is cut short, and a worker that dies does not get to it.
    ///
    /// # Errors
    /// As for [`initializer`](Builder::initializer).
    pub fn finalizer<F, A, R>(mut self, f: F, argument: A) -> Result<Self>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Started,
    {
        self.setup.finalizer = Some(prepared(f, &argument)?);
        Ok(self)
    }

    /// Replaces each worker after so many submitted tasks: for functions that leak. From 1.
    pub fn max_tasks_per_worker(mut self, n: u64) -> Self {
        self.setup.tasks_max = Some(n);
        self
    }

    /// The private memory that a worker may use, in bytes (`RLIMIT_DATA`); arrays do not count. An allocation beyond it
    /// fails, of which Rust programs abort: the task fails with the worker's death, which says that it was probably out of
    /// memory, and what the worker has said of it.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.setup.memory_limit_bytes = Some(bytes);
        self
    }

    /// Added to the niceness of this process for the workers: 1 to 19 for work that is to stay behind.
    pub fn niceness(mut self, more: i32) -> Self {
        self.setup.niceness = more;
        self
    }

    /// The CPUs that each worker may run on, by their numbers; the lists are used in turn. Unless said, all that this process
    /// may use.
    pub fn affinity<L: AsRef<[usize]>>(mut self, cpus: impl IntoIterator<Item = L>) -> Self {
        self.setup.affinity = cpus.into_iter().map(|list| list.as_ref().to_vec()).collect();
        self
    }

    /// An environment variable of the workers, beside or instead of this process's own.
    ///
    /// Unless it says otherwise, or this process's environment does, `OMP_NUM_THREADS` and its like are set so that all
    /// workers together start as many threads as there are CPUs.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Where the workers' standard output and error go. Unless said, where this process's go; with a
    /// [`memory_limit`](Builder::memory_limit) they are captured.
    pub fn output(mut self, output: WorkerOutput) -> Self {
        self.output = Some(output);
        self
    }

    /// What the supervisor is to know of workers.
    pub(super) fn workers_of(&self, n_workers: usize, level: Level, breaks: bool) -> Result<Workers> {
        let options =
            [("max_tasks_per_worker", self.setup.tasks_max), ("memory_limit", self.setup.memory_limit_bytes)];
        for (option, value) in options {
            if value == Some(0) {
                let why = "is too little: at least 1";
                return Err(ErrorKind::Option { option, value: "0".to_owned(), why }.into());
            }
        }
        let n_min = self.min_workers.unwrap_or(if self.idle_timeout.is_some() { 1 } else { n_workers });
        if n_min > n_workers {
            let why = "is more than the workers of the pool";
            return Err(ErrorKind::Option { option: "min_workers", value: n_min.to_string(), why }.into());
        }
        let captured = self.setup.memory_limit_bytes.is_some();
        let output =
            self.output.unwrap_or(if captured { WorkerOutput::Capture } else { WorkerOutput::Inherit });
        let mut env = shared_threads(n_workers);
        env.extend(self.env.iter().cloned());
        let setup =
            self.setup.to_file().map_err(|error| Error::os("write down the workers' setup", error))?;
        Ok(Workers {
            setup,
            env,
            output,
            has_finalizer: self.setup.finalizer.is_some(),
            retires: self.setup.tasks_max.is_some(),
            breaks,
            n_min,
            idle_timeout: self.idle_timeout,
            level,
        })
    }
}

/// What libraries that start threads of their own ask how many.
const THREAD_VARIABLES: [&str; 8] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Each worker's part of the CPUs, for those variables that are not set.
fn shared_threads(n_workers: usize) -> Vec<(OsString, OsString)> {
    let n = (process::usable_cpus() / n_workers.max(1)).max(1);
    let unset = THREAD_VARIABLES.into_iter().filter(|name| std::env::var_os(name).is_none());
    unset.map(|name| (name.into(), n.to_string().into())).collect()
}

fn prepared<F, A, R>(f: F, argument: &A) -> Result<Prepared>
where
    F: Fn(A) -> R + Copy + Send + Sync + 'static,
    A: Serialize + DeserializeOwned,
    R: Started,
{
    let _ = stateless(f);
    let code = code_of_single::<Starting<F, A, R>>()?;
    let bytes = encode("argument", argument)
        .map_err(|why| ErrorKind::TaskRefused { name: std::any::type_name::<F>(), why })?;
    Ok((code.0, bytes))
}
