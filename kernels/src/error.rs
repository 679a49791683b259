//! Why a kernel, a chain or a plan was refused.

use crate::{ElementType, Rect, SampleType};

/// A kernel refused its arguments. Every message names the thing, what was found and what was wanted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice does not hold as many samples as its shape says.
    #[error("{what}: found {found} samples, wanted {wanted}")]
    Samples {
        /// `"source"` or `"output"`.
        what: &'static str,
        /// Samples in the slice.
        found: usize,
        /// Samples in the shape.
        wanted: usize,
    },
    /// A byte slice does not start where its samples may start.
    #[error("{what}: starts at an address that is not aligned for {sample} samples")]
    Alignment {
        /// `"source"` or `"output"`.
        what: &'static str,
        /// What the bytes should hold.
        sample: SampleType,
    },
    /// The kernel does not take images with this number of channels.
    #[error("{kernel}: found {found} channels, wanted {wanted}")]
    Channels {
        /// The kernel's name.
        kernel: &'static str,
        /// Channels of the image that reaches the kernel.
        found: usize,
        /// What it takes, in words.
        wanted: &'static str,
    },
    /// The image, or what a kernel makes of it, has more bytes than an address can count.
    #[error("image of {} x {} pixels with {} channels: more bytes than memory can hold", .shape[0], .shape[1], .shape[2])]
    TooLarge {
        /// Height, width, channels.
        shape: [usize; 3],
    },
    /// Tiles must have at least one row and one column.
    #[error("tile: found {} x {} pixels, wanted at least 1 x 1", .found[0], .found[1])]
    EmptyTile {
        /// Height and width.
        found: [usize; 2],
    },
    /// A plan needs a step; an empty [`Chain`](crate::Chain) has one that copies.
    #[error("plan: found no steps, wanted at least one")]
    NoSteps,
    /// A step that reads beyond the opposite edge of an image that is never whole in memory.
    #[error("{kernel}: border wrap in the middle of a pass: split the steps with `passes`")]
    WrapInside {
        /// The kernel's name.
        kernel: &'static str,
    },
    /// A step that reads its source anywhere, beside others.
    #[error(
        "{kernel}: gathers from its whole input, but is not alone in its pass: split the steps with `passes`"
    )]
    GatherInside {
        /// The kernel's name.
        kernel: &'static str,
    },
    /// A step that is not known yet, since nobody has measured its source.
    #[error(
        "{kernel}: has to see its whole input first: run its measurement and put in what `resolved` gives"
    )]
    Unresolved {
        /// The kernel's name.
        kernel: &'static str,
    },
    /// A kernel would have to make pixels of an image that has none.
    #[error("{kernel}: found an image of {} x {} pixels, wanted at least 1 x 1", .found[0], .found[1])]
    NoPixels {
        /// The kernel's name.
        kernel: &'static str,
        /// Height and width of the image.
        found: [usize; 2],
    },
    /// A rectangle is not a part of the image.
    #[error("{kernel}: found height {} and width {} at row {}, column {}, wanted a part of height {} and width {}",
        .found.height, .found.width, .found.y, .found.x, .wanted[0], .wanted[1])]
    Outside {
        /// The kernel's name.
        kernel: &'static str,
        /// The rectangle.
        found: Rect,
        /// Height and width of the image.
        wanted: [usize; 2],
    },
    /// The halo of a kernel is beyond [`HALO_MAX`](crate::HALO_MAX).
    #[error("{kernel}: found a halo of {found} pixels, wanted at most {}", crate::HALO_MAX)]
    Halo {
        /// The kernel's name.
        kernel: &'static str,
        /// What it asked for.
        found: usize,
    },
    /// A step cannot read what the step before it makes.
    #[error("{kernel}: found {found} samples from the step before, wanted {wanted}")]
    StepInput {
        /// The name of the step that reads.
        kernel: &'static str,
        /// What the step before makes.
        found: SampleType,
        /// What the step reads.
        wanted: SampleType,
    },
    /// The kernel is not for images of such samples.
    #[error("{kernel}: found {found} samples, wanted {wanted}")]
    Sample {
        /// The kernel's name.
        kernel: &'static str,
        /// Samples of the image.
        found: SampleType,
        /// What it takes, in words.
        wanted: &'static str,
    },
    /// The parameters of a step do not have the kernel's size.
    #[error("{kernel}: found {found} parameter bytes, wanted {wanted}")]
    ParameterBytes {
        /// The kernel's name.
        kernel: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes of the kernel.
        wanted: usize,
    },
    /// A parameter is out of its range.
    #[error("{kernel}: parameter {parameter}: found {found}, wanted {wanted}")]
    Parameter {
        /// The kernel's name.
        kernel: &'static str,
        /// The parameter's name.
        parameter: &'static str,
        /// The value, as it was written.
        found: String,
        /// The range, in words.
        wanted: String,
    },
    /// No CPU level has this name.
    #[error("level: found {found:?}, wanted baseline, avx2 or avx512")]
    UnknownLevel {
        /// The name that was looked up.
        found: String,
    },
    /// A word names no kernel that is linked into the program.
    #[error("step {word:?}: no kernel is called {name:?}{}; there are {}", hint(*.nearest), .known)]
    UnknownKernel {
        /// The whole word.
        word: String,
        /// The part that should be a name.
        name: String,
        /// A name that is spelt nearly so.
        nearest: Option<&'static str>,
        /// The names that there are. Here as text: a message that asked the table would link every kernel into every
        /// program.
        known: String,
    },
    /// Two kernels go by one name.
    #[error("kernel {name:?}: there are two, of {first} and of {second}, wanted one")]
    DuplicateKernel {
        /// The name that both have.
        name: String,
        /// `"the stock"`, or file and line of the registration.
        first: &'static str,
        /// File and line of the registration.
        second: &'static str,
    },
    /// A word names no kernel of numbers that is linked into the program.
    #[error("kernel {word:?}: no kernel is called {name:?}{}; there are {}", hint(*.nearest), .known)]
    UnknownElementKernel {
        /// The whole word.
        word: String,
        /// The part that should be a name.
        name: String,
        /// A name that is spelt nearly so.
        nearest: Option<&'static str>,
        /// The names that there are. Here as text: a message that asked the table would link every kernel into every
        /// program.
        known: String,
    },
    /// A kernel does not take, or does not make, elements of this type.
    #[error("{kernel}: found {what} elements of type {found}, wanted {wanted}")]
    ElementType {
        /// The kernel's name.
        kernel: &'static str,
        /// `"source"` or `"output"`.
        what: &'static str,
        /// The type that they have.
        found: ElementType,
        /// The types that the kernel is for.
        wanted: String,
    },
    /// A word gives a parameter that its kernel does not have.
    #[error("step {word:?}: found parameter {name:?}, wanted {}", one_of(.known))]
    UnknownParameter {
        /// The whole word.
        word: String,
        /// What stands before the `=`.
        name: String,
        /// The kernel's parameters.
        known: Vec<&'static str>,
    },
    /// A word gives a parameter more than once.
    #[error("step {word:?}: parameter {parameter} is there more than once")]
    RepeatedParameter {
        /// The whole word.
        word: String,
        /// The parameter's name.
        parameter: &'static str,
    },
    /// What should be a parameter has no value.
    #[error("step {word:?}: found {found:?}, wanted PARAMETER=VALUE")]
    NoValue {
        /// The whole word.
        word: String,
        /// The part without an `=`.
        found: String,
    },
    /// A parameter's value is no such value, or out of range.
    #[error("step {word:?}: parameter {parameter}: found {found:?}, wanted {wanted}")]
    Value {
        /// The whole word.
        word: String,
        /// The parameter's name.
        parameter: &'static str,
        /// What stands after the `=`.
        found: String,
        /// The range, in words.
        wanted: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn one_of(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(" or ") }
}
