//! What one task of each verb does: plain loops over slices, compiled once per CPU level.
//!
//! Everything between the trampoline and the user's closure is `#[inline(always)]`, and element loops have
//! one body: the compiler then inlines the closure into it and vectorises it with the level's instructions. A
//! small closure or `array::from_fn` in between would be compiled for the baseline.
#![allow(unsafe_code)] // turns a job's addresses into elements

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytemuck::{NoUninit, Pod, Zeroable};
use shmpool_kernels::{
    ElementKernel, ElementStep, ElementTable, IndexKernel, Level, Plan, Reduction, Scan, Step, StepTable,
    ZipKernel, ZipReduction,
};

use super::kernel::{Addresses, Invocation, Kernel, Outcome, Place};

/// A closure without captures, made from nothing.
///
/// # Safety
/// `F` is zero-sized, and the verb that made the job was given a value of it. That the value may be copied
/// into another process is what `Pool`'s documentation asks of kernels: a captured witness of something that
/// `main` has done proves nothing here.
#[inline(always)]
pub(crate) unsafe fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: a zero-sized type has no bytes to initialise; by contract it has values.
    unsafe { std::mem::transmute_copy::<(), F>(&()) }
}

/// One output element from the inputs at the same index.
///
/// # Safety
/// `new`: the addresses are those of a job that was made for this type's verb. `at`: each input holds an element of its
/// type at `i`.
pub(crate) trait Lanes: Copy {
    type Out: Pod;
    /// Size of an element of each input; 0: there is no such input.
    const INPUT_BYTES: [usize; 4];
    unsafe fn new(call: &Addresses) -> Self;
    unsafe fn at(self, i: usize) -> Self::Out;
}

/// A task that fills its part of the output, element by element.
pub(crate) struct Fill<L>(PhantomData<L>);

impl<L: Lanes> Kernel for Fill<L> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's; `elements` stays inside it.
        unsafe { fill(L::new(&call.addresses()), call.elements(task), call.output.cast(), call.stream) };
        Outcome::Done
    }
}

/// Bytes of a cache line, and of one pass of the loop in [`fill`].
const LINE_BYTES: usize = 64;
/// Elements of one pass, at most: of bytes.
const LINE_MAX: usize = 64;

/// Writes `lanes.at(i)` to `output[i]` for all of `range`, a cache line at a time through registers.
///
/// With `stream`, whole lines go around the cache: the line is not read first, which is a third of the
/// traffic.
///
/// # Safety
/// `range` lies in the job, `output` is its output, and the task is leased to the caller.
#[inline(always)]
pub(super) unsafe fn fill<L: Lanes>(lanes: L, range: Range<usize>, output: *mut L::Out, stream: bool) {
    let line = if size_of::<L::Out>() == 0 { 1 } else { (LINE_BYTES / size_of::<L::Out>()).max(1) };
    // Lines can be streamed if elements fill them exactly and they begin on a line's edge.
    let stream = stream
        && line * size_of::<L::Out>() == LINE_BYTES
        && (output as usize + range.start * size_of::<L::Out>()).is_multiple_of(LINE_BYTES);
    // Elements larger than a line gain nothing from registers, and 64 of them could be larger than the stack.
    let n_whole = if size_of::<L::Out>() > LINE_BYTES { 0 } else { (range.end - range.start) / line };
    let whole = range.start + n_whole * line;
    let mut i = range.start;
    // SAFETY: all indices are in `range`. `registers` is filled up to `line`, which is at most `LINE_MAX`,
    // before it is read.
    unsafe {
        while i < whole {
            let mut registers = [MaybeUninit::<L::Out>::uninit(); LINE_MAX];
            #[expect(
                clippy::needless_range_loop,
                reason = "two places are indexed, and this is what vectorises"
            )]
            for j in 0..line {
                registers[j].write(lanes.at(i + j));
            }
            if stream {
                stream_line(registers.as_ptr().cast(), output.add(i).cast());
            } else {
                output.add(i).copy_from_nonoverlapping(registers.as_ptr().cast(), line);
            }
            i += line;
        }
        while i < range.end {
            output.add(i).write(lanes.at(i));
            i += 1;
        }
    }
    if stream {
        store_fence();
    }
}

/// Copies one line past the cache.
///
/// # Safety
/// Both point to 64 bytes, `to` on a line's edge.
#[inline(always)]
unsafe fn stream_line(from: *const u8, to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: by contract; SSE2 is part of x86-64, and wider stores are the compiler's to choose no more than
    // here.
    unsafe {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        let (from, to) = (from.cast::<__m128i>(), to.cast::<__m128i>());
        _mm_stream_si128(to, _mm_loadu_si128(from));
        _mm_stream_si128(to.add(1), _mm_loadu_si128(from.add(1)));
        _mm_stream_si128(to.add(2), _mm_loadu_si128(from.add(2)));
        _mm_stream_si128(to.add(3), _mm_loadu_si128(from.add(3)));
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: by contract.
    unsafe {
        to.copy_from_nonoverlapping(from, LINE_BYTES);
    }
}

/// Streamed stores are weakly ordered: the plain store of the cursor does not wait for them.
#[inline(always)]
fn store_fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Filled up with zeros.
const fn input_bytes(of: &[usize]) -> [usize; 4] {
    let (mut all, mut i) = ([0; 4], 0);
    while i < of.len() {
        all[i] = of[i];
        i += 1;
    }
    all
}

macro_rules! lanes {
    ($(#[$doc:meta])* $name:ident<$($types:ident),+> { $($field:ident: $of:ty),* } where [$($bounds:tt)*]
     reads [$($read:ident),*]; new |$call:ident| $new:expr; at |$me:ident, $i:ident| $out:ty = $at:expr;) => {
        $(#[$doc])*
        pub(crate) struct $name<$($types),+> { $($field: $of,)* types: PhantomData<($($types,)+)> }

        impl<$($types),+> Clone for $name<$($types),+> where $($bounds)* {
            #[inline(always)]
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($types),+> Copy for $name<$($types),+> where $($bounds)* {}

        impl<$($types),+> Lanes for $name<$($types),+> where $($bounds)* {
            type Out = $out;
            const INPUT_BYTES: [usize; 4] = input_bytes(&[$(size_of::<$read>()),*]);

            #[inline(always)]
            unsafe fn new($call: &Addresses) -> Self {
                $new
            }

            #[inline(always)]
            unsafe fn at(self, $i: usize) -> Self::Out {
                let $me = self;
                // SAFETY: the inputs hold an element at every index of the job; the closure is the verb's.
                unsafe { $at }
            }
        }
    };
}

lanes! {
    /// `map`: `f(x)`.
    Map<F, T, U> { xs: *const T } where [F: Fn(T) -> U + Copy, T: Pod, U: Pod]
    reads [T]; new |call| Map { xs: call.inputs[0].cast(), types: PhantomData };
    at |me, i| U = conjure::<F>()(*me.xs.add(i));
}

lanes! {
    /// `map_with`: `f(&params, x)`.
    MapWith<F, P, T, U> { params: *const P, xs: *const T } where [F: Fn(&P, T) -> U + Copy, P: Pod, T: Pod, U: Pod]
    reads [T]; new |call| MapWith { params: call.params.cast(), xs: call.inputs[0].cast(), types: PhantomData };
    at |me, i| U = conjure::<F>()(&*me.params, *me.xs.add(i));
}

lanes! {
    /// `map_indexed`: `f(i, x)`.
    MapIndexed<F, T, U> { xs: *const T, first: usize } where [F: Fn(usize, T) -> U + Copy, T: Pod, U: Pod]
    reads [T]; new |call| MapIndexed { xs: call.inputs[0].cast(), first: call.first, types: PhantomData };
    at |me, i| U = conjure::<F>()(me.first + i, *me.xs.add(i));
}

lanes! {
    /// A zip kernel over two inputs: `kernel.apply((a, b))`.
    ZipApply2<K, A, B> { kernel: *const K, a: *const A, b: *const B }
    where [K: ZipKernel<(A, B)>, A: Pod, B: Pod]
    reads [A, B]; new |call| ZipApply2 {
        kernel: call.params.cast(), a: call.inputs[0].cast(), b: call.inputs[1].cast(), types: PhantomData
    };
    at |me, i| K::Out = (*me.kernel).apply((*me.a.add(i), *me.b.add(i)));
}

lanes! {
    /// A zip kernel over three inputs: `kernel.apply((a, b, c))`.
    ZipApply3<K, A, B, C> { kernel: *const K, a: *const A, b: *const B, c: *const C }
    where [K: ZipKernel<(A, B, C)>, A: Pod, B: Pod, C: Pod]
    reads [A, B, C]; new |call| ZipApply3 {
        kernel: call.params.cast(), a: call.inputs[0].cast(), b: call.inputs[1].cast(), c: call.inputs[2].cast(),
        types: PhantomData
    };
    at |me, i| K::Out = (*me.kernel).apply((*me.a.add(i), *me.b.add(i), *me.c.add(i)));
}

lanes! {
    /// `zip_map` of two: `f(a, b)`.
    Zip2<F, A, B, U> { a: *const A, b: *const B } where [F: Fn(A, B) -> U + Copy, A: Pod, B: Pod, U: Pod]
    reads [A, B]; new |call| Zip2 { a: call.inputs[0].cast(), b: call.inputs[1].cast(), types: PhantomData };
    at |me, i| U = conjure::<F>()(*me.a.add(i), *me.b.add(i));
}

lanes! {
    /// `zip_map` of three: `f(a, b, c)`.
    Zip3<F, A, B, C, U> { a: *const A, b: *const B, c: *const C }
    where [F: Fn(A, B, C) -> U + Copy, A: Pod, B: Pod, C: Pod, U: Pod]
    reads [A, B, C]; new |call| Zip3 {
        a: call.inputs[0].cast(), b: call.inputs[1].cast(), c: call.inputs[2].cast(), types: PhantomData
    };
    at |me, i| U = conjure::<F>()(*me.a.add(i), *me.b.add(i), *me.c.add(i));
}

lanes! {
    /// `zip_map` of four: `f(a, b, c, d)`.
    Zip4<F, A, B, C, D, U> { a: *const A, b: *const B, c: *const C, d: *const D }
    where [F: Fn(A, B, C, D) -> U + Copy, A: Pod, B: Pod, C: Pod, D: Pod, U: Pod]
    reads [A, B, C, D]; new |call| Zip4 {
        a: call.inputs[0].cast(), b: call.inputs[1].cast(), c: call.inputs[2].cast(), d: call.inputs[3].cast(),
        types: PhantomData
    };
    at |me, i| U = conjure::<F>()(*me.a.add(i), *me.b.add(i), *me.c.add(i), *me.d.add(i));
}

/// Elements of the output that a kernel makes many at a time.
///
/// # Safety
/// `new` is called for a job of the type's own verb; `make` where each input holds as many elements from `first` on.
pub(crate) trait Make {
    type Out: Pod;
    /// Size of an element of the input; 0: there is none.
    const INPUT_BYTES: usize;
    unsafe fn new(call: &Addresses) -> Self;
    unsafe fn make(&self, first: usize, out: &mut [Self::Out]);
}

/// A task that fills its part of the output, many elements at a time: through a buffer that stays in the cache where the
/// output is streamed.
pub(crate) struct FillBy<M>(PhantomData<M>);

impl<M: Make> Kernel for FillBy<M> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is this verb's, and the task is leased to us.
        unsafe { fill_by(&M::new(&call.addresses()), call.elements(task), call.output.cast(), call.stream) };
        Outcome::Done
    }
}

/// # Safety
/// As for [`fill`].
#[inline(always)]
unsafe fn fill_by<M: Make>(maker: &M, range: Range<usize>, output: *mut M::Out, stream: bool) {
    let n = BUFFER_BYTES / size_of::<M::Out>().max(1);
    let mut i = range.start;
    let on_a_line = (output as usize + i * size_of::<M::Out>()).is_multiple_of(LINE_BYTES);
    let mut buffer = Buffer([0; BUFFER_BYTES]);
    let lines = buffer.0.as_mut_ptr();
    // One call site of `make`, or else the compiler makes a function of it, which loses the level.
    while i < range.end {
        let left = range.end - i;
        let streams = stream && on_a_line && n * size_of::<M::Out>() == BUFFER_BYTES && left >= n;
        let (to, len) = if streams { (lines.cast(), n) } else { (output.wrapping_add(i), left) };
        // SAFETY: the buffer has room for `n` elements on an edge that suits arrays' elements, and zeros are one; the
        // task's part of the output is leased to us, and initialised as all of the arena is. All indices are in
        // `range`, whose first element is on a line's edge if we stream, and so is every `n`-th after it.
        unsafe {
            maker.make(i, std::slice::from_raw_parts_mut(to, len));
            if streams {
                let mut at = 0;
                while at < BUFFER_BYTES {
                    stream_line(lines.add(at), output.add(i).cast::<u8>().add(at));
                    at += LINE_BYTES;
                }
            }
        }
        i += len;
    }
    if stream {
        store_fence();
    }
}

/// Small enough for the first cache beside the inputs, large enough that a kernel's loop pays.
const BUFFER_BYTES: usize = 4096;

#[repr(align(64))]
struct Buffer([u8; BUFFER_BYTES]);

/// An element kernel: `kernel.apply_all(xs, out)`.
pub(crate) struct Apply<K, T> {
    kernel: K,
    xs: *const T,
}

impl<K: ElementKernel<T>, T: Pod> Make for Apply<K, T> {
    type Out = K::Out;
    const INPUT_BYTES: usize = size_of::<T>();

    #[inline(always)]
    unsafe fn new(call: &Addresses) -> Self {
        // SAFETY: the parameters are a kernel.
        Apply { kernel: unsafe { *call.params.cast() }, xs: call.inputs[0].cast() }
    }

    #[inline(always)]
    unsafe fn make(&self, first: usize, out: &mut [K::Out]) {
        // SAFETY: the input holds as many elements as the output, and nobody writes it.
        self.kernel.apply_all(unsafe { std::slice::from_raw_parts(self.xs.add(first), out.len()) }, out);
    }
}

/// An index kernel: `kernel.fill(first, out)`.
pub(crate) struct Generate<K, U>(K, PhantomData<U>);

impl<K: IndexKernel<U>, U: Pod> Make for Generate<K, U> {
    type Out = U;
    const INPUT_BYTES: usize = 0;

    #[inline(always)]
    unsafe fn new(call: &Addresses) -> Self {
        // SAFETY: the parameters are a kernel.
        Generate(unsafe { *call.params.cast() }, PhantomData)
    }

    #[inline(always)]
    unsafe fn make(&self, first: usize, out: &mut [U]) {
        self.0.fill(first as u64, out);
    }
}

/// An element kernel whose types are known at run time alone.
pub(crate) struct ApplyStep;

/// What an [`ApplyStep`] finds before the kernel's own bytes.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct ElementHead {
    pub(crate) table: u64,
    pub(crate) n_bytes: u32,
    pub(crate) level: u32,
}

impl Kernel for ApplyStep {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is an element step's.
        unsafe { run_element_step(call, task) }
    }
}

/// Not inlined: it dispatches on the level by itself, so one copy is enough.
///
/// # Safety
/// As for [`Run`](super::kernel::Run), of a job whose parameters are an element step's.
#[inline(never)]
unsafe fn run_element_step(call: &Invocation, task: u32) -> Outcome {
    // SAFETY: the parameters are a head on an edge of 64 bytes, then as many bytes as it says.
    let (head, parameters) = unsafe {
        let head = *call.params.cast::<ElementHead>();
        (head, std::slice::from_raw_parts(call.params.add(size_of::<ElementHead>()), head.n_bytes as usize))
    };
    let table = Place(head.table).address().expect("the parent made the place");
    // SAFETY: an `ElementTable` of this very executable, made for these parameters.
    let step = unsafe { ElementStep::from_parts(&*(table as *const ElementTable), parameters) };
    let step = step.expect("the parent made the step");
    let level = Level::from_number(head.level).unwrap_or(Level::Baseline);
    let range = call.elements(task);
    // SAFETY: the verb has compared the step's types with those of its arrays; the input is written by nobody, the
    // task's part of the output is leased to us.
    unsafe {
        let xs = call.inputs[0].add(range.start * step.input().bytes());
        let out = call.output.add(range.start * step.output().bytes());
        step.run_raw(xs, out, range.len(), level);
    }
    Outcome::Done
}

/// `from_fn`: `f([i, j, …])`, row by row.
pub(crate) struct FromFn<F, U, const N: usize>(PhantomData<(F, U)>);

/// The elements of one row: the last index runs, the others stand.
struct Row<F, U, const N: usize> {
    index: [usize; N],
    /// Index of the row's first element in the whole array.
    first: usize,
    types: PhantomData<(F, U)>,
}

impl<F, U, const N: usize> Clone for Row<F, U, N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<F, U, const N: usize> Copy for Row<F, U, N> {}

impl<F: Fn([usize; N]) -> U + Copy, U: Pod, const N: usize> Lanes for Row<F, U, N> {
    type Out = U;
    const INPUT_BYTES: [usize; 4] = [0; 4];

    #[inline(always)]
    unsafe fn new(_: &Addresses) -> Self {
        Row { index: [0; N], first: 0, types: PhantomData }
    }

    #[inline(always)]
    unsafe fn at(self, i: usize) -> U {
        let mut index = self.index;
        index[N - 1] = i - self.first;
        // SAFETY: the closure is the verb's.
        unsafe { conjure::<F>()(index) }
    }
}

impl<F: Fn([usize; N]) -> U + Copy, U: Pod, const N: usize> Kernel for FromFn<F, U, N> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = call.elements(task);
        let width = call.shape[N - 1];
        let mut i = range.start;
        while i < range.end {
            // SAFETY: any row is a valid place for lanes that read nothing.
            let mut row = unsafe { Row::<F, U, N>::new(&call.addresses()) };
            let mut rest = i / width;
            row.first = rest * width;
            for axis in (0..N - 1).rev() {
                row.index[axis] = rest % call.shape[axis];
                rest /= call.shape[axis];
            }
            let end = (row.first + width).min(range.end);
            // SAFETY: a part of the task's elements.
            unsafe { fill(row, i..end, call.output.cast(), call.stream) };
            i = end;
        }
        Outcome::Done
    }
}

/// `update`: `f(&mut y)` in place.
pub(crate) struct Update<F, T>(PhantomData<(F, T)>);

impl<F: Fn(&mut T) + Copy, T: Pod> Kernel for Update<F, T> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = call.elements(task);
        // SAFETY: the task's elements are leased to us, so nobody else touches them; the closure is the
        // verb's.
        unsafe {
            let elements =
                std::slice::from_raw_parts_mut(call.output.cast::<T>().add(range.start), range.len());
            for element in elements {
                conjure::<F>()(element);
            }
        }
        Outcome::Done
    }
}

/// `map_chunks`: `f(&xs[chunk], &mut out[chunk])`.
pub(crate) struct MapChunks<F, T, U>(PhantomData<(F, T, U)>);

impl<F: Fn(&[T], &mut [U]) + Copy, T: Pod, U: Pod> Kernel for MapChunks<F, T, U> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = call.elements(task);
        // SAFETY: the input is borrowed for the job and written by nobody; the task's outputs are leased to
        // us.
        unsafe {
            let xs = std::slice::from_raw_parts(call.inputs[0].cast::<T>().add(range.start), range.len());
            let out = std::slice::from_raw_parts_mut(call.output.cast::<U>().add(range.start), range.len());
            conjure::<F>()(xs, out);
        }
        Outcome::Done
    }
}

/// `map_rows`: `f(&xs[row], &mut out[row])`, whose elements are rows; `shape` has the lengths of both kinds.
pub(crate) struct MapRows<F, T, U>(PhantomData<(F, T, U)>);

impl<F: Fn(&[T], &mut [U]) + Copy, T: Pod, U: Pod> Kernel for MapRows<F, T, U> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let [from, to, ..] = call.shape;
        for row in call.elements(task) {
            // SAFETY: the input is borrowed for the job and written by nobody; the task's rows are leased to us.
            unsafe {
                let xs = std::slice::from_raw_parts(call.inputs[0].cast::<T>().add(row * from), from);
                let out = std::slice::from_raw_parts_mut(call.output.cast::<U>().add(row * to), to);
                // A second run finds what the first one found.
                out.fill(U::zeroed());
                conjure::<F>()(xs, out);
            }
        }
        Outcome::Done
    }
}

/// `try_map`: `f(x)?`. The error travels as the element's index, then its bytes.
pub(crate) struct TryMap<F, T, U, E>(PhantomData<(F, T, U, E)>);

impl<F: Fn(T) -> Result<U, E> + Copy, T: Pod, U: Pod, E: NoUninit> Kernel for TryMap<F, T, U, E> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let (xs, out) = (call.inputs[0].cast::<T>(), call.output.cast::<U>());
        for i in call.elements(task) {
            // SAFETY: `i` is one of the task's elements; the closure is the verb's.
            match unsafe { conjure::<F>()(*xs.add(i)) } {
                // SAFETY: the task's outputs are leased to us.
                Ok(value) => unsafe { out.add(i).write(value) },
                Err(error) => {
                    call.error.set(&[&(i as u64).to_ne_bytes(), bytemuck::bytes_of(&error)]);
                    return Outcome::Failed;
                }
            }
        }
        Outcome::Done
    }
}

/// How a reduction makes one accumulator of two.
///
/// # Safety
/// `params` are those of a job of this type's verb.
pub(crate) trait Combiner {
    type Accumulator: Pod;
    unsafe fn combine(
        params: *const u8,
        left: Self::Accumulator,
        right: Self::Accumulator,
    ) -> Self::Accumulator;
}

/// And how it folds elements into an accumulator.
///
/// # Safety
/// `params` are those of a job of this type's verb.
pub(crate) trait Folder: Combiner {
    type Item: Pod;
    unsafe fn fold(params: *const u8, xs: &[Self::Item]) -> Self::Accumulator;
}

/// Two closures; the parameters are the identity.
pub(crate) struct ByClosures<F, G, T, A>(PhantomData<(F, G, T, A)>);

/// Runs that a block is folded in side by side: one addition need not wait for the one before it.
const RUNS: usize = 8;
/// Blocks below this are folded in one run.
const RUNS_FROM: usize = 1024;
/// Elements by which a run is longer than an eighth: runs that start a power of two apart would share one set
/// of the cache.
const RUN_SKEW: usize = 16;

impl<F, G, T, A> Folder for ByClosures<F, G, T, A>
where
    F: Fn(A, T) -> A + Copy,
    G: Fn(A, A) -> A + Copy,
    T: Pod,
    A: Pod,
{
    type Item = T;

    #[inline(always)]
    unsafe fn fold(params: *const u8, xs: &[T]) -> A {
        // SAFETY: the indices are below `n`; the parameters are an `A`; the closures are the verb's.
        unsafe {
            let (xs, n) = (xs.as_ptr(), xs.len());
            let identity = *params.cast::<A>();
            // Runs of neighbours, so that `combine` need not be commutative; the last one is the shortest.
            let (run, common) = match n {
                0..RUNS_FROM => (n, 0),
                _ => (n / RUNS + RUN_SKEW, n - (n / RUNS + RUN_SKEW) * (RUNS - 1)),
            };
            let mut accumulators = [identity; RUNS];
            for i in 0..common {
                for (r, accumulator) in accumulators.iter_mut().enumerate() {
                    *accumulator = conjure::<F>()(*accumulator, *xs.add(r * run + i));
                }
            }
            for (r, accumulator) in accumulators.iter_mut().enumerate() {
                for i in (r * run + common).min(n)..((r + 1) * run).min(n) {
                    *accumulator = conjure::<F>()(*accumulator, *xs.add(i));
                }
            }
            combine_tree::<Self>(params, &mut accumulators)
        }
    }
}

impl<F, G: Fn(A, A) -> A + Copy, T, A: Pod> Combiner for ByClosures<F, G, T, A> {
    type Accumulator = A;

    #[inline(always)]
    unsafe fn combine(_: *const u8, left: A, right: A) -> A {
        // SAFETY: the closure is the verb's.
        unsafe { conjure::<G>()(left, right) }
    }
}

/// A reduction kernel; the parameters are the kernel.
pub(crate) struct ByKernel<K, T>(PhantomData<(K, T)>);

impl<K: Reduction<T>, T: Pod> Folder for ByKernel<K, T> {
    type Item = T;

    #[inline(always)]
    unsafe fn fold(params: *const u8, xs: &[T]) -> K::Acc {
        // SAFETY: the parameters are a `K`.
        let kernel = unsafe { &*params.cast::<K>() };
        kernel.fold(kernel.identity(), xs)
    }
}

impl<K: Reduction<T>, T: Pod> Combiner for ByKernel<K, T> {
    type Accumulator = K::Acc;

    #[inline(always)]
    unsafe fn combine(params: *const u8, left: K::Acc, right: K::Acc) -> K::Acc {
        // SAFETY: the parameters are a `K`.
        unsafe { (*params.cast::<K>()).combine(left, right) }
    }
}

/// A reduction kernel over two arrays; the parameters are the kernel.
pub(crate) struct ByZipKernel<K, A, B>(PhantomData<(K, A, B)>);

impl<K: ZipReduction<A, B>, A: Pod, B: Pod> Combiner for ByZipKernel<K, A, B> {
    type Accumulator = K::Acc;

    #[inline(always)]
    unsafe fn combine(params: *const u8, left: K::Acc, right: K::Acc) -> K::Acc {
        // SAFETY: the parameters are a `K`.
        unsafe { (*params.cast::<K>()).combine(left, right) }
    }
}

/// First half of a reduction of two arrays.
pub(crate) struct FoldZip<K, A, B>(PhantomData<(K, A, B)>);

impl<K: ZipReduction<A, B>, A: Pod, B: Pod> Kernel for FoldZip<K, A, B> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = group(call, task);
        // SAFETY: `range` lies in both inputs, which nobody writes; the parameters are a `K`; the output has an accumulator
        // for each task.
        unsafe {
            let a = std::slice::from_raw_parts(call.inputs[0].cast::<A>().add(range.start), range.len());
            let b = std::slice::from_raw_parts(call.inputs[1].cast::<B>().add(range.start), range.len());
            let kernel = *call.params.cast::<K>();
            call.output.cast::<K::Acc>().add(task as usize).write(kernel.fold(kernel.identity(), a, b));
        }
        Outcome::Done
    }
}

/// The totals of a scan's blocks; the parameters are the kernel.
pub(crate) struct ByTotals<K, T>(PhantomData<(K, T)>);

impl<K: Scan<T>, T: Pod> Folder for ByTotals<K, T> {
    type Item = T;

    #[inline(always)]
    unsafe fn fold(params: *const u8, xs: &[T]) -> K::Acc {
        // SAFETY: the parameters are a `K`.
        unsafe { (*params.cast::<K>()).total(xs) }
    }
}

impl<K: Scan<T>, T: Pod> Combiner for ByTotals<K, T> {
    type Accumulator = K::Acc;

    #[inline(always)]
    unsafe fn combine(params: *const u8, left: K::Acc, right: K::Acc) -> K::Acc {
        // SAFETY: the parameters are a `K`.
        unsafe { (*params.cast::<K>()).combine(left, right) }
    }
}

/// Second half of a scan: writes a block, given the total of all before it.
pub(crate) struct ScanBlocks<K, T>(PhantomData<(K, T)>);

impl<K: Scan<T>, T: Pod> Kernel for ScanBlocks<K, T> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = call.elements(task);
        // SAFETY: the inputs hold the task's elements and a total for each task, and nobody writes them; the task's part of
        // the output is leased to us, and initialised as all of the arena is; the parameters are a `K`.
        unsafe {
            let before = *call.inputs[1].cast::<K::Acc>().add(task as usize);
            let xs = std::slice::from_raw_parts(call.inputs[0].cast::<T>().add(range.start), range.len());
            let out = call.output.cast::<K::Out>().add(range.start);
            (*call.params.cast::<K>()).scan(before, xs, std::slice::from_raw_parts_mut(out, range.len()));
        }
        Outcome::Done
    }
}

macro_rules! unzip {
    ($(#[$doc:meta])* $name:ident: $first:ident $(, $rest:ident = $operand:literal)+) => {
        $(#[$doc])*
        pub(crate) struct $name<Func, T, $first, $($rest),+>(PhantomData<(Func, T, $first, $($rest),+)>);

        impl<Func, T: Pod, $first: Pod, $($rest: Pod),+> Kernel for $name<Func, T, $first, $($rest),+>
        where
            Func: Fn(T) -> ($first, $($rest),+) + Copy,
        {
            #[inline(always)]
            #[allow(non_snake_case)]
            unsafe fn run(call: &Invocation, task: u32) -> Outcome {
                let xs = call.inputs[0].cast::<T>();
                for i in call.elements(task) {
                    // SAFETY: `i` is one of the task's elements, which are leased to us in each output; all but one output
                    // travel as operands of their own. The closure is the verb's.
                    unsafe {
                        let ($first, $($rest),+) = conjure::<Func>()(*xs.add(i));
                        call.output.cast::<$first>().add(i).write($first);
                        $(call.inputs[$operand].cast_mut().cast::<$rest>().add(i).write($rest);)+
                    }
                }
                Outcome::Done
            }
        }
    };
}

unzip! {
    /// `map_unzip` into two arrays.
    Unzip2: A, B = 1
}
unzip! {
    /// `map_unzip` into three arrays.
    Unzip3: A, B = 1, C = 2
}
unzip! {
    /// `map_unzip` into four arrays.
    Unzip4: A, B = 1, C = 2, D = 3
}

/// First half of a reduction: folds one block (`shape[1]` elements) of the input (`shape[0]`) into one
/// accumulator.
pub(crate) struct Fold<R>(PhantomData<R>);

impl<R: Folder> Kernel for Fold<R> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = group(call, task);
        // SAFETY: `range` lies in the input, which nobody writes; the output has an accumulator for each task.
        unsafe {
            let first = call.inputs[0].cast::<R::Item>().add(range.start);
            let block = R::fold(call.params, std::slice::from_raw_parts(first, range.len()));
            call.output.cast::<R::Accumulator>().add(task as usize).write(block);
        }
        Outcome::Done
    }
}

/// Second half of a reduction: combines a group (`shape[1]`) of the accumulators (`shape[0]`) into one.
pub(crate) struct Combine<R>(PhantomData<R>);

impl<R: Combiner> Kernel for Combine<R> {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        let range = group(call, task);
        // SAFETY: `range` lies in the input, which nobody writes; the output has an accumulator for each
        // task.
        unsafe {
            let first = call.inputs[0].cast::<R::Accumulator>().add(range.start);
            // A copy, so that the input stays as it is and the task can run again.
            let mut accumulators = std::slice::from_raw_parts(first, range.len()).to_vec();
            let combined = combine_tree::<R>(call.params, &mut accumulators);
            call.output.cast::<R::Accumulator>().add(task as usize).write(combined);
        }
        Outcome::Done
    }
}

/// The part of the input that a reduction's task stands for.
#[inline(always)]
pub(super) fn group(call: &Invocation, task: u32) -> Range<usize> {
    let [n, len, ..] = call.shape;
    let start = task as usize * len;
    start..(start + len).min(n)
}

/// Combines neighbours, then neighbours of those, to the end; an odd last one moves up as it is.
///
/// # Safety
/// As for [`Combiner`]; there is at least one.
#[inline(always)]
unsafe fn combine_tree<R: Combiner + ?Sized>(
    params: *const u8,
    accumulators: &mut [R::Accumulator],
) -> R::Accumulator {
    let mut n = accumulators.len();
    while n > 1 {
        for i in 0..n / 2 {
            // SAFETY: by contract.
            accumulators[i] = unsafe { R::combine(params, accumulators[2 * i], accumulators[2 * i + 1]) };
        }
        if n % 2 == 1 {
            accumulators[n / 2] = accumulators[n - 1];
        }
        n = n.div_ceil(2);
    }
    accumulators[0]
}

/// An image chain: one tile of one pass. Its parameters are a [`ChainHeader`], then a [`StepHead`] for each
/// step.
pub(crate) struct Tiles;

/// What a chain's steps run over.
#[repr(C, align(64))]
#[derive(Clone, Copy, Zeroable, Pod)]
pub(crate) struct ChainHeader {
    pub(crate) shape: [u64; 3],
    pub(crate) tile: [u64; 2],
    pub(crate) n_steps: u64,
    pub(crate) level: u64,
    pub(crate) input_bytes: u64,
    /// Of the operand before the first pixel.
    pub(crate) first_bytes: u64,
    /// Between the beginnings of two rows.
    pub(crate) row_bytes: u64,
    pub(crate) padding: [u64; 6],
}

/// A step on its way to another process: the place of its table. Its parameters follow, filled up to a multiple of
/// this head's size: most have a few bytes, and a table has 256.
#[repr(C, align(16))]
#[derive(Clone, Copy, Zeroable, Pod)]
pub(crate) struct StepHead {
    pub(crate) table: u64,
    pub(crate) n_bytes: u64,
}

impl Kernel for Tiles {
    #[inline(always)]
    unsafe fn run(call: &Invocation, task: u32) -> Outcome {
        // SAFETY: by the contract of `Run` the job is a chain's.
        unsafe { run_tile(call, task) }
    }
}

/// Not inlined: it dispatches on the level by itself, so one copy is enough.
///
/// # Safety
/// As for [`Run`](super::kernel::Run), of a job whose parameters are a chain's.
#[inline(never)]
unsafe fn run_tile(call: &Invocation, task: u32) -> Outcome {
    // SAFETY: the parameters start with a header, on an edge of 64 bytes.
    let header = unsafe { *call.params.cast::<ChainHeader>() };
    let mut steps = Vec::with_capacity(header.n_steps as usize);
    let mut offset = size_of::<ChainHeader>();
    for _ in 0..header.n_steps {
        // SAFETY: as many steps as the header says follow it, each a head on an edge of 16 bytes and then as many
        // bytes as that says; nobody writes them while the job runs.
        let (head, parameters) = unsafe {
            let first = call.params.add(offset);
            let head = *first.cast::<StepHead>();
            let parameters = first.add(size_of::<StepHead>());
            (head, std::slice::from_raw_parts(parameters, head.n_bytes as usize))
        };
        let table = Place(head.table).address().expect("the parent made the place");
        // SAFETY: a `StepTable` of this very executable, made for these parameters.
        let step = unsafe { Step::from_parts(&*(table as *const StepTable), parameters) };
        steps.push(step.expect("the parent made the step"));
        offset += size_of::<StepHead>() + parameters.len().next_multiple_of(size_of::<StepHead>());
    }
    let plan = Plan::new(&steps, header.shape.map(|n| n as usize), Some(header.tile.map(|n| n as usize)))
        .expect("the parent made the same plan")
        .with_rows_apart(header.row_bytes as usize);
    // Users' kernels say themselves how many channels they make and how far they see, and nothing keeps them
    // from saying something else here, where their statics are others.
    assert!(
        plan.input_bytes() as u64 == header.input_bytes
            && plan.output_bytes() == call.output_bytes
            && plan.n_tiles() == call.n_elements as u64,
        "the kernel wants other images in its worker than where it was called: `channels`, `halo` and `border` must \
         depend on the kernel's own value alone"
    );
    let level = Level::from_number(header.level as u32).unwrap_or(Level::Baseline);
    // SAFETY: the operands are as large as the plan's images, as was just checked; the input is written by
    // nobody, and the tile is leased to us.
    unsafe {
        let input = call.inputs[0].add(header.first_bytes as usize);
        plan.run(task.into(), input, call.output, &mut call.scratch.borrow_mut(), level);
    }
    Outcome::Done
}
