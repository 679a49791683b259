//! The stock image kernels by name: the table behind help texts, and the parser that uses it.

use crate::{Border, Chain, Gaussian, Gray, Identity, KernelError, SIGMA_MAX, Sobel, Step};

/// A stock image kernel as the command line sees it.
pub struct Stock {
    /// What a word starts with.
    pub name: &'static str,
    /// Other names of the same kernel.
    pub aliases: &'static [&'static str],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What may follow the name.
    pub parameters: &'static [Parameter],
    build: fn(&Arguments<'_>) -> Result<Step, KernelError>,
}

/// A parameter of a stock kernel.
pub struct Parameter {
    /// What stands before the `=`.
    pub name: &'static str,
    /// What it means, in one line.
    pub summary: &'static str,
    /// The values that it may have.
    pub values: Values,
    /// The value where none is given, as it would be written.
    pub default: &'static str,
}

/// The values that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// A number above the first, up to the second.
    Number {
        /// Not in the range.
        above: f32,
        /// In the range.
        up_to: f32,
    },
    /// The name of a [`Border`], or a number from 0 to 255 that every sample beyond the edge then has.
    Border,
}

impl Values {
    /// The range in words, for help texts and errors.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Values::Number { above, up_to } => format!("a number above {above}, up to {up_to}"),
            Values::Border => {
                let names = Border::NAMED.map(|(name, _)| name).join(", ");
                format!("{names} or a number from 0 to 255")
            }
        }
    }
}

const BORDER: Parameter = Parameter {
    name: "border",
    summary: "what lies beyond the edge of the image",
    values: Values::Border,
    default: "reflect101",
};

/// Every stock image kernel.
pub static STOCK: [Stock; 4] = [
    Stock {
        name: "gray",
        aliases: &["grey", "grayscale"],
        summary: "colour to gray with the weights of BT.601",
        parameters: &[],
        build: |_| Ok(Step::of::<u8, _>(Gray)),
    },
    Stock {
        name: "gaussian",
        aliases: &["blur"],
        summary: "gaussian blur of every channel",
        parameters: &[
            Parameter {
                name: "sigma",
                summary: "standard deviation in pixels",
                values: Values::Number { above: 0.0, up_to: SIGMA_MAX },
                default: "1",
            },
            BORDER,
        ],
        build: |arguments| {
            let filter = Gaussian::new(arguments.number("sigma")?);
            Ok(Step::of::<u8, _>(filter.border(arguments.border()?)))
        },
    },
    Stock {
        name: "sobel",
        aliases: &["edges"],
        summary: "strength of edges, the length of the Sobel gradient",
        parameters: &[BORDER],
        build: |arguments| Ok(Step::of::<u8, _>(Sobel::new(arguments.border()?))),
    },
    Stock {
        name: "copy",
        aliases: &[],
        summary: "the image as it is",
        parameters: &[],
        build: |_| Ok(Step::of::<u8, _>(Identity)),
    },
];

/// The chain that `words` spell, each `KERNEL` or `KERNEL:PARAMETER=VALUE,PARAMETER=VALUE`; no words copy.
///
/// ```
/// use shmpool_kernels::{Chain, Gaussian, Gray, KernelError, Sobel, parse_chain};
///
/// let spelt = parse_chain(&["gray", "blur:sigma=2", "sobel"])?;
/// let typed = Chain::<u8, u8>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
/// assert_eq!(spelt.steps(), typed.steps());
///
/// let error = parse_chain(&["blr:sigma=2"]).unwrap_err();
/// assert!(error.to_string().starts_with(r#"step "blr:sigma=2": no kernel is called "blr" (did you mean blur?)"#));
/// # Ok::<(), KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::UnknownKernel`], [`UnknownParameter`](KernelError::UnknownParameter),
/// [`RepeatedParameter`](KernelError::RepeatedParameter), [`NoValue`](KernelError::NoValue) and
/// [`Value`](KernelError::Value); each names the word it is about.
pub fn parse_chain<W: AsRef<str>>(words: &[W]) -> Result<Chain<u8, u8>, KernelError> {
    if words.is_empty() {
        return Ok(Chain::new());
    }
    let steps: Result<Vec<Step>, KernelError> = words.iter().map(|word| parse_step(word.as_ref())).collect();
    // Every stock kernel is built for `u8` samples and makes them.
    Ok(Chain::from_steps(steps?))
}

/// The arguments of one word: names that the kernel has, each at most once, values not looked at yet.
struct Arguments<'w> {
    word: &'w str,
    stock: &'static Stock,
    given: Vec<(&'static Parameter, &'w str)>,
}

impl Arguments<'_> {
    fn number(&self, name: &'static str) -> Result<f32, KernelError> {
        let (parameter, found) = self.value(name);
        let Values::Number { above, up_to } = parameter.values else {
            return Err(self.refused(parameter, found));
        };
        let number = found.parse().ok().filter(|number| above < *number && *number <= up_to);
        number.ok_or_else(|| self.refused(parameter, found))
    }

    fn border(&self) -> Result<Border, KernelError> {
        let (parameter, found) = self.value(BORDER.name);
        if let Some((_, border)) = Border::NAMED.into_iter().find(|(name, _)| *name == found) {
            return Ok(border);
        }
        let value = found.parse().ok().filter(|value| (0.0..=255.0).contains(value));
        value.map(Border::Constant).ok_or_else(|| self.refused(parameter, found))
    }

    /// The parameter of that name, and what was given for it or else its default.
    fn value(&self, name: &'static str) -> (&'static Parameter, &str) {
        match self.given.iter().find(|(parameter, _)| parameter.name == name) {
            Some(&(parameter, found)) => (parameter, found),
            None => {
                let parameter = self.stock.parameters.iter().find(|parameter| parameter.name == name);
                let parameter = parameter.unwrap_or_else(|| panic!("{} has no {name}", self.stock.name));
                (parameter, parameter.default)
            }
        }
    }

    fn refused(&self, parameter: &Parameter, found: &str) -> KernelError {
        KernelError::Value {
            word: self.word.to_owned(),
            parameter: parameter.name,
            found: found.to_owned(),
            wanted: parameter.values.describe(),
        }
    }
}

fn parse_step(word: &str) -> Result<Step, KernelError> {
    let (name, rest) = word.split_once(':').unwrap_or((word, ""));
    let stock = find(word, name)?;
    let mut given = Vec::new();
    for argument in rest.split(',').filter(|argument| !argument.is_empty()) {
        let (parameter, value) = parse_argument(word, stock, argument)?;
        if given.iter().any(|(earlier, _): &(&Parameter, &str)| earlier.name == parameter.name) {
            return Err(KernelError::RepeatedParameter { word: word.to_owned(), parameter: parameter.name });
        }
        given.push((parameter, value));
    }
    (stock.build)(&Arguments { word, stock, given })
}

fn find(word: &str, name: &str) -> Result<&'static Stock, KernelError> {
    let called = |stock: &&Stock| stock.name == name || stock.aliases.contains(&name);
    STOCK.iter().find(called).ok_or_else(|| KernelError::UnknownKernel {
        word: word.to_owned(),
        name: name.to_owned(),
        nearest: nearest(name),
    })
}

fn parse_argument<'w>(
    word: &str,
    stock: &'static Stock,
    argument: &'w str,
) -> Result<(&'static Parameter, &'w str), KernelError> {
    let Some((name, value)) = argument.split_once('=') else {
        return Err(KernelError::NoValue { word: word.to_owned(), found: argument.to_owned() });
    };
    let parameter = stock.parameters.iter().find(|parameter| parameter.name == name);
    let parameter = parameter.ok_or_else(|| KernelError::UnknownParameter {
        word: word.to_owned(),
        name: name.to_owned(),
        known: stock.parameters.iter().map(|parameter| parameter.name).collect(),
    })?;
    Ok((parameter, value))
}

/// The name that was most likely meant, if one is at most two letters away and shares at least one.
fn nearest(name: &str) -> Option<&'static str> {
    let names =
        STOCK.iter().flat_map(|stock| std::iter::once(stock.name).chain(stock.aliases.iter().copied()));
    let far = |known: &&str| edits(name, known);
    names.min_by_key(far).filter(|known| edits(name, known) <= 2.min(known.len() - 1))
}

/// Letters to insert, delete or change between two words (Levenshtein's distance, one row at a time).
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The kernels' names with their aliases, for error texts.
pub(crate) fn known_kernels() -> String {
    let names = STOCK.iter().map(|stock| match stock.aliases {
        [] => stock.name.to_owned(),
        aliases => format!("{} ({})", stock.name, aliases.join(", ")),
    });
    names.collect::<Vec<_>>().join(", ")
}
