use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, refuse_parameter};
use crate::{Border, BorderCode, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// The largest standard deviation of [`Gaussian`], in pixels.
pub const SIGMA_MAX: f32 = 256.0;

/// Blurs every channel with a Gaussian of standard deviation `sigma`.
///
/// * source: any number of channels, finite samples; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `sigma`: pixels, above 0, up to [`SIGMA_MAX`]; the radius is `round(4 * sigma)`
///
/// Two one-dimensional passes, `O(height * width * channels * radius)`, rounded to samples once, at the end. Sums are in
/// `f32`; for `u8` and radii up to 63 in 16-bit integers with 7 bits of fraction, which is twice as fast.
///
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

/// A sample type that [`Gaussian`] has arithmetic for: every one. Part of [`Gaussian`]'s signature, of no use elsewhere.
pub trait Blur: Sample {
    /// Blurs one tile; `weights` are those of the centre and of the samples at distance 1, 2, ... to either side.
    fn blur(weights: &[f64], src: &Window<'_, Self>, dst: &mut Tile<'_, Self>, workspace: &mut Workspace);
}

impl Blur for u8 {
    #[inline(always)]
    fn blur(weights: &[f64], src: &Window<'_, u8>, dst: &mut Tile<'_, u8>, workspace: &mut Workspace) {
        if weights.len() <= FIXED_WEIGHTS_MAX {
            blur_tile::<u8, u16, 32>(weights, src, dst, workspace);
        } else {
            blur_tile::<u8, f32, 16>(weights, src, dst, workspace);
        }
    }
}

impl Blur for u16 {
    #[inline(always)]
    fn blur(weights: &[f64], src: &Window<'_, u16>, dst: &mut Tile<'_, u16>, workspace: &mut Workspace) {
        blur_tile::<u16, f32, 16>(weights, src, dst, workspace);
    }
}

impl Blur for f32 {
    #[inline(always)]
    fn blur(weights: &[f64], src: &Window<'_, f32>, dst: &mut Tile<'_, f32>, workspace: &mut Workspace) {
        blur_tile::<f32, f32, 16>(weights, src, dst, workspace);
    }
}

impl<T: Blur> TileKernel<T> for Gaussian {
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
        validate_sigma("gaussian", self.sigma)
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        T::blur(&weights(self.sigma)[..=src.halo()], src, dst, workspace);
        carry_alpha(src, dst);
    }
}

pub(super) fn validate_sigma(kernel: &'static str, sigma: f32) -> Result<(), KernelError> {
    if sigma > 0.0 && sigma <= SIGMA_MAX {
        return Ok(());
    }
    Err(refuse_parameter(kernel, "sigma", sigma, format!("above 0, up to {SIGMA_MAX}")))
}

const RADIUS_MAX: usize = 4 * SIGMA_MAX as usize;

/// SciPy's rule, `int(4 * sigma + 0.5)`; cut, since it is asked before `validate` refuses a value.
fn radius(sigma: f32) -> usize {
    ((4.0 * sigma + 0.5) as usize).min(RADIUS_MAX)
}

/// The weight of the centre, then of the samples at distance 1, 2, ... to either side; all of them add up to 1.
fn weights(sigma: f32) -> [f64; RADIUS_MAX + 1] {
    let radius = radius(sigma);
    let exponent = -0.5 / (f64::from(sigma) * f64::from(sigma));
    let mut weights = [0.0; RADIUS_MAX + 1];
    let mut total = 0.0;
    for (distance, weight) in weights[..=radius].iter_mut().enumerate() {
        *weight = (exponent * (distance * distance) as f64).exp();
        total += if distance == 0 { *weight } else { 2.0 * *weight };
    }
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

/// Numbers to add up samples in. Nothing here depends on the CPU level.
trait Number: Pod {
    /// What sums of so many products start with.
    fn start(n_weights: usize) -> Self;
    /// Converts as many weights as there are in `out`.
    fn convert(weights: &[f64], out: &mut [Self]);
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// `self * weight`.
    fn times(self, weight: Self) -> Self;
}

/// Numbers for samples of type `T`.
trait Sums<T>: Number {
    /// A sample as such a number.
    fn of(sample: T) -> Self;
    /// The sample that a sum means.
    fn sample(self) -> T;
}

impl Number for f32 {
    #[inline(always)]
    fn start(_: usize) -> f32 {
        0.0
    }

    #[inline(always)]
    fn convert(weights: &[f64], out: &mut [f32]) {
        for (weight, out) in weights.iter().zip(out) {
            *out = *weight as f32;
        }
    }

    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }

    #[inline(always)]
    fn times(self, weight: f32) -> f32 {
        self * weight
    }
}

impl<T: Sample> Sums<T> for f32 {
    #[inline(always)]
    fn of(sample: T) -> f32 {
        sample.to_f32()
    }

    #[inline(always)]
    fn sample(self) -> T {
        T::from_f32(self)
    }
}

/// Weights up to which 16-bit sums are used; see the proof at `Number for u16`.
const FIXED_WEIGHTS_MAX: usize = 64;

/// Fixed point: samples and sums in units of 1/128, weights in units of 1/65536.
///
/// A product drops what is below 1/128, which is half a unit on average: so sums start with half a unit for each of
/// the `n` products. With `n` up to 64 that keeps each pass within 32 units (a quarter of a level) of the
/// exact sum; a flat image stays as it is; and no sum of two values of the first pass, `2 * (255 * 128 + 32)`, nor the
/// rounding at the end, `255 * 128 + 2 * 32 + 64`, leaves its range. Lanes that are not used may wrap.
impl Number for u16 {
    #[inline(always)]
    fn start(n_weights: usize) -> u16 {
        (n_weights / 2) as u16
    }

    /// The centre gets what rounding took from the others, so that all still add up to 1.
    #[inline(always)]
    fn convert(weights: &[f64], out: &mut [u16]) {
        let mut rest = 65_536;
        for (weight, out) in weights.iter().zip(out.iter_mut()).skip(1) {
            *out = (weight * 65_536.0).round() as u16;
            rest -= 2 * u32::from(*out);
        }
        out[0] = rest.min(65_535) as u16;
    }

    #[inline(always)]
    fn plus(self, other: u16) -> u16 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn times(self, weight: u16) -> u16 {
        ((u32::from(self) * u32::from(weight)) >> 16) as u16
    }
}

impl Sums<u8> for u16 {
    #[inline(always)]
    fn of(sample: u8) -> u16 {
        u16::from(sample) << 7
    }

    #[inline(always)]
    fn sample(self) -> u8 {
        (self.wrapping_add(64) >> 7) as u8
    }
}

/// Bytes of a row's sums that go through both passes together. The rows that the second pass sums then stay in the
/// first-level cache for radii up to 8: 17 rows of 1 KiB.
const STRIP_BYTES: usize = 1024;

/// Blurs a tile in strips of columns. `LANES` numbers fill a cache line, and so the widest vector register.
///
/// Each weight is spread over a line: multiplied with a single number, LLVM widens 16-bit lanes to 32 bits first.
#[inline(always)]
fn blur_tile<T: Sample, N: Sums<T>, const LANES: usize>(
    weights: &[f64],
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let n_weights = weights.len();
    let mut converted = [N::zeroed(); RADIUS_MAX + 1];
    N::convert(weights, &mut converted[..n_weights]);

    let n_samples = dst.width() * dst.channels();
    if n_samples == 0 {
        return; // no channels
    }
    let side = (n_weights - 1) * src.channels();
    let strip = (STRIP_BYTES / size_of::<N>()).min(n_samples.next_multiple_of(2 * LANES));
    let n_values = n_weights * LANES + strip + 2 * side + (2 * n_weights - 1) * strip;
    let (spread, values) = workspace.values(n_values).split_at_mut(n_weights * LANES);
    let (spread, _) = spread.as_chunks_mut::<LANES>();
    for (line, weight) in spread.iter_mut().zip(converted) {
        *line = [weight; LANES];
    }
    let (line, ring) = values.split_at_mut(strip + 2 * side);
    for start in (0..n_samples).step_by(strip) {
        let n = strip.min(n_samples - start);
        blur_strip(spread, src, dst, start..start + n, line, ring);
    }
}

/// Blurs the samples `columns` of every row.
///
/// Each row of the window is blurred along itself and kept in a ring of as many rows as the second pass sums; then
/// each row of the result is the weighted sum of the whole ring. Rows are computed in whole pairs of lines; what the
/// last pair has too much comes from old values and is not used.
#[inline(always)]
fn blur_strip<T: Sample, N: Sums<T>, const LANES: usize>(
    weights: &[[N; LANES]],
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    columns: Range<usize>,
    line: &mut [N],
    ring: &mut [N],
) {
    let radius = weights.len() - 1;
    let n_rows = 2 * radius + 1;
    let row_length = ring.len() / n_rows;
    let padded = columns.len().next_multiple_of(2 * LANES);
    let side = radius * src.channels();
    for y in 0..dst.height() + 2 * radius {
        let row = &src.row(y)[columns.start..columns.end + 2 * side];
        for (value, &sample) in line.iter_mut().zip(row) {
            *value = N::of(sample);
        }
        let blurred = &mut ring[y % n_rows * row_length..][..padded];
        blur_along(weights, line, src.channels(), blurred);
        if y >= 2 * radius {
            let out = &mut dst.row_mut(y - 2 * radius)[columns.clone()];
            blur_across(weights, ring, (y - radius) % n_rows, out);
        }
    }
}

/// The first pass: sums of samples of one row that are whole pixels apart.
#[inline(always)]
fn blur_along<N: Number, const LANES: usize>(
    weights: &[[N; LANES]],
    line: &[N],
    channels: usize,
    out: &mut [N],
) {
    let centre = (weights.len() - 1) * channels;
    for x in (0..out.len()).step_by(2 * LANES) {
        let mut sums = [[N::start(weights.len()); LANES]; 2];
        add_centre(&mut sums, &weights[0], &line[x + centre..]);
        for (distance, weight) in weights.iter().enumerate().skip(1) {
            let step = distance * channels;
            add_pair(&mut sums, weight, &line[x + centre - step..], &line[x + centre + step..]);
        }
        out[x..][..2 * LANES].copy_from_slice(sums.as_flattened());
    }
}

/// The second pass: sums of samples above each other, in the ring around row `centre`.
#[inline(always)]
fn blur_across<T: Sample, N: Sums<T>, const LANES: usize>(
    weights: &[[N; LANES]],
    ring: &[N],
    centre: usize,
    out: &mut [T],
) {
    let n_rows = 2 * weights.len() - 1;
    let row_length = ring.len() / n_rows;
    for x in (0..out.len()).step_by(2 * LANES) {
        let mut sums = [[N::start(weights.len()); LANES]; 2];
        add_centre(&mut sums, &weights[0], &ring[centre * row_length + x..]);
        let (mut above, mut below) = (centre, centre);
        for weight in &weights[1..] {
            above = if above == 0 { n_rows - 1 } else { above - 1 };
            below = if below == n_rows - 1 { 0 } else { below + 1 };
            add_pair(&mut sums, weight, &ring[above * row_length + x..], &ring[below * row_length + x..]);
        }
        store(&sums, &mut out[x..]);
    }
}

#[inline(always)]
fn add_centre<N: Number, const LANES: usize>(sums: &mut [[N; LANES]; 2], weight: &[N; LANES], values: &[N]) {
    let values = &values[..2 * LANES];
    for half in 0..2 {
        for lane in 0..LANES {
            let value = values[half * LANES + lane];
            sums[half][lane] = sums[half][lane].plus(value.times(weight[lane]));
        }
    }
}

#[inline(always)]
fn add_pair<N: Number, const LANES: usize>(
    sums: &mut [[N; LANES]; 2],
    weight: &[N; LANES],
    before: &[N],
    after: &[N],
) {
    let (before, after) = (&before[..2 * LANES], &after[..2 * LANES]);
    for half in 0..2 {
        for lane in 0..LANES {
            let pair = before[half * LANES + lane].plus(after[half * LANES + lane]);
            sums[half][lane] = sums[half][lane].plus(pair.times(weight[lane]));
        }
    }
}

/// Rounds the sums to samples, as many as there is room for.
#[inline(always)]
fn store<T: Sample, N: Sums<T>, const LANES: usize>(sums: &[[N; LANES]; 2], out: &mut [T]) {
    let mut samples = [[T::default(); LANES]; 2];
    for half in 0..2 {
        for lane in 0..LANES {
            samples[half][lane] = sums[half][lane].sample();
        }
    }
    let samples = samples.as_flattened();
    if out.len() >= 2 * LANES {
        out[..2 * LANES].copy_from_slice(samples);
    } else {
        out.copy_from_slice(&samples[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tile of 3 x 40 samples blurred in `N`; the window holds `sample(i)` for `i = 0, 1, ...`.
    fn blurred<N: Sums<u8>, const LANES: usize>(weights: &[f64], sample: impl Fn(usize) -> u8) -> Vec<u8> {
        let halo = weights.len() - 1;
        let samples: Vec<u8> = (0..(3 + 2 * halo) * (40 + 2 * halo)).map(sample).collect();
        let src = Window::new(&samples, [3, 40], 1, halo).unwrap();
        let mut out = vec![0; 120];
        let mut dst = Tile::new(&mut out, [3, 40], 1).unwrap();
        blur_tile::<u8, N, LANES>(weights, &src, &mut dst, &mut Workspace::default());
        out
    }

    /// Weights of the widest filter that a radius allows, where the fixed point has most to round.
    fn widest(radius: usize) -> [f64; RADIUS_MAX + 1] {
        let weights = weights((radius as f32 + 0.49) / 4.0);
        assert!(weights[radius] > 0.0 && weights[radius + 1] == 0.0);
        weights
    }

    #[test]
    fn fixed_point_is_within_a_level_of_float_for_every_radius() {
        for radius in [0, 1, 2, 3, 5, 8, 13, 21, 34, FIXED_WEIGHTS_MAX - 1] {
            let weights = &widest(radius)[..=radius];
            let noise = |i: usize| (i.wrapping_mul(0x9e37_79b9) >> 11) as u8;
            let fixed = blurred::<u16, 32>(weights, noise);
            let float = blurred::<f32, 16>(weights, noise);
            assert!(fixed.iter().zip(&float).all(|(a, b)| a.abs_diff(*b) <= 1), "{radius}");
            let equal = fixed.iter().zip(&float).filter(|(a, b)| a == b).count();
            assert!(equal >= 108, "radius {radius}: {equal} of 120 are equal");
        }
    }

    #[test]
    fn fixed_point_leaves_flat_images_alone() {
        for radius in [0, 1, 8, FIXED_WEIGHTS_MAX - 1] {
            let weights = &widest(radius)[..=radius];
            for level in (0..=255).step_by(15) {
                assert_eq!(blurred::<u16, 32>(weights, |_| level), [level; 120], "{radius}");
            }
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        for sigma in [1e-30, 0.1, 0.3, 1.0, 2.0, 15.8, SIGMA_MAX] {
            let weights = weights(sigma);
            assert!((weights[0] + 2.0 * weights[1..].iter().sum::<f64>() - 1.0).abs() < 1e-14, "{sigma}");
            let mut fixed = vec![0u16; radius(sigma).min(63) + 1];
            if radius(sigma) < FIXED_WEIGHTS_MAX {
                u16::convert(&weights, &mut fixed);
                let total = u32::from(fixed[0]) + 2 * fixed[1..].iter().copied().map(u32::from).sum::<u32>();
                assert!(total == 65_536 || fixed == [65_535], "{sigma}");
            }
        }
    }
}
