use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, refuse_parameter};
use crate::{Border, BorderCode, KernelError, Sample, Tile, TileKernel, Window, Workspace};

/// Weighs the square of samples around each one, for each channel: `sum(weight * sample) / divisor + offset`.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * weights: finite, 3 x 3, 5 x 5 or 7 x 7, the upper left one first; they lie on the image as they are written, which
///   is called correlation (a convolution in the strict sense turns them by 180 degrees)
/// * `divisor`: finite, not 0; `offset`: sample units, finite
///
/// Sums are in `f32`, row by row, and a weight of 0 does not look at its sample. `u8` and `u16` are rounded and cut to
/// the range: exactly `clip(rint(scipy.ndimage.correlate(..) / divisor + offset))` for whole weights, as long as the
/// sum of their absolute values times the largest sample is below 2^24 and the quotient fits in as many bits; within 1
/// level for others. `f32` within 1e-5 for samples in `0.0..=1.0` and weights that add up to a few units, not cut.
/// Checked by `kernels/tests/everyday.rs`. Cost: a multiplication and an addition for each weight that is not 0.
///
/// ```
/// use shmpool_kernels::{Chain, Convolve, KernelError};
///
/// let emboss = Convolve::new(&[-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0])?;
/// let mut out = [0; 4];
/// Chain::<u8, u8>::of(emboss).run(&[10, 10, 40, 40], [1, 4, 1], &mut out)?;
/// assert_eq!(out, [10, 100, 130, 40]);
///
/// let error = Convolve::new(&[1.0; 4]).unwrap_err();
/// assert_eq!(error.to_string(), "convolve: parameter weights: found 4, wanted 9, 25 or 49 of them");
/// # Ok::<(), KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::Parameter`] if a parameter is out of its range.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Convolve {
    /// Row by row; the first `(2 * radius + 1)^2` count.
    weights: [f32; N_WEIGHTS_MAX],
    /// 1 to 3.
    radius: u32,
    /// What the sum is divided by; 1 by default.
    pub divisor: f32,
    /// What is added to the quotient; 0 by default.
    pub offset: f32,
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

const N_WEIGHTS_MAX: usize = 49;

impl Convolve {
    /// The filter with these weights, row by row: 9, 25 or 49.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] if there is another number of them.
    pub fn new(weights: &[f32]) -> Result<Self, KernelError> {
        let radius = match weights.len() {
            9 => 1,
            25 => 2,
            49 => 3,
            n => return Err(refuse_parameter("convolve", "weights", n, "9, 25 or 49 of them".to_owned())),
        };
        let mut all = [0.0; N_WEIGHTS_MAX];
        all[..weights.len()].copy_from_slice(weights);
        Ok(Convolve { weights: all, radius, divisor: 1.0, offset: 0.0, border: Border::Reflect101.into() })
    }

    /// The same filter with this divisor.
    #[must_use]
    pub fn divisor(self, divisor: f32) -> Self {
        Convolve { divisor, ..self }
    }

    /// The same filter with this offset.
    #[must_use]
    pub fn offset(self, offset: f32) -> Self {
        Convolve { offset, ..self }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Convolve { border: border.into(), ..self }
    }

    /// Cut, since any bytes may stand there.
    fn side(&self) -> usize {
        2 * (self.radius as usize).min(3) + 1
    }

    fn weights(&self) -> &[f32] {
        &self.weights[..self.side() * self.side()]
    }
}

impl<T: Sample> TileKernel<T> for Convolve {
    type Out = T;

    fn name(&self) -> &'static str {
        "convolve"
    }

    fn halo(&self) -> usize {
        self.side() / 2
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        let refused = |parameter, found: f32, wanted: &str| {
            Err(refuse_parameter("convolve", parameter, found, wanted.to_owned()))
        };
        if !(1..=3).contains(&self.radius) {
            return Err(refuse_parameter("convolve", "radius", self.radius, "1 to 3".to_owned()));
        }
        if let Some(&weight) = self.weights().iter().find(|weight| !weight.is_finite()) {
            return refused("weights", weight, "finite numbers");
        }
        if !self.divisor.is_finite() || self.divisor == 0.0 {
            return refused("divisor", self.divisor, "a finite number other than 0");
        }
        if !self.offset.is_finite() {
            return refused("offset", self.offset, "a finite number");
        }
        Ok(())
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        weigh_tile(self.weights(), [self.divisor, self.offset], src, dst, workspace);
        carry_alpha(src, dst);
    }
}

/// Makes edges steeper: adds `amount` times what a pixel differs from the four around it.
///
/// [`Convolve`] with the weights `0 -a 0, -a 1+4a -a, 0 -a 0`.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `amount`: from 0, up to [`AMOUNT_MAX`]
///
/// OpenCV's `filter2D` with these weights: exact for whole amounts, within 1 level for others; `f32` within 1e-5 for
/// samples in `0.0..=1.0` and amounts up to 2, not cut. Checked by `kernels/tests/everyday.rs`. Pillow and libvips have
/// other weights under this name.
///
/// # Errors
/// [`KernelError::Parameter`] if `amount` is out of its range.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Sharpen {
    /// How much sharper; 1 is much.
    pub amount: f32,
    /// What lies beyond the edge; [`Border::Reflect101`] by default.
    pub border: BorderCode,
}

/// The largest amount of [`Sharpen`] and [`Unsharp`](crate::Unsharp).
pub const AMOUNT_MAX: f32 = 64.0;

impl Sharpen {
    /// The filter with this amount and a mirrored border.
    #[must_use]
    pub fn new(amount: f32) -> Self {
        Sharpen { amount, border: Border::Reflect101.into() }
    }

    /// The same filter with this border.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Sharpen { border: border.into(), ..self }
    }
}

impl<T: Sample> TileKernel<T> for Sharpen {
    type Out = T;

    fn name(&self) -> &'static str {
        "sharpen"
    }

    fn halo(&self) -> usize {
        1
    }

    fn border(&self) -> Border {
        self.border.into()
    }

    fn validate(&self) -> Result<(), KernelError> {
        validate_amount("sharpen", self.amount)
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        let (side, centre) = (-self.amount, 1.0 + 4.0 * self.amount);
        let weights = [0.0, side, 0.0, side, centre, side, 0.0, side, 0.0];
        weigh_tile(&weights, [1.0, 0.0], src, dst, workspace);
        carry_alpha(src, dst);
    }
}

pub(super) fn validate_amount(kernel: &'static str, amount: f32) -> Result<(), KernelError> {
    if (0.0..=AMOUNT_MAX).contains(&amount) {
        return Ok(());
    }
    Err(refuse_parameter(kernel, "amount", amount, format!("from 0 to {AMOUNT_MAX}")))
}

/// Sums that are computed together: 4 KiB, which stay in the first-level cache from weight to weight.
const STRIP: usize = 1024;

/// One weight and where its sample lies: rows and samples from the upper left one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tap {
    row: u32,
    column: u32,
    weight: f32,
}

/// Each row of the window becomes `f32` once, in a ring of as many rows as the weights have; each row of the result is
/// summed from the ring.
#[inline(always)]
fn weigh_tile<T: Sample>(
    weights: &[f32],
    [divisor, offset]: [f32; 2],
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let n_rows = 2 * src.halo() + 1;
    let mut taps = [Tap::zeroed(); N_WEIGHTS_MAX];
    let mut n_taps = 0;
    for (index, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
        let column = index % n_rows * src.channels();
        taps[n_taps] = Tap { row: (index / n_rows) as u32, column: column as u32, weight };
        n_taps += 1;
    }
    let taps = &taps[..n_taps];

    let row_length = (dst.width() + 2 * src.halo()) * src.channels();
    let ring = workspace.values::<f32>(n_rows * row_length);
    for y in 0..dst.height() + n_rows - 1 {
        for (value, sample) in ring[y % n_rows * row_length..][..row_length].iter_mut().zip(src.row(y)) {
            *value = sample.to_f32();
        }
        if y + 1 >= n_rows {
            let top = y + 1 - n_rows;
            weigh_row(taps, [divisor, offset], ring, [top % n_rows, n_rows], dst.row_mut(top));
        }
    }
}

/// `top` is the row of the ring that the first row of weights lies on.
#[inline(always)]
fn weigh_row<T: Sample>(
    taps: &[Tap],
    [divisor, offset]: [f32; 2],
    ring: &[f32],
    [top, n_rows]: [usize; 2],
    out: &mut [T],
) {
    let row_length = ring.len() / n_rows;
    let mut places = [(0, 0.0); N_WEIGHTS_MAX];
    for (place, tap) in places.iter_mut().zip(taps) {
        *place = ((top + tap.row as usize) % n_rows * row_length + tap.column as usize, tap.weight);
    }
    for (strip, out) in out.chunks_mut(STRIP).enumerate() {
        let sums = &mut [0.0; STRIP][..out.len()];
        for &(place, weight) in &places[..taps.len()] {
            add_products(weight, &ring[place + strip * STRIP..], sums);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = T::from_f32(*sum / divisor + offset);
        }
    }
}

#[inline(always)]
fn add_products(weight: f32, values: &[f32], sums: &mut [f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}
