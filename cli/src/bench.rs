//! `shmpool bench`: what this machine does in workers, beside the same in one process.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;
use shmpool::kernels::{Chain, ElementKernel, Gaussian, Gray, Mandelbrot, Sobel, Viewport};
use shmpool::{Array, Pool};

use crate::args::{BenchArgs, PoolArgs};
use crate::failure::{Exit, Failure, print, to_json};

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    n_workers: usize,
    /// Instruction set that the kernels ran with, on both sides.
    level: String,
    quick: bool,
    rows: Vec<Row>,
}

/// One workload.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    size: String,
    workers: Times,
    /// The same with `workers(0)`; nothing where that means nothing.
    one_process: Option<Times>,
    /// How many times the workers' speed is the one process's.
    speedup: Option<f64>,
}

/// Of several runs, in milliseconds.
#[derive(Serialize)]
struct Times {
    median_ms: f64,
    least_ms: f64,
    greatest_ms: f64,
    n_runs: usize,
}

/// How much to do.
struct Scale {
    /// Large workloads are smaller by this.
    divisor: usize,
    /// A workload is repeated until both sides together have taken as long.
    wait: Duration,
    n_runs_max: usize,
}

const FULL: Scale = Scale { divisor: 1, wait: Duration::from_millis(2500), n_runs_max: 301 };
const QUICK: Scale = Scale { divisor: 8, wait: Duration::from_millis(250), n_runs_max: 31 };
const N_RUNS_MIN: usize = 3;

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let scale = if args.quick { &QUICK } else { &FULL };
    let pool = args.pool.start()?;
    let inline = Pool::builder().workers(0).arena(pool.arena()).build()?;
    let bench = Bench { pool, inline, scale };
    let level = bench.pool.stats()?.level.to_string();
    let rows = vec![
        bench.axpb()?,
        bench.polynomial()?,
        bench.mandelbrot()?,
        bench.image()?,
        bench.empty_job()?,
        bench.start(&args.pool)?,
    ];
    let report = Report { n_workers: bench.pool.n_workers(), level, quick: args.quick, rows };
    print(if args.json { to_json(&report) } else { table(&report) })
}

struct Bench<'a> {
    pool: Pool,
    /// Everything in this process, over the same arrays.
    inline: Pool,
    scale: &'a Scale,
}

impl Bench<'_> {
    /// Memory-bound: one load, two operations, one store.
    fn axpb(&self) -> Result<Row, Failure> {
        let xs = self.noise((16 << 20) / self.scale.divisor)?;
        let mut ys = self.pool.zeros::<f32>(xs.len())?;
        let f = |x: f32| x * 2.0 + 1.0;
        self.pool.map_into(&xs, &mut ys, f)?;
        check("x * 2 + 1", xs.iter().zip(&ys).all(|(&x, &y)| y == f(x)))?;
        let size = format!("{} Mi f32 into an array", xs.len() >> 20);
        self.row("x * 2 + 1", size, |pool| pool.map_into(&xs, &mut ys, f))
    }

    /// Bound by arithmetic that vectorises.
    fn polynomial(&self) -> Result<Row, Failure> {
        let xs = self.noise((8 << 20) / self.scale.divisor)?;
        let mut ys = self.pool.zeros::<f32>(xs.len())?;
        self.pool.map_into(&xs, &mut ys, polynomial)?;
        check("polynomial", xs.iter().zip(&ys).all(|(&x, &y)| y == polynomial(x)))?;
        let size = format!("{} Mi f32 into an array", xs.len() >> 20);
        self.row("32-step polynomial", size, |pool| pool.map_into(&xs, &mut ys, polynomial))
    }

    /// Bound by branches: the work differs from element to element.
    fn mandelbrot(&self) -> Result<Row, Failure> {
        let width = 1024;
        let height = width / self.scale.divisor;
        let view =
            Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: height as u32, width: width as u32 };
        let point = |[y, x]: [usize; 2]| view.point(y, x).map(|coordinate| coordinate as f32);
        let points = self.pool.array_with([height, width], point)?;
        let kernel = Mandelbrot { iterations: 256 };
        let counts = self.pool.apply(&kernel, &points)?;
        check("mandelbrot", points.iter().zip(&counts).all(|(&c, &n)| n == kernel.apply(c)))?;
        let size = format!("{width} x {height}, up to 256 steps");
        self.row("mandelbrot", size, |pool| pool.apply(&kernel, &points).map(drop))
    }

    /// What `shmpool image` does between reading and writing.
    fn image(&self) -> Result<Row, Failure> {
        let (height, width) = (3000 / self.scale.divisor, 4000);
        let image = self.pool.array_with([height, width, 3], |[y, x, c]| {
            let wave = ((x * (c + 1)) as f32 / 40.0).sin() * (y as f32 / 60.0).cos();
            (127.5 + 100.0 * wave) as u8 ^ (noise(x + width * (y + height * c)) & 15) as u8
        })?;
        let chain = Chain::<u8, u8>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
        let edges = self.pool.apply(&chain, &image)?;
        let mut wanted = vec![0; height * width];
        chain.run(&image, [height, width, 3], &mut wanted)?;
        check("gray, gaussian, sobel", wanted == *edges)?;
        let size = format!("{width} x {height} RGB");
        self.row("gray, gaussian, sobel", size, |pool| pool.apply(&chain, &image).map(drop))
    }

    /// What a call costs that does nothing.
    fn empty_job(&self) -> Result<Row, Failure> {
        let xs = self.pool.array_from(&[3_u8, 4])?;
        let mut ys = self.pool.zeros::<u8>(2)?;
        let mut call = |pool: &Pool| pool.call().grain(1).map_into(&xs, &mut ys, |x| x);
        call(&self.pool)?;
        let row = self.row("job of two empty tasks", "call to return".to_owned(), call)?;
        check("two empty tasks", *ys == [3, 4])?;
        Ok(row)
    }

    /// From nothing to the end of a first job.
    fn start(&self, args: &PoolArgs) -> Result<Row, Failure> {
        let workers = self.times([|| {
            let started = Instant::now();
            let pool = args.start()?;
            let xs = pool.array_from(&[3_u8, 4])?;
            let ys = pool.map(&xs, |x| x + 1)?;
            let elapsed = started.elapsed();
            check("first job", *ys == [4, 5])?;
            Ok(elapsed)
        }])?;
        let [workers] = workers;
        let size = "workers and a first job".to_owned();
        Ok(Row { name: "start of a pool", size, workers, one_process: None, speedup: None })
    }

    /// Times `work` in both pools.
    fn row(
        &self,
        name: &'static str,
        size: String,
        work: impl FnMut(&Pool) -> shmpool::Result<()>,
    ) -> Result<Row, Failure> {
        let work = std::cell::RefCell::new(work);
        let time = |pool| {
            let (started, mut work) = (Instant::now(), work.borrow_mut());
            work(pool)?;
            Ok(started.elapsed())
        };
        let sides: [&dyn Fn() -> Result<Duration, Failure>; 2] =
            [&|| time(&self.pool), &|| time(&self.inline)];
        let [workers, one_process] = self.times(sides)?;
        let speedup = Some(one_process.median_ms / workers.median_ms);
        Ok(Row { name, size, workers, one_process: Some(one_process), speedup })
    }

    /// Runs all sides in turn, once without counting and then until the time is up.
    fn times<const N: usize>(
        &self,
        sides: [impl Fn() -> Result<Duration, Failure>; N],
    ) -> Result<[Times; N], Failure> {
        let mut runs = [const { Vec::new() }; N];
        for side in &sides {
            side()?;
        }
        let started = Instant::now();
        let enough = |n_runs| n_runs >= N_RUNS_MIN && started.elapsed() >= self.scale.wait;
        while !enough(runs[0].len()) && runs[0].len() < self.scale.n_runs_max {
            for (side, runs) in sides.iter().zip(&mut runs) {
                runs.push(side()?);
            }
        }
        Ok(runs.map(Times::of))
    }

    fn noise(&self, n: usize) -> Result<Array<f32>, Failure> {
        Ok(self.pool.array_with(n, |i| (noise(i) >> 8) as f32 / (1 << 24) as f32)?)
    }
}

impl Times {
    fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort_unstable();
        let ms = |run: Duration| run.as_nanos() as f64 / 1e6;
        Times {
            median_ms: ms(runs[runs.len() / 2]),
            least_ms: ms(runs[0]),
            greatest_ms: ms(runs[runs.len() - 1]),
            n_runs: runs.len(),
        }
    }
}

/// Thirty-two products and sums; the compiler may not fuse them, so every side has the same bits.
#[inline(always)]
fn polynomial(x: f32) -> f32 {
    let mut y = x;
    for _ in 0..32 {
        y = y * x + 0.5;
    }
    y
}

/// Scattered bits that are the same on every machine (the finaliser of MurmurHash3).
fn noise(i: usize) -> u32 {
    let mut h = (i as u32).wrapping_add(0x9e37_79b9);
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// A wrong answer is not worth timing.
fn check(what: &str, right: bool) -> Result<(), Failure> {
    black_box(right)
        .then_some(())
        .ok_or_else(|| Failure::new(Exit::Task, format!("{what}: the answer is wrong")))
}

fn table(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "{} workers beside one process, {}; medians (least to greatest)",
            report.n_workers, report.level
        ),
        format!("{:<24}{:<30}{:<32}{:<32}{}", "", "", "workers", "one process", "speed"),
    ];
    for row in &report.rows {
        let one_process = row.one_process.as_ref().map_or("-".to_owned(), figures);
        let speedup = row.speedup.map_or("-".to_owned(), |speedup| format!("{speedup:.2}"));
        let workers = figures(&row.workers);
        lines.push(format!("{:<24}{:<30}{workers:<32}{one_process:<32}{speedup}", row.name, row.size));
    }
    lines.join("\n")
}

fn figures(times: &Times) -> String {
    let Times { median_ms, least_ms, greatest_ms, .. } = times;
    if *median_ms < 1.0 {
        let us = |ms: &f64| ms * 1e3;
        return format!("{:.1} us ({:.1} to {:.1})", us(median_ms), us(least_ms), us(greatest_ms));
    }
    format!("{median_ms:.2} ms ({least_ms:.2} to {greatest_ms:.2})")
}
