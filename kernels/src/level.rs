//! CPU levels: one loop, compiled once for each set of instructions, chosen when the program runs.
//!
//! Calls of functions with target features need `unsafe`; this module is where the proof is.
#![allow(unsafe_code)]

use std::{fmt, str::FromStr, sync::OnceLock};

use crate::KernelError;

/// A set of CPU instructions that loops are compiled for.
///
/// The number is the one that travels between processes. A kernel gives the same bytes at every level, for Rust
/// never contracts `a * b + c` by itself; so a level decides about speed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Level {
    /// What the compiler assumes of every CPU of the target: SSE2 on x86-64, NEON on aarch64.
    Baseline = 0,
    /// `avx2`, `fma`, `f16c`, `bmi1`, `bmi2`, `lzcnt`, `popcnt`: x86-64 CPUs since 2013 (Haswell, Excavator).
    Avx2 = 1,
    /// The above and `avx512f`, `bw`, `cd`, `dq`, `vl`: Skylake-X, Zen 4 and newer.
    Avx512 = 2,
}

/// Work that [`Level::run`] compiles once for each level.
///
/// `run` must be `#[inline(always)]`, and so must be every function that its hot loop calls: what is not inlined
/// stays compiled for the baseline.
pub trait Work {
    /// What the work results in.
    type Out;
    /// Does the work.
    fn run(self) -> Self::Out;
}

impl Level {
    /// Every level, slowest first.
    pub const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

    /// The best level of this CPU. Asked once; later calls cost one load.
    #[must_use]
    pub fn detect() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(ask_cpu)
    }

    /// The levels that this CPU can run, slowest first.
    pub fn available() -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(|&level| level <= Level::detect())
    }

    /// The level with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Level> {
        Level::ALL.into_iter().find(|&level| level as u32 == number)
    }

    /// Runs `work` as compiled for this level, or for the CPU's best where that is lower.
    ///
    /// ```
    /// use shmpool_kernels::{Level, Work};
    ///
    /// struct Double<'a>(&'a mut [f32]);
    ///
    /// impl Work for Double<'_> {
    ///     type Out = ();
    ///     #[inline(always)]
    ///     fn run(self) {
    ///         for x in self.0 {
    ///             *x *= 2.0;
    ///         }
    ///     }
    /// }
    ///
    /// let mut xs = [1.0, 2.0];
    /// Level::detect().run(Double(&mut xs));
    /// assert_eq!(xs, [2.0, 4.0]);
    /// ```
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Out {
        match self.min(Level::detect()) {
            Level::Baseline => work.run(),
            // SAFETY: the level is not above `Level::detect()`, which found every feature of `run_avx2`.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: as above, for `run_avx512`.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { run_avx512(work) },
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => work.run(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Baseline => "baseline",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        })
    }
}

impl FromStr for Level {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        match name {
            "baseline" => Ok(Level::Baseline),
            "avx2" => Ok(Level::Avx2),
            "avx512" => Ok(Level::Avx512),
            _ => Err(KernelError::UnknownLevel { found: name.to_owned() }),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn ask_cpu() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { true $(&& std::arch::is_x86_feature_detected!($feature))* };
    }
    if !has!("avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "popcnt") {
        Level::Baseline
    } else if !has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
        Level::Avx2
    } else {
        Level::Avx512
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ask_cpu() -> Level {
    Level::Baseline
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<W: Work>(work: W) -> W::Out {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn run_avx512<W: Work>(work: W) -> W::Out {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_the_level() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(Level::from_number(level as u32), Some(level));
        }
        assert_eq!(Level::from_number(3), None);
        let error = "sse9".parse::<Level>().unwrap_err();
        assert_eq!(error.to_string(), r#"level: found "sse9", wanted baseline, avx2 or avx512"#);
    }

    #[test]
    fn a_level_beyond_the_cpu_runs_at_its_best() {
        struct Answer;
        impl Work for Answer {
            type Out = u32;
            #[inline(always)]
            fn run(self) -> u32 {
                42
            }
        }
        assert!(Level::ALL.into_iter().all(|level| level.run(Answer) == 42));
        assert_eq!(Level::available().last(), Some(Level::detect()));
    }
}
