//! Stubs for WASI: for tools whose components import it although the policy never calls it.
//!
//! A module is put into a frame, and gets its imports from it: a component that imports what a policy
//! of the module's contract may import, and has in it an instance that exports the interfaces of
//! WASI 0.2 with functions that trap. How its parts are made is told in `stubs/README.md`.

use wasmparser::ComponentExternalKind;
use wasmparser::ComponentTypeRef;
use wasmparser::Parser;
use wasmparser::Payload;

use crate::contract::Contract;
use crate::error::HostError;
use crate::section::write_section;
use crate::section::write_text;
use crate::section::write_u32;

/// The component with the stubs.
const STUBS: &[u8] = include_bytes!("../stubs/wasi.wasm");
/// The beginning of the frame by contract: its imports.
const IMPORTS_1_1: &[u8] = include_bytes!("../stubs/imports-1.1.0.wasm");
const IMPORTS_1_2: &[u8] = include_bytes!("../stubs/imports-1.2.0.wasm");
const IMPORTS_1_3: &[u8] = include_bytes!("../stubs/imports-1.3.0.wasm");
/// The instance of that interface in the frame.
const TYPES_INSTANCE: usize = 0;
/// The instance with the stubs.
const STUBS_INSTANCE: usize = 1;
/// The frame's types, in the order of their indices, which begin at one.
const TYPE_NAMES: [&str; 12] = [
    "pair",
    "mode",
    "request",
    "principal",
    "holder",
    "lock-view",
    "usage",
    "facts",
    "limits",
    "denial",
    "verdict",
    "manifest",
];
/// The frame's components: the stubs, and the module.
const STUBS_COMPONENT: usize = 0;
const MODULE: usize = 1;
/// What the frame exports of the module.
const EXPORTS: [&str; 3] = ["describe", "check", "decide"];
/// The interfaces that have stubs, without their version.
const STUBBED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];
/// The version of the stubs; every other 0.2 has the same or fewer functions.
const STUBBED_VERSION: &str = "@0.2.12";

/// Sections of a component.
const COMPONENT_SECTION: u8 = 4;
const INSTANCE_SECTION: u8 = 5;
const ALIAS_SECTION: u8 = 6;
const EXPORT_SECTION: u8 = 11;
/// Sorts of what a component has.
const FUNC: u8 = 1;
const TYPE: u8 = 3;
const INSTANCE: u8 = 5;

/// Puts stubs that trap in the place of a module's WASI imports. A module without any is returned as
/// it is.
///
/// # Errors
/// [`HostError::Compile`] if it is not a component, [`HostError::ForbiddenImport`] if it imports
/// something that has no stub.
pub fn stub_wasi(wasm: &[u8]) -> Result<Vec<u8>, HostError> {
    let imports = imports(wasm)?;
    if !imports.iter().any(|(name, _)| name.starts_with("wasi:")) {
        return Ok(wasm.to_vec());
    }
    // A module of 1.0.0 imports its types one by one; those of 1.1.0 are the same.
    let mut contract = Contract::V1_1;
    let (mut stubs, mut arguments) = (Vec::new(), Vec::new());
    for (name, kind) in &imports {
        let (sort, index) = match (*kind, name.as_str()) {
            (ComponentExternalKind::Func, "trace") => (FUNC, 0),
            (ComponentExternalKind::Instance, name) if let Some(of) = Contract::of_import(name) => {
                contract = of.map_err(HostError::UnknownContract)?;
                (INSTANCE, TYPES_INSTANCE)
            }
            (ComponentExternalKind::Type, name) => {
                let index = TYPE_NAMES.iter().position(|known| *known == name);
                let missing = || HostError::ForbiddenImport(name.to_owned());
                (TYPE, index.ok_or_else(missing)? + 1)
            }
            (ComponentExternalKind::Instance, name) if is_stubbed(name) => {
                stubs.push(name);
                (INSTANCE, STUBS_INSTANCE + stubs.len())
            }
            _ => return Err(HostError::ForbiddenImport(name.clone())),
        };
        arguments.push((name.as_str(), sort, index));
    }
    Ok(framed(wasm, contract, &stubs, &arguments))
}

/// The names and kinds of the outermost component's imports.
fn imports(wasm: &[u8]) -> Result<Vec<(String, ComponentExternalKind)>, HostError> {
    let invalid = |error: wasmparser::BinaryReaderError| HostError::Compile(error.to_string());
    let (mut depth, mut found) = (0_usize, Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    found.push((import.name.name.to_owned(), kind_of(import.ty)));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn kind_of(ty: ComponentTypeRef) -> ComponentExternalKind {
    ty.kind()
}

/// Whether an import is an interface of WASI 0.2 that has a stub.
fn is_stubbed(name: &str) -> bool {
    let split = name.split_once('@');
    split.is_some_and(|(name, version)| STUBBED.contains(&name) && version.starts_with("0.2."))
}

/// Returns the beginning of the frame for modules of this contract: a component that imports what they
/// may import.
fn imports_of(contract: Contract) -> &'static [u8] {
    match contract {
        Contract::V1_0 | Contract::V1_1 => IMPORTS_1_1,
        Contract::V1_2 => IMPORTS_1_2,
        Contract::V1_3 => IMPORTS_1_3,
    }
}

/// The frame with the module in it.
fn framed(
    wasm: &[u8],
    contract: Contract,
    stubs: &[&str],
    arguments: &[(&str, u8, usize)],
) -> Vec<u8> {
    let mut whole = imports_of(contract).to_vec();
    write_section(&mut whole, COMPONENT_SECTION, STUBS);
    let mut instances = vec![1, 0];
    write_u32(&mut instances, STUBS_COMPONENT);
    write_u32(&mut instances, 0);
    write_section(&mut whole, INSTANCE_SECTION, &instances);
    write_section(&mut whole, COMPONENT_SECTION, wasm);
    let mut aliases = Vec::new();
    write_u32(&mut aliases, stubs.len());
    for name in stubs {
        let plain = name.split_once('@').map_or(*name, |(name, _)| name);
        let stub = format!("{plain}{STUBBED_VERSION}");
        write_alias(&mut aliases, INSTANCE, STUBS_INSTANCE, &stub);
    }
    write_section(&mut whole, ALIAS_SECTION, &aliases);
    let mut instances = vec![1, 0];
    write_u32(&mut instances, MODULE);
    write_u32(&mut instances, arguments.len());
    for (name, sort, index) in arguments {
        write_text(&mut instances, name);
        instances.push(*sort);
        write_u32(&mut instances, *index);
    }
    write_section(&mut whole, INSTANCE_SECTION, &instances);
    let module = STUBS_INSTANCE + stubs.len() + 1;
    let (mut aliases, mut exports) = (vec![EXPORTS.len() as u8], vec![EXPORTS.len() as u8]);
    for (index, name) in EXPORTS.iter().enumerate() {
        write_alias(&mut aliases, FUNC, module, name);
        exports.push(0);
        write_text(&mut exports, name);
        // After `trace`, the frame's only function.
        exports.extend_from_slice(&[FUNC, index as u8 + 1, 0]);
    }
    write_section(&mut whole, ALIAS_SECTION, &aliases);
    write_section(&mut whole, EXPORT_SECTION, &exports);
    whole
}

/// Names an export of an instance.
fn write_alias(out: &mut Vec<u8>, sort: u8, instance: usize, name: &str) {
    out.extend_from_slice(&[sort, 0]);
    write_u32(out, instance);
    write_text(out, name);
}
