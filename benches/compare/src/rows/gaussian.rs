//! A gaussian of standard deviation 2 over 48 megapixels of RGB, beside OpenCV.

use shmpool::kernels::Gaussian;

use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, Wanted, try_time};
use crate::{Bench, Result};

const SHAPE: [usize; 3] = [6000, 8000, 3];
const SIGMA: f32 = 2.0;
/// What radius 8 = 4 * sigma is called by OpenCV.
const KSIZE: usize = 17;

/// A sample of a picture with slopes, edges and grain.
fn sample([y, x, channel]: [usize; 3]) -> u8 {
    let slope = (x + 2 * y) / 64;
    let edges = if (x / 97 + y / 61) % 2 == 0 { 90 } else { 0 };
    // The high bits of a multiplication look like noise, and are the same everywhere.
    let grain =
        (x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B)).wrapping_mul(0xC2B2_AE35) >> 20 & 31;
    ((slope + edges + grain + 40 * channel) % 256) as u8
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let name = "gaussian, sigma 2, 48-megapixel RGB, u8";
    let [height, width, channels] = SHAPE;
    let arguments = [height, width, channels, KSIZE, bench.options.workers].map(|number| number.to_string());
    let (mut rival, version) = match Rival::start(&bench.options.python, "opencv.py", &arguments)? {
        Start::Ready(rival, version) => (rival, version),
        Start::Missing(what) => return Ok(vec![Row::skipped(name, format!("skipped: {what}"))]),
    };
    let image = bench.pool.from_fn(SHAPE, sample)?;
    let gaussian = Gaussian::new(SIGMA);
    rival.send(&image)?;

    let found = bench.pool.apply(&gaussian, &image)?;
    rival.time("blur")?;
    let mut wanted = vec![0; found.len()];
    rival.fetch("result", &mut wanted)?;
    let equal = agreement(&found, &wanted)?;
    drop((found, wanted));

    let field = vec![
        Contestant::new("pool.apply(&Gaussian)", || try_time(|| Ok(bench.pool.apply(&gaussian, &image)?))),
        Contestant::new(version, || rival.time("blur")).wanted(Wanted::Ratio(0.5)),
    ];
    let row = Row::race(name, bench.options.rounds, field)?;
    Ok(vec![row.with_note(format!("samples equal: {:.2} %, the others differ by 1", 100.0 * equal))])
}

/// The part of the samples that are equal.
///
/// # Errors
/// If any sample differs by more than 1, or fewer than 90 % are equal.
fn agreement(found: &[u8], wanted: &[u8]) -> Result<f64> {
    let mut n_equal = 0_usize;
    for (i, (&found, &wanted)) in found.iter().zip(wanted).enumerate() {
        match found.abs_diff(wanted) {
            0 => n_equal += 1,
            1 => {}
            _ => return Err(format!("gaussian: sample {i} is {found}, OpenCV says {wanted}").into()),
        }
    }
    let equal = n_equal as f64 / found.len() as f64;
    if equal < 0.9 {
        return Err(format!("gaussian: {:.2} % of the samples are OpenCV's", 100.0 * equal).into());
    }
    Ok(equal)
}
