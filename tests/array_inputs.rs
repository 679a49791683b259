//! Inputs: every verb reads them, no worker can write them, and dropped ones give their memory back.
#![allow(unsafe_code)] // kernels that write where they must not

shmpool::test_workers!();

mod common;

use common::{assert_same_bits, pool_of, signal, stop, wait_until_healed, watchdog};
use shmpool::kernels::{Chain, Gaussian, Gray, Sum};
use shmpool::{ErrorKind, ExitReason, Fault, Input, Pool};

const N: usize = 100_000;

#[test]
fn every_verb_reads_inputs() {
    let _watchdog = watchdog("every_verb_reads_inputs", 60);
    for n_workers in [0, 1, 2, 3] {
        let pool = pool_of(n_workers);
        let words: Vec<u32> = (0..N as u32).collect();
        // One that has a segment to itself, one that shares it, one without bytes.
        let (large, small, none) = (
            pool.input_from(&words).unwrap(),
            pool.input_from(&words[..100]).unwrap(),
            pool.input_from(&words[..0]),
        );
        let plus = |xs: &[u32]| xs.iter().map(|x| x + 1).collect::<Vec<_>>();
        let context = || format!("{n_workers} workers");
        assert_same_bits(&pool.map(&large, |x| x + 1).unwrap(), &plus(&words), context);
        assert_same_bits(&pool.map(&small, |x| x + 1).unwrap(), &plus(&words[..100]), context);
        assert!(pool.map(&none.unwrap(), |x| x + 1).unwrap().is_empty());
        let array = pool.array_from(&words).unwrap();
        let sums = pool.zip_map((&large, &array, &large), |a, b, c| a + b + c).unwrap();
        assert!(sums.iter().zip(&words).all(|(sum, word)| *sum == 3 * word));
        assert_eq!(
            pool.reduce(&large, 0_u64, |sum, x| sum + u64::from(x), |a, b| a + b).unwrap(),
            4_999_950_000
        );
        let floats = pool.input_fill([10, 1000], |xs: &mut [f32]| xs.fill(0.5)).unwrap();
        assert_eq!(pool.reduce_with(&floats, &Sum).unwrap(), 5000.0);
        assert_eq!(pool.stats().unwrap().bytes_copied, 4 * (2 * N as u64 + 100), "each element once");

        let pixels: Vec<u8> = (0..300 * 200 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let chain = Chain::<u8, u8>::of(Gray).then(Gaussian::new(2.0));
        let from_input = pool.apply(&chain, &pool.input_from_shape([200, 300, 3], &pixels).unwrap()).unwrap();
        let from_array = pool.apply(&chain, &pool.array_from_shape([200, 300, 3], &pixels).unwrap()).unwrap();
        assert_same_bits(&from_input, &from_array, context);
    }
}

#[test]
fn an_input_serves_every_pool_and_outlives_each() {
    let _watchdog = watchdog("an_input_serves_every_pool_and_outlives_each", 60);
    let input = pool_of(1).input_from(&vec![3_u16; N]).unwrap();
    for n_workers in [2, 0, 1] {
        let pool = pool_of(n_workers);
        let ys = pool.map(&input, |x| x * 2).unwrap();
        assert!(ys.iter().all(|&y| y == 6));
        // A worker that takes a dead one's place asks again.
        let old = pool.worker_pids();
        old.iter().for_each(|&pid| signal(pid, libc::SIGKILL));
        wait_until_healed(&pool, &old);
        assert!(pool.map(&input, |x| x + 1).unwrap().iter().all(|&y| y == 4));
    }
}

#[test]
fn a_stray_write_is_a_death_that_names_array_and_byte() {
    let _watchdog = watchdog("a_stray_write_is_a_death_that_names_array_and_byte", 60);
    let pool = pool_of(2);
    for n in [100, N] {
        let input = pool.input_from(&vec![7_u32; n]).unwrap();
        let mut out = pool.zeros::<u32>(n).unwrap();
        let error = pool.call().grain(50).map_chunks(&input, &mut out, |xs, ys| {
            ys.copy_from_slice(xs);
            // SAFETY: none, and that is the point: the memory is read-only, and the worker dies here.
            unsafe { xs.as_ptr().cast_mut().add(3).write_volatile(0) };
        });
        let error = error.unwrap_err();
        let ErrorKind::WorkerDied { deaths, elements, .. } = error.kind() else { panic!("{error}") };
        let death = &deaths.0[0];
        assert_eq!(death.reason, ExitReason::Signal(libc::SIGSEGV));
        assert_eq!(death.fault, Some(Fault { array: "xs", byte: elements.start * 4 + 12 }), "{error}");
        assert!(error.to_string().contains("(SIGSEGV) at byte 12 of `xs`"), "{error}");
        assert!(input.iter().all(|&x| x == 7));
    }
}

#[test]
fn a_fault_elsewhere_and_a_stack_overflow_name_no_array() {
    let _watchdog = watchdog("a_fault_elsewhere_and_a_stack_overflow_name_no_array", 60);
    let pool = pool_of(1);
    let input = pool.input_from(&[64_usize]).unwrap();
    let elsewhere = |x: usize| {
        // SAFETY: none: nothing is mapped there, and the worker dies here.
        unsafe { std::ptr::without_provenance::<usize>(x).read_volatile() }
    };
    #[allow(unconditional_recursion)]
    fn deep(x: usize) -> usize {
        std::hint::black_box([x; 100])[x % 100] + deep(x + 1)
    }
    for error in [pool.call().retries(0).map(&input, elsewhere), pool.call().retries(0).map(&input, deep)] {
        let error = error.unwrap_err();
        let ErrorKind::WorkerDied { deaths, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(
            (deaths.0[0].reason, deaths.0[0].fault),
            (ExitReason::Signal(libc::SIGSEGV), None),
            "{error}"
        );
    }
}

/// Bytes of all living memory files called `shmpool-input`, by the kernel's count, as this process has them mapped or
/// open.
fn resident_bytes_of_inputs() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let link = std::fs::read_link(&path).ok()?;
        link.to_str()?
            .contains("shmpool-input")
            .then(|| std::fs::metadata(&path).map_or(0, |file| file.blocks() * 512))
    });
    files.sum()
}

#[test]
fn a_dropped_input_gives_its_memory_back_although_a_worker_is_stopped() {
    common::alone(
        "a_dropped_input_gives_its_memory_back_although_a_worker_is_stopped",
        |_| {},
        || {
            let _watchdog =
                watchdog("a_dropped_input_gives_its_memory_back_although_a_worker_is_stopped", 60);
            let pool = pool_of(2);
            let keep =
                |pool: &Pool| -> Input<u8> { pool.input_fill(8 << 20, |xs: &mut [u8]| xs.fill(1)).unwrap() };
            let input = keep(&pool);
            let mapped = pool.call().grain(1 << 16).map(&input, |x| x + 1).unwrap();
            assert!(mapped.iter().all(|&x| x == 2));
            // What the workers hold of it, seen from outside: a descriptor that keeps the file open.
            let pids = pool.worker_pids();
            stop(pids[0]);
            let file = std::fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
                let path = entry.ok()?.path();
                let link = std::fs::read_link(&path).ok()?;
                link.to_str()?.contains("shmpool-input").then(|| std::fs::File::open(path).unwrap())
            });
            assert!(resident_bytes_of_inputs() >= 8 << 20);
            drop(input);
            use std::os::unix::fs::MetadataExt;
            assert_eq!(file.expect("an input is open").metadata().unwrap().blocks(), 0, "pages are left");
            // The stopped one has it mapped still, and that hurts nobody.
            signal(pids[0], libc::SIGCONT);
            let again = keep(&pool);
            assert!(pool.map(&again, |x| x + 2).unwrap().iter().all(|&x| x == 3));
            assert_eq!(pool.worker_pids(), pids);
        },
    );
}

#[test]
fn many_inputs_cost_no_descriptor_each() {
    common::alone(
        "many_inputs_cost_no_descriptor_each",
        |_| {},
        || {
            let _watchdog = watchdog("many_inputs_cost_no_descriptor_each", 60);
            let pool = pool_of(1);
            let n_open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = n_open();
            let inputs: Vec<Input<u32>> = (0..2000).map(|i| pool.input_from(&[i; 10]).unwrap()).collect();
            assert!(n_open() - before <= 4, "{} more descriptors", n_open() - before);
            for (i, input) in (0..).zip(&inputs).step_by(97) {
                assert_eq!(pool.map(input, |x| x + 1).unwrap()[..], [i + 1; 10]);
            }
            drop(inputs);
            assert_eq!(n_open(), before);
            // More large ones than a worker keeps mapped.
            let large: Vec<Input<u8>> =
                (0..40).map(|i| pool.input_fill(70_000, |xs: &mut [u8]| xs.fill(i)).unwrap()).collect();
            for (i, input) in (0..).zip(large.iter().chain(&large)) {
                assert!(pool.map(input, |x| x).unwrap().iter().all(|&x| x == i % 40));
            }
        },
    );
}
