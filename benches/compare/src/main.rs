//! shmpool beside its rivals, in one run: answers checked first, then rounds that take turns.
//!
//! `README.md` says how to run it and what each row means.

mod child;
mod options;
mod race;
mod rows;
mod smaps;
mod table;

use std::io::{Read, Write};
use std::process::ExitCode;

use rayon::ThreadPoolBuilder;
use shmpool::Pool;

use crate::options::Options;
use crate::race::Row;
use crate::table::Machine;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What every row runs on.
struct Bench {
    pool: Pool,
    threads: rayon::ThreadPool,
    options: Options,
}

fn main() -> ExitCode {
    shmpool::init();
    procspawn::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shmpool-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = match options::parse()? {
        options::Mode::Compare(options) => options,
        options::Mode::Answer => return answer(),
        options::Mode::Help => {
            print!("{}", options::HELP);
            return Ok(());
        }
    };
    let bench = Bench {
        pool: Pool::builder().workers(options.workers).build()?,
        threads: ThreadPoolBuilder::new().num_threads(options.workers).build()?,
        options,
    };
    let machine = Machine::look(&bench)?;
    if !bench.options.json {
        println!("{machine}");
    }
    let mut all: Vec<Row> = Vec::new();
    for (name, row) in rows::ALL {
        if !bench.options.wants(name) {
            continue;
        }
        let rows = row(&bench)?;
        if !bench.options.json {
            rows.iter().for_each(|row| println!("{row}"));
        }
        all.extend(rows);
        // The next row's memory is its own.
        bench.pool.trim();
    }
    if bench.options.json {
        println!("{}", serde_json::to_string_pretty(&table::Report { machine, rows: all })?);
    }
    Ok(())
}

/// The bare process that `start` compares with: it gives back one byte, and ends.
fn answer() -> Result<()> {
    let mut byte = [0];
    std::io::stdin().read_exact(&mut byte)?;
    std::io::stdout().write_all(&byte)?;
    Ok(std::io::stdout().flush()?)
}
