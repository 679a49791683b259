//! A kernel's panic as a value: message and place.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// `Some` while this thread runs a kernel: where its panic is written down instead of being printed.
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// What a panic said, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) location: String,
}

/// Makes the process's panic hook keep quiet about kernels' panics, which come back as values; all others go
/// on to the hook that was there before. With `RUST_BACKTRACE` set, kernels' panics are printed too: a
/// backtrace cannot travel.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        let loud = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        panic::set_hook(Box::new(move |info| {
            if !note(info) || loud {
                before(info);
            }
        }));
    });
}

/// Runs `kernel`; a panic in it is the error.
pub(crate) fn caught<T>(kernel: impl FnOnce() -> T) -> Result<T, Panic> {
    // A kernel may itself run a pool without workers: what was there before is put back.
    let outer = CAUGHT.with(|caught| caught.replace(Some(Panic::default())));
    // What the kernel was writing is behind raw pointers, and is called unfinished from now on.
    let result = panic::catch_unwind(AssertUnwindSafe(kernel));
    let noted = CAUGHT.with(|caught| caught.replace(outer)).unwrap_or_default();
    result.map_err(|payload| {
        swallow(Err(payload));
        noted
    })
}

/// Drops a panic that is nobody's. A payload whose own drop panics must not take the thread along, nor the payload of that
/// panic.
pub(crate) fn swallow(panicked: std::thread::Result<()>) {
    if let Err(payload) = panicked
        && let Err(payload) = panic::catch_unwind(AssertUnwindSafe(move || drop(payload)))
    {
        std::mem::forget(payload);
    }
}

/// Writes a panic down if this thread runs a kernel.
fn note(info: &PanicHookInfo<'_>) -> bool {
    // `try_with`: a thread may panic when its locals are gone.
    let noted = CAUGHT.try_with(|caught| {
        let Ok(mut caught) = caught.try_borrow_mut() else { return false };
        let Some(panic) = caught.as_mut() else { return false };
        panic.message = message(info.payload());
        panic.location = info.location().map_or_else(String::new, ToString::to_string);
        true
    });
    noted.unwrap_or(false)
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic whose payload is not text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_place() {
        install_hook();
        let panic = caught(|| panic!("too {}", "hot")).unwrap_err();
        assert_eq!(panic.message, "too hot");
        assert!(panic.location.starts_with("src/task/panics.rs:"), "{}", panic.location);
        assert_eq!(caught(|| 7).unwrap(), 7);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("boom");
            }
        }
        install_hook();
        let panic = caught(|| panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(panic.message, "a panic whose payload is not text");
    }
}
