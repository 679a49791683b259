#![doc = include_str!("README.md")]

pub(crate) mod call;
pub(crate) mod codec;
pub(crate) mod job;
pub(crate) mod kernel;
pub(crate) mod message;
pub(crate) mod mirror;
pub(crate) mod panics;
pub(crate) mod single;
pub(crate) mod singles;
pub(crate) mod strided;
mod table;
pub(crate) mod verbs;
