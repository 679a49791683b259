//! exp, ln, sin and tanh over 32 Mi f32, beside NumPy and numexpr.

use std::cell::RefCell;

use shmpool::Array;
use shmpool::kernels::{ElementType, parse_element_step};

use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, Wanted, try_time};
use crate::{Bench, Result};

const N: usize = 32 << 20;
/// How far a result may be from the exact one, in units of its last place.
const ULP_MAX: f64 = 4.0;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let arguments = [N, bench.options.workers].map(|number| number.to_string());
    let (rival, versions) = match Rival::start(&bench.options.python, "maths.py", &arguments)? {
        Start::Ready(rival, versions) => (RefCell::new(rival), versions),
        Start::Missing(what) => return Ok(vec![Row::skipped("maths", format!("skipped: {what}"))]),
    };
    // From just above 0 to 80: all four are defined and finite there.
    let xs = bench.pool.array_with(N, |i| (i + 1) as f32 * (80.0 / N as f32))?;
    rival.borrow_mut().send(xs.as_bytes())?;
    // What is left when nothing is computed: no row can be faster than that.
    let identity = parse_element_step("axpb:a=1,b=0", ElementType::F32)?;
    let copy = |out: &mut Array<f32>| Ok(bench.pool.call().apply_step(&identity, &xs, out)?);
    let against = Against { bench, rival: &rival, xs: &xs, versions: &versions };
    let mut rows = Vec::new();
    macro_rules! row {
        ($name:ident, $called:literal) => {
            let step = parse_element_step(stringify!($name), ElementType::F32)?;
            let map = |out: &mut Array<f32>| Ok(bench.pool.call().apply_step(&step, &xs, out)?);
            rows.push(race(&against, $called, map, copy, f64::$name)?);
        };
    }
    row!(exp, "exp");
    row!(ln, "log");
    row!(sin, "sin");
    row!(tanh, "tanh");
    Ok(rows)
}

/// What all rows have in common.
struct Against<'a> {
    bench: &'a Bench,
    rival: &'a RefCell<Rival>,
    xs: &'a Array<f32>,
    versions: &'a str,
}

fn race(
    against: &Against<'_>,
    name: &str,
    map: impl Fn(&mut Array<f32>) -> Result<()>,
    copy: impl Fn(&mut Array<f32>) -> Result<()>,
    exact: fn(f64) -> f64,
) -> Result<Row> {
    let &Against { bench, rival, xs, versions } = against;
    let mut out = bench.pool.zeros::<f32>(N)?;
    map(&mut out)?;
    let worst = xs.iter().zip(out.iter()).map(|(&x, &y)| ulps(y, exact(x.into()))).fold(0.0, f64::max);
    if worst > ULP_MAX {
        return Err(format!("{name}: off by {worst} ulp").into());
    }
    let mut copied = bench.pool.zeros::<f32>(N)?;
    let ask = |library: &str| rival.borrow_mut().time(&format!("{library} {name}"));
    let field = vec![
        Contestant::new("apply_step", || try_time(|| map(&mut out))),
        Contestant::new("NumPy, out=", || ask("numpy")).wanted(Wanted::Ratio(1.7)),
        Contestant::new("numexpr, out=", || ask("numexpr")).wanted(Wanted::Ratio(4.0)),
        Contestant::new("apply_step of a copy", || try_time(|| copy(&mut copied))),
    ];
    let row = Row::race(format!("{name}, 32 Mi f32"), bench.options.rounds, field)?;
    Ok(row.with_note(format!("at most {worst:.2} ulp from the exact result; {versions}")))
}

/// Distance in units of the last place that an f32 of this size has.
fn ulps(found: f32, exact: f64) -> f64 {
    let size = (exact.abs() as f32).max(f32::MIN_POSITIVE);
    let ulp = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
    (f64::from(found) - exact).abs() / ulp
}
