//! The stock image kernels by name: the table behind help texts, and the parser that uses it.
//!
//! A level in a word (a threshold, an offset, the constant of a border) is given on the scale 0 to 255, whatever
//! samples the image has, and stands for the same brightness in all of them: 255 is 65535 in `u16` and 1.0 in `f32`.

mod registry;
mod table;
mod words;

pub use registry::{AnyStock, REGISTERED, Registered, element_kernels, image_kernels, trimmed};
pub use table::STOCK;
pub(crate) use words::{Row, Word};

use crate::{Border, Chain, Filter, GatherKernel, KernelError, Sample, SampleType, Step, TileKernel};

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
    /// The steps that the word stands for, for the sample type of the arguments.
    pub build: fn(&Arguments<'_>) -> Result<Vec<Step>, KernelError>,
}

/// A parameter of a kernel that a word can name.
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
    /// A number, finite or not.
    Any,
    /// Of element kernels: for integers a whole number that they can be, else a number, finite or not.
    Element,
    /// A number above the first, up to the second.
    Number {
        /// Not in the range.
        above: f32,
        /// In the range.
        up_to: f32,
    },
    /// A number from the first to the second, both included.
    Range {
        /// In the range.
        from: f32,
        /// In the range.
        to: f32,
    },
    /// A whole number from the first to the second, both included.
    Whole {
        /// In the range.
        from: u32,
        /// In the range.
        to: u32,
    },
    /// A level from the first to the second, on the scale where 0 is black and 255 white.
    Level {
        /// In the range.
        from: f32,
        /// In the range.
        to: f32,
    },
    /// Finite numbers with `/` between them.
    Numbers {
        /// How many, in words.
        how_many: &'static str,
    },
    /// The name of a [`Filter`].
    Filter,
    /// The name of a [`Border`], or a level from 0 to 255 that every sample beyond the edge then has.
    Border,
}

impl Values {
    /// The range in words, for help texts and errors.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Values::Any => "a number".to_owned(),
            Values::Element => "a number; for integers a whole one of their range".to_owned(),
            Values::Number { above, up_to } => format!("a number above {above}, up to {up_to}"),
            Values::Range { from, to } => format!("a number from {from} to {to}"),
            Values::Whole { from, to } => format!("a whole number from {from} to {to}"),
            Values::Level { from, to } => format!("a level from {from} to {to} (255 is white)"),
            Values::Numbers { how_many } => format!("{how_many} with / between them"),
            Values::Filter => Filter::NAMED.map(|(name, _)| name).join(", "),
            Values::Border => {
                let names = Border::NAMED.map(|(name, _)| name).join(", ");
                format!("{names} or a number from 0 to 255")
            }
        }
    }
}

/// The chain that `words` spell, each `KERNEL` or `KERNEL:PARAMETER=VALUE,PARAMETER=VALUE`; no words copy.
///
/// The same words make a chain for any sample type. Levels are given on the scale 0 to 255 for all of them.
///
/// ```
/// use shmpool_kernels::{Chain, Gaussian, Gray, KernelError, Sobel, parse_chain};
///
/// let words = ["gray", "blur:sigma=2", "sobel"];
/// let typed = Chain::<u8, u8>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
/// assert_eq!(parse_chain::<u8>(&words)?.steps(), typed.steps());
/// let typed = Chain::<u16, u16>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
/// assert_eq!(parse_chain::<u16>(&words)?.steps(), typed.steps());
///
/// let error = parse_chain::<u8>(&["blr:sigma=2"]).unwrap_err();
/// assert!(error.to_string().starts_with(r#"step "blr:sigma=2": no kernel is called "blr" (did you mean blur?)"#));
/// # Ok::<(), KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::UnknownKernel`], [`UnknownParameter`](KernelError::UnknownParameter),
/// [`RepeatedParameter`](KernelError::RepeatedParameter), [`NoValue`](KernelError::NoValue),
/// [`DuplicateKernel`](KernelError::DuplicateKernel) and [`Value`](KernelError::Value); each names the word it is about.
pub fn parse_chain<T: Sample>(words: &[impl AsRef<str>]) -> Result<Chain<T, T>, KernelError> {
    if words.is_empty() {
        return Ok(Chain::new());
    }
    let mut steps = Vec::with_capacity(words.len());
    for word in words {
        steps.extend(parse_word(word.as_ref(), T::TYPE)?);
    }
    if steps.is_empty() {
        return Ok(Chain::new()); // registered kernels may come to nothing
    }
    // `parse_word` has seen that every step reads and makes samples of type `T`.
    Ok(Chain::from_steps(steps))
}

/// A kernel for all three sample types: what [`Arguments::step`] takes.
pub trait ForEverySample:
    TileKernel<u8, Out = u8> + TileKernel<u16, Out = u16> + TileKernel<f32, Out = f32>
{
}

impl<K> ForEverySample for K where
    K: TileKernel<u8, Out = u8> + TileKernel<u16, Out = u16> + TileKernel<f32, Out = f32>
{
}

/// A gather kernel for all three sample types: what [`Arguments::gather`] takes.
pub trait GatherForEverySample:
    GatherKernel<u8, Out = u8> + GatherKernel<u16, Out = u16> + GatherKernel<f32, Out = f32>
{
}

impl<K> GatherForEverySample for K where
    K: GatherKernel<u8, Out = u8> + GatherKernel<u16, Out = u16> + GatherKernel<f32, Out = f32>
{
}

/// The arguments of one word: names that the kernel has, each at most once, values not looked at yet.
pub struct Arguments<'w> {
    word: Word<'w, Stock>,
    sample: SampleType,
}

impl Arguments<'_> {
    /// The step that runs `kernel` on the samples that the chain is for.
    pub fn step<K: ForEverySample>(&self, kernel: K) -> Step {
        match self.sample {
            SampleType::U8 => Step::of::<u8, K>(kernel),
            SampleType::U16 => Step::of::<u16, K>(kernel),
            SampleType::F32 => Step::of::<f32, K>(kernel),
        }
    }

    /// As [`step`](Arguments::step), for kernels that change the geometry.
    pub fn gather<K: GatherForEverySample>(&self, kernel: K) -> Step {
        match self.sample {
            SampleType::U8 => Step::gather::<u8, K>(kernel),
            SampleType::U16 => Step::gather::<u16, K>(kernel),
            SampleType::F32 => Step::gather::<f32, K>(kernel),
        }
    }

    /// The sample type that the chain is for.
    #[must_use]
    pub fn sample(&self) -> SampleType {
        self.sample
    }

    /// For a kernel that is not for the samples of the image.
    #[must_use]
    pub fn no_such_sample(&self, wanted: &'static str) -> KernelError {
        KernelError::Sample { kernel: self.word.row.name, found: self.sample, wanted }
    }

    fn filter(&self) -> Result<Filter, KernelError> {
        let (parameter, found) = self.value("filter");
        let named = Filter::NAMED.into_iter().find(|(name, _)| *name == found);
        named.map(|(_, filter)| filter).ok_or_else(|| self.refused(parameter, found))
    }

    /// The number that was given for a parameter, or its default.
    ///
    /// # Errors
    /// [`KernelError::Value`] if it is no such number, or out of range.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name.
    pub fn number(&self, name: &'static str) -> Result<f32, KernelError> {
        let (parameter, found) = self.value(name);
        let number = found.parse().ok().filter(|&number: &f32| match parameter.values {
            Values::Any => !number.is_nan(),
            Values::Number { above, up_to } => above < number && number <= up_to,
            Values::Range { from, to } | Values::Level { from, to } => from <= number && number <= to,
            _ => false,
        });
        number.ok_or_else(|| self.refused(parameter, found))
    }

    /// The whole number that was given for a parameter, or its default.
    ///
    /// # Errors
    /// [`KernelError::Value`] if it is no such number, or out of range.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name.
    pub fn whole(&self, name: &'static str) -> Result<u32, KernelError> {
        let (parameter, found) = self.value(name);
        let Values::Whole { from, to } = parameter.values else {
            return Err(self.refused(parameter, found));
        };
        let number = found.parse().ok().filter(|number| (from..=to).contains(number));
        number.ok_or_else(|| self.refused(parameter, found))
    }

    /// The level that was given for a parameter, or its default, in sample units.
    ///
    /// # Errors
    /// [`KernelError::Value`] if it is no such number, or out of range.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name.
    pub fn level(&self, name: &'static str) -> Result<f32, KernelError> {
        Ok(self.in_samples(self.number(name)?))
    }

    fn numbers(&self, name: &'static str) -> Result<Vec<f32>, KernelError> {
        let (parameter, found) = self.value(name);
        let numbers =
            found.split('/').map(|number| number.parse().ok().filter(|number: &f32| number.is_finite()));
        numbers.collect::<Option<_>>().ok_or_else(|| self.refused(parameter, found))
    }

    fn border(&self) -> Result<Border, KernelError> {
        let (parameter, found) = self.value(table::BORDER.name);
        if let Some((_, border)) = Border::NAMED.into_iter().find(|(name, _)| *name == found) {
            return Ok(border);
        }
        let value = found.parse().ok().filter(|value| (0.0..=255.0).contains(value));
        let constant = value.map(|value| Border::Constant(self.in_samples(value)));
        constant.ok_or_else(|| self.refused(parameter, found))
    }

    /// What a level on the scale 0 to 255 is in the samples of the image.
    fn in_samples(&self, level: f32) -> f32 {
        (f64::from(level) * f64::from(self.sample.white()) / 255.0) as f32
    }

    /// The parameter of that name, and what was given for it or else its default.
    fn value(&self, name: &'static str) -> (&'static Parameter, &str) {
        self.word.value(name)
    }

    /// [`KernelError::Value`] about the parameter of that name, for what only the kernel can tell.
    ///
    /// # Panics
    /// If the kernel has no parameter of that name.
    #[must_use]
    pub fn refuse(&self, name: &'static str) -> KernelError {
        let (parameter, found) = self.value(name);
        self.refused(parameter, found)
    }

    /// As [`refuse`](Arguments::refuse), where the range of the parameter does not say what is wrong.
    fn refuse_for(&self, name: &'static str, wanted: String) -> KernelError {
        let (parameter, found) = self.value(name);
        self.word.refused(parameter, found, wanted)
    }

    fn refused(&self, parameter: &Parameter, found: &str) -> KernelError {
        self.word.refused(parameter, found, parameter.values.describe())
    }
}

fn parse_word(word: &str, sample: SampleType) -> Result<Vec<Step>, KernelError> {
    let word = Word::parse(word)?;
    let stock: &Stock = word.row;
    let steps = (stock.build)(&Arguments { word, sample })?;
    // A kernel of another crate may build what it likes; the chain's types rest on this.
    let other = steps.iter().flat_map(|step| [step.input(), step.output()]).find(|found| *found != sample);
    match other {
        None => Ok(steps),
        Some(found) => Err(KernelError::Sample { kernel: stock.name, found, wanted: "those of the chain" }),
    }
}

impl Row for Stock {
    fn stock() -> &'static [Stock] {
        &STOCK
    }

    fn registered(kernel: &'static AnyStock) -> Option<&'static Stock> {
        match kernel {
            AnyStock::Image(stock) => Some(stock),
            AnyStock::Element(_) => None,
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
        KernelError::UnknownKernel { word, name, nearest, known }
    }
}
