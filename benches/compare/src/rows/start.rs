//! From nothing to the first result, and back.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shmpool::Pool;

use crate::options::ANSWER;
use crate::race::{Contestant, Row, Wanted, time, try_time};
use crate::{Bench, Result};

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let n = bench.options.workers;
    // What a round starts, its partner in the second race ends: building and ending are two rows of one run.
    let (pools, processes) = (RefCell::new(None), RefCell::new(Vec::new()));
    let (ends_of_pools, ends_of_processes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));

    let field = vec![
        Contestant::new("pool: build, one map", || {
            let took = try_time(|| {
                *pools.borrow_mut() = Some(start_pool(n)?);
                Ok(())
            })?;
            ends_of_pools.borrow_mut().push(time(|| pools.take()));
            Ok(took)
        })
        .wanted(Wanted::AtMost(15e6)),
        Contestant::new("Command::spawn, one byte there and back", || {
            let took = try_time(|| {
                *processes.borrow_mut() = start_processes(n)?;
                Ok(())
            })?;
            ends_of_processes.borrow_mut().push(try_time(|| end_processes(processes.take()))?);
            Ok(took)
        })
        .wanted(Wanted::Ratio(0.5)),
    ];
    let start = Row::race(format!("start {n} workers and run one job"), bench.options.rounds, field)?;

    let (mut pools, mut processes) =
        (ends_of_pools.into_inner().into_iter(), ends_of_processes.into_inner().into_iter());
    let field = vec![
        Contestant::new("drop of the pool", || next(&mut pools)),
        Contestant::new("processes that have ended: wait", || next(&mut processes)),
    ];
    let end = Row::race(format!("end {n} workers"), bench.options.rounds, field)?;
    Ok(vec![start, end])
}

fn next(times: &mut impl Iterator<Item = Duration>) -> Result<Duration> {
    times.next().ok_or_else(|| "fewer ends than starts".into())
}

fn start_pool(n: usize) -> Result<Pool> {
    let pool = Pool::builder().workers(n).build()?;
    let xs = pool.array_from(&[1_u32, 2])?;
    let out = pool.call().grain(1).map(&xs, |x| x + 1)?;
    if *out == [2, 3] { Ok(pool) } else { Err(format!("the first job gave {out:?}").into()) }
}

/// Starts this program `n` times in the mode that gives back one byte, then exchanges it with each.
fn start_processes(n: usize) -> Result<Vec<Child>> {
    let spawn =
        |_| Command::new("/proc/self/exe").arg(ANSWER).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut children = (0..n).map(spawn).collect::<std::io::Result<Vec<_>>>()?;
    for child in &mut children {
        let input = child.stdin.as_mut().ok_or("the process has no input")?;
        input.write_all(&[42])?;
    }
    for child in &mut children {
        let mut byte = [0];
        child.stdout.as_mut().ok_or("the process has no output")?.read_exact(&mut byte)?;
        if byte != [42] {
            return Err(format!("the process answered {byte:?}").into());
        }
    }
    Ok(children)
}

fn end_processes(children: Vec<Child>) -> Result<()> {
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a bare process failed".into());
        }
    }
    Ok(())
}
