//! Kernels of other crates by name: whatever is linked into the program is found by its word.

use linkme::distributed_slice;

use super::{Stock, words};
use crate::ElementStock;

/// A kernel that [`register_kernel!`](crate::register_kernel) has put beside the stock ones.
pub struct Registered {
    /// The kernel, as the stock ones are described.
    pub kernel: AnyStock,
    /// File and line of its registration.
    pub place: &'static str,
}

/// A kernel of either kind. The two kinds do not share names: a word of a chain is of an image kernel, and a word for arrays of numbers
/// is of an element kernel.
pub enum AnyStock {
    /// For chains: what [`parse_chain`](crate::parse_chain) reads.
    Image(Stock),
    /// For arrays of numbers: what [`parse_element_step`](crate::parse_element_step) reads.
    Element(ElementStock),
}

/// What the linker has found, in no order that can be relied on.
#[distributed_slice]
pub static REGISTERED: [Registered];

/// A comment as a text, for [`register_kernel!`](crate::register_kernel).
#[doc(hidden)]
#[must_use]
pub const fn trimmed(comment: &'static str) -> &'static str {
    comment.trim_ascii()
}

/// Every image kernel that a word can name: the stock ones, then the registered ones by name.
pub fn image_kernels() -> impl Iterator<Item = &'static Stock> {
    words::rows()
}

/// Every element kernel that a word can name: the stock ones, then the registered ones by name.
pub fn element_kernels() -> impl Iterator<Item = &'static ElementStock> {
    words::rows()
}

/// Makes a kernel known under a name, in every program that it is linked into: an image kernel to
/// [`parse_chain`](crate::parse_chain), an element kernel to [`parse_element_step`](crate::parse_element_step).
///
/// # All in one
/// For a function of one sample or of one element the macro writes the type and its implementation too:
///
/// ```
/// use shmpool_kernels::{ElementType, Level, parse_chain, parse_element_step, register_kernel};
///
/// register_kernel! {
///     /// nothing darker than a level
///     struct Floor = "floor" | "at-least" {
///         /// the darkest
///         level: level(0..=255) = 16,
///     }
///     samples |x| x.max(level)
/// }
///
/// register_kernel! {
///     /// from 0 to 1, and 0.5 for 0
///     struct Logistic = "logistic" {
///         /// how steep it is there
///         slope: number = 1,
///     }
///     elements(f32, f64) |x| 1.0 / (1.0 + (-slope * x).exp())
/// }
///
/// let mut pixels = [0; 3];
/// parse_chain::<u8>(&["invert", "floor:level=100"])?.run(&[0, 154, 155], [1, 3, 1], &mut pixels)?;
/// assert_eq!(pixels, [255, 101, 100]);
///
/// let mut found = [0.0_f64; 2];
/// let step = parse_element_step("logistic:slope=2", ElementType::F64)?;
/// step.run(&[0.0, f64::INFINITY], &mut found, Level::detect())?;
/// assert_eq!(found, [0.5, 1.0]);
///
/// // The types are there for programs: fields of samples are `f32` (`u32` if `whole`), of elements `f64`.
/// let typed = shmpool_kernels::Chain::<u8, u8>::of(Floor { level: 16.0 });
/// assert_eq!(parse_chain::<u8>(&["at-least"])?.steps(), typed.steps());
/// # Ok::<(), shmpool_kernels::KernelError>(())
/// ```
///
/// The comments are the texts of help and of errors. Behind the type stands its name, with others after a `|`. A parameter is `name: kind = default`:
///
/// | kind | is |
/// |---|---|
/// | `number`, `number(-1..=1)` | a number, of that range |
/// | `whole(0..=9)` | a whole number of that range |
/// | `whole` | of element kernels: for integers a whole number that they can be, else a number |
/// | `level(0..=255)` | of image kernels: a level that is black at 0 and white at 255, and comes in the samples of the image |
///
/// What it does is one of these; those without an expression leave the implementation to you:
///
/// | body | the kernel |
/// |---|---|
/// | `samples \|x\| ...`, `samples \|x, white\| ...` | is the expression for each sample, as `f32`; the largest sample is `white` |
/// | `elements(f32, i64) \|x\| ...` | is the expression for elements of each of these types, to which parameters are cast |
/// | `tiles`, `gather` | is what your `impl<T: Sample>` of [`TileKernel`](crate::TileKernel) or [`GatherKernel`](crate::GatherKernel) says |
/// | `elements(f32, i64)` | is what your [`ElementKernel`](crate::ElementKernel)s say, which make what they read |
///
/// The expression is compiled once for each [`Level`](crate::Level), if what it calls is `#[inline(always)]`.
///
/// # In full
/// For words that stand for several steps, parameters of other kinds, or a type that is there already:
///
/// * `name`, `aliases` (which may be left out), `summary`: as [`Stock`] has them
/// * `types`, of element kernels alone: as [`ElementStock`] has them
/// * `parameters`: a list of [`Parameter`](crate::Parameter)s
/// * `build`: a function from [`Arguments`](crate::Arguments) to the steps that the word stands for, of the sample type of the arguments; or
///   from [`ElementArguments`](crate::ElementArguments) to the [`ElementStep`](crate::ElementStep), from and to their element type
///
/// ```
/// use shmpool_kernels::{Gray, Invert, parse_chain, register_kernel};
///
/// register_kernel! {
///     name: "photonegative",
///     summary: "gray, and bright becomes dark",
///     parameters: [],
///     build: |arguments| Ok(vec![arguments.step(Gray), arguments.step(Invert)]),
/// }
///
/// assert_eq!(parse_chain::<u8>(&["photonegative"])?.steps(), parse_chain::<u8>(&["gray", "invert"])?.steps());
/// # Ok::<(), shmpool_kernels::KernelError>(())
/// ```
///
/// A name that is taken is an error when a word uses it, [`KernelError::DuplicateKernel`](crate::KernelError::DuplicateKernel).
#[macro_export]
macro_rules! register_kernel {
    (
        name: $name:expr, $(aliases: [$($alias:expr),* $(,)?],)? summary: $summary:expr,
        parameters: [$($parameter:expr),* $(,)?], build: $build:expr $(,)?
    ) => {
        $crate::register_kernel! { @put $crate::AnyStock::Image($crate::Stock {
            name: $name,
            aliases: &[$($($alias),*)?],
            summary: $summary,
            parameters: &[$($parameter),*],
            build: $build,
        }) }
    };
    (
        name: $name:expr, $(aliases: [$($alias:expr),* $(,)?],)? summary: $summary:expr,
        types: $types:expr, parameters: [$($parameter:expr),* $(,)?], build: $build:expr $(,)?
    ) => {
        $crate::register_kernel! { @put $crate::AnyStock::Element($crate::ElementStock {
            name: $name,
            aliases: &[$($($alias),*)?],
            summary: $summary,
            types: $types,
            parameters: &[$($parameter),*],
            build: $build,
        }) }
    };
    (
        $(#[doc = $doc:expr])+
        $vis:vis struct $Kernel:ident = $name:literal $(| $alias:literal)* {
            $($(#[doc = $about:expr])+
            $field:ident: $kind:ident $(($from:literal ..= $to:literal))? = $default:literal),* $(,)?
        }
        $how:ident $($body:tt)*
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[repr(C)]
        $vis struct $Kernel {
            $($(#[doc = $about])+ $vis $field: $crate::register_kernel!(@type $how $kind),)*
        }

        // SAFETY: zero bytes are a value of every number, and all fields are numbers: `@type` has nothing else.
        unsafe impl $crate::bytemuck::Zeroable for $Kernel {}
        // SAFETY: `repr(C)`, every field is a number for which all bits are values, and nothing lies between them: the assertion says so.
        unsafe impl $crate::bytemuck::Pod for $Kernel {}
        const _: () = assert!(
            size_of::<$Kernel>() == 0 $(+ size_of::<$crate::register_kernel!(@type $how $kind)>())*
        );

        $crate::register_kernel! { @implement $how $Kernel [$($field)*] $($body)* }
        $crate::register_kernel! { @register $how $Kernel [$($field $kind)*] [
            name: $name,
            aliases: [$($alias),*],
            summary: $crate::trimmed(concat!($($doc),+)),
        ] [
            parameters: [$($crate::Parameter {
                name: stringify!($field),
                summary: $crate::trimmed(concat!($($about),+)),
                values: $crate::register_kernel!(@values $how $kind $($from $to)?),
                default: stringify!($default),
            }),*],
        ] $($body)* }
    };

    (@put $kernel:expr) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::REGISTERED)]
            #[linkme(crate = $crate::linkme)]
            static REGISTRATION: $crate::Registered =
                $crate::Registered { kernel: $kernel, place: concat!(file!(), ":", line!()) };
        };
    };

    (@type elements $kind:ident) => { f64 };
    (@type $how:ident whole) => { u32 };
    (@type $how:ident $kind:ident) => { f32 };

    (@values $how:ident number) => { $crate::Values::Any };
    (@values $how:ident number $from:literal $to:literal) => {
        $crate::Values::Range { from: $from as f32, to: $to as f32 }
    };
    (@values elements whole) => { $crate::Values::Element };
    (@values $how:ident whole $from:literal $to:literal) => {
        $crate::Values::Whole { from: $from, to: $to }
    };
    (@values elements level $($range:literal)*) => {
        compile_error!("a level is of images: elements have numbers")
    };
    (@values $how:ident level $from:literal $to:literal) => {
        $crate::Values::Level { from: $from as f32, to: $to as f32 }
    };

    (@values $($other:tt)*) => {
        compile_error!("a parameter is number, number(0..=1), whole(0..=9), level(0..=255), or of elements whole")
    };

    (@implement samples $Kernel:ident $fields:tt |$x:ident| $result:expr) => {
        $crate::register_kernel! { @implement samples $Kernel $fields |$x, _white| $result }
    };
    (@implement samples $Kernel:ident [$($field:ident)*] |$x:ident, $white:ident| $result:expr) => {
        impl<T: $crate::Sample> $crate::TileKernel<T> for $Kernel {
            type Out = T;

            #[inline(always)]
            fn run(
                &self,
                src: &$crate::Window<'_, T>,
                dst: &mut $crate::Tile<'_, T>,
                _: &mut $crate::Workspace,
            ) {
                // A function, not a block: what leaves the expression must not leave the loop.
                #[inline(always)]
                #[allow(unused_variables)]
                fn __made($Kernel { $($field),* }: $Kernel, $x: f32, $white: f32) -> f32 {
                    $result
                }
                let white = T::TYPE.white();
                for y in 0..dst.height() {
                    for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                        *out = T::from_f32(__made(*self, sample.to_f32(), white));
                    }
                }
            }
        }
    };
    (@implement elements $Kernel:ident $fields:tt ($($T:ty),+ $(,)?) |$x:ident| $result:expr) => {
        $($crate::register_kernel! { @element $Kernel $fields $T, |$x| $result })+
    };
    (@implement elements $Kernel:ident $fields:tt ($($T:ty),+ $(,)?)) => {};
    (@implement tiles $Kernel:ident $fields:tt) => {};
    (@implement gather $Kernel:ident $fields:tt) => {};
    (@implement $($other:tt)*) => {
        compile_error!("a kernel is samples |x| ..., elements(f32) |x| ..., or with an `impl` tiles, gather, elements(f32)");
    };

    (@element $Kernel:ident [$($field:ident)*] $T:ty, |$x:ident| $result:expr) => {
        impl $crate::ElementKernel<$T> for $Kernel {
            type Out = $T;

            #[inline(always)]
            #[allow(unused_variables, trivial_numeric_casts, clippy::unnecessary_cast)]
            fn apply(&self, $x: $T) -> $T {
                $(let $field = self.$field as $T;)*
                $result
            }
        }
    };

    (
        @register elements $Kernel:ident [$($field:ident $kind:ident)*] [$($names:tt)*] [$($parameters:tt)*]
        ($($T:ty),+ $(,)?) $($body:tt)*
    ) => {
        $crate::register_kernel! {
            $($names)*
            types: &[$(<$T as $crate::Element>::TYPE),+],
            $($parameters)*
            build: |arguments| {
                let kernel = $Kernel { $($field: arguments.number(stringify!($field))?),* };
                match arguments.element() {
                    $(<$T as $crate::Element>::TYPE => Ok($crate::ElementStep::of::<$T, _>(kernel)),)+
                    #[allow(unreachable_patterns)] // for a kernel of all types
                    _ => Err(arguments.no_such_element()),
                }
            },
        }
    };
    (
        @register gather $Kernel:ident [$($field:ident $kind:ident)*] [$($names:tt)*] [$($parameters:tt)*]
    ) => {
        $crate::register_kernel! {
            $($names)*
            $($parameters)*
            build: |arguments| {
                Ok(vec![arguments.gather($Kernel { $($field: arguments.$kind(stringify!($field))?),* })])
            },
        }
    };
    (
        @register $how:ident $Kernel:ident [$($field:ident $kind:ident)*] [$($names:tt)*] [$($parameters:tt)*]
        $($body:tt)*
    ) => {
        $crate::register_kernel! {
            $($names)*
            $($parameters)*
            build: |arguments| {
                Ok(vec![arguments.step($Kernel { $($field: arguments.$kind(stringify!($field))?),* })])
            },
        }
    };
}
