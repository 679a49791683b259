//! Submitted tasks whose workers lie about them, or end badly: each future resolves, with no more than the liar's harm.
#![allow(unsafe_code)] // tasks that scribble

shmpool::test_workers!();

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{Random, mapping, pool_of, watchdog};
use shmpool::ErrorKind;

const LONG: usize = 24 << 20;
const MARK: &str = "this is the result of a liar: ";

/// Returns a long text, and leaves a thread behind that goes on writing its last byte.
fn a_text_that_changes(_: ()) -> String {
    thread::spawn(|| {
        let place = loop {
            thread::sleep(Duration::from_millis(1));
            let Some(arena) = mapping("shmpool-data").filter(|arena| arena.len() > LONG) else { continue };
            let found = (arena.start..arena.end).step_by(4096).find(|&block| {
                // SAFETY: in the mapping of this process; which bytes are there does not matter.
                let first = unsafe { std::slice::from_raw_parts(block as *const u8, 128) };
                first.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes())
            });
            if let Some(place) = found {
                break place;
            }
        };
        // The argument is decoded, the result is there.
        thread::sleep(Duration::from_millis(200));
        let last = (place + LONG - 100) as *mut u8;
        let mut random = Random::new(7);
        loop {
            for byte in [b'a', 0xff] {
                // SAFETY: in the room that was this task's.
                unsafe { last.write_volatile(byte) };
                thread::sleep(Duration::from_micros(random.below(4000)));
            }
        }
    });
    let mut text = MARK.to_owned();
    text.extend(std::iter::repeat_n('a', LONG - MARK.len()));
    text
}

#[test]
fn a_result_that_changes_while_it_is_read_is_still_a_value() {
    let _watchdog = watchdog("a_result_that_changes_while_it_is_read", 120);
    let pool = pool_of(1);
    let future = pool.submit(a_text_that_changes, ()).unwrap();
    assert!(future.wait(Duration::from_secs(60)).unwrap());
    let (start, mut n_refused, mut n_read) = (Instant::now(), 0, 0);
    while start.elapsed() < Duration::from_secs(10) && (n_refused < 5 || n_read < 20) {
        match future.result() {
            Ok(text) => assert!(std::str::from_utf8(text.as_bytes()).is_ok(), "not a text, after {n_read}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::TaskRefused { .. }), "{error}");
                n_refused += 1;
            }
        }
        n_read += 1;
    }
    assert!(n_refused > 0, "it did not change");
}
