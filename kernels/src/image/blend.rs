use bytemuck::{Pod, Zeroable};

use crate::{KernelError, Sample, ZipKernel};

/// How [`Blend`] makes one sample of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BlendMode {
    /// The upper one.
    Normal = 0,
    /// Their product, with the largest sample as 1: never brighter than either.
    Multiply = 1,
    /// The product of what they lack of the largest sample: never darker than either.
    Screen = 2,
    /// Their sum, cut at the largest sample.
    Add = 3,
    /// The lower one less the upper one, cut at 0.
    Subtract = 4,
    /// How far they are apart.
    Difference = 5,
    /// The brighter one.
    Lighten = 6,
    /// The darker one.
    Darken = 7,
}

impl BlendMode {
    /// The modes' names, as the command line spells them.
    pub const NAMED: [(&'static str, BlendMode); 8] = [
        ("normal", BlendMode::Normal),
        ("multiply", BlendMode::Multiply),
        ("screen", BlendMode::Screen),
        ("add", BlendMode::Add),
        ("subtract", BlendMode::Subtract),
        ("difference", BlendMode::Difference),
        ("lighten", BlendMode::Lighten),
        ("darken", BlendMode::Darken),
    ];
}

/// Blends two images of one shape, sample by sample: the lower one first, then the upper one.
///
/// * source: any channels, `u8`, `u16` or `f32` (where the largest sample is 1)
/// * result: the same shape; `lower + opacity * (mode(lower, upper) - lower)`, computed in `f32` and rounded once
///
/// Alpha is blended as any other channel; [`Over`] respects it. Exactly Pillow's `ImageChops.multiply`, `add`, `subtract`,
/// `difference`, `lighter` and `darker` for `u8` at opacity 1 but that Pillow cuts the product where this rounds it: it is
/// within 1 of `multiply` and `screen`, and of `Image.blend` below (`kernels/tests/blend.rs`). Costs a few operations a sample.
///
/// ```
/// use shmpool_kernels::{Blend, BlendMode, ZipKernel};
///
/// let half = Blend::new(BlendMode::Normal, 0.5)?;
/// assert_eq!(half.apply((10_u8, 20_u8)), 15);
/// assert_eq!(Blend::new(BlendMode::Add, 1.0)?.apply((200_u8, 100_u8)), 255);
/// # Ok::<(), shmpool_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Blend {
    mode: u32,
    opacity: f32,
}

impl Blend {
    /// `opacity` from 0 (the lower image alone) to 1.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for another opacity.
    pub fn new(mode: BlendMode, opacity: f32) -> Result<Blend, KernelError> {
        if !(0.0..=1.0).contains(&opacity) {
            return Err(KernelError::Parameter {
                kernel: "blend",
                parameter: "opacity",
                found: opacity.to_string(),
                wanted: "0 to 1".to_owned(),
            });
        }
        Ok(Blend { mode: mode as u32, opacity })
    }

    /// Of two samples whose largest is `white`.
    #[inline(always)]
    fn mixed(self, a: f32, b: f32, white: f32) -> f32 {
        let made = match self.mode {
            1 => a * b / white,
            2 => a + b - a * b / white,
            3 => (a + b).min(white),
            4 => (a - b).max(0.0),
            5 => (a - b).abs(),
            6 => a.max(b),
            7 => a.min(b),
            _ => b,
        };
        a + self.opacity * (made - a)
    }
}

impl<T: Sample> ZipKernel<(T, T)> for Blend {
    type Out = T;

    #[inline(always)]
    fn apply(&self, (lower, upper): (T, T)) -> T {
        T::from_f32(self.mixed(lower.to_f32(), upper.to_f32(), T::TYPE.white()))
    }
}

/// Lays an image with alpha over another one: Porter and Duff's *over*, pixel by pixel.
///
/// * source: pixels of four channels, the last one alpha, straight (not multiplied into the colours); `u8`, `u16` or `f32`
///   with 1 as opaque; the lower image first
/// * result: the same; colours where both are transparent are 0
///
/// Computed in `f32` and rounded once; within 1 of Pillow's `Image.alpha_composite`, whose fixed point is a little coarser
/// (`kernels/tests/blend.rs`). Some twenty operations a pixel. An image of `[height, width, 4]` samples becomes one of pixels by
/// `Array::cast`.
///
/// ```
/// use shmpool_kernels::{Over, ZipKernel};
///
/// let (blue, half_red) = ([0_u8, 0, 255, 255], [255, 0, 0, 128]);
/// assert_eq!(Over.apply((blue, half_red)), [128, 0, 127, 255]);
/// ```
///
/// # Source
/// T. Porter, T. Duff, "Compositing Digital Images", SIGGRAPH 1984.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Over;

impl<T: Sample> ZipKernel<([T; 4], [T; 4])> for Over {
    type Out = [T; 4];

    #[inline(always)]
    fn apply(&self, (lower, upper): ([T; 4], [T; 4])) -> [T; 4] {
        let white = T::TYPE.white();
        let above = upper[3].to_f32() / white;
        let below = lower[3].to_f32() / white * (1.0 - above);
        let alpha = above + below;
        let mut out = [T::default(); 4];
        if alpha > 0.0 {
            for channel in 0..3 {
                let colour = upper[channel].to_f32() * above + lower[channel].to_f32() * below;
                out[channel] = T::from_f32(colour / alpha);
            }
            out[3] = T::from_f32(alpha * white);
        }
        out
    }
}
