//! `--blend`: a second picture over what the steps make of the first.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};
use serde::Serialize;
use shmpool::kernels::{Blend, BlendMode, KernelError, Level, Over, Sample, SampleType, Work, ZipKernel};
use shmpool::{Arena, Array, Pool};

use crate::args::ImageArgs;
use crate::decode::Undecoded;
use crate::depth::Depth;
use crate::failure::{Exit, Failure};

/// How one pixel is made of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// Sample by sample, alpha as any other channel.
    Samples(BlendMode),
    /// As the upper one's alpha says.
    Over,
}

impl Mode {
    /// The names that there are.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Mode::named().map(|(name, _)| name)
    }

    pub(crate) fn of(name: &str) -> Option<Mode> {
        Mode::named().find(|(known, _)| *known == name).map(|(_, mode)| mode)
    }

    /// The mode at that place of the names, which is how it travels to another process.
    pub(crate) fn at(place: u32) -> Option<Mode> {
        Mode::named().nth(place as usize).map(|(_, mode)| mode)
    }

    pub(crate) fn place(self) -> u32 {
        Mode::named().take_while(|(_, mode)| *mode != self).count() as u32
    }

    fn named() -> impl Iterator<Item = (&'static str, Mode)> {
        let of_samples = BlendMode::NAMED.into_iter().map(|(name, mode)| (name, Mode::Samples(mode)));
        of_samples.chain([("over", Mode::Over)])
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Mode::named().find(|(_, mode)| mode == self).map_or("", |(name, _)| name))
    }
}

/// Which picture is blended over the first one, and how.
#[derive(Debug, Clone)]
pub(crate) struct Blending {
    pub(crate) path: PathBuf,
    pub(crate) mode: Mode,
    /// From 0 to 1.
    pub(crate) opacity: f32,
}

/// What `--json` prints of it.
#[derive(Serialize)]
pub(crate) struct BlendReport {
    file: String,
    mode: String,
    opacity: f32,
}

impl fmt::Display for BlendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlendReport { file, mode, opacity } = self;
        write!(f, "{mode} {file}")?;
        if *opacity < 1.0 { write!(f, ", opacity {opacity}") } else { Ok(()) }
    }
}

/// The second picture by its header.
pub(crate) struct Upper {
    pub(crate) blending: Blending,
    kind: Kind,
    decode_bytes: usize,
}

/// Height, width and channels, and the type of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    shape: [usize; 3],
    sample: SampleType,
}

/// The second picture is not of the kind of what the steps make.
struct Misfit<'p> {
    path: &'p Path,
    found: Kind,
    wanted: Kind,
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misfit { path, found, wanted } = self;
        write!(f, "blend with {}: found {found}, wanted {wanted} as the steps make", path.display())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width, channels] = self.shape;
        write!(f, "{width} x {height} x {channels} of {}", self.sample)
    }
}

/// Reads an opacity, as the kernel wants it.
pub(crate) fn parse_opacity(text: &str) -> Result<f32, String> {
    let opacity = text.parse().map_err(|_| "a number from 0 to 1 is wanted".to_owned())?;
    let blend = Blend::new(BlendMode::Normal, opacity);
    blend.map(|_| opacity).map_err(|error| error.to_string())
}

impl Upper {
    /// Reads the header of the picture that the command line names, if it names one.
    pub(crate) fn of(args: &ImageArgs) -> Result<Option<Upper>, Failure> {
        let Some(path) = args.blend.clone() else { return Ok(None) };
        let blending = Blending { path, mode: args.blend_mode, opacity: args.opacity };
        let undecoded = blending.open()?;
        let (kind, decode_bytes) = (Kind::of(&undecoded), undecoded.memory_bytes());
        Ok(Some(Upper { blending, kind, decode_bytes }))
    }

    /// Whether it can be blended with a picture of that shape and `T`.
    pub(crate) fn check<T: Depth>(&self, shape: [usize; 3]) -> Result<(), Failure> {
        self.blending.check(self.kind, Kind { shape, sample: T::TYPE })
    }

    /// Bytes that are taken at once, where all else takes `others` and what the steps make takes `made`.
    pub(crate) fn memory_bytes(&self, others: usize, made: usize) -> usize {
        let own = self.kind.shape.iter().product::<usize>() * self.kind.sample.bytes();
        // It stays from its decoding to the end, when there are what the steps made and what the blend makes of it.
        self.decode_bytes.max(own + others.max(2 * made))
    }
}

impl Kind {
    fn of(undecoded: &Undecoded) -> Kind {
        Kind { shape: undecoded.shape(), sample: undecoded.sample() }
    }
}

impl Blending {
    pub(crate) fn report(&self) -> BlendReport {
        BlendReport {
            file: self.path.display().to_string(),
            mode: self.mode.to_string(),
            opacity: self.opacity,
        }
    }

    /// Decodes the second picture, if it fits what the steps make.
    pub(crate) fn decode<T: Depth>(&self, arena: &Arena, shape: [usize; 3]) -> Result<Array<T>, Failure> {
        let undecoded = self.open()?;
        // Another program may have written it since its header was checked.
        self.check(Kind::of(&undecoded), Kind { shape, sample: T::TYPE })?;
        Ok(undecoded.decode(arena, &self.path)?.pixels)
    }

    /// The blend in the workers.
    pub(crate) fn in_pool<T: Depth>(
        &self,
        pool: &Pool,
        lower: Array<T>,
        upper: Array<T>,
    ) -> Result<Array<T>, Failure> {
        match self.mode {
            Mode::Samples(mode) => Ok(pool.zip_with((&lower, &upper), &Blend::new(mode, self.opacity)?)?),
            Mode::Over => {
                let shape = lower.shape().to_vec();
                let [height, width] = [shape[0], shape[1]];
                let (lower, upper) = (lower.cast([height, width])?, upper.cast([height, width])?);
                let over = FadedOver { opacity: self.opacity };
                let made: Array<[T; 4]> = pool.zip_with((&lower, &upper), &over)?;
                Ok(made.cast([height, width, 4])?)
            }
        }
    }

    /// As [`decode`](Blending::decode), and the next time what was decoded then: for a process that has many pictures to blend with it.
    pub(crate) fn decode_once<T: Depth>(
        &self,
        arena: &Arena,
        shape: [usize; 3],
    ) -> Result<Arc<Array<T>>, Failure> {
        /// Of the one `--blend` that a command can have.
        static DECODED: Mutex<Option<Arc<dyn Any + Send + Sync>>> = Mutex::new(None);
        let mut decoded = DECODED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(kept)) = decoded.clone().map(|kept| kept.downcast::<Array<T>>()) {
            let found = [0, 1, 2].map(|dimension| kept.shape()[dimension]);
            self.check(Kind { shape: found, sample: T::TYPE }, Kind { shape, sample: T::TYPE })?;
            return Ok(kept);
        }
        let fresh = Arc::new(self.decode::<T>(arena, shape)?);
        *decoded = Some(fresh.clone());
        Ok(fresh)
    }

    /// The blend in this process, into the lower picture.
    pub(crate) fn in_place<T: Depth>(&self, lower: &mut [T], upper: &[T]) -> Result<(), KernelError> {
        let level = Level::detect();
        match self.mode {
            Mode::Samples(mode) => {
                level.run(InPlace { kernel: Blend::new(mode, self.opacity)?, lower, upper });
            }
            Mode::Over => {
                let kernel = FadedOver { opacity: self.opacity };
                let (lower, upper) = (lower.as_chunks_mut::<4>().0, upper.as_chunks::<4>().0);
                level.run(InPlace { kernel, lower, upper });
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Undecoded, Failure> {
        let undecoded = Undecoded::open(&self.path)?;
        let [.., channels] = undecoded.shape();
        if self.mode == Mode::Over && channels != 4 {
            let error =
                KernelError::Channels { kernel: "over", found: channels, wanted: "colours and alpha, 4" };
            return Err(Failure::from(error).about(&self.path));
        }
        Ok(undecoded)
    }

    fn check(&self, found: Kind, wanted: Kind) -> Result<(), Failure> {
        if found == wanted {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, Misfit { path: &self.path, found, wanted }))
    }
}

/// [`Over`], with the upper picture's alpha times the opacity.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct FadedOver {
    opacity: f32,
}

impl<T: Sample> ZipKernel<([T; 4], [T; 4])> for FadedOver {
    type Out = [T; 4];

    #[inline(always)]
    fn apply(&self, (lower, [red, green, blue, alpha]): ([T; 4], [T; 4])) -> [T; 4] {
        let alpha = T::from_f32(alpha.to_f32() * self.opacity);
        Over.apply((lower, [red, green, blue, alpha]))
    }
}

struct InPlace<'a, K, T> {
    kernel: K,
    lower: &'a mut [T],
    upper: &'a [T],
}

impl<T: Pod, K: ZipKernel<(T, T), Out = T>> Work for InPlace<'_, K, T> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for (lower, &upper) in self.lower.iter_mut().zip(self.upper) {
            *lower = self.kernel.apply((*lower, upper));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_found_by_its_name_and_by_its_place() {
        for (place, name) in Mode::names().enumerate() {
            let mode = Mode::of(name).unwrap();
            assert_eq!(
                (mode.place(), Mode::at(place as u32), &*mode.to_string()),
                (place as u32, Some(mode), name)
            );
        }
        assert_eq!((Mode::of("multiplied"), Mode::at(9)), (None, None));
    }
}
