//! The feature `constructor`: a program that calls neither `init()` nor the macro, such as a library's, still
//! gets its workers.
#![cfg(feature = "constructor")]

use shmpool::Pool;

#[test]
fn a_program_without_init_gets_its_workers() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let xs = pool.array_from(&[1, 2, 3]).unwrap();
    assert_eq!(*pool.map(&xs, |x| x + 1).unwrap(), [2, 3, 4]);
    assert_eq!(pool.worker_pids().len(), 2);
}
