//! `shmpool kernels`: what there is.

use std::fmt::Write;

use serde::Serialize;
use shmpool::kernels::{STOCK, Stock};

use crate::args::{KernelsArgs, KernelsCommand, ShowArgs};
use crate::failure::{Exit, Failure, print, to_json};
use shmpool::kernels::parse_chain;

#[derive(Serialize)]
struct Listing {
    kernels: Vec<Kernel>,
}

#[derive(Serialize)]
struct Kernel {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
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
    let kernels = STOCK.iter().map(kernel).collect();
    if args.json {
        return print(to_json(&Listing { kernels }));
    }
    let mut text = String::new();
    for kernel in kernels {
        describe(&mut text, &kernel).expect("a string takes everything");
    }
    text.push_str("example: shmpool image photo.jpg -o edges.png gray blur:sigma=2,border=replicate sobel");
    print(text)
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let is_meant = |stock: &&Stock| stock.name == args.name || stock.aliases.contains(&&*args.name);
    let Some(stock) = STOCK.iter().find(is_meant) else {
        // The parser knows which name was probably meant.
        parse_chain::<u8>(std::slice::from_ref(&args.name))?;
        return Err(Failure::new(Exit::Usage, format!("no kernel is called \"{}\"", args.name)));
    };
    let kernel = kernel(stock);
    if args.json {
        return print(to_json(&kernel));
    }
    let mut text = String::new();
    describe(&mut text, &kernel).expect("a string takes everything");
    print(format!("{text}example: {}", kernel.example))
}

fn kernel(stock: &Stock) -> Kernel {
    let parameters = stock.parameters.iter().map(|parameter| Parameter {
        name: parameter.name,
        summary: parameter.summary,
        values: parameter.values.describe(),
        default: parameter.default,
    });
    let defaults =
        stock.parameters.iter().map(|parameter| format!("{}={}", parameter.name, parameter.default));
    let defaults = defaults.collect::<Vec<_>>().join(",");
    let word = if defaults.is_empty() { stock.name.to_owned() } else { format!("{}:{defaults}", stock.name) };
    Kernel {
        name: stock.name,
        aliases: stock.aliases,
        summary: stock.summary,
        parameters: parameters.collect(),
        example: format!("shmpool image photo.jpg -o out.png {word}"),
    }
}

fn describe(text: &mut String, kernel: &Kernel) -> std::fmt::Result {
    let names = std::iter::once(&kernel.name).chain(kernel.aliases).copied().collect::<Vec<_>>().join(", ");
    writeln!(text, "{names}\n    {}", kernel.summary)?;
    for Parameter { name, summary, values, default } in &kernel.parameters {
        writeln!(text, "    {name}={default:<12} {summary}: {values}")?;
    }
    writeln!(text)
}
