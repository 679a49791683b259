//! A function over what an iterator yields, a bounded number of items ahead.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::job::stateless;
use super::{Call, Future, Pool};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock;
use crate::task::call::Item;

/// Items ahead for each worker, unless said.
const AHEAD: usize = 64;

/// The results of a function over an iterator ([`Pool::map_iter`](crate::Pool::map_iter)): itself one, whose items are
/// results or the errors that took their place.
///
/// Items are pulled and submitted as results are: dropping it cancels what no worker has begun.
pub struct MapIter<'a, F, I, A, R> {
    call: Call<'a>,
    f: F,
    items: PhantomData<fn(A)>,
    inputs: Option<I>,
    n_ahead: usize,
    n_chunk: usize,
    deadline: Option<Duration>,
    pending: VecDeque<Chunk<R>>,
    /// Of chunks, when results come in the order of their ends: which of `pending` have ended, by number.
    ended: Option<Arc<Ended>>,
    n_submitted: u64,
    /// What the last chunk has still to yield.
    ready: VecDeque<Result<R>>,
}

/// Items that are one task.
struct Chunk<R> {
    number: u64,
    n: usize,
    future: ChunkFuture<R>,
}

enum ChunkFuture<R> {
    One(Future<R>),
    Many(Future<Vec<Item<R>>>),
}

/// Numbers of chunks that have ended, in that order.
#[derive(Default)]
struct Ended {
    numbers: Mutex<VecDeque<u64>>,
    more: Condvar,
}

impl<F, I, A, R> MapIter<'_, F, I, A, R> {
    /// Tasks that are pending or running, or whose results nobody has taken yet, at most: 64 for each worker unless said, 1
    /// at least. More of them bridge longer gaps between fast and slow items.
    pub fn buffer(mut self, n: usize) -> Self {
        self.n_ahead = n.max(1);
        self
    }

    /// Items of one task: 1 unless said. More of them cost less each, and where an item kills its worker the others of its
    /// task fail too.
    pub fn chunk(mut self, n: usize) -> Self {
        self.n_chunk = n.max(1);
        self
    }

    /// Results come as they are there, rather than in the order of the items.
    pub fn unordered(mut self) -> Self {
        self.ended = Some(Arc::default());
        self
    }

    /// The time that all items together have, from now on: then one [`ErrorKind::TimedOut`] comes, and nothing after it;
    /// what no worker has begun is cancelled.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.deadline = Some(clock::awake().saturating_add(time));
        self
    }
}

impl<F, I, A, R> MapIter<'_, F, I, A, R>
where
    F: Fn(A) -> R + Copy + Send + Sync + 'static,
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// Submits items until as many are ahead as may be, or there are no more.
    fn fill(&mut self) -> Result<()> {
        while self.pending.len() < self.n_ahead {
            let Some(inputs) = &mut self.inputs else { return Ok(()) };
            let future = if self.n_chunk == 1 {
                let Some(item) = inputs.next() else { break };
                (1, ChunkFuture::One(self.call.submit(self.f, item)?))
            } else {
                let items: Vec<A> = inputs.take(self.n_chunk).collect();
                if items.is_empty() {
                    break;
                }
                (items.len(), ChunkFuture::Many(self.call.submit_chunk::<F, A, R>(&items)?))
            };
            let (n, future) = future;
            let number = self.n_submitted;
            self.n_submitted += 1;
            if let Some(ended) = &self.ended {
                let ended = Arc::clone(ended);
                let note = move || {
                    ended.numbers.lock().unwrap_or_else(PoisonError::into_inner).push_back(number);
                    ended.more.notify_one();
                };
                match &future {
                    ChunkFuture::One(future) => future.on_done(move |_| note()),
                    ChunkFuture::Many(future) => future.on_done(move |_| note()),
                }
            }
            self.pending.push_back(Chunk { number, n, future });
        }
        if self.pending.len() < self.n_ahead {
            self.inputs = None;
        }
        Ok(())
    }

    /// The chunk whose results are next, once it has ended; none if the time is up.
    fn next_chunk(&mut self) -> Result<Option<Chunk<R>>> {
        let left = || self.deadline.map(|deadline| deadline.saturating_sub(clock::awake()));
        let Some(ended) = &self.ended else {
            let is_done = match (&self.pending[0].future, left()) {
                (ChunkFuture::One(future), Some(left)) => future.wait(left)?,
                (ChunkFuture::Many(future), Some(left)) => future.wait(left)?,
                (_, None) => true, // its result is waited for
            };
            return Ok(if is_done { self.pending.pop_front() } else { None });
        };
        let mut numbers = ended.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(number) = numbers.pop_front() {
                drop(numbers);
                let at =
                    self.pending.iter().position(|chunk| chunk.number == number).expect("it was pending");
                return Ok(self.pending.remove(at));
            }
            let left = left().unwrap_or(Duration::from_secs(3600));
            if left.is_zero() {
                return Ok(None);
            }
            numbers = match ended.more.wait_timeout(numbers, left) {
                Ok((numbers, _)) => numbers,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn end(&mut self) {
        self.inputs = None;
        self.cancel_pending();
    }
}

impl<F, I, A, R> MapIter<'_, F, I, A, R> {
    fn cancel_pending(&mut self) {
        // The last first, so that no worker gets one that is cancelled in a moment.
        for chunk in self.pending.drain(..).rev() {
            match chunk.future {
                ChunkFuture::One(future) => future.cancel(),
                ChunkFuture::Many(future) => future.cancel(),
            };
        }
    }
}

impl<F, I, A, R> Iterator for MapIter<'_, F, I, A, R>
where
    F: Fn(A) -> R + Copy + Send + Sync + 'static,
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        if let Err(error) = self.fill() {
            self.end();
            return Some(Err(error));
        }
        if self.pending.is_empty() {
            return None;
        }
        if let Err(error) = self.call.pool.check_owner() {
            self.end(); // nobody would say here which of them have ended
            return Some(Err(error));
        }
        let chunk = match self.next_chunk() {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                let n_tasks = self.n_submitted;
                let n_done = n_tasks - self.pending.len() as u64;
                self.end();
                return Some(Err(ErrorKind::TimedOut { n_done, n_tasks }.into()));
            }
            Err(error) => {
                self.end();
                return Some(Err(error));
            }
        };
        match chunk.future {
            ChunkFuture::One(future) => return Some(future.result()),
            ChunkFuture::Many(future) => match future.result() {
                Ok(items) if items.len() == chunk.n => {
                    self.ready.extend(items.into_iter().map(|item| match item {
                        Item::Returned(value) => Ok(value),
                        Item::Panicked { message, location } => {
                            let name = std::any::type_name::<F>();
                            Err(Error::from(ErrorKind::TaskPanicked { name, message, location }))
                        }
                    }));
                }
                result => {
                    // As many errors as items, or the results of other chunks would be taken for those of others' items.
                    let why = match &result {
                        Ok(items) => format!("{} results came of {} items", items.len(), chunk.n),
                        Err(error) => match error.kind() {
                            ErrorKind::TaskRefused { why, .. } => why.clone(),
                            kind => kind.to_string(),
                        },
                    };
                    let refused = || {
                        let name = std::any::type_name::<F>();
                        Error::from(ErrorKind::TaskRefused { name, why: why.clone() })
                    };
                    // Each error is somebody's own.
                    let errors = (0..chunk.n).map(|_| Err(future.error().unwrap_or_else(refused)));
                    self.ready.extend(errors.collect::<Vec<_>>());
                }
            },
        }
        self.ready.pop_front()
    }
}

impl<F, I, A, R> Drop for MapIter<'_, F, I, A, R> {
    fn drop(&mut self) {
        self.cancel_pending();
    }
}

impl<'a> Call<'a> {
    /// `f(item)` for whatever an iterator yields, by workers: an iterator of the results in the order of the items.
    ///
    /// Only so many items are pulled ahead of the results that are taken, so memory stays what it is, and the iterator may
    /// be without end. An item that fails yields its error, and the next ones go on. Of the call's options those of
    /// [`submit`](Call::submit) count. Where items are numbers of one large array, [`map`](Call::map) is some hundred times
    /// faster.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let words = ["a", "bb", "ccc"].map(String::from);
    /// let lengths: Vec<usize> = pool.map_iter(|word: String| word.len(), words).collect::<Result<_, _>>()?;
    /// assert_eq!(lengths, [1, 2, 3]);
    ///
    /// let first = pool.map_iter(|n: u64| n * n, 0..).buffer(8).find(|square| matches!(square, Ok(100..)));
    /// assert_eq!(first.unwrap()?, 100);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn map_iter<F, I, A, R>(&self, f: F, inputs: I) -> MapIter<'a, F, I::IntoIter, A, R>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        I: IntoIterator<Item = A>,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let _ = stateless(f);
        MapIter {
            call: *self,
            f,
            items: PhantomData,
            inputs: Some(inputs.into_iter()),
            n_ahead: AHEAD * self.pool.n_workers().max(1),
            n_chunk: 1,
            deadline: None,
            pending: VecDeque::new(),
            ended: None,
            n_submitted: 0,
            ready: VecDeque::new(),
        }
    }
}

impl Pool {
    /// See [`Call::map_iter`].
    pub fn map_iter<F, I, A, R>(&self, f: F, inputs: I) -> MapIter<'_, F, I::IntoIter, A, R>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        I: IntoIterator<Item = A>,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.call().map_iter(f, inputs)
    }
}
