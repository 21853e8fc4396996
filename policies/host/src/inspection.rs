//! Validates a module and counts its parts before anything of it is compiled.
//!
//! The compiler can neither be interrupted nor be given a budget, so its time and memory are bounded
//! by what it is given. Each count is checked before the section that it counts is read.

mod adapters;
mod body;
mod counts;
mod nesting;
mod types;
mod work;
mod world;

use wasmparser::BinaryReaderError;
use wasmparser::FuncValidatorAllocations;
use wasmparser::Parser;
use wasmparser::Payload;
use wasmparser::ValidPayload;
use wasmparser::Validator;
use wasmparser::WasmFeatures;

use self::counts::Counts;
use self::nesting::Nesting;
use self::world::World;
use crate::contract::Contract;
use crate::error::HostError;

/// The proposals that a policy may use. The engine is configured from the same set, so that it
/// compiles exactly what this validates.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .difference(WasmFeatures::GC_TYPES)
    .difference(WasmFeatures::EXCEPTIONS)
    .difference(WasmFeatures::THREADS)
    .difference(WasmFeatures::RELAXED_SIMD)
    .difference(WasmFeatures::MEMORY64)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Validates a component, counts its parts, and checks that it imports and exports what a policy
/// does. Returns the version of the contract that it was built for.
///
/// # Errors
/// `Compile` if it is not valid, `TooComplex` if it passes a limit, `ForbiddenImport`,
/// `UnknownContract` or `WrongWorld` if it is not a policy.
pub(crate) fn inspect(wasm: &[u8]) -> Result<Contract, HostError> {
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = FuncValidatorAllocations::default();
    let mut counts = Counts::default();
    let mut nesting = Nesting::default();
    let mut world = World::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        let depth = counts.count(&payload)?;
        let validated = validator.payload(&payload).map_err(invalid)?;
        nesting.see(&payload, &mut counts)?;
        if let (Payload::ComponentCanonicalSection(section), Some(types)) =
            (&payload, validator.types(0))
        {
            counts.add_work(adapters::work_of(section, types)?)?;
        }
        if depth == 1 {
            world.see(&payload)?;
        }
        if let ValidPayload::Func(function, body) = validated {
            let mut function = function.into_validator(allocations);
            counts.add_body(body::measure(&mut function, &body)?)?;
            allocations = function.into_allocations();
        }
        if matches!(payload, Payload::End(_)) {
            counts.leave();
        }
    }
    world.check()
}

fn invalid(error: BinaryReaderError) -> HostError {
    HostError::Compile(error.to_string())
}

/// Refuses more than `max`.
fn within(what: &'static str, count: usize, max: usize) -> Result<(), HostError> {
    if count <= max {
        return Ok(());
    }
    Err(HostError::TooComplex { what, count, max })
}
