//! The one door to atomics and spin hints: the standard library's, or loom's under `cfg(loom)`.

#[cfg(loom)]
pub(crate) use mortal::{AtomicU32, AtomicU64, fence, spin_loop};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence},
};

pub(crate) use std::sync::atomic::{
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    compiler_fence,
};

/// Loom's atomics, for workers that die: each operation is a place where the thread that runs it may end for
/// good.
#[cfg(loom)]
pub(crate) mod mortal {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

    pub(crate) use loom::hint::spin_loop;
    use loom::sync::atomic::Ordering;

    loom::thread_local! {
        /// Operations that this thread may still do.
        static LEFT: Cell<Option<u32>> = Cell::new(None);
    }

    /// What a death unwinds with.
    struct Death;

    /// Runs `life` until it ends, or until it would do its operation number `n`; `None` if it died.
    pub(crate) fn live_for<T>(n: u32, life: impl FnOnce() -> T) -> Option<T> {
        LEFT.with(|left| left.set(Some(n)));
        let result = catch_unwind(AssertUnwindSafe(life));
        LEFT.with(|left| left.set(None));
        match result {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<Death>() => None,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// Explores the interleavings of `f` with up to two preemptions, or as many as `LOOM_MAX_PREEMPTIONS`
    /// says: 3 takes hours.
    pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(2);
        builder.check(f);
    }

    fn step() {
        LEFT.with(|left| match left.get() {
            Some(0) => panic_any(Death),
            Some(n) => left.set(Some(n - 1)),
            None => {}
        });
    }

    pub(crate) fn fence(order: Ordering) {
        step();
        loom::sync::atomic::fence(order);
    }

    macro_rules! mortal {
        ($name:ident, $of:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            #[allow(dead_code)] // not each width needs each operation
            impl $name {
                pub(crate) fn new(value: $of) -> Self {
                    $name(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $of {
                    step();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $of, order: Ordering) {
                    step();
                    self.0.store(value, order);
                }

                pub(crate) fn fetch_add(&self, value: $of, order: Ordering) -> $of {
                    step();
                    self.0.fetch_add(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    seen: $of,
                    new: $of,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$of, $of> {
                    step();
                    self.0.compare_exchange(seen, new, success, failure)
                }
            }
        };
    }

    mortal!(AtomicU32, u32);
    mortal!(AtomicU64, u64);
}
