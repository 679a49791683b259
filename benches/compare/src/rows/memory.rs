//! Private memory of idle workers.

use std::process::Command;

use shmpool::Pool;

use crate::race::{Entry, Row, Spread, Unit, Wanted};
use crate::smaps::private_kib;
use crate::{Bench, Result};

/// The plain program: `src/bin/plain.rs`.
const PLAIN: &str = "plain";
/// KiB that a worker of the plain program may have.
const PLAIN_KIB_MAX: f64 = 200.0;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let pool = Pool::builder().workers(bench.options.workers).build()?;
    let before = look(&pool)?;
    let sum = pool.reduce(
        &pool.map(&pool.array_with(1 << 20, |i| i as f32)?, |x| x.sqrt())?,
        0.0_f64,
        |sum, x| sum + f64::from(x),
        |a, b| a + b,
    )?;
    if !(7e8..8e8).contains(&sum) {
        return Err(format!("the sum of a million square roots is not {sum}").into());
    }
    let entries = vec![entry("before the first job", &before, None), entry("after it", &look(&pool)?, None)];
    let own = Row {
        name: "private memory of an idle worker of this program".to_owned(),
        unit: Unit::Kib,
        entries,
        note: None,
    };
    Ok(vec![own, plain(bench)?])
}

/// Workers of a program as small as an example, which prints what it sees: it lies beside this one once built.
fn plain(bench: &Bench) -> Result<Row> {
    let name = "private memory of an idle worker of a plain program";
    let program = std::env::current_exe()?.with_file_name(PLAIN);
    if !program.exists() {
        return Ok(Row::skipped(
            name,
            "skipped: `cargo build --release -p shmpool-compare --bins` builds it",
        ));
    }
    let output = Command::new(program).arg(bench.options.workers.to_string()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let (name, numbers) = line.split_once(": ").ok_or("the plain program printed no figures")?;
        let kib = numbers.split(' ').map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?;
        entries.push(entry(name, &kib, Some(Wanted::AtMost(PLAIN_KIB_MAX))));
    }
    if !output.status.success() || entries.is_empty() {
        return Err(format!("the plain program failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Row { name: name.to_owned(), unit: Unit::Kib, entries, note: None })
}

fn look(pool: &Pool) -> Result<Vec<f64>> {
    let kib = |pid| Ok(private_kib(pid)? as f64);
    pool.worker_pids().into_iter().map(kib).collect()
}

fn entry(name: &str, kib: &[f64], wanted: Option<Wanted>) -> Entry {
    Entry { name: name.to_owned(), spread: Spread::of(kib), ratio: None, wanted }
}
