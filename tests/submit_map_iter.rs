//! A function over an iterator: order, bounds, errors, ends.

mod common;

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use common::{pool_of, watchdog};
use shmpool::ErrorKind;

shmpool::test_workers!();

fn square(n: u64) -> u64 {
    n * n
}

/// Takes longer the smaller it is.
fn late_first(n: u64) -> u64 {
    thread::sleep(Duration::from_millis(40_u64.saturating_sub(4 * n)));
    n
}

fn picky(n: u64) -> u64 {
    assert!(n % 7 != 3, "not {n}");
    if n == 20 {
        std::process::exit(1);
    }
    n
}

#[test]
fn results_come_in_the_order_of_the_items() {
    let _watchdog = watchdog("results_come_in_the_order", 60);
    for n_workers in [0, 1, 3] {
        let pool = pool_of(n_workers);
        for chunk in [0, 1, 3, 1000] {
            let results = pool.map_iter(late_first, 0..12).chunk(chunk).map(Result::unwrap);
            assert!(results.eq(0..12), "{n_workers} {chunk}");
        }
        assert!(pool.map_iter(square, 0..3).buffer(0).map(Result::unwrap).eq([0, 1, 4]), "0 is as 1");
        assert!(pool.map_iter(square, std::iter::empty()).next().is_none());
        let mut one = pool.map_iter(square, [5]);
        assert_eq!(
            (one.next().unwrap().unwrap(), one.next().is_none(), one.next().is_none()),
            (25, true, true)
        );
    }
}

#[test]
fn unordered_results_come_as_they_are_there() {
    let _watchdog = watchdog("unordered_results", 60);
    let pool = pool_of(2);
    for chunk in [1, 4] {
        let mut results: Vec<u64> =
            pool.map_iter(late_first, 0..40).unordered().chunk(chunk).map(Result::unwrap).collect();
        if chunk == 1 {
            assert_ne!(results[0], 0, "it takes longest");
        }
        results.sort_unstable();
        assert!(results.into_iter().eq(0..40));
    }
}

#[test]
fn an_endless_iterator_is_pulled_no_further_than_the_buffer() {
    let _watchdog = watchdog("an_endless_iterator", 60);
    let pool = pool_of(2);
    let pulled = Cell::new(0_u64);
    let endless = (0..).inspect(|_| pulled.set(pulled.get() + 1));
    let mut squares = pool.map_iter(square, endless).buffer(10);
    assert_eq!(pulled.get(), 0, "nothing before the first result is wanted");
    for n in 0..5000 {
        assert_eq!(squares.next().unwrap().unwrap(), n * n);
        assert!(pulled.get() <= n + 10, "{n} {}", pulled.get());
    }
    let pulled = Cell::new(0_u64);
    let endless = (0..).inspect(|_| pulled.set(pulled.get() + 1));
    let mut squares = pool.map_iter(square, endless).buffer(3).chunk(100);
    assert_eq!(squares.nth(250).unwrap().unwrap(), 250 * 250);
    assert_eq!(pulled.get(), 500);
}

#[test]
fn an_item_that_fails_yields_its_error_and_the_next_ones_go_on() {
    let _watchdog = watchdog("an_item_that_fails", 60);
    let pool = pool_of(2);
    for (n, result) in pool.map_iter(picky, 0..40).enumerate() {
        match result {
            Ok(found) => assert!(found == n as u64 && n % 7 != 3 && n != 20),
            Err(error) if n == 20 => assert!(matches!(error.kind(), ErrorKind::TaskDied { .. }), "{error}"),
            Err(error) => {
                let text = format!("not {n}");
                assert!(
                    matches!(error.kind(), ErrorKind::TaskPanicked { message, .. } if *message == text),
                    "{error}"
                );
                assert!(n % 7 == 3);
            }
        }
    }
    // A panic costs its own item of a chunk, a death all of them.
    let results: Vec<_> = pool.map_iter(picky, 0..40).chunk(8).collect();
    assert_eq!(results.len(), 40);
    for (n, result) in results.iter().enumerate() {
        let failed = n % 7 == 3 || n / 8 == 20 / 8;
        assert_eq!(result.is_err(), failed, "{n}");
    }
}

#[test]
fn the_time_limit_is_for_all_items_together() {
    let _watchdog = watchdog("the_time_limit_is_for_all", 60);
    for unordered in [false, true] {
        let pool = pool_of(2);
        let slow = |ms: u64| {
            thread::sleep(Duration::from_millis(ms));
            ms
        };
        let started = Instant::now();
        let results = pool.map_iter(slow, [1, 1, 600, 600, 600, 600]).timeout(Duration::from_millis(200));
        let results: Vec<_> = if unordered { results.unordered().collect() } else { results.collect() };
        assert!(started.elapsed() < Duration::from_millis(550), "{:?}", started.elapsed());
        assert_eq!(results.len(), 3, "two results and one error");
        let error = results[2].as_ref().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut { n_done: 2, n_tasks: 6 }), "{error}");
        assert_eq!(pool.stats().unwrap().n_deaths, 0, "what runs goes on");
    }
}

#[test]
fn dropping_the_iterator_cancels_what_is_pending() {
    let _watchdog = watchdog("dropping_the_iterator", 60);
    let pool = pool_of(2);
    let slow = |n: u64| {
        thread::sleep(Duration::from_millis(50));
        n
    };
    let mut results = pool.map_iter(slow, 0..).buffer(1000);
    results.next().unwrap().unwrap();
    drop(results);
    let started = Instant::now();
    pool.submit(square, 3).unwrap().result().unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn an_iterator_that_panics_and_a_pool_that_is_shut_down() {
    let _watchdog = watchdog("an_iterator_that_panics", 60);
    let pool = pool_of(1);
    let items = (0..10_u64).inspect(|&n| assert!(n < 5, "no more"));
    let run = std::panic::AssertUnwindSafe(|| pool.map_iter(square, items).count());
    std::panic::catch_unwind(run).unwrap_err();
    pool.shutdown(true, false).unwrap();
    let mut results = pool.map_iter(square, 0..3);
    let error = results.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error}");
    assert!(results.next().is_none());
    assert!(pool.map_iter(square, []).next().is_none(), "there is nothing to refuse");
}

/// A value that does not come out of the bytes of every one.
#[derive(serde::Serialize, Debug, PartialEq)]
struct Picky(u32);

impl<'de> serde::Deserialize<'de> for Picky {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            5 => Err(serde::de::Error::custom("not 5")),
            n => Ok(Picky(n)),
        }
    }
}

#[test]
fn a_chunk_whose_results_are_no_values_has_as_many_errors_as_items() {
    let _watchdog = watchdog("a_chunk_whose_results_are_no_values", 60);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let results: Vec<_> = pool.map_iter(Picky, 0..12_u32).chunk(4).collect();
        assert_eq!(results.len(), 12);
        for (n, result) in (0..).zip(results) {
            match result {
                Ok(value) => assert_eq!(value, Picky(n)),
                Err(error) => {
                    assert!((4..8).contains(&n), "{n}: {error}");
                    assert!(matches!(error.kind(), ErrorKind::TaskRefused { .. }), "{n}: {error}");
                }
            }
        }
    }
}
