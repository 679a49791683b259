//! One kernel of a chain with its types erased: a static table and some parameter bytes, which is how a kernel
//! travels to another process.
//!
//! The table's functions take raw pointers, since the types are known only to the function that made the table.
#![allow(unsafe_code)]

use std::any::{TypeId, type_name};
use std::{fmt, mem};

use crate::{
    Border, GatherKernel, GlobalKernel, KernelError, Level, Rect, Sample, SampleType, Tile, TileKernel,
    Window, Work, Workspace, scratch::Tables,
};

/// Bytes that the parameters of a kernel in a chain may take: a table of all `u8`, or 7 x 7 weights and a few more.
pub const PARAMETER_BYTES_MAX: usize = 256;

/// What there is to know about one kernel for one sample type: its functions, as compiled for it.
///
/// Every table is a constant of the executable. So its address means the same in every process that runs the same
/// file, once the place where the file was mapped is taken off.
pub struct StepTable {
    type_id: fn() -> TypeId,
    type_name: fn() -> &'static str,
    input: SampleType,
    output: SampleType,
    parameter_bytes: usize,
    name: fn(&Parameters) -> &'static str,
    validate: fn(&Parameters) -> Result<(), KernelError>,
    kind: Kind,
}

/// What the three kinds of kernels do beside what all of them do.
enum Kind {
    Tile {
        halo: fn(&Parameters) -> usize,
        border: fn(&Parameters) -> Border,
        channels: fn(&Parameters, usize) -> Result<usize, KernelError>,
        run: unsafe fn(&Parameters, &RawWindow, &RawTile, &mut Workspace, Level),
    },
    Gather {
        output_shape: fn(&Parameters, [usize; 3]) -> Result<[usize; 3], KernelError>,
        tile: fn(&Parameters, [usize; 3]) -> [usize; 2],
        run: unsafe fn(&Step, &RawWindow, Rect, &RawTile, &mut Tables, &mut Workspace, Level),
    },
    Global {
        measurement: fn(&Parameters) -> Step,
        resolved: fn(&Parameters, &[f32]) -> Step,
    },
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
        Step { table: tile_table::<I, K>(), parameters: Parameters::of(kernel) }
    }

    /// The step that runs a gather kernel on samples of type `I`.
    #[must_use]
    pub fn gather<I: Sample, K: GatherKernel<I>>(kernel: K) -> Step {
        Step { table: gather_table::<I, K>(), parameters: Parameters::of(kernel) }
    }

    /// The step that stands for a global kernel on samples of type `I` until it is resolved.
    #[must_use]
    pub fn global<I: Sample, K: GlobalKernel<I>>(kernel: K) -> Step {
        Step { table: global_table::<I, K>(), parameters: Parameters::of(kernel) }
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

    /// [`TileKernel::halo`]; 0 for the other kinds.
    #[must_use]
    pub fn halo(&self) -> usize {
        match self.table.kind {
            Kind::Tile { halo, .. } => halo(&self.parameters),
            Kind::Gather { .. } | Kind::Global { .. } => 0,
        }
    }

    /// [`TileKernel::border`]; the default for the other kinds, which see nothing beyond the edge.
    #[must_use]
    pub fn border(&self) -> Border {
        match self.table.kind {
            Kind::Tile { border, .. } => border(&self.parameters),
            Kind::Gather { .. } | Kind::Global { .. } => Border::default(),
        }
    }

    /// Height, width and channels of what it makes of an image of that shape.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn output_shape(&self, source: [usize; 3]) -> Result<[usize; 3], KernelError> {
        let [height, width, input] = source;
        match self.table.kind {
            Kind::Tile { channels, .. } => Ok([height, width, channels(&self.parameters, input)?]),
            // What is measured has no say in the shape.
            Kind::Global { resolved, .. } => resolved(&self.parameters, &[]).output_shape(source),
            Kind::Gather { output_shape, .. } => output_shape(&self.parameters, source),
        }
    }

    /// Whether the kernel makes its pixels from anywhere in its source: a [`GatherKernel`].
    #[must_use]
    pub fn is_gather(&self) -> bool {
        matches!(self.table.kind, Kind::Gather { .. })
    }

    /// For a [`GlobalKernel`], the step that measures its source; nothing for the other kinds.
    #[must_use]
    pub fn measurement(&self) -> Option<Step> {
        match self.table.kind {
            Kind::Global { measurement, .. } => Some(measurement(&self.parameters)),
            Kind::Tile { .. } | Kind::Gather { .. } => None,
        }
    }

    /// For a [`GlobalKernel`], the step that it is for a source of which [`Step::measurement`] made `measured`; the
    /// other kinds are what they are.
    #[must_use]
    pub fn resolved(&self, measured: &[f32]) -> Step {
        match self.table.kind {
            Kind::Global { resolved, .. } => resolved(&self.parameters, measured),
            Kind::Tile { .. } | Kind::Gather { .. } => *self,
        }
    }

    /// [`TileKernel::validate`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn validate(&self) -> Result<(), KernelError> {
        (self.table.validate)(&self.parameters)
    }

    /// [`GatherKernel::tile`], for a gather step; nothing for the other kinds.
    pub(crate) fn gather_tile(&self, source: [usize; 3]) -> Option<[usize; 2]> {
        match self.table.kind {
            Kind::Gather { tile, .. } => Some(tile(&self.parameters, source)),
            Kind::Tile { .. } | Kind::Global { .. } => None,
        }
    }

    /// Runs a tile kernel on one tile.
    ///
    /// # Panics
    /// If this is no tile kernel's step.
    ///
    /// # Safety
    /// `src` and `dst` meet (V1) to (V3) of [`Window::from_raw`] and (T1) to (T3) of [`Tile::from_raw`], for the
    /// sample types of this step, until the call returns.
    pub(crate) unsafe fn run(&self, src: &RawWindow, dst: &RawTile, workspace: &mut Workspace, level: Level) {
        let Kind::Tile { run, .. } = self.table.kind else { panic!("{} runs on no window", self.name()) };
        // SAFETY: the table was made for the types that the caller checked its memory against.
        unsafe { run(&self.parameters, src, dst, workspace, level) }
    }

    /// Runs a gather kernel for the rectangle `at` of its output.
    ///
    /// # Panics
    /// If this is no gather kernel's step.
    ///
    /// # Safety
    /// As for [`Step::run`]; and `src` is the whole source, `dst` has the size of `at`.
    pub(crate) unsafe fn run_gather(
        &self,
        src: &RawWindow,
        at: Rect,
        dst: &RawTile,
        scratch: (&mut Tables, &mut Workspace),
        level: Level,
    ) {
        let Kind::Gather { run, .. } = self.table.kind else { panic!("{} gathers nothing", self.name()) };
        // SAFETY: the table was made for the types that the caller checked its memory against.
        unsafe { run(self, src, at, dst, scratch.0, scratch.1, level) }
    }
}

/// Two steps are equal if they are the same kernel for the same type, with the same bytes. The place of a table says less: the
/// compiler may make one more wherever it is named.
impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        let (this, that) = (self.table, other.table);
        (this.type_id)() == (that.type_id)()
            && this.input == that.input
            && mem::discriminant(&this.kind) == mem::discriminant(&that.kind)
            && self.parameters() == other.parameters()
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
        const { assert!(size_of::<K>() <= PARAMETER_BYTES_MAX, "a kernel in a chain has at most 256 bytes") };
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
fn tile_table<I: Sample, K: TileKernel<I>>() -> &'static StepTable {
    const {
        &StepTable {
            type_id: TypeId::of::<K>,
            type_name: type_name::<K>,
            input: I::TYPE,
            output: <K::Out as Sample>::TYPE,
            parameter_bytes: size_of::<K>(),
            name: |parameters| parameters.kernel::<K>().name(),
            validate: |parameters| parameters.kernel::<K>().validate(),
            kind: Kind::Tile {
                halo: |parameters| parameters.kernel::<K>().halo(),
                border: |parameters| parameters.kernel::<K>().border(),
                channels: |parameters, input| parameters.kernel::<K>().channels(input),
                run: run_erased::<I, K>,
            },
        }
    }
}

/// [`tile_table`] for a gather kernel.
fn gather_table<I: Sample, K: GatherKernel<I>>() -> &'static StepTable {
    const {
        &StepTable {
            type_id: TypeId::of::<K>,
            type_name: type_name::<K>,
            input: I::TYPE,
            output: <K::Out as Sample>::TYPE,
            parameter_bytes: size_of::<K>(),
            name: |parameters| parameters.kernel::<K>().name(),
            validate: |parameters| parameters.kernel::<K>().validate(),
            kind: Kind::Gather {
                output_shape: |parameters, source| parameters.kernel::<K>().output_shape(source),
                tile: |parameters, source| parameters.kernel::<K>().tile(source),
                run: run_gather_erased::<I, K>,
            },
        }
    }
}

/// [`tile_table`] for a global kernel.
fn global_table<I: Sample, K: GlobalKernel<I>>() -> &'static StepTable {
    const {
        &StepTable {
            type_id: TypeId::of::<K>,
            type_name: type_name::<K>,
            input: I::TYPE,
            output: <<K::Resolved as TileKernel<I>>::Out as Sample>::TYPE,
            parameter_bytes: size_of::<K>(),
            name: |parameters| parameters.kernel::<K>().name(),
            validate: |parameters| parameters.kernel::<K>().measurement().validate(),
            kind: Kind::Global {
                measurement: |parameters| Step::gather::<I, _>(parameters.kernel::<K>().measurement()),
                resolved: |parameters, measured| {
                    Step::of::<I, _>(parameters.kernel::<K>().resolved(measured))
                },
            },
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
    workspace.level = level.min(Level::detect());
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

/// # Safety
/// As [`Step::run_gather`].
unsafe fn run_gather_erased<I: Sample, K: GatherKernel<I>>(
    step: &Step,
    src: &RawWindow,
    at: Rect,
    dst: &RawTile,
    tables: &mut Tables,
    workspace: &mut Workspace,
    level: Level,
) {
    let kernel = step.parameters.kernel::<K>();
    let [height, width] = src.size;
    let table = tables.of(step, [height, width, src.channels], |shape| kernel.table(shape));
    // SAFETY: the caller promises (V1) to (V3) for samples of this table's input type, which is `I`.
    let src = unsafe { Window::from_raw(src.first.cast(), src.row_bytes, src.size, src.channels, src.halo) };
    // SAFETY: the caller promises (T1) to (T3) for samples of this table's output type, which is `K::Out`.
    let mut dst = unsafe { Tile::from_raw(dst.first.cast(), dst.row_bytes, dst.size, dst.channels) };
    workspace.level = level.min(Level::detect());
    level.run(RunGather { kernel, table, src: &src, at, dst: &mut dst, workspace });
}

struct RunGather<'r, 'm, I: Sample, K: GatherKernel<I>> {
    kernel: K,
    table: &'r K::Table,
    src: &'r Window<'m, I>,
    at: Rect,
    dst: &'r mut Tile<'m, K::Out>,
    workspace: &'r mut Workspace,
}

impl<I: Sample, K: GatherKernel<I>> Work for RunGather<'_, '_, I, K> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        self.kernel.run(self.table, self.src, self.at, self.dst, self.workspace);
    }
}
