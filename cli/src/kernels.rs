//! `shmpool kernels`: what there is.

use std::fmt::Write;

use serde::Serialize;
use shmpool::kernels::{
    self, ElementStock, ElementType, KernelError, Stock, element_kernels, image_kernels, parse_chain,
    parse_element_step,
};

use crate::args::{KernelsArgs, KernelsCommand, ShowArgs};
use crate::failure::{Exit, Failure, print, to_json};

#[derive(Serialize)]
struct Listing {
    /// Those of `image`.
    kernels: Vec<Kernel>,
    /// Those of `map`.
    element_kernels: Vec<Kernel>,
}

#[derive(Serialize)]
struct Kernel {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: String,
    parameters: Vec<Parameter>,
    /// A command line with it.
    example: String,
}

#[derive(Serialize)]
struct Parameter {
    name: &'static str,
    summary: &'static str,
    /// The range, in words.
    values: String,
    default: &'static str,
}

pub(crate) fn run(args: &KernelsArgs) -> Result<(), Failure> {
    if let Some(KernelsCommand::Show(args)) = &args.command {
        return show(args);
    }
    let kernels = image_kernels().map(kernel).collect();
    let element_kernels = element_kernels().map(element_kernel).collect();
    let listing = Listing { kernels, element_kernels };
    if args.json {
        return print(to_json(&listing));
    }
    let mut text = "Of images (shmpool image):\n\n".to_owned();
    for kernel in &listing.kernels {
        describe(&mut text, kernel).expect("a string takes everything");
    }
    text.push_str("Of arrays (shmpool map):\n\n");
    for kernel in &listing.element_kernels {
        describe(&mut text, kernel).expect("a string takes everything");
    }
    text.push_str("example: shmpool image photo.jpg -o edges.png gray blur:sigma=2,border=replicate sobel\n");
    text.push_str("two images: shmpool image below.png -o out.png --blend above.png --blend-mode multiply");
    print(text)
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let is_meant = |name: &str, aliases: &[&str]| name == args.name || aliases.contains(&&*args.name);
    let of_images = image_kernels().find(|stock| is_meant(stock.name, stock.aliases)).map(kernel);
    let of_arrays = || element_kernels().find(|stock| is_meant(stock.name, stock.aliases));
    let Some(kernel) = of_images.or_else(|| of_arrays().map(element_kernel)) else {
        return Err(unknown(&args.name));
    };
    if args.json {
        return print(to_json(&kernel));
    }
    let mut text = String::new();
    describe(&mut text, &kernel).expect("a string takes everything");
    print(format!("{text}example: {}", kernel.example))
}

/// That neither command has such a kernel; the parsers know which name was probably meant.
fn unknown(name: &str) -> Failure {
    let of_images = parse_chain::<u8>(&[name]).err();
    let of_arrays = parse_element_step(name, ElementType::F32).err();
    let nearest = [of_images, of_arrays].into_iter().flatten().filter_map(|error| match error {
        KernelError::UnknownKernel { nearest, .. } | KernelError::UnknownElementKernel { nearest, .. } => {
            nearest
        }
        _ => None,
    });
    let hint = match nearest.collect::<Vec<_>>()[..] {
        [] => String::new(),
        ref nearest => format!(" (did you mean {}?)", nearest.join(" or ")),
    };
    Failure::new(Exit::Usage, format!("no kernel is called {name:?}{hint}; `shmpool kernels` lists them"))
}

/// The chain's own words, or that a step is a kernel of the other command.
pub(crate) fn check_steps(steps: &[String]) -> Result<(), Failure> {
    let Err(error) = parse_chain::<u8>(steps) else { return Ok(()) };
    Err(match &error {
        KernelError::UnknownKernel { word, name, .. } if is_of_arrays(name) => Failure::new(
            Exit::Usage,
            format!("step {word:?}: {name} is a kernel of arrays: `shmpool map` runs it"),
        ),
        _ => error.into(),
    })
}

/// The error about a word of `map`, or that it is a kernel of the other command.
pub(crate) fn no_element_step(error: KernelError) -> Failure {
    match &error {
        KernelError::UnknownElementKernel { word, name, .. } if is_of_images(name) => {
            let message = format!("kernel {word:?}: {name} is a kernel of images: `shmpool image` runs it");
            Failure::new(Exit::Usage, message)
        }
        _ => error.into(),
    }
}

pub(crate) fn is_of_images(name: &str) -> bool {
    image_kernels().any(|stock| stock.name == name || stock.aliases.contains(&name))
}

fn is_of_arrays(name: &str) -> bool {
    element_kernels().any(|stock| stock.name == name || stock.aliases.contains(&name))
}

fn parameter(parameter: &kernels::Parameter) -> Parameter {
    Parameter {
        name: parameter.name,
        summary: parameter.summary,
        values: parameter.values.describe(),
        default: parameter.default,
    }
}

/// What is worth showing of kernels whose defaults change nothing.
const TELLING: [(&str, &str); 7] = [
    ("axpb", "a=2,b=1"),
    ("clip", "low=0,high=1"),
    ("crop", "x=100,y=50,width=640,height=480"),
    ("levels", "low=16,high=235"),
    ("lut", "points=0/40/128/215/255"),
    ("pad", "left=16,top=16,right=16,bottom=16,border=replicate"),
    ("resize", "width=640"),
];

/// A kernel with its parameters, as they are written in a command line.
fn word(name: &str, parameters: &[kernels::Parameter]) -> String {
    let defaults = parameters.iter().map(|parameter| format!("{}={}", parameter.name, parameter.default));
    let telling = TELLING.iter().find(|(telling, _)| *telling == name);
    let parameters = telling
        .map_or_else(|| defaults.collect::<Vec<_>>().join(","), |(_, parameters)| (*parameters).to_owned());
    if parameters.is_empty() { name.to_owned() } else { format!("{name}:{parameters}") }
}

fn kernel(stock: &Stock) -> Kernel {
    Kernel {
        name: stock.name,
        aliases: stock.aliases,
        summary: stock.summary.to_owned(),
        parameters: stock.parameters.iter().map(parameter).collect(),
        example: format!("shmpool image photo.jpg -o out.png {}", word(stock.name, stock.parameters)),
    }
}

fn element_kernel(stock: &ElementStock) -> Kernel {
    let types = stock.types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Kernel {
        name: stock.name,
        aliases: stock.aliases,
        summary: format!("{} ({types})", stock.summary),
        parameters: stock.parameters.iter().map(parameter).collect(),
        example: format!("shmpool map {} in.npy -o out.npy", word(stock.name, stock.parameters)),
    }
}

fn describe(text: &mut String, kernel: &Kernel) -> std::fmt::Result {
    let names = std::iter::once(&kernel.name).chain(kernel.aliases).copied().collect::<Vec<_>>().join(", ");
    writeln!(text, "{names}\n    {}", kernel.summary)?;
    let spelt = |parameter: &Parameter| format!("{}={}", parameter.name, parameter.default);
    let width = kernel.parameters.iter().map(|parameter| spelt(parameter).len()).max().unwrap_or(0);
    for parameter in &kernel.parameters {
        let Parameter { summary, values, .. } = parameter;
        writeln!(text, "    {:<width$}  {summary}: {values}", spelt(parameter))?;
    }
    writeln!(text)
}
