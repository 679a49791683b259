use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, refuse_parameter};
use crate::{KernelError, Sample, SampleType, Tile, TileKernel, Window, Workspace};

/// A kernel that makes each sample from that sample alone, by one formula in `f64` for all sample types.
///
/// That is how the result is the one that a table has which NumPy computes in `f64` and rounds. `u8` goes through such
/// a table, of 256 entries; so does `u16` where the formula is slow.
trait Curve: Pod {
    /// Whether the formula takes so long that a table of 65536 entries is worth making for each tile.
    fn is_slow(&self) -> bool {
        false
    }

    /// What becomes of a sample; `white` is the sample that images of its type show as white.
    fn at(&self, x: f64, white: f64) -> f64;
}

/// Sends every sample but alpha through the curve.
#[inline(always)]
fn map_tile<T: Sample, C: Curve>(
    curve: &C,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let n_samples = dst.height() * dst.width() * dst.channels();
    match T::TYPE {
        SampleType::U8 if n_samples >= 256 => look_up::<T, C, 256>(curve, src, dst, workspace),
        SampleType::U16 if n_samples >= 65_536 && curve.is_slow() => {
            look_up::<T, C, 65_536>(curve, src, dst, workspace);
        }
        _ => compute(curve, src, dst),
    }
    carry_alpha(src, dst);
}

#[inline(always)]
fn compute<T: Sample, C: Curve>(curve: &C, src: &Window<'_, T>, dst: &mut Tile<'_, T>) {
    let white = f64::from(T::TYPE.white());
    for y in 0..dst.height() {
        for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
            *out = T::from_f64(curve.at(f64::from(sample.to_f32()), white));
        }
    }
}

/// `N` is the number of all samples of type `T`, a power of two.
#[inline(always)]
fn look_up<T: Sample, C: Curve, const N: usize>(
    curve: &C,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let white = f64::from(T::TYPE.white());
    let ([table], _) = workspace.values::<T>(N).as_chunks_mut::<N>() else { unreachable!("N values") };
    for (x, out) in table.iter_mut().enumerate() {
        *out = T::from_f64(curve.at(x as f64, white));
    }
    for y in 0..dst.height() {
        for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
            *out = table[sample.index() % N];
        }
    }
}

/// Implements [`TileKernel`] by the kernel's curve.
macro_rules! tile_kernel {
    ($kernel:ty, $name:literal $(, $validate:item)?) => {
        impl<T: Sample> TileKernel<T> for $kernel {
            type Out = T;

            fn name(&self) -> &'static str {
                $name
            }

            $($validate)?

            #[inline(always)]
            fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
                map_tile(self, src, dst, workspace);
            }
        }
    };
}

/// Raises samples to a power: `white * (x / white) ^ gamma`. Below 1 brightens, above 1 darkens.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `gamma`: above 0, up to [`GAMMA_MAX`]
///
/// As `skimage.exposure.adjust_gamma`. `u8` and `u16`: rounded from `f64`, exactly what NumPy makes in `f64` with
/// `rint`. `f32`: within 2 ulp of that; what is below 0 becomes 0, NaN stays, what is above 1 is not cut.
/// Checked by `kernels/tests/everyday.rs`.
///
/// Cost: `u8` and large tiles of `u16` take a table look-up a sample, the others the power itself.
///
/// # Errors
/// [`KernelError::Parameter`] if `gamma` is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Gamma {
    /// The exponent.
    pub gamma: f32,
}

/// The largest exponent of [`Gamma`] and [`Levels`].
pub const GAMMA_MAX: f32 = 100.0;

impl Curve for Gamma {
    fn is_slow(&self) -> bool {
        true
    }

    #[inline(always)]
    fn at(&self, x: f64, white: f64) -> f64 {
        let base = if x < 0.0 { 0.0 } else { x / white };
        white * base.powf(self.gamma.into())
    }
}

tile_kernel! {Gamma, "gamma", fn validate(&self) -> Result<(), KernelError> { validate_gamma("gamma", self.gamma) }}

fn validate_gamma(kernel: &'static str, gamma: f32) -> Result<(), KernelError> {
    if gamma > 0.0 && gamma <= GAMMA_MAX {
        return Ok(());
    }
    Err(refuse_parameter(kernel, "gamma", gamma, format!("above 0, up to {GAMMA_MAX}")))
}

/// Stretches the samples from `low` to `high` over the whole range, black to white, and bends them by `gamma`.
///
/// `white * t ^ gamma` with `t = (x - low) / (high - low)`, cut to `0.0..=1.0`.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `low`, `high`: sample units, finite, `low` below `high`
/// * `gamma`: above 0, up to [`GAMMA_MAX`]; 1 is a straight line
///
/// With `gamma` 1 it is `skimage.exposure.rescale_intensity(in_range=(low, high))`. `u8` and `u16`: rounded from `f64`,
/// exactly what NumPy makes with `rint`. `f32`: within 2 ulp of that; NaN becomes 0. Checked by
/// `kernels/tests/everyday.rs`.
///
/// # Errors
/// [`KernelError::Parameter`] if a parameter is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Levels {
    /// What becomes black.
    pub low: f32,
    /// What becomes white.
    pub high: f32,
    /// The exponent of what lies between.
    pub gamma: f32,
}

impl Curve for Levels {
    fn is_slow(&self) -> bool {
        self.gamma != 1.0
    }

    #[inline(always)]
    fn at(&self, x: f64, white: f64) -> f64 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let above = if x > low { x } else { low };
        let cut = if above < high { above } else { high };
        let t = (cut - low) / (high - low);
        if self.is_slow() { white * t.powf(self.gamma.into()) } else { white * t }
    }
}

tile_kernel! {Levels, "levels", fn validate(&self) -> Result<(), KernelError> {
    if !self.low.is_finite() {
        return Err(refuse_parameter("levels", "low", self.low, "a finite number".to_owned()));
    }
    if !self.high.is_finite() || self.high <= self.low {
        let wanted = format!("a finite number above low, which is {}", self.low);
        return Err(refuse_parameter("levels", "high", self.high, wanted));
    }
    validate_gamma("levels", self.gamma)
}}

/// Adds a number to every sample: `x + add`.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `add`: sample units, finite
///
/// `u8` and `u16`: rounded from `f64` and cut to the range, exactly NumPy's `clip(rint(x + add))`. `f32`: the nearest
/// sum, not cut. Checked by `kernels/tests/everyday.rs`.
///
/// Cost: one addition a sample; where `add` lies between two integers, for `u8` a table look-up.
///
/// # Errors
/// [`KernelError::Parameter`] if `add` is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Brightness {
    /// What is added.
    pub add: f32,
}

impl Curve for Brightness {
    #[inline(always)]
    fn at(&self, x: f64, _: f64) -> f64 {
        x + f64::from(self.add)
    }
}

impl<T: Sample> TileKernel<T> for Brightness {
    type Out = T;

    fn name(&self) -> &'static str {
        "brightness"
    }

    fn validate(&self) -> Result<(), KernelError> {
        if self.add.is_finite() {
            return Ok(());
        }
        Err(refuse_parameter("brightness", "add", self.add, "a finite number".to_owned()))
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
        // Half-way between two integers a sum goes to the even one, so that what is added depends on the sample.
        if T::TYPE == SampleType::F32 || (self.add - self.add.trunc()).abs() == 0.5 {
            return map_tile(self, src, dst, workspace);
        }
        for y in 0..dst.height() {
            shift_row(self.add.round(), src.inner_row(y), dst.row_mut(y));
        }
        carry_alpha(src, dst);
    }
}

/// Adds a whole number to samples of integers, and cuts the sums to their range.
#[inline(always)]
fn shift_row<T: Sample>(add: f32, from: &[T], to: &mut [T]) {
    macro_rules! shift {
        ($sample:ty) => {{
            let (from, to) =
                (bytemuck::cast_slice::<T, $sample>(from), bytemuck::cast_slice_mut::<T, $sample>(to));
            // Cut to the type's range, beyond which more changes nothing.
            let by = add.abs() as $sample;
            let pairs = to.iter_mut().zip(from);
            if add < 0.0 {
                pairs.for_each(|(out, sample)| *out = sample.saturating_sub(by));
            } else {
                pairs.for_each(|(out, sample)| *out = sample.saturating_add(by));
            }
        }};
    }
    match T::TYPE {
        SampleType::U8 => shift!(u8),
        SampleType::U16 => shift!(u16),
        SampleType::F32 => unreachable!("no integers"),
    }
}

/// Moves samples away from mid-gray, or towards it: `gray + (x - gray) * factor`, where `gray` is half of white.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
/// * `factor`: from 0 (all gray) over 1 (as it is), up to [`FACTOR_MAX`]
///
/// Mid-gray is 127.5, 32767.5 or 0.5, not the mean of the image (which Pillow takes). `u8` and `u16`: rounded from
/// `f64` and cut to the range, exactly what NumPy makes with `rint`. `f32`: within 2 ulp of that, not cut. Checked by
/// `kernels/tests/everyday.rs`.
///
/// # Errors
/// [`KernelError::Parameter`] if `factor` is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Contrast {
    /// How many times as far from mid-gray.
    pub factor: f32,
}

/// The largest factor of [`Contrast`].
pub const FACTOR_MAX: f32 = 256.0;

impl Curve for Contrast {
    #[inline(always)]
    fn at(&self, x: f64, white: f64) -> f64 {
        let gray = 0.5 * white;
        gray + (x - gray) * f64::from(self.factor)
    }
}

tile_kernel! {Contrast, "contrast", fn validate(&self) -> Result<(), KernelError> {
    if (0.0..=FACTOR_MAX).contains(&self.factor) {
        return Ok(());
    }
    Err(refuse_parameter("contrast", "factor", self.factor, format!("from 0 to {FACTOR_MAX}")))
}}

/// Looks every sample up in a table.
///
/// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
/// * result: the same shape
///
/// `u8`: `table[x]`, which is OpenCV's `LUT`. For the other types the table is a curve through 256 points, evenly
/// spaced from black to white with straight lines between them: NumPy's `interp` in `f64`, rounded for `u16`, within 2
/// ulp for `f32`. An `f32` below 0 is taken for 0 and one above 1 for 1; NaN becomes `table[0]`. Checked by
/// `kernels/tests/everyday.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Lut {
    /// The levels that 0, 1, ... 255 become.
    pub table: [u8; 256],
}

impl Lut {
    /// The curve through `points`, evenly spaced from black to white, with straight lines between them. They are levels
    /// from 0 to 255, and so are the entries of the table, rounded.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] if there are fewer than 2 points or more than 256.
    pub fn through(points: &[f32]) -> Result<Lut, KernelError> {
        let n = points.len();
        if !(2..=256).contains(&n) {
            return Err(refuse_parameter("lut", "points", n, "2 to 256 of them".to_owned()));
        }
        let mut table = [0; 256];
        for (x, entry) in table.iter_mut().enumerate() {
            // In exact numbers, so that a table of 256 points is those points.
            let (before, rest) = (x * (n - 1) / 255, x * (n - 1) % 255);
            let after = (before + 1).min(n - 1);
            let (before, after) = (f64::from(points[before]), f64::from(points[after]));
            *entry = u8::from_f64(before + (after - before) * rest as f64 / 255.0);
        }
        Ok(Lut { table })
    }
}

impl Curve for Lut {
    #[inline(always)]
    fn at(&self, x: f64, white: f64) -> f64 {
        let place = x * 255.0 / white;
        let above = if place > 0.0 { place } else { 0.0 };
        let cut = if above < 255.0 { above } else { 255.0 };
        let before = cut as usize;
        let (low, high) = (f64::from(self.table[before % 256]), f64::from(self.table[(before + 1).min(255)]));
        (low + (high - low) * (cut - before as f64)) * white / 255.0
    }
}

tile_kernel! {Lut, "lut"}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Level};

    #[test]
    fn a_table_and_the_formula_give_the_same_samples() {
        let src: Vec<u16> = (0..=u16::MAX).collect();
        let kernels =
            Chain::of(Gamma { gamma: 0.45 }).then(Levels { low: 900.0, high: 50_000.0, gamma: 1.7 });
        let mut large = vec![0; 65_536];
        kernels.run(&src, [1, 65_536, 1], &mut large).unwrap();
        let mut small = vec![0; 65_536];
        kernels.run_tiled(&src, [1, 65_536, 1], &mut small, Some([1, 1000]), Level::Baseline).unwrap();
        assert!(large == small);
    }

    #[test]
    fn brightness_adds_as_the_formula_says_whatever_is_added() {
        fn check<T: Sample + PartialEq + std::fmt::Debug>(samples: &[T], add: f32) {
            let wanted: Vec<T> =
                samples.iter().map(|x| T::from_f64(f64::from(x.to_f32()) + f64::from(add))).collect();
            let mut out = vec![samples[0]; samples.len()];
            Chain::of(Brightness { add }).run(samples, [1, samples.len(), 1], &mut out).unwrap();
            assert_eq!(out, wanted, "{add}");
        }
        let (bytes, words): (Vec<u8>, Vec<u16>) = ((0..=u8::MAX).collect(), (0..=u16::MAX).collect());
        let near_half = [0.5_f32.next_down(), 0.5, 0.5_f32.next_up(), 1.5, 2.5, 17.5, 254.5, 8_388_607.5];
        let adds = [0.0, 1e-30, 0.3, 1.0, 17.7, 254.6, 255.0, 256.0, 65_535.4, 70_000.0, 1e10, f32::MAX];
        for add in adds.into_iter().chain(near_half).flat_map(|add| [add, -add]) {
            check(&bytes, add);
            check(&words, add);
        }
    }

    #[test]
    fn a_curve_goes_through_its_points() {
        let inverted = Lut::through(&[255.0, 0.0]).unwrap();
        assert!(inverted.table.iter().enumerate().all(|(x, &y)| x + usize::from(y) == 255));
        let points: Vec<f32> = (0..256).map(|x| (x * 7 % 256) as f32).collect();
        let table = Lut::through(&points).unwrap().table;
        assert!(table.iter().zip(points).all(|(&entry, point)| f32::from(entry) == point));
        let error = Lut::through(&[1.0]).unwrap_err();
        assert_eq!(error.to_string(), "lut: parameter points: found 1, wanted 2 to 256 of them");
    }
}
