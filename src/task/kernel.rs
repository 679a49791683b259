//! What code runs: a place in the executable that parent and workers share.
//!
//! The trampoline that the compiler makes for a closure has no name, but it has a fixed distance from any
//! other item of the same executable. Parent and worker run the same file (the handshake compares device,
//! inode, size, time and the place of a probe), so the distance is what travels. The origin is a `static`:
//! functions may be copied or merged, statics are not.
#![allow(unsafe_code)] // distances between addresses become functions again

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

use shmpool_kernels::{Level, Scratch};

use super::call::RunSingle;
use super::job::JobArgs;
use crate::control::parent::STREAM;
use crate::control::{MESSAGE_BYTES_MAX, N_OPERANDS, PARAMS_BYTES_MAX};
use crate::error::{ErrorKind, Result};

/// The trampoline of one kernel at one CPU level: runs one task.
///
/// # Safety
/// The invocation was made for this kernel by its verb, so that operands, shape and parameters are of the
/// types that the trampoline was compiled for; `task` is below the job's number of tasks and leased to the
/// caller; the CPU has the level's features.
pub(crate) type Run = unsafe fn(&Invocation, u32) -> Outcome;

/// A job's parameters, copied out of shared memory once, aligned for any `Pod` type that a kernel takes.
#[repr(C, align(64))]
pub(crate) struct Params(pub(crate) [u64; PARAMS_BYTES_MAX / 8]);

/// How a task ended that did not panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The kernel returned an error, which lies in [`Invocation::error`].
    Failed,
}

/// Everything that a trampoline needs of its job, as addresses in the process that runs it.
pub(crate) struct Invocation {
    pub(crate) inputs: [*const u8; 4],
    pub(crate) output: *mut u8,
    pub(crate) output_bytes: usize,
    /// Elements of the output; tiles of an image.
    pub(crate) n_elements: usize,
    /// Elements of one task.
    pub(crate) grain: usize,
    pub(crate) shape: [usize; 4],
    /// Aligned to 64 bytes.
    pub(crate) params: *const u8,
    pub(crate) params_bytes: usize,
    /// Write the output around the cache.
    pub(crate) stream: bool,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) error: ErrorBytes,
}

/// The part of an [`Invocation`] that element loops need.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) inputs: [*const u8; 4],
    pub(crate) params: *const u8,
    /// Index, in the whole job, of the elements that stand first.
    pub(crate) first: usize,
}

impl Invocation {
    /// Of all elements.
    #[inline(always)]
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses { inputs: self.inputs, params: self.params, first: 0 }
    }

    /// Of no job yet.
    pub(crate) fn new() -> Self {
        Invocation {
            inputs: [ptr::null(); 4],
            output: ptr::null_mut(),
            output_bytes: 0,
            n_elements: 0,
            grain: 1,
            shape: [0; 4],
            params: ptr::null(),
            params_bytes: 0,
            stream: false,
            scratch: RefCell::new(Scratch::new()),
            error: ErrorBytes::new(),
        }
    }

    /// Points it at a job's operands, each in a mapping that begins at the base of the same index.
    ///
    /// # Safety
    /// The mapping of each operand reaches to its end, and `params` lives as long as the invocation is used for this
    /// job.
    pub(crate) unsafe fn bind(
        &mut self,
        bases: [*mut u8; N_OPERANDS],
        args: &JobArgs,
        params: &Params,
        params_bytes: usize,
    ) {
        // SAFETY: by contract every operand lies in its mapping.
        let at = |i: usize| unsafe { bases[i].add(args.operands[i].offset as usize) };
        for (i, address) in self.inputs.iter_mut().enumerate() {
            *address = at(i);
        }
        let output = N_OPERANDS - 1;
        (self.output, self.output_bytes) = (at(output), args.operands[output].bytes as usize);
        (self.n_elements, self.grain) = (args.n_elements as usize, args.grain as usize);
        self.shape = args.shape.map(|extent| extent as usize);
        (self.params, self.params_bytes) = (params.0.as_ptr().cast(), params_bytes);
        self.stream = args.flags & STREAM != 0;
    }

    /// The elements that `task` stands for.
    #[inline(always)]
    pub(crate) fn elements(&self, task: u32) -> Range<usize> {
        let start = task as usize * self.grain;
        start..(start + self.grain).min(self.n_elements)
    }
}

/// Where a kernel leaves its own error for the caller.
pub(crate) struct ErrorBytes {
    bytes: Cell<[u8; MESSAGE_BYTES_MAX]>,
    len: Cell<usize>,
}

impl ErrorBytes {
    pub(crate) const fn new() -> Self {
        ErrorBytes { bytes: Cell::new([0; MESSAGE_BYTES_MAX]), len: Cell::new(0) }
    }

    /// Keeps `parts`, one after the other, as far as there is room.
    pub(crate) fn set(&self, parts: &[&[u8]]) {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut len = 0;
        for part in parts {
            let n = part.len().min(MESSAGE_BYTES_MAX - len);
            bytes[len..len + n].copy_from_slice(&part[..n]);
            len += n;
        }
        self.bytes.set(bytes);
        self.len.set(len);
    }

    pub(crate) fn get(&self) -> ([u8; MESSAGE_BYTES_MAX], usize) {
        (self.bytes.get(), self.len.get())
    }
}

/// A kernel as a type: what one task does. The compiler makes a trampoline of it for each CPU level.
pub(crate) trait Kernel {
    /// Runs one task. To be `#[inline(always)]`, so that it is compiled for the level of the trampoline that
    /// it lands in.
    ///
    /// # Safety
    /// As for [`Run`].
    unsafe fn run(call: &Invocation, task: u32) -> Outcome;
}

/// The trampoline of `K` for `level`.
pub(crate) fn trampoline<K: Kernel>(level: Level) -> Run {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => run_avx512::<K>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => run_avx2::<K>,
        _ => run_baseline::<K>,
    }
}

unsafe fn run_baseline<K: Kernel>(call: &Invocation, task: u32) -> Outcome {
    // SAFETY: the caller's contract is the kernel's.
    unsafe { K::run(call, task) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
unsafe fn run_avx2<K: Kernel>(call: &Invocation, task: u32) -> Outcome {
    // SAFETY: the caller's contract is the kernel's.
    unsafe { K::run(call, task) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
unsafe fn run_avx512<K: Kernel>(call: &Invocation, task: u32) -> Outcome {
    // SAFETY: the caller's contract is the kernel's.
    unsafe { K::run(call, task) }
}

/// The origin of all places.
static ORIGIN: u8 = 0;

/// Distance of an item of this executable from [`ORIGIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    /// The place of the item at `address`.
    ///
    /// # Errors
    /// [`ErrorKind::ForeignFunction`] if the address is not in the module that this crate is linked into:
    /// another library's distance to us differs from process to process.
    pub(crate) fn of(address: usize) -> Result<Self> {
        if !module().contains(&address) {
            return Err(ErrorKind::ForeignFunction { library: library_of(address) }.into());
        }
        Ok(Place(address.wrapping_sub(origin()) as u64))
    }

    /// The item's address in this process; `None` if it is not in our module.
    pub(crate) fn address(self) -> Option<usize> {
        let address = origin().wrapping_add(self.0 as usize);
        module().contains(&address).then_some(address)
    }

    /// The trampoline at this place.
    ///
    /// # Safety
    /// The place was made of a [`Run`] in a process that runs the same executable.
    pub(crate) unsafe fn trampoline(self) -> Option<Run> {
        // SAFETY: by contract a function of this type lies there in the parent, and the handshake has shown
        // that this process runs the same file; the address is in our module.
        self.address().map(|address| unsafe { std::mem::transmute::<usize, Run>(address) })
    }
}

impl Place {
    /// The trampoline of a submitted function at this place.
    ///
    /// # Safety
    /// As for [`trampoline`](Place::trampoline), of a [`RunSingle`].
    pub(crate) unsafe fn single(self) -> Option<RunSingle> {
        // SAFETY: as for `trampoline`.
        self.address().map(|address| unsafe { std::mem::transmute::<usize, RunSingle>(address) })
    }
}

/// A function whose place parent and worker compare.
#[inline(never)]
pub(crate) fn probe() -> Place {
    let address = probe as *const () as usize;
    Place(address.wrapping_sub(origin()) as u64)
}

fn origin() -> usize {
    &raw const ORIGIN as usize
}

/// The addresses of the module (executable or library) that this crate is linked into.
fn module() -> &'static Range<usize> {
    static MODULE: OnceLock<Range<usize>> = OnceLock::new();
    MODULE.get_or_init(|| {
        let mut found = Range { start: 0, end: 0 };
        // SAFETY: the callback matches the declared type, and `found` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut found).cast()) };
        found
    })
}

/// Looks for the module that holds [`ORIGIN`].
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, found: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description with `dlpi_phnum` program headers, and our own
    // pointer.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Range<usize>>()) };
    // SAFETY: as above.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let mut range = Range { start: usize::MAX, end: 0 };
    for header in headers {
        if header.p_type == libc::PT_LOAD {
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            range.start = range.start.min(start);
            range.end = range.end.max(start.wrapping_add(header.p_memsz as usize));
        }
    }
    if range.contains(&origin()) {
        *found = range;
        return 1;
    }
    0
}

/// Path of the library at `address`, for the error message.
fn library_of(address: usize) -> String {
    // SAFETY: all-zero is a valid `Dl_info`; `dladdr` takes any address and fills the record if it knows it.
    let info = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(address as *const libc::c_void, &raw mut info) == 0 || info.dli_fname.is_null() {
            return format!("an unknown module at {address:#x}");
        }
        CStr::from_ptr(info.dli_fname)
    };
    info.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_back_to_its_function() {
        let place = Place::of(probe as *const () as usize).unwrap();
        assert_eq!(place, probe());
        assert_eq!(place.address(), Some(probe as *const () as usize));
    }

    #[test]
    fn a_function_of_a_library_is_refused_by_name() {
        // Test binaries link the C library dynamically.
        let error = Place::of(libc::malloc as *const () as usize).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::ForeignFunction { library } if library.contains("libc")),
            "{error}"
        );
    }

    #[test]
    fn a_place_outside_the_module_has_no_address() {
        assert_eq!(Place(u64::MAX / 2).address(), None);
    }
}
