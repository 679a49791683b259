//! One kernel of a chain with its types erased: a static table and some parameter bytes, which is how a kernel
//! travels to another process.
//!
//! The table's functions take raw pointers, since the types are known only to the function that made the table.
#![allow(unsafe_code)]

use std::{fmt, ptr};

use crate::{Border, KernelError, Level, Sample, SampleType, Tile, TileKernel, Window, Work, Workspace};

/// Bytes that the parameters of a kernel in a chain may take.
pub const PARAMETER_BYTES_MAX: usize = 64;

/// What there is to know about one kernel for one sample type: its functions, as compiled for it.
///
/// Every table is a constant of the executable. So its address means the same in every process that runs the same
/// file, once the place where the file was mapped is taken off.
pub struct StepTable {
    type_name: fn() -> &'static str,
    input: SampleType,
    output: SampleType,
    parameter_bytes: usize,
    name: fn(&Parameters) -> &'static str,
    halo: fn(&Parameters) -> usize,
    border: fn(&Parameters) -> Border,
    channels: fn(&Parameters, usize) -> Result<usize, KernelError>,
    validate: fn(&Parameters) -> Result<(), KernelError>,
    run: unsafe fn(&Parameters, &RawWindow, &RawTile, &mut Workspace, Level),
}

/// A kernel of a chain: a table of functions and the kernel's bytes.
#[derive(Clone, Copy)]
pub struct Step {
    table: &'static StepTable,
    parameters: Parameters,
}

impl Step {
    /// The step that runs `kernel` on samples of type `I`.
    #[must_use]
    pub fn of<I: Sample, K: TileKernel<I>>(kernel: K) -> Step {
        Step { table: table_of::<I, K>(), parameters: Parameters::of(kernel) }
    }

    /// The step that another process took apart with [`Step::table`] and [`Step::parameters`].
    ///
    /// # Errors
    /// [`KernelError::ParameterBytes`] if the bytes are not as many as the kernel has. Their values are not checked
    /// here ([`Plan::new`](crate::Plan::new) does that), and no value of them breaks memory safety.
    ///
    /// # Safety
    /// 1. `table` is one that [`Step::table`] gave in this process, or the one at the same place of the executable in
    ///    another process that runs the same file.
    pub unsafe fn from_parts(table: &'static StepTable, parameters: &[u8]) -> Result<Step, KernelError> {
        if parameters.len() != table.parameter_bytes {
            return Err(KernelError::ParameterBytes {
                kernel: (table.type_name)(),
                found: parameters.len(),
                wanted: table.parameter_bytes,
            });
        }
        Ok(Step { table, parameters: Parameters::from_bytes(parameters) })
    }

    /// The kernel's table.
    #[must_use]
    pub fn table(&self) -> &'static StepTable {
        self.table
    }

    /// The kernel as bytes, at most [`PARAMETER_BYTES_MAX`].
    #[must_use]
    pub fn parameters(&self) -> &[u8] {
        &self.parameters.0[..self.table.parameter_bytes]
    }

    /// What errors call the kernel.
    #[must_use]
    pub fn name(&self) -> &'static str {
        (self.table.name)(&self.parameters)
    }

    /// The type of the samples it reads.
    #[must_use]
    pub fn input(&self) -> SampleType {
        self.table.input
    }

    /// The type of the samples it makes.
    #[must_use]
    pub fn output(&self) -> SampleType {
        self.table.output
    }

    /// [`TileKernel::halo`].
    #[must_use]
    pub fn halo(&self) -> usize {
        (self.table.halo)(&self.parameters)
    }

    /// [`TileKernel::border`].
    #[must_use]
    pub fn border(&self) -> Border {
        (self.table.border)(&self.parameters)
    }

    /// [`TileKernel::channels`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn channels(&self, input: usize) -> Result<usize, KernelError> {
        (self.table.channels)(&self.parameters, input)
    }

    /// [`TileKernel::validate`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn validate(&self) -> Result<(), KernelError> {
        (self.table.validate)(&self.parameters)
    }

    /// Runs the kernel on one tile.
    ///
    /// # Safety
    /// `src` and `dst` meet (V1) to (V3) of [`Window::from_raw`] and (T1) to (T3) of [`Tile::from_raw`], for the
    /// sample types of this step, until the call returns.
    pub(crate) unsafe fn run(&self, src: &RawWindow, dst: &RawTile, workspace: &mut Workspace, level: Level) {
        // SAFETY: the table was made for the types that the caller checked its memory against.
        unsafe { (self.table.run)(&self.parameters, src, dst, workspace, level) }
    }
}

/// Two steps are equal if they run the same code on the same bytes.
impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        ptr::eq(self.table, other.table) && self.parameters() == other.parameters()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} -> {}, {:?})", self.name(), self.input(), self.output(), self.parameters())
    }
}

/// A [`Window`] whose sample type only the kernel knows.
pub(crate) struct RawWindow {
    pub(crate) first: *const u8,
    pub(crate) row_bytes: usize,
    /// Height and width of the tile, without the halo.
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) halo: usize,
}

/// A [`Tile`] whose sample type only the kernel knows.
pub(crate) struct RawTile {
    pub(crate) first: *mut u8,
    pub(crate) row_bytes: usize,
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
}

/// A kernel's bytes, then zeros.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Parameters(pub(crate) [u8; PARAMETER_BYTES_MAX]);

impl Parameters {
    pub(crate) fn of<K: bytemuck::Pod>(kernel: K) -> Self {
        const { assert!(size_of::<K>() <= PARAMETER_BYTES_MAX, "a kernel in a chain has at most 64 bytes") };
        Parameters::from_bytes(bytemuck::bytes_of(&kernel))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut all = [0; PARAMETER_BYTES_MAX];
        all[..bytes.len()].copy_from_slice(bytes);
        Parameters(all)
    }

    pub(crate) fn kernel<K: bytemuck::Pod>(&self) -> K {
        bytemuck::pod_read_unaligned(&self.0[..size_of::<K>()])
    }
}

/// The table of `K` for `I`: a promoted constant, so it lies in the executable's read-only data.
fn table_of<I: Sample, K: TileKernel<I>>() -> &'static StepTable {
    const {
        &StepTable {
            type_name: std::any::type_name::<K>,
            input: I::TYPE,
            output: <K::Out as Sample>::TYPE,
            parameter_bytes: size_of::<K>(),
            name: |parameters| parameters.kernel::<K>().name(),
            halo: |parameters| parameters.kernel::<K>().halo(),
            border: |parameters| parameters.kernel::<K>().border(),
            channels: |parameters, input| parameters.kernel::<K>().channels(input),
            validate: |parameters| parameters.kernel::<K>().validate(),
            run: run_erased::<I, K>,
        }
    }
}

/// # Safety
/// As [`Step::run`].
unsafe fn run_erased<I: Sample, K: TileKernel<I>>(
    parameters: &Parameters,
    src: &RawWindow,
    dst: &RawTile,
    workspace: &mut Workspace,
    level: Level,
) {
    // SAFETY: the caller promises (V1) to (V3) for samples of this table's input type, which is `I`.
    let src = unsafe { Window::from_raw(src.first.cast(), src.row_bytes, src.size, src.channels, src.halo) };
    // SAFETY: the caller promises (T1) to (T3) for samples of this table's output type, which is `K::Out`.
    let mut dst = unsafe { Tile::from_raw(dst.first.cast(), dst.row_bytes, dst.size, dst.channels) };
    level.run(RunTile { kernel: parameters.kernel::<K>(), src: &src, dst: &mut dst, workspace });
}

struct RunTile<'r, 'm, I, K: TileKernel<I>>
where
    I: Sample,
{
    kernel: K,
    src: &'r Window<'m, I>,
    dst: &'r mut Tile<'m, K::Out>,
    workspace: &'r mut Workspace,
}

impl<I: Sample, K: TileKernel<I>> Work for RunTile<'_, '_, I, K> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        self.kernel.run(self.src, self.dst, self.workspace);
    }
}
