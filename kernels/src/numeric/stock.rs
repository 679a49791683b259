//! The element kernels by name: the table behind help texts, and the parser that uses it.

use super::{
    arithmetic::{Abs, Axpb, Clip},
    dtype::ElementType,
    functions::{Cos, Erf, Exp, Ln, Pow, Reciprocal, Sin, Sqrt, Tanh},
    step::ElementStep,
};
use crate::{
    AnyStock, KernelError, Parameter, Values,
    stock::{Row, Word},
};

/// An element kernel as the command line sees it.
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
    pub parameters: &'static [Parameter],
    /// The step, from and to elements of the type of the arguments.
    pub build: fn(&ElementArguments<'_>) -> Result<ElementStep, KernelError>,
}

const FLOATS: &[ElementType] = &[ElementType::F32, ElementType::F64];

/// The step of a kernel for the type that is asked for, which must be one of these.
macro_rules! step {
    ($arguments:expr, $kernel:expr, $($name:ident: $element:ty),*) => {
        match $arguments.element {
            $(ElementType::$name => Ok(ElementStep::of::<$element, _>($kernel)),)*
            #[allow(unreachable_patterns)]
            _ => Err($arguments.no_such_element()),
        }
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
        parameters: &[Parameter {
            name: "exponent",
            summary: "the power",
            default: "2",
            values: Values::Any,
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
            Parameter { name: "low", summary: "least result", default: "-inf", values: Values::Any },
            Parameter {
                name: "high",
                summary: "greatest result, not below low",
                default: "inf",
                values: Values::Any,
            },
        ],
        build: |arguments| {
            let kernel = Clip { low: arguments.number("low")?, high: arguments.number("high")? };
            if kernel.low > kernel.high {
                return Err(arguments.refuse("high", &format!("a number from {} on", kernel.low)));
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
            Parameter { name: "a", summary: "factor", default: "1", values: Values::Element },
            Parameter { name: "b", summary: "summand", default: "0", values: Values::Element },
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
/// [`RepeatedParameter`](KernelError::RepeatedParameter), [`NoValue`](KernelError::NoValue),
/// [`DuplicateKernel`](KernelError::DuplicateKernel) and
/// [`Value`](KernelError::Value), which name the word; [`ElementType`](KernelError::ElementType) if the kernel is not
/// for such elements.
pub fn parse_element_step(word: &str, element: ElementType) -> Result<ElementStep, KernelError> {
    let word = Word::parse(word)?;
    let stock: &ElementStock = word.row;
    let arguments = ElementArguments { word, element };
    let step = (stock.build)(&arguments)?;
    // A kernel of another crate may build what it likes.
    match [("source", step.input()), ("output", step.output())]
        .into_iter()
        .find(|(_, found)| *found != element)
    {
        None => Ok(step),
        Some((what, found)) => {
            let wanted = format!("{element} as the array has");
            Err(KernelError::ElementType { kernel: stock.name, what, found, wanted })
        }
    }
}

/// The arguments of one word for arrays of numbers: names that the kernel has, each at most once, values not looked at yet.
pub struct ElementArguments<'w> {
    word: Word<'w, ElementStock>,
    element: ElementType,
}

impl ElementArguments<'_> {
    /// The type of elements that the step is for.
    #[must_use]
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// The number that was given for a parameter, or its default.
    ///
    /// # Errors
    /// [`KernelError::Value`] if it is no such number, or out of range.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name, or if it is none that can be a number.
    pub fn number(&self, name: &'static str) -> Result<f64, KernelError> {
        let (parameter, found) = self.word.value(name);
        let is_whole = |number: f64| number.trunc() == number;
        let fits = |&number: &f64| match parameter.values {
            Values::Any => !number.is_nan(),
            Values::Element => match self.element.integers() {
                Some([first, last]) => is_whole(number) && (first..=last).contains(&number),
                None => !number.is_nan(),
            },
            Values::Number { above, up_to } => f64::from(above) < number && number <= f64::from(up_to),
            Values::Range { from, to } | Values::Level { from, to } => {
                (f64::from(from)..=f64::from(to)).contains(&number)
            }
            Values::Whole { from, to } => {
                is_whole(number) && (f64::from(from)..=f64::from(to)).contains(&number)
            }
            Values::Numbers { .. } | Values::Filter | Values::Border => panic!("{name} is no number"),
        };
        let number = found.parse().ok().filter(fits);
        number.ok_or_else(|| self.refuse(name, &self.describe(parameter)))
    }

    /// [`KernelError::Value`] about the parameter of that name, for what only the kernel can tell.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name.
    #[must_use]
    pub fn refuse(&self, name: &'static str, wanted: &str) -> KernelError {
        let (parameter, found) = self.word.value(name);
        self.word.refused(parameter, found, wanted.to_owned())
    }

    /// For a kernel that is not for elements of the array's type.
    #[must_use]
    pub fn no_such_element(&self) -> KernelError {
        let types = self.word.row.types.iter().map(ElementType::to_string).collect::<Vec<_>>();
        let (kernel, wanted) = (self.word.row.name, types.join(" or "));
        KernelError::ElementType { kernel, what: "source", found: self.element, wanted }
    }

    fn describe(&self, parameter: &Parameter) -> String {
        match (parameter.values, self.element.integers()) {
            (Values::Element, Some([first, last])) => format!("a whole number from {first} to {last}"),
            (Values::Element, None) => Values::Any.describe(),
            (values, _) => values.describe(),
        }
    }
}

impl Row for ElementStock {
    fn stock() -> &'static [ElementStock] {
        &ELEMENT_STOCK
    }

    fn registered(kernel: &'static AnyStock) -> Option<&'static ElementStock> {
        match kernel {
            AnyStock::Element(stock) => Some(stock),
            AnyStock::Image(_) => None,
        }
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    fn unknown(word: String, name: String, nearest: Option<&'static str>, known: String) -> KernelError {
        KernelError::UnknownElementKernel { word, name, nearest, known }
    }
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
