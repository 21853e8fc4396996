//! Modules and their cases on the author's machine: read, compiled as a gateway would.

use std::path::Path;
use std::sync::Arc;

use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::Module;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::cases::Suite;

use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::SYSTEM;
use crate::exit::USAGE;
use crate::input_file;

/// Instances that the engine may run at once; one decision takes as many as it has memories.
const INSTANCES: u32 = 4;

/// Starts an engine with the limits that a gateway has by default.
pub(super) fn engine() -> Result<PolicyEngine, Failed> {
    let limits = EngineLimits {
        instances: INSTANCES,
        ..EngineLimits::default()
    };
    PolicyEngine::new(limits).map_err(|error| Failed::new(SYSTEM, error.to_string()))
}

/// Compiles a module without running its cases.
pub(crate) fn compile(wasm: &[u8], file: &Path) -> Result<Arc<Module>, Failed> {
    let module = engine()?.compile_untested(wasm);
    module.map_err(|error| Failed::new(REJECTED, format!("{}: {error}", file.display())))
}

/// Reads the cases of a file if one is given, else those that the module carries.
pub(super) fn suite(wasm: &[u8], cases: Option<&Path>) -> Result<Suite, Failed> {
    match cases {
        Some(file) => Suite::read(&input_file::read(file)?)
            .map_err(|error| Failed::new(USAGE, format!("{}: {error}", file.display()))),
        None => Suite::embedded(wasm)
            .map_err(|error| Failed::new(REJECTED, error.to_string()))?
            .ok_or_else(|| Failed::new(USAGE, "the module carries no cases: give --cases FILE")),
    }
}

/// A policy and its version as people write them.
pub(crate) fn name_of(module: &Module) -> String {
    let manifest = module.manifest();
    format!("{}@{}", manifest.name, manifest.version)
}
