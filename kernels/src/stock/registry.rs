//! Image kernels of other crates by name: whatever is linked into the program is found by its word.

use linkme::distributed_slice;

use super::{STOCK, Stock};

/// A kernel that [`register_kernel!`](crate::register_kernel) has put beside the stock ones.
pub struct Registered {
    /// The kernel, as the stock ones are described.
    pub kernel: Stock,
    /// File and line of its registration.
    pub place: &'static str,
}

/// What the linker has found, in no order that can be relied on.
#[distributed_slice]
pub static REGISTERED: [Registered];

/// Every image kernel that a word can name: the stock ones, then the registered ones by name.
pub fn image_kernels() -> impl Iterator<Item = &'static Stock> {
    let mut registered: Vec<&Stock> = REGISTERED.iter().map(|registered| &registered.kernel).collect();
    registered.sort_by_key(|kernel| kernel.name);
    STOCK.iter().chain(registered)
}

/// The kernels that go by that name, each with where it is from: more than one is a mistake.
pub(super) fn called(name: &str) -> impl Iterator<Item = (&'static Stock, &'static str)> {
    let stock = STOCK.iter().map(|stock| (stock, "the stock"));
    let all = stock.chain(REGISTERED.iter().map(|registered| (&registered.kernel, registered.place)));
    all.filter(move |(kernel, _)| kernel.name == name || kernel.aliases.contains(&name))
}

/// Makes an image kernel known to [`parse_chain`](crate::parse_chain) under a name, in every program that it is linked into.
///
/// * `name`, `summary`: as [`Stock`] has them
/// * `parameters`: a list of [`Parameter`](crate::Parameter)s
/// * `build`: a function from [`Arguments`](crate::Arguments) to the steps that the word stands for, of the sample type of
///   the arguments
///
/// A name that is taken is an error when a word uses it, [`KernelError::DuplicateKernel`](crate::KernelError::DuplicateKernel).
///
/// ```
/// use shmpool_kernels::{Invert, parse_chain, register_kernel};
///
/// register_kernel! {
///     name: "photonegative",
///     summary: "bright becomes dark",
///     parameters: [],
///     build: |arguments| Ok(vec![arguments.step(Invert)]),
/// }
///
/// assert_eq!(parse_chain::<u8>(&["photonegative"])?.steps(), parse_chain::<u8>(&["invert"])?.steps());
/// # Ok::<(), shmpool_kernels::KernelError>(())
/// ```
#[macro_export]
macro_rules! register_kernel {
    (name: $name:expr, summary: $summary:expr, parameters: [$($parameter:expr),* $(,)?], build: $build:expr $(,)?) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::REGISTERED)]
            #[linkme(crate = $crate::linkme)]
            static REGISTRATION: $crate::Registered = $crate::Registered {
                kernel: $crate::Stock {
                    name: $name,
                    aliases: &[],
                    summary: $summary,
                    parameters: &[$($parameter),*],
                    build: $build,
                },
                place: concat!(file!(), ":", line!()),
            };
        };
    };
}
