//! Kernels over 48 megapixels of RGB beside OpenCV with as many threads, and resizing beside Pillow and
//! `fast_image_resize`.

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shmpool::Array;
use shmpool::kernels::{Chain, Erode, Filter, Gamma, Gaussian, Gray, Median, Resize, Sobel};

use super::gaussian::{SHAPE, sample};
use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, Wanted, try_time};
use crate::{Bench, Result};

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let [height, width, _] = SHAPE;
    let arguments = [height, width, bench.options.workers].map(|number| number.to_string());
    let (rival, versions) = match Rival::start(&bench.options.python, "images.py", &arguments)? {
        Start::Ready(rival, versions) => (RefCell::new(rival), versions),
        Start::Missing(what) => return Ok(vec![Row::skipped("images", format!("skipped: {what}"))]),
    };
    let image = bench.pool.from_fn(SHAPE, sample)?;
    let gamma = Gamma { gamma: 2.2 };
    // The same table for both: what the kernel makes of each byte.
    let ramp = bench.pool.array_with([1, 256], |[_, x]| x as u8)?;
    rival.borrow_mut().send(&bench.pool.apply(&gamma, &ramp)?)?;
    rival.borrow_mut().send(&image)?;

    let against = Beside { bench, rival: &rival, image: &image, versions: &versions };
    let fused = Chain::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
    Ok(vec![
        against.race("gray", Chain::of(Gray), Agreement::Equal, 0.7)?,
        against.race("lut", Chain::of(gamma), Agreement::Equal, 0.7)?,
        // OpenCV repeats the edge here, whatever one asks for.
        against.race(
            "median",
            Chain::of(Median::new(1).border(shmpool::kernels::Border::Replicate)),
            Agreement::Equal,
            0.7,
        )?,
        against.race("erode", Chain::of(Erode::new(1)), Agreement::Equal, 0.7)?,
        against.race("sobel", Chain::of(Sobel::default()), Agreement::Equal, 0.7)?,
        // The two gaussians round differently (row `gaussian`), and a sobel adds up eight of their samples.
        against.race("chain", fused, Agreement::Mostly(8), 1.5)?,
        against.resize()?,
    ])
}

/// How a result must agree with the rival's.
#[derive(Clone, Copy)]
enum Agreement {
    Equal,
    /// 999 samples in 1000 are no further apart than that.
    Mostly(u8),
}

struct Beside<'a> {
    bench: &'a Bench,
    rival: &'a RefCell<Rival>,
    image: &'a Array<u8>,
    versions: &'a str,
}

impl Beside<'_> {
    fn race(&self, name: &str, kernel: Chain<u8, u8>, agreement: Agreement, wanted: f64) -> Result<Row> {
        let apply = || Ok(self.bench.pool.apply(&kernel, self.image)?);
        let note = self.compare(name, &apply()?, agreement)?;
        let field = vec![
            Contestant::new("pool.apply", || try_time(apply)),
            Contestant::new("OpenCV", || self.rival.borrow_mut().time(name)).wanted(Wanted::Ratio(wanted)),
        ];
        let row = Row::race(format!("{name}, 48-megapixel RGB, u8"), self.bench.options.rounds, field)?;
        Ok(row.with_note(note))
    }

    /// Fails if the rival's answer is another one.
    fn compare(&self, name: &str, found: &[u8], agreement: Agreement) -> Result<String> {
        let mut wanted = vec![0; found.len()];
        self.rival.borrow_mut().time(name)?;
        self.rival.borrow_mut().fetch(&format!("result {name}"), &mut wanted)?;
        let apart = |far: u8| found.iter().zip(&wanted).filter(|(a, b)| a.abs_diff(**b) > far).count();
        let (n, enough) = match agreement {
            Agreement::Equal => (apart(0), 0),
            Agreement::Mostly(far) => (apart(far), found.len() / 1000),
        };
        if n > enough {
            return Err(format!("{name}: {n} of {} samples are not the rival's", found.len()).into());
        }
        Ok(format!("{} of {} samples differ; {}", apart(0), found.len(), self.versions))
    }

    /// By half with Lanczos3, anti-aliased as all three do it.
    fn resize(&self) -> Result<Row> {
        let [height, width, _] = SHAPE;
        let kernel = Chain::<u8, u8>::of(Resize::by(0.5).filter(Filter::Lanczos3));
        let apply = || Ok(self.bench.pool.apply(&kernel, self.image)?);
        let note = self.compare("resize", &apply()?, Agreement::Mostly(1))?;
        let source = ImageRef::new(width as u32, height as u32, self.image, PixelType::U8x3)?;
        let mut half = Image::new(width as u32 / 2, height as u32 / 2, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
        let mut resizer = Resizer::new();
        let field = vec![
            Contestant::new("pool.apply", || try_time(apply)),
            Contestant::new("fast_image_resize, rayon", || {
                try_time(|| {
                    self.bench.threads.install(|| resizer.resize(&source, &mut half, &options))?;
                    Ok(())
                })
            })
            .wanted(Wanted::Ratio(0.7)),
            Contestant::new("Pillow", || self.rival.borrow_mut().time("resize")).wanted(Wanted::Ratio(0.7)),
        ];
        let row =
            Row::race("resize by half, Lanczos3, 48-megapixel RGB, u8", self.bench.options.rounds, field)?;
        Ok(row.with_note(note))
    }
}
