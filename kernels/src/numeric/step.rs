//! An element kernel with its types erased: a static table and some parameter bytes, which is how it travels to
//! another process. The counterpart of [`Step`](crate::Step) for arrays of numbers.
//!
//! The table's function takes raw pointers, since the types are known only to the function that made the table.
#![allow(unsafe_code)]

use std::any::{TypeId, type_name};
use std::{fmt, slice};

use super::dtype::{Element, ElementType};
use crate::{ElementKernel, KernelError, Level, Work, step::Parameters};

/// What there is to know about one element kernel for one type of elements. Every table is a constant of the
/// executable, so its place means the same in every process that runs the same file.
pub struct ElementTable {
    type_id: fn() -> TypeId,
    type_name: fn() -> &'static str,
    input: ElementType,
    output: ElementType,
    parameter_bytes: usize,
    run: unsafe fn(&Parameters, *const u8, *mut u8, usize, Level),
}

/// An element kernel: a table and the kernel's bytes.
#[derive(Clone, Copy)]
pub struct ElementStep {
    table: &'static ElementTable,
    parameters: Parameters,
}

impl ElementStep {
    /// The step that runs `kernel` on elements of type `I`.
    #[must_use]
    pub fn of<I: Element, K: ElementKernel<I, Out: Element>>(kernel: K) -> ElementStep {
        ElementStep { table: table_of::<I, K>(), parameters: Parameters::of(kernel) }
    }

    /// The step that another process took apart with [`table`](Self::table) and [`parameters`](Self::parameters).
    ///
    /// # Errors
    /// [`KernelError::ParameterBytes`] if the bytes are not as many as the kernel has. Their values are not checked;
    /// no value of them breaks memory safety.
    ///
    /// # Safety
    /// 1. `table` is one that [`table`](Self::table) gave in this process, or the one at the same place of the
    ///    executable in another process that runs the same file.
    pub unsafe fn from_parts(
        table: &'static ElementTable,
        parameters: &[u8],
    ) -> Result<ElementStep, KernelError> {
        if parameters.len() != table.parameter_bytes {
            return Err(KernelError::ParameterBytes {
                kernel: (table.type_name)(),
                found: parameters.len(),
                wanted: table.parameter_bytes,
            });
        }
        Ok(ElementStep { table, parameters: Parameters::from_bytes(parameters) })
    }

    /// The kernel's table.
    #[must_use]
    pub fn table(&self) -> &'static ElementTable {
        self.table
    }

    /// The kernel as bytes.
    #[must_use]
    pub fn parameters(&self) -> &[u8] {
        &self.parameters.0[..self.table.parameter_bytes]
    }

    /// The path of the kernel's type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        (self.table.type_name)()
    }

    /// The type of the elements it reads.
    #[must_use]
    pub fn input(&self) -> ElementType {
        self.table.input
    }

    /// The type of the elements it makes.
    #[must_use]
    pub fn output(&self) -> ElementType {
        self.table.output
    }

    /// Writes the result for every element of `xs` to `out`.
    ///
    /// # Errors
    /// [`KernelError::ElementType`] if the slices are not of the step's types, [`KernelError::Samples`] if they differ
    /// in length.
    pub fn run<I: Element, O: Element>(
        &self,
        xs: &[I],
        out: &mut [O],
        level: Level,
    ) -> Result<(), KernelError> {
        self.check::<I, O>()?;
        if out.len() != xs.len() {
            return Err(KernelError::Samples { what: "output", found: out.len(), wanted: xs.len() });
        }
        // SAFETY: both slices have as many elements, of the table's types, and a `&mut` overlaps with nothing.
        unsafe { self.run_raw(xs.as_ptr().cast(), out.as_mut_ptr().cast(), xs.len(), level) };
        Ok(())
    }

    /// Whether it makes elements of type `O` from elements of type `I`.
    ///
    /// # Errors
    /// [`KernelError::ElementType`] if it does not.
    pub fn check<I: Element, O: Element>(&self) -> Result<(), KernelError> {
        for (what, found, wanted) in
            [("source", I::TYPE, self.table.input), ("output", O::TYPE, self.table.output)]
        {
            if found != wanted {
                let (kernel, wanted) = (self.name(), wanted.to_string());
                return Err(KernelError::ElementType { kernel, what, found, wanted });
            }
        }
        Ok(())
    }

    /// Writes the results for `n` elements at `xs` to `out`.
    ///
    /// # Safety
    /// 1. `xs` points to `n` elements of type [`input`](Self::input), aligned for it, and nobody writes them until the
    ///    call returns.
    /// 2. `out` points to room for `n` elements of type [`output`](Self::output), aligned for it, initialised, and
    ///    nobody else reads or writes them until then.
    pub unsafe fn run_raw(&self, xs: *const u8, out: *mut u8, n: usize, level: Level) {
        // SAFETY: the table was made for the types that the caller checked its memory against.
        unsafe { (self.table.run)(&self.parameters, xs, out, n, level) }
    }
}

/// Two steps are equal if they are the same kernel for the same type, with the same bytes. The place of a table says less: the
/// compiler may make one more wherever it is named.
impl PartialEq for ElementStep {
    fn eq(&self, other: &ElementStep) -> bool {
        let (this, that) = (self.table, other.table);
        (this.type_id)() == (that.type_id)()
            && this.input == that.input
            && self.parameters() == other.parameters()
    }
}

impl fmt::Debug for ElementStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} -> {}, {:?})", self.name(), self.input(), self.output(), self.parameters())
    }
}

/// The table of `K` for `I`: a promoted constant, so it lies in the executable's read-only data.
fn table_of<I: Element, K: ElementKernel<I, Out: Element>>() -> &'static ElementTable {
    const {
        &ElementTable {
            type_id: TypeId::of::<K>,
            type_name: type_name::<K>,
            input: I::TYPE,
            output: <K::Out as Element>::TYPE,
            parameter_bytes: size_of::<K>(),
            run: run_erased::<I, K>,
        }
    }
}

/// # Safety
/// As [`ElementStep::run_raw`].
unsafe fn run_erased<I: Element, K: ElementKernel<I, Out: Element>>(
    parameters: &Parameters,
    xs: *const u8,
    out: *mut u8,
    n: usize,
    level: Level,
) {
    // SAFETY: (1) of `run_raw`, for this table's input type, which is `I`.
    let xs = unsafe { slice::from_raw_parts(xs.cast::<I>(), n) };
    // SAFETY: (2) of `run_raw`, for this table's output type, which is `K::Out`.
    let out = unsafe { slice::from_raw_parts_mut(out.cast::<K::Out>(), n) };
    level.run(ApplyAll { kernel: parameters.kernel::<K>(), xs, out });
}

struct ApplyAll<'a, I: Element, K: ElementKernel<I>> {
    kernel: K,
    xs: &'a [I],
    out: &'a mut [K::Out],
}

impl<I: Element, K: ElementKernel<I>> Work for ApplyAll<'_, I, K> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        self.kernel.apply_all(self.xs, self.out);
    }
}
