//! Estimates what the adapters cost that the compiler makes between components.
//!
//! A function of one component that another one lowers gets an adapter, which copies its parameters
//! and results from one memory to the other: code of its own for each type that they consist of. The
//! weights were measured: see the README.

use std::collections::BTreeSet;

use wasmparser::CanonicalFunction;
use wasmparser::ComponentCanonicalSectionReader;
use wasmparser::component_types::ComponentDefinedType;
use wasmparser::component_types::ComponentDefinedTypeId;
use wasmparser::component_types::ComponentValType;
use wasmparser::types::TypesRef;

use super::invalid;
use crate::error::HostError;

/// Work that one adapter makes besides its types.
const ADAPTER: usize = 1_000;
/// Work that each type makes that its parameters and results consist of, and each member of one.
const TYPE: usize = 250;

/// The work that the functions make which a section lowers. Each counts as another component's.
pub(super) fn work_of(
    section: &ComponentCanonicalSectionReader<'_>,
    types: TypesRef<'_>,
) -> Result<usize, HostError> {
    let mut work = 0_usize;
    for function in section.clone() {
        if let CanonicalFunction::Lower { func_index, .. } = function.map_err(invalid)? {
            let types = types_of(func_index, types);
            work = work.saturating_add(ADAPTER + TYPE.saturating_mul(types));
        }
    }
    Ok(work)
}

/// How many types and members of types the parameters and results of a function consist of, each type
/// once.
fn types_of(function: u32, types: TypesRef<'_>) -> usize {
    let function = &types[types.component_function_at(function)];
    let params = function.params.iter().map(|(_, ty)| *ty);
    let mut open: Vec<ComponentDefinedTypeId> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    let mut add = |ty: ComponentValType, open: &mut Vec<_>| {
        count += 1;
        if let ComponentValType::Type(id) = ty
            && seen.insert(id)
        {
            open.push(id);
        }
    };
    params
        .chain(function.result)
        .for_each(|ty| add(ty, &mut open));
    let mut names = 0;
    while let Some(id) = open.pop() {
        match &types[id] {
            ComponentDefinedType::Record(record) => {
                record.fields.values().for_each(|ty| add(*ty, &mut open));
            }
            ComponentDefinedType::Variant(variant) => {
                let cases = variant.cases.values();
                cases
                    .filter_map(|case| case.ty)
                    .for_each(|ty| add(ty, &mut open));
                names += variant.cases.len();
            }
            ComponentDefinedType::List { element, .. }
            | ComponentDefinedType::FixedLengthList { element, .. } => add(*element, &mut open),
            ComponentDefinedType::Map { key, value, .. } => {
                add(*key, &mut open);
                add(*value, &mut open);
            }
            ComponentDefinedType::Tuple(tuple) => {
                tuple.types.iter().for_each(|ty| add(*ty, &mut open));
            }
            ComponentDefinedType::Option { ty, .. } => add(*ty, &mut open),
            ComponentDefinedType::Result { ok, err, .. } => {
                [ok, err]
                    .into_iter()
                    .flatten()
                    .for_each(|ty| add(*ty, &mut open));
            }
            ComponentDefinedType::Flags(members) | ComponentDefinedType::Enum(members) => {
                names += members.len();
            }
            ComponentDefinedType::Primitive(_)
            | ComponentDefinedType::Own(_)
            | ComponentDefinedType::Borrow(_)
            | ComponentDefinedType::Future { .. }
            | ComponentDefinedType::Stream { .. } => {}
        }
    }
    count + names
}
