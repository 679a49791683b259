use bytemuck::{Pod, Zeroable};

use super::carry_alpha;
use crate::{Border, BorderCode, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// The largest standard deviation of [`Gaussian`], in pixels.
pub const SIGMA_MAX: f32 = 256.0;

/// Blurs every channel with a Gaussian of standard deviation `sigma`.
///
/// * source: any number of channels, finite samples; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `sigma`: pixels, above 0, up to [`SIGMA_MAX`]; the radius is `round(4 * sigma)`
///
/// Two one-dimensional passes, `O(height * width * channels * radius)`, sums in `f32`, rounded once, at the end.
/// Against `scipy.ndimage.gaussian_filter(truncate=4)` in `f64`: `f32` within 1e-4 for samples in `0.0..=1.0`, `u8` and
/// `u16` within 1 level and equal for more than 90 % of the samples (`kernels/tests/references.rs`).
///
/// # Errors
/// [`KernelError::Parameter`] if `sigma` is out of its range.
///
/// # Source
/// P. Getreuer, "A Survey of Gaussian Convolution Algorithms", IPOL 3, 2013 (truncated FIR).
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Gaussian {
    /// Standard deviation, in pixels.
    pub sigma: f32,
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

impl Gaussian {
    /// The filter with this standard deviation and a mirrored border.
    #[must_use]
    pub fn new(sigma: f32) -> Self {
        Gaussian { sigma, border: Border::Reflect101.into() }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Gaussian { border: border.into(), ..self }
    }
}

impl<T: Sample> TileKernel<T> for Gaussian {
    type Out = T;

    fn name(&self) -> &'static str {
        "gaussian"
    }

    fn halo(&self) -> usize {
        radius(self.sigma)
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        if self.sigma > 0.0 && self.sigma <= SIGMA_MAX {
            return Ok(());
        }
        Err(KernelError::Parameter {
            kernel: "gaussian",
            parameter: "sigma",
            found: self.sigma.to_string(),
            wanted: format!("above 0, up to {SIGMA_MAX}"),
        })
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        let weights = weights(self.sigma);
        let radius = src.halo();
        let n_samples = dst.width() * dst.channels();
        for start in (0..n_samples).step_by(STRIP) {
            blur_strip(&weights[..=radius], src, dst, start, STRIP.min(n_samples - start), workspace);
        }
        carry_alpha(src, dst);
    }
}

/// Samples that are summed at once: as many as fit into the vector registers of every level.
const LANES: usize = 32;

/// Samples of a row that go through both passes together. The rows that the second pass sums stay in the
/// first-level cache for radii up to 8: 17 rows of 256 samples are 17 KiB.
const STRIP: usize = 256;

const RADIUS_MAX: usize = 4 * SIGMA_MAX as usize;

/// SciPy's rule, `int(4 * sigma + 0.5)`; cut, so that a value that `validate` refuses does no harm before it does.
fn radius(sigma: f32) -> usize {
    ((4.0 * sigma + 0.5) as usize).min(RADIUS_MAX)
}

/// The weight of the centre, then of the samples at distance 1, 2, ... to either side; all of them add up to 1.
fn weights(sigma: f32) -> [f32; RADIUS_MAX + 1] {
    let radius = radius(sigma);
    let exponent = -0.5 / (f64::from(sigma) * f64::from(sigma));
    let height = |distance: usize| (exponent * (distance * distance) as f64).exp();
    let total = 1.0 + 2.0 * (1..=radius).map(height).sum::<f64>();
    let mut weights = [0.0; RADIUS_MAX + 1];
    for (distance, weight) in weights[..=radius].iter_mut().enumerate() {
        *weight = (height(distance) / total) as f32;
    }
    weights
}

/// Blurs the samples `start..start + n` of every row.
///
/// Each row of the window is blurred along itself and kept, as `f32`, in a ring of as many rows as the second pass
/// sums; then each row of the result is the weighted sum of the whole ring.
#[inline(always)]
fn blur_strip<T: Sample>(
    weights: &[f32],
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    start: usize,
    n: usize,
    workspace: &mut Workspace,
) {
    let radius = weights.len() - 1;
    let n_rows = 2 * radius + 1;
    // Whole groups of lanes; what the last one has too much is computed from old values and not used.
    let padded = n.next_multiple_of(LANES);
    let side = radius * src.channels();
    let values: &mut [f32] = workspace.values(padded + 2 * side + n_rows * padded);
    let (line, ring) = values.split_at_mut(padded + 2 * side);
    for y in 0..dst.height() + 2 * radius {
        let row = &src.row(y)[start..][..n + 2 * side];
        for (value, &sample) in line.iter_mut().zip(row) {
            *value = sample.to_f32();
        }
        blur_along(weights, line, src.channels(), &mut ring[y % n_rows * padded..][..padded]);
        if y >= 2 * radius {
            let centre = (y - radius) % n_rows;
            blur_across(weights, ring, centre, &mut dst.row_mut(y - 2 * radius)[start..][..n]);
        }
    }
}

/// The first pass: sums of samples of one row that are whole pixels apart.
#[inline(always)]
fn blur_along(weights: &[f32], line: &[f32], channels: usize, out: &mut [f32]) {
    let centre = (weights.len() - 1) * channels;
    for x in (0..out.len()).step_by(LANES) {
        let mut sums = [0.0; LANES];
        scale(&mut sums, weights[0], &line[x + centre..][..LANES]);
        for (distance, &weight) in weights.iter().enumerate().skip(1) {
            let step = distance * channels;
            let (before, after) = (&line[x + centre - step..][..LANES], &line[x + centre + step..][..LANES]);
            add_scaled(&mut sums, weight, before, after);
        }
        out[x..][..LANES].copy_from_slice(&sums);
    }
}

/// The second pass: sums of samples above each other, in the ring around row `centre`.
#[inline(always)]
fn blur_across<T: Sample>(weights: &[f32], ring: &[f32], centre: usize, out: &mut [T]) {
    let n_rows = 2 * weights.len() - 1;
    let padded = ring.len() / n_rows;
    for x in (0..out.len()).step_by(LANES) {
        let mut sums = [0.0; LANES];
        scale(&mut sums, weights[0], &ring[centre * padded + x..][..LANES]);
        let (mut above, mut below) = (centre, centre);
        for &weight in &weights[1..] {
            above = if above == 0 { n_rows - 1 } else { above - 1 };
            below = if below == n_rows - 1 { 0 } else { below + 1 };
            let (before, after) =
                (&ring[above * padded + x..][..LANES], &ring[below * padded + x..][..LANES]);
            add_scaled(&mut sums, weight, before, after);
        }
        store(&sums, &mut out[x..]);
    }
}

#[inline(always)]
fn scale(sums: &mut [f32; LANES], weight: f32, values: &[f32]) {
    for lane in 0..LANES {
        sums[lane] = weight * values[lane];
    }
}

#[inline(always)]
fn add_scaled(sums: &mut [f32; LANES], weight: f32, before: &[f32], after: &[f32]) {
    for lane in 0..LANES {
        sums[lane] += weight * (before[lane] + after[lane]);
    }
}

/// Rounds the sums to samples, as many as there is room for.
#[inline(always)]
fn store<T: Sample>(sums: &[f32; LANES], out: &mut [T]) {
    let mut samples = [T::default(); LANES];
    for lane in 0..LANES {
        samples[lane] = T::from_f32(sums[lane]);
    }
    if let Some(whole) = out.first_chunk_mut::<LANES>() {
        *whole = samples;
    } else {
        out.copy_from_slice(&samples[..out.len()]);
    }
}
