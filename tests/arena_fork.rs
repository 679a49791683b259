//! What a forked child may do with its parent's arrays: read them. A file of its own, for a fork copies one
//! thread alone.
#![allow(unsafe_code)] // `fork`

use shmpool::{Arena, ErrorKind};

#[test]
fn a_forked_child_reads_and_neither_frees_nor_allocates() {
    let arena = Arena::builder().capacity(16 << 20).create().unwrap();
    let array = arena.array_with(100_000, |i| i as u32).unwrap();
    let input = arena.input_from(&array).unwrap();

    // SAFETY: the child calls nothing that needs a lock of another thread (the allocator's are reset by
    // glibc), and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let read = array[99_999] == 99_999;
        let refused = matches!(arena.zeros::<u8>(1).unwrap_err().kind(), ErrorKind::ForkedChild { .. });
        let read = read && input[99_999] == 99_999;
        drop((array, input));
        let kept = arena.trim() == 0;
        // SAFETY: ends the child without running what the parent registered for its own end.
        unsafe { libc::_exit(i32::from(!(read && refused && kept))) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");

    assert!(array.iter().copied().eq(0..100_000), "the child's drop freed nothing");
    assert!(input.iter().copied().eq(0..100_000), "nor did that of an input");
    assert_eq!(arena.stats().unwrap().allocated_bytes, 401_408);
}
