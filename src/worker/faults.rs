//! What a worker that dies of a bad access leaves behind: which array it touched, and where.
//!
//! A handler of SIGSEGV and SIGBUS writes the operand and the byte into the message of the lease under way, then steps
//! aside for whoever was there before (the standard library's, which tells a stack overflow). Everything that it reads
//! was put into atomics before the kernel ran, and everything that it calls may be called in a handler.
#![allow(unsafe_code)] // signal actions, and the message by its address

use std::marker::PhantomData;
use std::ptr;

use crate::control::N_OPERANDS;
use crate::control::worker::{FAULT, Message};
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Relaxed};
use crate::task::job::JobArgs;

/// The bytes of one operand of the job that is bound, as addresses.
struct Extent {
    start: AtomicUsize,
    end: AtomicUsize,
}

static EXTENTS: [Extent; N_OPERANDS] =
    [const { Extent { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; N_OPERANDS];
/// Where the lease under way leaves its message; null between leases.
static MESSAGE: AtomicPtr<Message> = AtomicPtr::new(ptr::null_mut());
/// The state word of that lease.
static LEASE: AtomicU64 = AtomicU64::new(0);

/// The handlers that were there before us.
struct Before(std::cell::UnsafeCell<[libc::sigaction; 2]>);

// SAFETY: written once, by `install`, while the worker has a single thread that runs kernels, and read by handlers
// that are installed afterwards.
unsafe impl Sync for Before {}

// SAFETY: `sigaction` is plain data, for which zeros are the default action.
static BEFORE: Before = Before(std::cell::UnsafeCell::new(unsafe { std::mem::zeroed() }));

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Watches for bad accesses of this process from now on.
pub(super) fn install() {
    for (i, signal) in SIGNALS.into_iter().enumerate() {
        // SAFETY: both records are plain data that live long enough; the handler keeps to what a handler may do. On the
        // alternative stack where the standard library has set one up: the other one may be what has run out. Without (a
        // worker that is entered before `main`) an overflow kills all the same, and says nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, &raw mut (*BEFORE.0.get())[i]);
        }
    }
}

/// The operands of the job that runs from now on.
pub(super) fn bind(bases: [*mut u8; N_OPERANDS], args: &JobArgs) {
    for ((extent, base), operand) in EXTENTS.iter().zip(bases).zip(&args.operands) {
        // Relaxed throughout: the handler runs on the thread that touches the bytes, which is this one, or one that a
        // kernel has started since.
        let start = base as usize + operand.offset as usize;
        extent.start.store(start, Relaxed);
        extent.end.store(start + operand.bytes as usize, Relaxed);
    }
}

/// Says what is under way, until the [`Watch`] is dropped.
pub(super) fn watch(message: &Message, lease: u64) -> Watch<'_> {
    LEASE.store(lease, Relaxed);
    MESSAGE.store(ptr::from_ref(message).cast_mut(), Relaxed);
    Watch(PhantomData)
}

/// Keeps the message mapped as long as the handler may write to it.
pub(super) struct Watch<'a>(PhantomData<&'a Message>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        MESSAGE.store(ptr::null_mut(), Relaxed);
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes the signal's record, which has an address if the signal is of a fault.
    let (address, is_fault) = unsafe { ((*info).si_addr() as usize, (*info).si_code > 0) };
    if is_fault {
        note(address);
    }
    let which = usize::from(signal == SIGNALS[1]);
    if is_fault {
        // The access is tried again on return, and meets the handler of before.
        // SAFETY: `install` has filled the record.
        unsafe { libc::sigaction(signal, &raw const (*BEFORE.0.get())[which], ptr::null_mut()) };
    } else {
        // Somebody sent the signal, which is to end the process. The standard library's handler would forget it.
        // SAFETY: takes numbers.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// Leaves a message if the address lies in an operand of the lease under way.
fn note(address: usize) {
    let touched = EXTENTS
        .iter()
        .position(|extent| (extent.start.load(Relaxed)..extent.end.load(Relaxed)).contains(&address));
    let message = MESSAGE.load(Relaxed);
    let Some(operand) = touched.filter(|_| !message.is_null()) else { return };
    // SAFETY: `watch` stored the address of a message that stays mapped until its guard has taken it away.
    let message = unsafe { &*message };
    message.place.store(operand as u32, Relaxed);
    message.bytes.store((address - EXTENTS[operand].start.load(Relaxed)) as u64, Relaxed);
    message.text[0].store(LEASE.load(Relaxed), Relaxed);
    message.kind.store(FAULT, Relaxed);
}
