//! What is done with an uploaded module, for the bounded fuzz tests and for the target in `fuzz/`,
//! which includes this file.

use leasehold_policy_host::HostError;
use leasehold_policy_host::PolicyEngine;

/// Loads a module as an upload does; input in the WebAssembly text format is parsed first. The
/// module is loaded or refused: either is an answer.
///
/// # Panics
/// The engine panicked, although it survives that: no module should be able to cause it.
pub(crate) fn load(engine: &PolicyEngine, input: &[u8]) {
    let parsed = wat::parse_bytes(input);
    let wasm = parsed.as_deref().unwrap_or(input);
    if let Err(error @ HostError::Panicked(_)) = engine.compile(wasm) {
        panic!("{error}");
    }
}
