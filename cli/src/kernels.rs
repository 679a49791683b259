//! `shmpool kernels`: what there is.

use std::fmt::Write;

use serde::Serialize;
use shmpool::kernels::{STOCK, Stock};

use crate::args::KernelsArgs;
use crate::failure::{Failure, print, to_json};

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

fn kernel(stock: &Stock) -> Kernel {
    let parameters = stock.parameters.iter().map(|parameter| Parameter {
        name: parameter.name,
        summary: parameter.summary,
        values: parameter.values.describe(),
        default: parameter.default,
    });
    Kernel {
        name: stock.name,
        aliases: stock.aliases,
        summary: stock.summary,
        parameters: parameters.collect(),
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
