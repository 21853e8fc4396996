//! What a policy sees. Plain types: build them by hand in a unit test, no WebAssembly needed.

mod facts;
mod operation;
mod pairs;
mod principal;
mod request;

pub use facts::{Facts, Holder, LockView, Usage};
pub use operation::{Operation, UnknownOperation};
pub use pairs::Pairs;
pub use principal::Principal;
pub use request::{Mode, Request};
