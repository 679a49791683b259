//! The element kernels by name: the table behind help texts, and the parser that uses it.

use super::{
    arithmetic::{Abs, Axpb, Clip},
    dtype::ElementType,
    functions::{Cos, Erf, Exp, Ln, Pow, Reciprocal, Sin, Sqrt, Tanh},
    step::ElementStep,
};
use crate::{KernelError, stock::edits};

/// A stock element kernel as the command line sees it.
pub struct ElementStock {
    /// What a word starts with.
    pub name: &'static str,
    /// Other names of the same kernel.
    pub aliases: &'static [&'static str],
    /// What it does, in one line.
    pub summary: &'static str,
    /// The types of elements that it takes. It makes elements of the same type.
    pub types: &'static [ElementType],
    /// What may follow the name.
    pub parameters: &'static [ElementParameter],
    build: fn(&Arguments<'_>) -> Result<Option<ElementStep>, KernelError>,
}

/// A parameter of a stock element kernel: a number.
pub struct ElementParameter {
    /// What stands before the `=`.
    pub name: &'static str,
    /// What it means, in one line.
    pub summary: &'static str,
    /// The value where none is given, as it would be written.
    pub default: &'static str,
    /// For integer elements it must be a whole number of their range.
    pub whole: bool,
}

impl ElementParameter {
    /// The range for elements of a type, in words, for help texts and errors.
    #[must_use]
    pub fn describe(&self, element: ElementType) -> String {
        match element.integers() {
            Some([first, last]) if self.whole => format!("a whole number from {first} to {last}"),
            _ => "a number".to_owned(),
        }
    }
}

const FLOATS: &[ElementType] = &[ElementType::F32, ElementType::F64];

/// The step of a kernel for the type that is asked for, if it is one of these.
macro_rules! step {
    ($arguments:expr, $kernel:expr, $($name:ident: $element:ty),*) => {
        Ok(match $arguments.element {
            $(ElementType::$name => Some(ElementStep::of::<$element, _>($kernel)),)*
            #[allow(unreachable_patterns)]
            _ => None,
        })
    };
}

/// A kernel without parameters for floats.
macro_rules! function {
    ($name:literal, $aliases:expr, $summary:literal, $kernel:expr) => {
        ElementStock {
            name: $name,
            aliases: $aliases,
            summary: $summary,
            types: FLOATS,
            parameters: &[],
            build: |arguments| step!(arguments, $kernel, F32: f32, F64: f64),
        }
    };
}

/// Every stock element kernel.
pub static ELEMENT_STOCK: [ElementStock; 12] = [
    function!("exp", &[], "e to the power of the element", Exp),
    function!("ln", &["log"], "natural logarithm", Ln),
    function!("sin", &[], "sine of radians", Sin),
    function!("cos", &[], "cosine of radians", Cos),
    function!("tanh", &[], "hyperbolic tangent", Tanh),
    function!("erf", &[], "error function", Erf),
    function!("sqrt", &[], "square root", Sqrt),
    function!("reciprocal", &[], "1 divided by the element", Reciprocal),
    ElementStock {
        name: "pow",
        aliases: &["power"],
        summary: "the element to a power",
        types: FLOATS,
        parameters: &[ElementParameter {
            name: "exponent",
            summary: "the power",
            default: "2",
            whole: false,
        }],
        build: |arguments| {
            let kernel = Pow { exponent: arguments.number("exponent")? };
            step!(arguments, kernel, F32: f32, F64: f64)
        },
    },
    ElementStock {
        name: "abs",
        aliases: &["absolute"],
        summary: "magnitude; that of the least integer wraps around to itself",
        types: &ElementType::ALL,
        parameters: &[],
        build: |arguments| step!(arguments, Abs, F32: f32, F64: f64, I32: i32, I64: i64, U8: u8),
    },
    ElementStock {
        name: "clip",
        aliases: &["clamp"],
        summary: "the element, cut to a range",
        types: &ElementType::ALL,
        parameters: &[
            ElementParameter { name: "low", summary: "least result", default: "-inf", whole: false },
            ElementParameter {
                name: "high",
                summary: "greatest result, not below low",
                default: "inf",
                whole: false,
            },
        ],
        build: |arguments| {
            let kernel = Clip { low: arguments.number("low")?, high: arguments.number("high")? };
            if kernel.low > kernel.high {
                return Err(arguments.refused("high", format!("a number from {} on", kernel.low)));
            }
            step!(arguments, kernel, F32: f32, F64: f64, I32: i32, I64: i64, U8: u8)
        },
    },
    ElementStock {
        name: "axpb",
        aliases: &["scale"],
        summary: "a times the element plus b; integers wrap around",
        types: &ElementType::ALL,
        parameters: &[
            ElementParameter { name: "a", summary: "factor", default: "1", whole: true },
            ElementParameter { name: "b", summary: "summand", default: "0", whole: true },
        ],
        build: |arguments| {
            let kernel = Axpb { a: arguments.number("a")?, b: arguments.number("b")? };
            step!(arguments, kernel, F32: f32, F64: f64, I32: i32, I64: i64, U8: u8)
        },
    },
];

/// The step that `word` spells, `KERNEL` or `KERNEL:PARAMETER=VALUE,PARAMETER=VALUE`, for elements of a type.
///
/// ```
/// use shmpool_kernels::{ElementType, KernelError, Level, parse_element_step};
///
/// let step = parse_element_step("axpb:a=2,b=1", ElementType::I32)?;
/// let mut out = [0; 3];
/// step.run(&[1, 2, 3], &mut out, Level::detect())?;
/// assert_eq!(out, [3, 5, 7]);
///
/// let error = parse_element_step("axpb:a=0.5", ElementType::U8).unwrap_err();
/// assert_eq!(error.to_string(), r#"step "axpb:a=0.5": parameter a: found "0.5", wanted a whole number from 0 to 255"#);
/// let error = parse_element_step("exp", ElementType::U8).unwrap_err();
/// assert_eq!(error.to_string(), "exp: found source elements of type u8, wanted f32 or f64");
/// # Ok::<(), KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::UnknownElementKernel`], [`UnknownParameter`](KernelError::UnknownParameter),
/// [`RepeatedParameter`](KernelError::RepeatedParameter), [`NoValue`](KernelError::NoValue) and
/// [`Value`](KernelError::Value), which name the word; [`ElementType`](KernelError::ElementType) if the kernel is not
/// for such elements.
pub fn parse_element_step(word: &str, element: ElementType) -> Result<ElementStep, KernelError> {
    let (name, rest) = word.split_once(':').unwrap_or((word, ""));
    let stock = find(word, name)?;
    let mut given = Vec::new();
    for argument in rest.split(',').filter(|argument| !argument.is_empty()) {
        let (parameter, value) = parse_argument(word, stock, argument)?;
        if given.iter().any(|(earlier, _): &(&ElementParameter, &str)| earlier.name == parameter.name) {
            return Err(KernelError::RepeatedParameter { word: word.to_owned(), parameter: parameter.name });
        }
        given.push((parameter, value));
    }
    let step = (stock.build)(&Arguments { word, stock, element, given })?;
    step.ok_or_else(|| {
        let types = stock.types.iter().map(ElementType::to_string).collect::<Vec<_>>();
        KernelError::ElementType {
            kernel: stock.name,
            what: "source",
            found: element,
            wanted: types.join(" or "),
        }
    })
}

/// The arguments of one word: names that the kernel has, each at most once, values not looked at yet.
struct Arguments<'w> {
    word: &'w str,
    stock: &'static ElementStock,
    element: ElementType,
    given: Vec<(&'static ElementParameter, &'w str)>,
}

impl Arguments<'_> {
    fn number(&self, name: &'static str) -> Result<f64, KernelError> {
        let (parameter, found) = self.value(name);
        let fits = |number: &f64| match self.element.integers() {
            Some([first, last]) if parameter.whole => {
                number.trunc() == *number && (first..=last).contains(number)
            }
            _ => !number.is_nan(),
        };
        let number = found.parse().ok().filter(fits);
        number.ok_or_else(|| self.refused(name, parameter.describe(self.element)))
    }

    /// The parameter of that name, and what was given for it or else its default.
    fn value(&self, name: &'static str) -> (&'static ElementParameter, &str) {
        if let Some(&(parameter, found)) = self.given.iter().find(|(parameter, _)| parameter.name == name) {
            return (parameter, found);
        }
        let parameter = self.stock.parameters.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.unwrap_or_else(|| panic!("{} has no {name}", self.stock.name));
        (parameter, parameter.default)
    }

    fn refused(&self, name: &'static str, wanted: String) -> KernelError {
        let (parameter, found) = self.value(name);
        let (word, found) = (self.word.to_owned(), found.to_owned());
        KernelError::Value { word, parameter: parameter.name, found, wanted }
    }
}

fn find(word: &str, name: &str) -> Result<&'static ElementStock, KernelError> {
    let called = |stock: &&ElementStock| stock.name == name || stock.aliases.contains(&name);
    ELEMENT_STOCK.iter().find(called).ok_or_else(|| KernelError::UnknownElementKernel {
        word: word.to_owned(),
        name: name.to_owned(),
        nearest: nearest(name),
        known: known_kernels(),
    })
}

fn parse_argument<'w>(
    word: &str,
    stock: &'static ElementStock,
    argument: &'w str,
) -> Result<(&'static ElementParameter, &'w str), KernelError> {
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
    let names = ELEMENT_STOCK
        .iter()
        .flat_map(|stock| std::iter::once(stock.name).chain(stock.aliases.iter().copied()));
    let close = names.min_by_key(|known| edits(name, known));
    close.filter(|known| edits(name, known) <= 2.min(known.len() - 1))
}

/// The kernels' names with their aliases, for error texts.
fn known_kernels() -> String {
    let names = ELEMENT_STOCK.iter().map(|stock| match stock.aliases {
        [] => stock.name.to_owned(),
        aliases => format!("{} ({})", stock.name, aliases.join(", ")),
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_built_for_the_types_that_it_names_and_no_others() {
        for stock in &ELEMENT_STOCK {
            for element in ElementType::ALL {
                let step = parse_element_step(stock.name, element);
                assert_eq!(step.is_ok(), stock.types.contains(&element), "{} {element}", stock.name);
                if let Ok(step) = step {
                    assert_eq!((step.input(), step.output()), (element, element), "{}", stock.name);
                }
            }
        }
    }
}
