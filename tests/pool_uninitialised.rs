//! A program that has called neither `init()` nor `test_workers!()`: it is told so, and never runs itself
//! again and again.

use shmpool::{ErrorKind, Pool};

#[test]
fn a_pool_without_init_is_an_error_that_says_what_to_write() {
    let error = Pool::new().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotInitialised), "{error}");
    let text = error.to_string();
    assert!(text.contains("first line of `main`") && text.contains("`shmpool::test_workers!();`"), "{text}");
}

#[test]
fn a_pool_of_no_workers_needs_no_init() {
    let pool = Pool::builder().workers(0).build().unwrap();
    assert_eq!(*pool.map(&pool.array_from(&[2]).unwrap(), |x| x * x).unwrap(), [4]);
}

#[test]
fn init_off_the_main_thread_refuses_and_names_the_macro() {
    let panic = std::thread::spawn(shmpool::init).join().unwrap_err();
    let message = panic.downcast_ref::<&str>().expect("a panic with a text");
    assert!(message.contains("`shmpool::test_workers!();`"), "{message}");
    // And it has not counted.
    assert!(matches!(Pool::new().unwrap_err().kind(), ErrorKind::NotInitialised));
}

/// What happens in a program that marks itself initialised nowhere, but is started as somebody's worker.
#[test]
fn a_worker_that_comes_to_build_a_pool_ends_at_once() {
    const TEST: &str = "a_worker_that_comes_to_build_a_pool_ends_at_once";
    if std::env::var_os("SHMPOOL_WORKER").is_some() {
        let _ = Pool::new();
        unreachable!("a worker must not come this far");
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env("SHMPOOL_WORKER", format!("{} 0", std::process::id()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("without shmpool::init() at the start of main"), "{stderr}");
}
