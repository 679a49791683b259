//! Verbs over views: what [`verbs`](super::verbs) does, a row at a time.
//!
//! Elements are counted as ever, in row-major order; a run of them is a part of one row. Where the elements of an operand's
//! row are neighbours, the loop runs over them in place; where they are not, it runs over a buffer that they are gathered
//! into, and scattered from.
#![allow(unsafe_code)] // turns a job's addresses into elements

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use bytemuck::{Pod, Zeroable};

use super::kernel::{Addresses, Invocation, Kernel, Outcome};
use super::verbs::{Folder, Lanes, Make, conjure, fill, group};
use crate::control::N_OPERANDS;

/// What stands before a verb's own parameters: where each operand's elements lie, the output's last.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct StridedHead {
    /// First element, counted from that of the operand's array.
    pub(crate) first: [u64; N_OPERANDS],
    /// Lengths, with ones in front.
    pub(crate) lens: [u64; 4],
    /// Elements between neighbours along each dimension.
    pub(crate) strides: [[i64; 4]; N_OPERANDS],
    /// Elements between neighbours along a lane, of the input and of the output; for [`MapLanes`] alone.
    pub(crate) along: [i64; 2],
    pub(crate) padding: u64,
}

const OUT: usize = N_OPERANDS - 1;

/// Bytes of what is gathered of one operand at a time: small enough that all of them stay in the first cache.
const BUFFER_BYTES: usize = 4096;

#[repr(C, align(64))]
struct Buffer([MaybeUninit<u8>; BUFFER_BYTES]);

impl Buffer {
    #[inline(always)]
    fn new() -> Self {
        Buffer([MaybeUninit::uninit(); BUFFER_BYTES])
    }

    #[inline(always)]
    fn first(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

impl StridedHead {
    /// That of a job over views, and the job's own parameters behind it.
    ///
    /// # Safety
    /// The job was made by a verb over views.
    #[inline(always)]
    unsafe fn of(call: &Invocation) -> (&StridedHead, *const u8) {
        // SAFETY: by contract the parameters begin with a head, on an edge of 64 bytes.
        unsafe { (&*call.params.cast(), call.params.add(size_of::<StridedHead>())) }
    }

    /// Where the element `i` of the job lies in an operand, counted from that of its array that comes first.
    #[inline(always)]
    fn place(&self, operand: usize, i: usize) -> isize {
        let (mut rest, mut at) = (i as u64, self.first[operand] as i64);
        for axis in (0..4).rev() {
            at += (rest % self.lens[axis]) as i64 * self.strides[operand][axis];
            rest /= self.lens[axis];
        }
        at as isize
    }

    /// Elements from `i` on that lie in one row, up to `end`.
    #[inline(always)]
    fn run(&self, i: usize, end: usize) -> usize {
        let width = self.lens[3] as usize;
        (width - i % width).min(end - i)
    }

    /// Elements of an operand between neighbours of a row.
    #[inline(always)]
    fn stride(&self, operand: usize) -> isize {
        self.strides[operand][3] as isize
    }

    /// How many elements of this size can be gathered at a time: any number if they are neighbours.
    #[inline(always)]
    fn n_max(&self, operand: usize, element_bytes: usize) -> usize {
        if self.stride(operand) == 1 || element_bytes == 0 {
            return usize::MAX;
        }
        (BUFFER_BYTES / element_bytes).max(1)
    }
}

/// Copies `n` elements of `bytes` each that lie `from_stride` bytes apart to places `to_stride` bytes apart.
///
/// # Safety
/// All of them can be read there and written here, and do not overlap.
#[inline]
unsafe fn copy_apart(
    from: *const u8,
    from_stride: isize,
    to: *mut u8,
    to_stride: isize,
    n: usize,
    bytes: usize,
) {
    /// A size that is known when compiling makes the copy a load and a store.
    #[inline(always)]
    unsafe fn each<const N: usize>(
        from: *const u8,
        from_stride: isize,
        to: *mut u8,
        to_stride: isize,
        n: usize,
    ) {
        for i in 0..n.cast_signed() {
            // SAFETY: by the caller's contract; arrays of bytes need no edge.
            unsafe {
                let element = from.offset(i * from_stride).cast::<[u8; N]>().read();
                to.offset(i * to_stride).cast::<[u8; N]>().write(element);
            }
        }
    }
    // SAFETY: the caller's contract.
    unsafe {
        match bytes {
            1 => each::<1>(from, from_stride, to, to_stride, n),
            2 => each::<2>(from, from_stride, to, to_stride, n),
            3 => each::<3>(from, from_stride, to, to_stride, n),
            4 => each::<4>(from, from_stride, to, to_stride, n),
            8 => each::<8>(from, from_stride, to, to_stride, n),
            16 => each::<16>(from, from_stride, to, to_stride, n),
            _ => {
                for i in 0..n.cast_signed() {
                    let (from, to) = (from.offset(i * from_stride), to.offset(i * to_stride));
                    to.copy_from_nonoverlapping(from, bytes);
                }
            }
        }
    }
}

/// `n` elements of `bytes` each of an input, side by side: in place, or gathered into `buffer`.
///
/// # Safety
/// `first` is the array's first byte; the elements from `i` on lie in one row and, unless they are neighbours, fit into
/// the buffer.
#[inline(always)]
unsafe fn gathered(
    head: &StridedHead,
    operand: usize,
    first: *const u8,
    i: usize,
    n: usize,
    bytes: usize,
    buffer: &mut Buffer,
) -> *const u8 {
    let bytes_signed = bytes.cast_signed();
    // SAFETY: an element of the operand's array, as the parent made the head for it.
    let at = unsafe { first.offset(head.place(operand, i) * bytes_signed) };
    let stride = head.stride(operand);
    if stride == 1 || n == 1 || bytes == 0 {
        return at;
    }
    let to = buffer.first();
    // SAFETY: the elements of a row; there is room for them.
    unsafe { copy_apart(at, stride * bytes_signed, to, bytes_signed, n, bytes) };
    to
}

/// [`Fill`](super::verbs::Fill) over views.
pub(crate) struct FillStrided<L>(PhantomData<L>);

impl<L: Lanes> Kernel for FillStrided<L> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's.
        let (head, params) = unsafe { StridedHead::of(call) };
        let out_bytes = size_of::<L::Out>();
        let mut n_max = head.n_max(OUT, out_bytes);
        for operand in 0..4 {
            n_max = n_max.min(head.n_max(operand, L::INPUT_BYTES[operand]));
        }
        let mut buffers = [Buffer::new(), Buffer::new(), Buffer::new(), Buffer::new()];
        let mut made = Buffer::new();
        let range = call.elements(task);
        let mut i = range.start;
        while i < range.end {
            let n = head.run(i, range.end).min(n_max);
            let mut inputs = call.inputs;
            for (operand, input) in inputs.iter_mut().enumerate() {
                let bytes = L::INPUT_BYTES[operand];
                // SAFETY: the input of this verb, whose elements have this size; `n` fits into the buffer.
                *input = unsafe { gathered(head, operand, *input, i, n, bytes, &mut buffers[operand]) };
            }
            let stride = head.stride(OUT);
            // SAFETY: the task's elements of the output are leased to us, at the places that the head says.
            unsafe {
                let to = call.output.offset(head.place(OUT, i) * out_bytes.cast_signed());
                let in_place = stride == 1 || n == 1;
                let out = if in_place { to } else { made.first() };
                let lanes = L::new(&Addresses { inputs, params, first: i });
                fill(lanes, 0..n, out.cast(), call.stream && in_place);
                if !in_place {
                    let apart = stride * out_bytes.cast_signed();
                    copy_apart(out, out_bytes.cast_signed(), to, apart, n, out_bytes);
                }
            }
            i += n;
        }
        Outcome::Done
    }
}

/// [`FillBy`](super::verbs::FillBy) over a view, into an array.
pub(crate) struct FillByStrided<M>(PhantomData<M>);

impl<M: Make> Kernel for FillByStrided<M> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's.
        let (head, params) = unsafe { StridedHead::of(call) };
        let n_max = head.n_max(0, M::INPUT_BYTES);
        let mut buffer = Buffer::new();
        let range = call.elements(task);
        let mut i = range.start;
        while i < range.end {
            let n = head.run(i, range.end).min(n_max);
            let mut inputs = call.inputs;
            // SAFETY: the input of this verb, whose elements have this size, and `n` of them fit into the buffer. The
            // task's elements of the output, which is an array, are leased to us, and initialised as all of the arena is.
            unsafe {
                inputs[0] = gathered(head, 0, inputs[0], i, n, M::INPUT_BYTES, &mut buffer);
                let maker = M::new(&Addresses { inputs, params, first: i });
                maker.make(0, std::slice::from_raw_parts_mut(call.output.cast::<M::Out>().add(i), n));
            }
            i += n;
        }
        Outcome::Done
    }
}

/// [`Update`](super::verbs::Update) of a view.
pub(crate) struct UpdateStrided<F, T>(PhantomData<(F, T)>);

impl<F: Fn(&mut T) + Copy, T: Pod> Kernel for UpdateStrided<F, T> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's.
        let (head, _) = unsafe { StridedHead::of(call) };
        let bytes = size_of::<T>();
        let (n_max, stride) = (head.n_max(OUT, bytes), head.stride(OUT));
        let mut buffer = Buffer::new();
        let range = call.elements(task);
        let mut i = range.start;
        while i < range.end {
            let n = head.run(i, range.end).min(n_max);
            // SAFETY: the task's elements are leased to us, at the places that the head says; `n` of them fit into the
            // buffer; the closure is the verb's.
            unsafe {
                let place = call.output.offset(head.place(OUT, i) * bytes.cast_signed());
                let at = gathered(head, OUT, call.output, i, n, bytes, &mut buffer).cast_mut();
                for element in std::slice::from_raw_parts_mut(at.cast::<T>(), n) {
                    conjure::<F>()(element);
                }
                if at != place {
                    copy_apart(at, bytes.cast_signed(), place, stride * bytes.cast_signed(), n, bytes);
                }
            }
            i += n;
        }
        Outcome::Done
    }
}

/// First half of a reduction of a view: [`Fold`](super::verbs::Fold) over a copy of each block.
pub(crate) struct FoldStrided<R>(PhantomData<R>);

impl<R: Folder> Kernel for FoldStrided<R> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = group(call, task);
        // SAFETY: by the contract of `Run` the job is this verb's; the elements of a row are where the head says, and
        // there is room for as many as the range has, all of which are written before they are read. The output has an
        // accumulator for each task.
        unsafe {
            let (head, params) = StridedHead::of(call);
            let mut block: Vec<R::Item> = Vec::with_capacity(range.len());
            let bytes = size_of::<R::Item>();
            let mut i = range.start;
            while i < range.end {
                let n = head.run(i, range.end);
                let from = call.inputs[0].offset(head.place(0, i) * bytes.cast_signed());
                let to = block.as_mut_ptr().add(i - range.start).cast();
                copy_apart(from, head.stride(0) * bytes.cast_signed(), to, bytes.cast_signed(), n, bytes);
                i += n;
            }
            block.set_len(range.len());
            let folded = R::fold(params, &block);
            call.output.cast::<R::Accumulator>().add(task as usize).write(folded);
        }
        Outcome::Done
    }
}

/// Lanes along the last dimension: `f(&xs[lane], &mut out[lane])`. The job's elements are lanes, its `shape` has the lengths
/// of a lane of the input and of the output.
pub(crate) struct MapLanes<F, T, U>(PhantomData<(F, T, U)>);

/// Neighbouring lanes that are gathered together, at most: their elements share cache lines where lanes run across rows.
const LANES_MAX: usize = 16;
/// And bytes of them, unless a single one has more.
const LANES_BYTES: usize = 256 << 10;

impl<F: Fn(&[T], &mut [U]) + Copy, T: Pod, U: Pod> Kernel for MapLanes<F, T, U> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's.
        let (head, _) = unsafe { StridedHead::of(call) };
        let [from_len, to_len, ..] = call.shape;
        let [along_from, along_to] = head.along.map(|stride| stride as isize);
        let lane_bytes = (from_len * size_of::<T>()).max(to_len * size_of::<U>()).max(1);
        let n_max = (LANES_BYTES / lane_bytes).clamp(1, LANES_MAX);
        let mut xs = vec![T::zeroed(); from_len * n_max];
        let mut ys = vec![U::zeroed(); to_len * n_max];
        let range = call.elements(task);
        let mut lane = range.start;
        while lane < range.end {
            let n = head.run(lane, range.end).min(n_max);
            let (from, to) = (head.place(0, lane), head.place(OUT, lane));
            // SAFETY: element `k` of the lane that is `j` after `lane` lies where the head says; `xs` and `ys` have room
            // for `n_max` lanes. The input is written by nobody, the task's lanes are leased to us; the closure is the
            // verb's.
            unsafe {
                let (first, last) =
                    (call.inputs[0].cast::<T>().offset(from), call.output.cast::<U>().offset(to));
                for k in 0..from_len {
                    for j in 0..n {
                        let at = k.cast_signed() * along_from + j.cast_signed() * head.stride(0);
                        *xs.get_unchecked_mut(j * from_len + k) = *first.offset(at);
                    }
                }
                // Each finds zeros, also when the task runs again.
                ys.fill(U::zeroed());
                for j in 0..n {
                    conjure::<F>()(&xs[j * from_len..][..from_len], &mut ys[j * to_len..][..to_len]);
                }
                for k in 0..to_len {
                    for j in 0..n {
                        let at = k.cast_signed() * along_to + j.cast_signed() * head.stride(OUT);
                        *last.offset(at) = *ys.get_unchecked(j * to_len + k);
                    }
                }
            }
            lane += n;
        }
        Outcome::Done
    }
}
