//! Any bytes as a `.npy` file: refused, or an array that lies in the file and is as large as its shape says.
//!
//! `cargo +nightly fuzz run npy`
#![no_main]

use std::os::fd::AsRawFd;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use shmpool::{FileArray, NpyElement};

fuzz_target!(|bytes: &[u8]| {
    let file = memfd_create("npy", MemfdFlags::CLOEXEC).expect("a file in memory");
    rustix::io::write(&file, bytes).expect("room for it");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    opened::<u8>(&path, bytes);
    opened::<u16>(&path, bytes);
    opened::<f32>(&path, bytes);
    opened::<f64>(&path, bytes);
});

fn opened<T: NpyElement>(path: &str, bytes: &[u8]) {
    // SAFETY: nobody else has the file.
    let Ok(array) = (unsafe { FileArray::<T>::open_npy(path) }) else { return };
    assert!((1..=4).contains(&array.shape().len()));
    assert_eq!(array.len(), array.shape().iter().product::<usize>());
    let elements = array.as_slice();
    // SAFETY: of plain bytes.
    let found = unsafe { std::slice::from_raw_parts(elements.as_ptr().cast::<u8>(), size_of_val(elements)) };
    assert!(bytes.starts_with(b"\x93NUMPY"));
    // The elements are a run of the file's bytes, behind the header.
    assert!(found.is_empty() || bytes[10..].windows(found.len()).any(|window| window == found));
}
