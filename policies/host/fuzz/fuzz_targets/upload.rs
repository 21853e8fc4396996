//! Uploads whatever the fuzzer makes of the corpus.

#![no_main]

use std::sync::LazyLock;

use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/upload.rs"]
mod upload;

/// Few instances: each reserves address space.
static ENGINE: LazyLock<PolicyEngine> = LazyLock::new(|| {
    let limits = EngineLimits {
        instances: 2,
        ..EngineLimits::default()
    };
    PolicyEngine::new(limits).expect("an engine")
});

fuzz_target!(|input: &[u8]| upload::load(&ENGINE, input));
