use bytemuck::{Pod, Zeroable};

use super::{ImageHistogram, Table};
use crate::{GlobalKernel, KernelError};

/// Stretches the values of an image over the whole range: the darkest becomes 0, the brightest 255 (or 254:
/// fractions are cut off, as Pillow does it).
///
/// * source: 1 to 4 channels of `u8`; alpha is carried past
/// * result: the same shape
/// * cutoff: percent of the samples that may be lost at each end; none unless said
///
/// There is one histogram, of all colours together, and one table for all of them, so that gray stays gray and hues stay
/// what they are. A gray image becomes exactly what Pillow's `ImageOps.autocontrast(cutoff=…)` makes of it
/// (`kernels/tests/levels.rs`); Pillow stretches each colour by itself. Reads the image twice.
///
/// # Errors
/// [`KernelError::Channels`] for more than four channels.
///
/// ```
/// use shmpool_kernels::{AutoLevels, Chain, KernelError};
///
/// let mut found = [0; 3];
/// Chain::<u8, u8>::of(AutoLevels::default()).run(&[100, 110, 120], [1, 3, 1], &mut found)?;
/// assert_eq!(found, [0, 127, 255]);
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct AutoLevels {
    /// Percent of the samples at each end.
    cutoff: f32,
}

impl AutoLevels {
    /// `cutoff` from 0 to below 50 percent.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for another one.
    pub fn new(cutoff: f32) -> Result<AutoLevels, KernelError> {
        if (0.0..50.0).contains(&cutoff) {
            return Ok(AutoLevels { cutoff });
        }
        Err(KernelError::Parameter {
            kernel: "auto-levels",
            parameter: "cutoff",
            found: cutoff.to_string(),
            wanted: "0 to below 50".to_owned(),
        })
    }
}

impl GlobalKernel<u8> for AutoLevels {
    type Measurement = ImageHistogram;
    type Resolved = Table;

    fn name(&self) -> &'static str {
        "auto-levels"
    }

    fn measurement(&self) -> ImageHistogram {
        ImageHistogram::default()
    }

    fn resolved(&self, measured: &[f32]) -> Table {
        let mut counts = ImageHistogram::sum::<u8>(measured);
        let total: u64 = counts.iter().sum();
        let cut = (total as f64 * f64::from(self.cutoff) / 100.0).floor() as u64;
        take_away(counts.iter_mut(), cut);
        take_away(counts.iter_mut().rev(), cut);
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let mut table = [0; 256];
        for (value, entry) in (0..=u8::MAX).zip(&mut table) {
            *entry = if high <= low { value } else { stretched(value, low, high) };
        }
        Table { table }
    }
}

/// Takes `n` samples away, from the first values on.
fn take_away<'a>(counts: impl Iterator<Item = &'a mut u64>, mut n: u64) {
    for count in counts {
        let taken = n.min(*count);
        *count -= taken;
        n -= taken;
    }
}

/// In `f64` and cut off, as Pillow does it.
fn stretched(value: u8, low: usize, high: usize) -> u8 {
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    (f64::from(value) * scale + offset) as u8
}
