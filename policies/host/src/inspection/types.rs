//! Counts the types of a component, those inside other types included.

use leasehold_domain::limits::MODULE_TYPE_DEPTH_MAX;
use wasmparser::ComponentType;
use wasmparser::ComponentTypeDeclaration;
use wasmparser::CoreType;
use wasmparser::InstanceTypeDeclaration;

use super::within;
use crate::error::HostError;

/// How many types a type consists of.
pub(super) fn of_component(ty: &ComponentType<'_>, depth: usize) -> Result<usize, HostError> {
    within("types in one another", depth, MODULE_TYPE_DEPTH_MAX)?;
    let mut count = 1;
    match ty {
        ComponentType::Component(declarations) => {
            for declaration in declarations {
                count += match declaration {
                    ComponentTypeDeclaration::CoreType(ty) => of_core(ty),
                    ComponentTypeDeclaration::Type(ty) => of_component(ty, depth + 1)?,
                    ComponentTypeDeclaration::Alias(_)
                    | ComponentTypeDeclaration::Export { .. }
                    | ComponentTypeDeclaration::Import(_) => 1,
                };
            }
        }
        ComponentType::Instance(declarations) => {
            for declaration in declarations {
                count += match declaration {
                    InstanceTypeDeclaration::CoreType(ty) => of_core(ty),
                    InstanceTypeDeclaration::Type(ty) => of_component(ty, depth + 1)?,
                    InstanceTypeDeclaration::Alias(_) | InstanceTypeDeclaration::Export { .. } => 1,
                };
            }
        }
        ComponentType::Defined(_) | ComponentType::Func(_) | ComponentType::Resource { .. } => {}
    }
    Ok(count)
}

/// The same for a type of the core language.
pub(super) fn of_core(ty: &CoreType<'_>) -> usize {
    match ty {
        CoreType::Rec(group) => group.types().len(),
        CoreType::Module(declarations) => 1 + declarations.len(),
    }
}
