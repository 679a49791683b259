//! One call of a submitted function: from bytes to its argument, and from its result to bytes.
#![allow(unsafe_code)] // a function made of its type, and the addresses of lent arrays

use std::fmt::Display;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode_into, encode_whole, encoded_len};
use super::kernel::Place;
use super::panics::{Panic, caught};
use super::verbs::conjure;
use crate::array::{LentAt, Loan};
use crate::control::MESSAGE_BYTES_MAX;

/// Arrays that one task can work on.
pub(crate) const LENT_MAX: usize = 4;

/// Everything that a trampoline needs of its task.
pub(crate) struct SingleCall<'a> {
    pub(crate) argument: &'a [u8],
    pub(crate) lent: &'a [LentAt],
    /// Where a short result goes.
    pub(crate) text: &'a mut [u8; MESSAGE_BYTES_MAX],
    /// Finds room for a longer one.
    pub(crate) room: &'a mut dyn FnMut(usize) -> Result<*mut u8, String>,
}

/// Where a result lies, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    InText(usize),
    InRoom(usize),
}

/// The trampoline of a function: runs one task; the error is that of its argument or result, not the function's own.
///
/// # Safety
/// The payload was made for this function, and its arrays are the task's own until it ends.
pub(crate) type RunSingle = unsafe fn(&mut SingleCall<'_>) -> Result<Answer, String>;

/// How a submitted function is called.
pub(crate) trait Function {
    /// # Safety
    /// As for [`RunSingle`].
    unsafe fn call(call: &mut SingleCall<'_>) -> Result<Answer, String>;
}

/// The place of `K`'s trampoline.
pub(crate) fn code_of_single<K: Function>() -> crate::error::Result<Place> {
    Place::of(run::<K> as RunSingle as *const () as usize)
}

unsafe fn run<K: Function>(call: &mut SingleCall<'_>) -> Result<Answer, String> {
    // SAFETY: the caller's contract is the function's.
    unsafe { K::call(call) }
}

/// `f(argument)`.
pub(crate) struct Plain<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Function for Plain<F, A, R>
where
    F: Fn(A) -> R + Copy,
    A: DeserializeOwned,
    R: Serialize,
{
    unsafe fn call(call: &mut SingleCall<'_>) -> Result<Answer, String> {
        let argument = decode::<A>("argument", call.argument)?;
        // SAFETY: `submit` was given a value of this type, and has seen that it is zero-sized.
        let f = unsafe { conjure::<F>() };
        answer(call, &f(argument))
    }
}

/// `f(item)` for each item of a chunk; a panic costs its own item.
pub(crate) struct Chunked<F, A, R>(PhantomData<(F, A, R)>);

/// What came of one item of a chunk.
#[derive(Serialize, Deserialize)]
pub(crate) enum Item<R> {
    Returned(R),
    Panicked { message: String, location: String },
}

impl<F, A, R> Function for Chunked<F, A, R>
where
    F: Fn(A) -> R + Copy,
    A: DeserializeOwned,
    R: Serialize,
{
    unsafe fn call(call: &mut SingleCall<'_>) -> Result<Answer, String> {
        let items = decode::<Vec<A>>("argument", call.argument)?;
        // SAFETY: as for a plain function.
        let f = unsafe { conjure::<F>() };
        let run = |item| match caught(|| f(item)) {
            Ok(value) => Item::Returned(value),
            Err(Panic { message, location }) => Item::Panicked { message, location },
        };
        answer(call, &items.into_iter().map(run).collect::<Vec<Item<R>>>())
    }
}

/// What an initializer or a finalizer returns: nothing, or a `Result` whose error is told.
pub trait Started {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl Started for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Started for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// An initializer or a finalizer.
pub(crate) struct Starting<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Function for Starting<F, A, R>
where
    F: Fn(A) -> R + Copy,
    A: DeserializeOwned,
    R: Started,
{
    unsafe fn call(call: &mut SingleCall<'_>) -> Result<Answer, String> {
        let argument = decode::<A>("argument", call.argument)?;
        // SAFETY: as for a plain function.
        let f = unsafe { conjure::<F>() };
        let cut = |mut why: String| {
            while why.len() > WHY_BYTES_MAX {
                why.pop();
            }
            why
        };
        answer(call, &f(argument).into_result().map_err(cut))
    }
}

/// Bytes of an initializer's error, at most.
const WHY_BYTES_MAX: usize = 400;

/// `f(arrays, argument)`.
pub(crate) struct WithArrays<L, F, A, R>(PhantomData<(L, F, A, R)>);

impl<L, F, A, R> Function for WithArrays<L, F, A, R>
where
    L: Loan,
    F: for<'t> Fn(L::Lent<'t>, A) -> R + Copy,
    A: DeserializeOwned,
    R: Serialize,
{
    unsafe fn call(call: &mut SingleCall<'_>) -> Result<Answer, String> {
        let argument = decode::<A>("argument", call.argument)?;
        assert_eq!(call.lent.len(), L::N, "arrays of a task");
        // SAFETY: by contract these are the arrays that the task was submitted with, and its own until it ends; what the
        // function returns outlives no task, since it does not depend on the lifetime.
        let lent = unsafe { L::lent(call.lent) };
        // SAFETY: as for a plain function.
        let f = unsafe { conjure::<F>() };
        answer(call, &f(lent, argument))
    }
}

fn answer<R: Serialize>(call: &mut SingleCall<'_>, result: &R) -> Result<Answer, String> {
    if let Some(len) = encode_into("result", result, call.text)? {
        return Ok(Answer::InText(len));
    }
    let len = encoded_len("result", result)?;
    let room = (call.room)(len)?;
    // SAFETY: as many bytes, which are this task's alone until it has ended, and always hold a value.
    let room = unsafe { std::slice::from_raw_parts_mut(room, len) };
    encode_whole("result", result, room)?;
    Ok(Answer::InRoom(len))
}
