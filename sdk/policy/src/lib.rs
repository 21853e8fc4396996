#![doc = include_str!("../README.md")]
#![expect(
    clippy::test_attr_in_doctest,
    reason = "the README shows a whole file; tests/templates runs its test"
)]

mod allocator;
#[doc(hidden)]
pub mod bindings;
mod export;
mod json;
mod manifest;
mod pattern;
mod policy;
mod time;
mod trace;
mod types;
mod verdict;

#[doc(hidden)]
pub use allocator::Arena;
#[doc(hidden)]
pub use export::Exported;
pub use export::read_config;
pub use manifest::{Input, Inputs, Manifest};
pub use pattern::{LockPattern, LockPatterns, NamePattern, TextPattern};
pub use policy::Policy;
pub use time::UtcTime;
pub use trace::{trace, trace_panics};
pub use types::{
    Facts, Holder, LockView, Mode, Operation, Pairs, Principal, Request, UnknownOperation, Usage,
};
pub use verdict::{Counter, Denial, Limits, Verdict};
