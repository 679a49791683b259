//! Single tasks: what they are given, what they return, and what their futures say meanwhile.
#![allow(unsafe_code)] // `fork`

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, pool_of, wait_until, watchdog};
use serde::{Deserialize, Serialize};
use shmpool::{Array, ErrorKind, Future, Handle, Lent, LentMut, Pool, ReturnWhen, as_completed, wait};

shmpool::test_workers!();

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Circle { radius: f64 },
    Polygon(Vec<(f64, f64)>),
    Nothing,
}

fn double(n: u64) -> u64 {
    2 * n
}

fn sleep(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

fn for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Has every worker busy until it is dropped.
struct Busy(Vec<Future<()>>);

impl Busy {
    fn new(pool: &Pool) -> Self {
        let futures = (0..pool.n_workers()).map(|_| pool.submit(for_ever, ()).unwrap()).collect();
        let busy = Busy(futures);
        wait_until("every worker is busy", || busy.0.iter().all(Future::is_running));
        busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for future in &self.0 {
            future.cancel_running();
        }
    }
}

#[test]
fn functions_and_closures_take_and_return_what_serde_knows() {
    let _watchdog = watchdog("functions_and_closures", 60);
    for n_workers in [0, 1, 2] {
        let pool = pool_of(n_workers);
        assert_eq!(pool.submit(double, 21).unwrap().result().unwrap(), 42);
        assert_eq!(pool.submit(|(a, b): (i32, f32)| a as f32 * b, (3, 0.5)).unwrap().result().unwrap(), 1.5);
        assert_eq!(
            pool.submit(|s: String| s.chars().rev().collect::<String>(), "abc".to_owned())
                .unwrap()
                .result()
                .unwrap(),
            "cba"
        );
        pool.submit(|(): ()| (), ()).unwrap().result().unwrap();
        let shapes = vec![
            Shape::Circle { radius: 1.5 },
            Shape::Polygon(vec![(0.0, 1.0), (f64::MIN, -0.0)]),
            Shape::Nothing,
        ];
        let echoed = pool.submit(|shapes: Vec<Shape>| shapes, shapes.clone()).unwrap();
        assert_eq!(echoed.result().unwrap(), shapes);
        let counts = |words: Vec<String>| {
            words.into_iter().fold(BTreeMap::new(), |mut counts, word| {
                *counts.entry(word).or_insert(0_u32) += 1;
                counts
            })
        };
        let words = ["a", "b", "a"].map(String::from).to_vec();
        let counted = pool.submit(counts, words).unwrap().result().unwrap();
        assert_eq!(counted.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let map: HashMap<u8, Option<char>> = HashMap::from([(1, Some('x')), (2, None)]);
        assert_eq!(
            pool.submit(|map: HashMap<u8, Option<char>>| map, map.clone()).unwrap().result().unwrap(),
            map
        );
        let own_error =
            pool.submit(|n: i32| u8::try_from(n).map_err(|error| error.to_string()), 300).unwrap();
        assert!(own_error.result().unwrap().unwrap_err().contains("out of range"));
    }
}

#[test]
fn values_of_every_size_come_through() {
    let _watchdog = watchdog("values_of_every_size_come_through", 60);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        // Around the ends of what fits into a small payload, a slot, a message.
        for n in (0..30).chain(470..490).chain(1000..1012).chain([4096, 100_000, 5_000_000]) {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 7 + n) as u8).collect();
            let echoed = pool.submit(|bytes: Vec<u8>| bytes, bytes.clone()).unwrap();
            assert_eq!(echoed.result().unwrap(), bytes, "{n} bytes");
            assert_eq!(
                pool.submit(|bytes: Vec<u8>| bytes.len(), bytes.clone()).unwrap().result().unwrap(),
                n
            );
            assert_eq!(pool.submit(|n: usize| vec![7_u8; n], n).unwrap().result().unwrap(), vec![7; n]);
        }
        let used = || pool.stats().unwrap().arena.allocated_bytes;
        wait_until("the arena is empty", || used() == 0);
    }
}

#[test]
fn a_gigabyte_goes_out_and_comes_back() {
    let _watchdog = watchdog("a_gigabyte_goes_out_and_comes_back", 120);
    // Bytes of which most are the same, so that a value is cheap to make and to compare; `serde_bytes` would be faster.
    let pool = Pool::builder().workers(1).capacity_bytes(1 << 30).build().unwrap();
    let n = 300 << 20;
    let future = pool.submit(|s: String| s, "x".repeat(n)).unwrap();
    assert!(future.result().unwrap() == "x".repeat(n));
}

#[test]
fn what_does_not_go_into_bytes_fails_its_own_future_alone() {
    let _watchdog = watchdog("what_does_not_go_into_bytes", 60);
    /// Goes in, and does not come out.
    #[derive(Debug, Clone, Copy)]
    struct OneWay;
    impl Serialize for OneWay {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_u8(1)
        }
    }
    impl<'de> Deserialize<'de> for OneWay {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("no way back"))
        }
    }
    /// Does not go in.
    #[derive(Debug, Clone, Copy, Deserialize)]
    struct NoWay;
    impl Serialize for NoWay {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no way in"))
        }
    }
    for n_workers in [0, 1] {
        let pool = pool_of(n_workers);
        let pids = pool.worker_pids();
        let why = |error: shmpool::Error| match error.kind() {
            ErrorKind::TaskRefused { why, .. } => why.clone(),
            _ => panic!("{error}"),
        };
        let good = pool.submit(double, 1).unwrap();
        let text = why(pool.submit(|_: OneWay| 1, OneWay).unwrap().result().unwrap_err());
        assert!(
            text.starts_with("its argument of type ")
                && text.contains("OneWay does not come out of its bytes: "),
            "{text}"
        );
        let text = why(pool.submit(|_: NoWay| 1, NoWay).unwrap().result().unwrap_err());
        assert!(
            text.starts_with("its argument of type ") && text.contains("NoWay does not go into bytes: "),
            "{text}"
        );
        let text = why(pool.submit(|(): ()| NoWay, ()).unwrap().result().unwrap_err());
        assert!(text.starts_with("its result of type ") && text.contains("does not go into bytes"), "{text}");
        let text = why(pool.submit(|(): ()| OneWay, ()).unwrap().result().unwrap_err());
        assert!(text.starts_with("its result of type ") && text.contains("does not come out"), "{text}");
        let own_error = |(): ()| -> Result<u32, OneWay> { Err(OneWay) };
        let text = why(pool.submit(own_error, ()).unwrap().result().unwrap_err());
        assert!(text.contains("OneWay> does not come out of its bytes: "), "{text}");
        // It has ended before it was anywhere, so there is nothing to cancel.
        let refused = pool.submit(|_: NoWay| 1, NoWay).unwrap();
        assert!(refused.is_done() && !refused.cancel() && !refused.cancel_running());
        assert_eq!(pool.stats().unwrap().n_tasks_pending, 0);
        assert_eq!(good.result().unwrap(), 2);
        assert_eq!(pool.worker_pids(), pids, "no worker has died of it");
    }
}

#[test]
fn a_result_for_which_there_is_no_room_says_so() {
    let _watchdog = watchdog("a_result_for_which_there_is_no_room", 60);
    let pool = Pool::builder().workers(1).capacity_bytes(1 << 20).build().unwrap();
    let error = pool.submit(|n: usize| vec![0_u8; n], 8 << 20).unwrap().result().unwrap_err();
    assert!(error.to_string().contains("its result of 8388612 bytes finds no room: "), "{error}");
    let error = pool.submit(|v: Vec<u8>| v.len(), vec![0; 8 << 20]).unwrap().result().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TaskRefused { .. }), "{error}");
    assert_eq!(pool.submit(double, 4).unwrap().result().unwrap(), 8);
}

#[test]
fn a_panic_is_a_value_and_the_worker_lives_on() {
    let _watchdog = watchdog("a_panic_is_a_value", 60);
    for n_workers in [0, 1] {
        let pool = pool_of(n_workers);
        let pids = pool.worker_pids();
        let future = pool.submit(|n: u32| if n > 1 { panic!("{n} is too many") } else { n }, 7).unwrap();
        let error = future.result().unwrap_err();
        match error.kind() {
            ErrorKind::TaskPanicked { name, message, location } => {
                assert!(name.contains("a_panic_is_a_value"), "{name}");
                assert_eq!(message, "7 is too many");
                assert!(location.starts_with("tests/submit_results.rs:"), "{location}");
            }
            _ => panic!("{error}"),
        }
        assert!(future.error().is_some() && future.is_done() && !future.is_cancelled());
        assert_eq!(pool.worker_pids(), pids);
    }
}

#[test]
fn arrays_are_lent_where_they_are_and_leases_last_as_long_as_the_task() {
    let _watchdog = watchdog("arrays_are_lent", 60);
    fn add((xs, ys, mut out): (Lent<'_, f32>, Lent<'_, f32>, LentMut<'_, f32>), scale: f32) -> Vec<usize> {
        for ((out, x), y) in out.iter_mut().zip(&*xs).zip(&*ys) {
            *out = x + scale * y;
        }
        out.shape().to_vec()
    }
    fn hold(out: LentMut<'_, f32>, ms: u64) -> f32 {
        thread::sleep(Duration::from_millis(ms));
        out[0]
    }
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let xs = Arc::new(pool.array_with([3, 4], |[i, j]| (4 * i + j) as f32).unwrap());
        let ys = pool.input_from(&[1.0_f32; 12]).unwrap();
        let out = Handle::new(pool.zeros::<f32>([3, 4]).unwrap());
        let copied = pool.stats().unwrap().bytes_copied;
        let future = pool.submit_on((Arc::clone(&xs), ys, out.write().unwrap()), add, 0.5).unwrap();
        assert_eq!(future.result().unwrap(), [3, 4]);
        assert_eq!(pool.stats().unwrap().bytes_copied, copied);
        assert!(out.read().unwrap().iter().zip(xs.iter()).all(|(out, x)| *out == x + 0.5));
        assert_eq!(Arc::strong_count(&xs), 1);

        if n_workers > 0 {
            let future = pool.submit_on(out.write().unwrap(), hold, 100).unwrap();
            assert!(matches!(out.read().unwrap_err().kind(), ErrorKind::Busy { .. }));
            future.result().unwrap();
            drop(out.read().unwrap());
            // Cancelled before it begins, and killed in the middle: the lease ends all the same.
            let busy = Busy::new(&pool);
            let future = pool.submit_on(out.write().unwrap(), hold, 1).unwrap();
            assert!(future.cancel());
            drop(out.write().unwrap());
            drop(busy);
            let future = pool.submit_on(out.write().unwrap(), hold, 100_000).unwrap();
            wait_until("it runs", || future.is_running());
            assert!(future.cancel_running());
            assert!(matches!(future.result().unwrap_err().kind(), ErrorKind::Cancelled { .. }));
            drop(out.write().unwrap());
        }
    }
}

#[test]
fn an_array_of_no_elements_and_one_of_another_pool() {
    let _watchdog = watchdog("an_array_of_no_elements", 60);
    let (pool, other) = (pool_of(1), pool_of(1));
    let len = |xs: Lent<'_, u64>, (): ()| (xs.len(), xs.shape().to_vec());
    let empty = Arc::new(pool.zeros::<u64>([0, 3]).unwrap());
    assert_eq!(pool.submit_on(empty, len, ()).unwrap().result().unwrap(), (0, vec![0, 3]));
    let foreign = Arc::new(other.zeros::<u64>(3).unwrap());
    let error = pool.submit_on(foreign, len, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ForeignArray { .. }), "{error}");
}

#[test]
fn a_future_says_where_its_task_is() {
    let _watchdog = watchdog("a_future_says_where_its_task_is", 60);
    let pool = pool_of(1);
    let busy = Busy::new(&pool);
    let pending = pool.submit(double, 1).unwrap();
    assert!(!pending.is_done() && !pending.is_running() && !pending.is_cancelled());
    let started = Instant::now();
    let error = pending.result_timeout(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotDone { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert!(!pending.wait(Duration::from_millis(5)).unwrap());
    assert!(format!("{pending:?}").ends_with("(pending)"));
    drop(busy);
    assert_eq!(pending.result().unwrap(), 2);
    assert!(pending.is_done() && !pending.is_running());
    assert_eq!(pending.clone().result().unwrap(), 2, "as often as one likes");
    assert!(format!("{pending:?}").ends_with("(done)"));
}

#[test]
fn a_task_can_be_cancelled_until_a_worker_has_it() {
    let _watchdog = watchdog("a_task_can_be_cancelled_until", 60);
    let pool = pool_of(2);
    let busy = Busy::new(&pool);
    // Some are in the table, the rest waits in the parent.
    let futures: Vec<Future<u64>> = (0..5000).map(|i| pool.submit(double, i).unwrap()).collect();
    assert!(futures.iter().step_by(2).all(Future::cancel), "none of them has begun");
    assert!(futures[0].cancel() && futures[0].is_cancelled() && futures[0].is_done(), "again");
    assert!(!busy.0[0].cancel() && !busy.0[0].is_cancelled());
    drop(busy);
    for (i, future) in futures.iter().enumerate() {
        match future.result() {
            Ok(n) => assert!(i % 2 == 1 && n == 2 * i as u64),
            Err(error) => {
                assert!(i % 2 == 0 && matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            }
        }
    }
    assert!(!futures[1].cancel(), "it has ended");
}

#[test]
fn a_cancelled_task_never_runs() {
    let _watchdog = watchdog("a_cancelled_task_never_runs", 60);
    let pool = pool_of(2);
    let ran = Handle::new(pool.zeros::<u8>(1).unwrap());
    for round in 0..200 {
        let mark = |mut ran: LentMut<'_, u8>, (): ()| ran[0] = 1;
        ran.write().unwrap()[0] = 0;
        let future = pool.submit_on(ran.write().unwrap(), mark, ()).unwrap();
        if round % 3 == 0 {
            thread::yield_now();
        }
        let cancelled = future.cancel();
        assert_eq!(future.result().is_err(), cancelled);
        assert_eq!(ran.read().unwrap()[0], u8::from(!cancelled));
    }
}

#[test]
fn callbacks_run_once_in_order_on_the_collecting_thread() {
    let _watchdog = watchdog("callbacks_run_once_in_order", 60);
    let pool = pool_of(1);
    let busy = Busy::new(&pool);
    let future = pool.submit(double, 5).unwrap();
    let (said, heard) = mpsc::channel();
    for i in 0..3 {
        let said = said.clone();
        future.on_done(move |future| {
            said.send((i, future.result().unwrap(), thread::current().name().map(str::to_owned))).unwrap();
        });
    }
    future.on_done(|_| panic!("nobody's concern"));
    let said_last = said.clone();
    future.on_done(move |_| said_last.send((3, 0, None)).unwrap());
    drop(busy);
    for i in 0..3 {
        let on = Some("shmpool-collect".to_owned());
        assert_eq!(heard.recv().unwrap(), (i, 10, on));
    }
    assert_eq!(heard.recv().unwrap().0, 3);
    // At once, here, if it has ended; also for one that is cancelled; and a callback may submit.
    let (here, ran) = (thread::current().id(), Arc::new(AtomicBool::new(false)));
    let noted = Arc::clone(&ran);
    future.on_done(move |_| noted.store(thread::current().id() == here, SeqCst));
    assert!(ran.load(SeqCst));
    let pool = Arc::new(pool);
    let busy = Busy::new(&pool);
    let future = pool.submit(double, 6).unwrap();
    let again = Arc::clone(&pool);
    future.on_done(move |future| {
        assert!(future.is_cancelled());
        let next = again.submit(double, 7).unwrap();
        next.on_done(move |next| said.send((4, next.result().unwrap(), None)).unwrap());
    });
    assert!(future.cancel());
    drop(busy);
    assert_eq!(heard.recv().unwrap(), (4, 14, None));
}

#[test]
fn a_future_can_be_awaited_without_a_runtime() {
    let _watchdog = watchdog("a_future_can_be_awaited", 60);
    struct Bell(thread::Thread, AtomicU32);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, SeqCst);
            self.0.unpark();
        }
    }
    let pool = pool_of(1);
    let mut future = pool.submit(sleep, 30).unwrap();
    let bell = Arc::new(Bell(thread::current(), AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let result = loop {
        match std::future::Future::poll(std::pin::Pin::new(&mut future), &mut context) {
            Poll::Ready(result) => break result,
            Poll::Pending => thread::park(),
        }
    };
    assert_eq!(result.unwrap(), 30);
    assert_eq!(bell.1.load(SeqCst), 1);
}

#[test]
fn wait_returns_when_it_is_told() {
    let _watchdog = watchdog("wait_returns_when_it_is_told", 60);
    let (pool, other) = (pool_of(2), pool_of(1));
    let fails = |ms: u64| -> u64 {
        thread::sleep(Duration::from_millis(ms));
        panic!("{ms}")
    };
    let futures = [
        pool.submit(sleep, 3000).unwrap(),
        pool.submit(sleep, 10).unwrap(),
        other.submit(fails, 100).unwrap(),
    ];
    assert_eq!(wait(&futures, ReturnWhen::First, None), [1]);
    assert_eq!(wait(&futures, ReturnWhen::FirstError, None), [1, 2]);
    assert_eq!(wait(&futures, ReturnWhen::All, Some(Duration::from_millis(20))), [1, 2]);
    assert_eq!(wait(&futures, ReturnWhen::All, None), [0, 1, 2]);
    assert!(wait::<u64>(&[], ReturnWhen::First, None).is_empty());
}

#[test]
fn as_completed_yields_in_the_order_of_ends_across_pools() {
    let _watchdog = watchdog("as_completed_yields", 60);
    let (pool, other) = (pool_of(2), pool_of(2));
    let futures = [(&pool, 300), (&other, 10), (&pool, 100), (&other, 200)]
        .map(|(pool, ms)| pool.submit(sleep, ms).unwrap());
    let order: Vec<u64> = as_completed(futures).map(|future| future.result().unwrap()).collect();
    assert_eq!(order, [10, 100, 200, 300]);
    let futures = [10, 5000].map(|ms| pool.submit(sleep, ms).unwrap());
    let mut completed = as_completed(futures).timeout(Duration::from_millis(200));
    assert_eq!(completed.next().unwrap().result().unwrap(), 10);
    assert!(completed.next().is_none());
    let rest = completed.rest();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].cancel_running());
}

#[test]
fn submit_returns_at_once_and_tasks_begin_in_their_order() {
    static N_RUN: AtomicU64 = AtomicU64::new(0);
    let _watchdog = watchdog("submit_returns_at_once", 60);
    let pool = pool_of(1);
    let busy = Busy::new(&pool);
    // Of every size, and more than the table holds at first: none of them is waited for.
    let count = |_: String| N_RUN.fetch_add(1, SeqCst);
    let futures: Vec<Future<u64>> =
        (0..3000).map(|n| pool.submit(count, "x".repeat(n % 700)).unwrap()).collect();
    assert!(!futures.iter().any(Future::is_done) && !busy.0[0].is_done());
    busy.0[0].cancel_running();
    // Its successor counts from 0.
    assert!(futures.iter().zip(0..).all(|(future, n)| future.result().unwrap() == n));
}

#[test]
fn many_threads_submit_and_wait_at_once() {
    let _watchdog = watchdog("many_threads_submit_and_wait", 120);
    let pool = pool_of(2);
    let xs = pool.array_with(100_000, |i| i as u32).unwrap();
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (pool, xs) = (&pool, &xs);
            scope.spawn(move || {
                for i in 0..500 {
                    let n = thread * 1000 + i;
                    assert_eq!(pool.submit(double, n).unwrap().result().unwrap(), 2 * n);
                    if i % 100 == 0 {
                        let ys = pool.map(xs, |x| x ^ 1).unwrap();
                        assert_eq!(ys[thread as usize], xs[thread as usize] ^ 1);
                    }
                }
                let many: Vec<Future<u64>> = (0..2000).map(|i| pool.submit(double, i).unwrap()).collect();
                assert!(many.iter().zip(0..).all(|(future, i)| future.result().unwrap() == 2 * i));
            });
        }
    });
}

#[test]
fn a_job_over_arrays_does_not_wait_for_all_pending_tasks() {
    let _watchdog = watchdog("a_job_over_arrays_does_not_wait", 60);
    let pool = pool_of(2);
    let futures: Vec<Future<u64>> = (0..1000).map(|_| pool.submit(sleep, 10).unwrap()).collect();
    let started = Instant::now();
    let xs = pool.zeros::<u8>(1000).unwrap();
    pool.map(&xs, |x| x + 1).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!futures[999].is_done());
    pool.shutdown(true, true).unwrap();
}

#[test]
fn tasks_take_no_descriptors_and_little_memory() {
    alone(
        "tasks_take_no_descriptors_and_little_memory",
        |_| (),
        || {
            let _watchdog = watchdog("tasks_take_no_descriptors", 120);
            let n_fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let rss_bytes = || {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
                line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
            };
            let pool = pool_of(2);
            pool.submit(double, 1).unwrap().result().unwrap();
            let busy = Busy::new(&pool);
            let (fds, rss) = (n_fds(), rss_bytes());
            let futures: Vec<Future<u64>> = (0..1_000_000).map(|i| pool.submit(double, i).unwrap()).collect();
            assert_eq!(n_fds(), fds);
            let grown = rss_bytes() - rss;
            assert!(grown < 200 << 20, "{} bytes a task", grown / 1_000_000);
            eprintln!("a million pending tasks: {} MiB", grown >> 20);
            drop(busy);
            assert!(futures.iter().zip(0..).all(|(future, i)| future.result().unwrap() == 2 * i));
        },
    );
}

#[test]
fn a_bound_on_pending_tasks_waits_or_refuses() {
    let _watchdog = watchdog("a_bound_on_pending_tasks", 60);
    let pool = Pool::builder().workers(1).capacity_bytes(1 << 20).pending_max(3).build().unwrap();
    let busy = Busy::new(&pool);
    let _two = [1, 2].map(|n| pool.try_submit(double, n).unwrap());
    let error = pool.try_submit(double, 3).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::QueueFull { max: 3 }), "{error}");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.submit(double, 4).unwrap().result().unwrap());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(busy);
        assert_eq!(waiting.join().unwrap(), 8);
    });
    let error = Pool::builder().pending_max(0).build().unwrap_err();
    assert!(error.to_string().starts_with("pending_max: 0"), "{error}");
}

#[test]
fn after_shutdown_nothing_is_taken_on_and_what_was_is_done() {
    let _watchdog = watchdog("after_shutdown", 60);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let futures: Vec<Future<u64>> = (0..100).map(|i| pool.submit(double, i).unwrap()).collect();
        pool.shutdown(true, false).unwrap();
        assert!(
            futures.iter().zip(0..).all(|(future, i)| future.is_done() && future.result().unwrap() == 2 * i)
        );
        let error = pool.submit(double, 1).unwrap_err();
        assert_eq!(error.to_string(), "the pool was shut down, and takes nothing more on");
        pool.shutdown(true, true).unwrap();
    }
}

#[test]
fn shutdown_that_does_not_wait_and_one_that_cancels() {
    let _watchdog = watchdog("shutdown_that_does_not_wait", 60);
    let pool = pool_of(2);
    let futures: Vec<Future<u64>> = (0..50).map(|_| pool.submit(sleep, 20).unwrap()).collect();
    wait_until("one runs", || futures.iter().any(Future::is_running));
    let started = Instant::now();
    pool.shutdown(false, true).unwrap();
    assert!(started.elapsed() < Duration::from_millis(100));
    pool.shutdown(true, true).unwrap();
    let n_done = futures.iter().filter(|future| future.result().is_ok()).count();
    assert!((1..10).contains(&n_done), "{n_done}: those that ran, and no others");
    assert!(futures.iter().filter(|future| future.is_cancelled()).count() + n_done == 50);
}

#[test]
fn terminate_ends_what_runs() {
    let _watchdog = watchdog("terminate_ends_what_runs", 60);
    let pool = pool_of(2);
    let busy = Busy::new(&pool);
    let pending = pool.submit(double, 1).unwrap();
    pool.terminate().unwrap();
    assert!(pending.is_cancelled() && busy.0.iter().all(Future::is_cancelled));
    pool.terminate().unwrap();
    let refused = pool.map(&pool.zeros::<u8>(10).unwrap(), |x| x + 1).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::ShutDown), "{refused}");
}

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_that_asked(_: libc::c_int) {
    ASKED.store(true, SeqCst);
}

/// From now on SIGTERM ends this worker no more.
fn hear_sigterm() {
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { libc::signal(libc::SIGTERM, note_that_asked as *const () as libc::sighandler_t) };
}

#[test]
fn terminate_asks_and_kill_does_not() {
    let _watchdog = watchdog("terminate_asks_and_kill_does_not", 60);
    /// Ends by itself when it is asked to, and says so.
    fn obedient(path: String) {
        hear_sigterm();
        fs::write(&path, "ready").unwrap();
        while !ASKED.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        fs::write(&path, "asked").unwrap();
        std::process::exit(0);
    }
    /// Hears, and does not care.
    fn stubborn(_: ()) {
        hear_sigterm();
        for_ever(());
    }
    let note = std::env::temp_dir().join(format!("shmpool-terminate-{}", std::process::id()));
    let is = |text: &str| fs::read_to_string(&note).is_ok_and(|found| found == text);
    for (ends, heard) in
        [(Pool::terminate as fn(&Pool) -> shmpool::Result<()>, "asked"), (Pool::kill, "ready")]
    {
        let pool = pool_of(2);
        let task = pool.submit(obedient, note.to_str().unwrap().to_owned()).unwrap();
        wait_until("it is ready", || is("ready"));
        let other = pool.submit(stubborn, ()).unwrap();
        wait_until("the other runs", || other.is_running());
        let xs = pool.array_from(&[1_u64]).unwrap();
        let job = pool.background(move |call| call.map(&xs, sleep)).unwrap();
        wait_until("the job is in its place", || job.progress().n_tasks == 1);
        ends(&pool).unwrap();
        assert!(
            is(heard) && task.is_cancelled() && other.is_cancelled(),
            "{:?}: wanted {heard:?}",
            fs::read_to_string(&note)
        );
        assert!(matches!(job.wait().unwrap_err().kind(), ErrorKind::Cancelled { n_done: 0, n_tasks: 1 }));
        fs::remove_file(&note).unwrap();
    }
}

#[test]
fn a_progress_callback_may_terminate_its_pool() {
    let _watchdog = watchdog("a_progress_callback_may_terminate", 60);
    let pool = pool_of(1);
    let xs = pool.array_from(&[1_u32; 100]).unwrap();
    let ended = pool.call().grain(1).progress(&|_| pool.terminate().unwrap()).map(&xs, |x| {
        thread::sleep(Duration::from_millis(50));
        x
    });
    assert!(matches!(ended.unwrap_err().kind(), ErrorKind::Cancelled { .. }));
}

#[test]
fn dropping_the_pool_finishes_what_was_submitted() {
    let _watchdog = watchdog("dropping_the_pool_finishes", 60);
    let pool = pool_of(2);
    let done = Arc::new(Mutex::new(Vec::new()));
    let futures: Vec<Future<u64>> = (0..20).map(|_| pool.submit(sleep, 5).unwrap()).collect();
    let noted = Arc::clone(&done);
    futures[19].on_done(move |future| noted.lock().unwrap().push(future.result().unwrap()));
    drop(pool);
    assert!(futures.iter().all(|future| future.is_done() && future.result().unwrap() == 5));
    assert_eq!(*done.lock().unwrap(), [5]);
}

#[test]
fn futures_that_nobody_keeps_cost_nothing_in_the_end() {
    let _watchdog = watchdog("futures_that_nobody_keeps", 60);
    let pool = pool_of(2);
    for i in 0..10_000_u64 {
        drop(pool.submit(|bytes: Vec<u8>| bytes, vec![1; (i % 3000) as usize]).unwrap());
    }
    pool.shutdown(true, false).unwrap();
    assert_eq!(pool.stats().unwrap().arena.allocated_bytes, 0);
}

#[test]
fn who_waits_in_vain_leaves_nothing_behind() {
    alone(
        "who_waits_in_vain_leaves_nothing_behind",
        |_| (),
        || {
            let _watchdog = watchdog("who_waits_in_vain", 60);
            let pool = pool_of(1);
            let future = [pool.submit(sleep, 3_600_000).unwrap()];
            let used = || {
                let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
                statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
            };
            let before = used();
            for _ in 0..40_000 {
                assert_eq!(wait(&future, ReturnWhen::All, Some(Duration::ZERO)), []);
                let [future] = &future;
                assert!(as_completed([future.clone()]).timeout(Duration::ZERO).next().is_none());
            }
            let more = used().saturating_sub(before);
            assert!(future[0].cancel_running());
            assert!(more < 4 << 20, "{more} bytes more");
        },
    );
}

#[test]
fn an_array_of_results_is_an_ordinary_array() {
    let _watchdog = watchdog("an_array_of_results", 60);
    let pool = pool_of(1);
    let xs: Arc<Array<u32>> = Arc::new(pool.array_from(&[1, 2, 3]).unwrap());
    let sum = |xs: Lent<'_, u32>, (): ()| xs.iter().sum::<u32>();
    let futures = [0; 3].map(|_| pool.submit_on(Arc::clone(&xs), sum, ()).unwrap());
    assert!(futures.iter().all(|future| future.result().unwrap() == 6));
}

#[test]
fn a_death_after_shutdown_is_still_told_and_a_cancelled_task_holds_nothing_up() {
    let _watchdog = watchdog("a_death_after_shutdown", 60);
    let pool = pool_of(1);
    let late = |(): ()| -> u64 {
        thread::sleep(Duration::from_millis(50));
        std::process::exit(9)
    };
    let (dead, next) = (pool.submit(late, ()).unwrap(), pool.submit(double, 1).unwrap());
    let cancelled = pool.submit(double, 2).unwrap();
    assert!(cancelled.cancel());
    pool.shutdown(false, false).unwrap();
    assert!(matches!(dead.result().unwrap_err().kind(), ErrorKind::TaskDied { .. }));
    assert_eq!(next.result().unwrap(), 2, "what was submitted before is done");
    pool.shutdown(true, false).unwrap();
    // Cancelled at the last moment, where its worker may be about to begin it, or has.
    for _ in 0..10 {
        let pool = pool_of(1);
        let futures = [1, 2, 3].map(|n| pool.submit(double, n).unwrap());
        let cancelled = futures[2].cancel();
        pool.shutdown(true, false).unwrap();
        assert!(futures.iter().all(Future::is_done) && futures[2].is_cancelled() == cancelled);
    }
}

#[test]
fn a_forked_child_is_refused_and_the_parent_notices_nothing() {
    alone(
        "a_forked_child_is_refused_and_the_parent_notices_nothing",
        |_| (),
        || {
            let _watchdog = watchdog("a_forked_child_is_refused", 60);
            let pool = pool_of(1);
            let pending = pool.submit(sleep, 100).unwrap();
            // SAFETY: the child calls nothing but what is to refuse it, and leaves at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let refused = |kind: &ErrorKind| matches!(kind, ErrorKind::ForkedChild { .. });
                let submit = pool.submit(double, 1).is_err_and(|error| refused(error.kind()));
                let result = pending.result().is_err_and(|error| refused(error.kind()));
                let rest = !pending.cancel() && !pending.cancel_running() && !pending.is_running();
                let shut = pool.shutdown(true, true).is_err_and(|error| refused(error.kind()));
                // SAFETY: never returns.
                unsafe { libc::_exit(i32::from(!(submit && result && rest && shut))) };
            }
            let mut status = 0;
            // SAFETY: waits for the child that was just made.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
            assert_eq!(pending.result().unwrap(), 100);
        },
    );
}
