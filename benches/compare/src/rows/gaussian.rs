//! A gaussian of standard deviation 2 over 48 megapixels of RGB, beside OpenCV.
//!
//! The answer is held against the exact sum, rounded: no sample more than 1 off, nine in ten equal. OpenCV's own
//! fixed point lies up to 0.77 from it, so that a few of its samples in a million differ from ours by 2.

use shmpool::kernels::Gaussian;

use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, Wanted, try_time};
use crate::{Bench, Result};

pub(super) const SHAPE: [usize; 3] = [6000, 8000, 3];
const SIGMA: f32 = 2.0;
/// What radius 8 = 4 * sigma is called by OpenCV.
const KSIZE: usize = 17;

/// A sample of a picture with slopes, edges and grain.
pub(super) fn sample([y, x, channel]: [usize; 3]) -> u8 {
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
    rival.fetch("exact", &mut wanted)?;
    let off_exact = differences(&found, &wanted);
    rival.fetch("result", &mut wanted)?;
    let off_rival = differences(&found, &wanted);
    drop((found, wanted));
    let words =
        format!("samples off by 0, 1, more: {off_exact:?} from the exact sum, {off_rival:?} from OpenCV");
    let n_enough = image.len() * 9 / 10;
    if off_exact[0] < n_enough || off_exact[2] > 0 || off_rival[0] < n_enough {
        return Err(format!("gaussian: {words}").into());
    }

    let field = vec![
        Contestant::new("pool.apply(&Gaussian)", || try_time(|| Ok(bench.pool.apply(&gaussian, &image)?))),
        Contestant::new(version, || rival.time("blur")).wanted(Wanted::Ratio(0.5)),
    ];
    let row = Row::race(name, bench.options.rounds, field)?;
    Ok(vec![row.with_note(words)])
}

/// How many samples are equal, differ by 1, and differ by more.
fn differences(found: &[u8], wanted: &[u8]) -> [usize; 3] {
    let mut counts = [0; 3];
    for (found, wanted) in found.iter().zip(wanted) {
        counts[usize::from(found.abs_diff(*wanted)).min(2)] += 1;
    }
    counts
}
