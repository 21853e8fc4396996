//! Checks that a component imports and exports what a policy does, by name and kind. The types are
//! checked when it is linked.

use wasmparser::ComponentExternalKind;
use wasmparser::ComponentTypeRef;
use wasmparser::Payload;

use super::invalid;
use crate::contract::Contract;
use crate::error::HostError;

/// What a policy must export.
const EXPORTS: [&str; 3] = ["describe", "check", "decide"];
/// All that a policy may import, besides types.
const IMPORT: &str = "trace";

/// Which of the required exports were seen.
#[derive(Debug)]
pub(super) struct World {
    seen: [bool; EXPORTS.len()],
    contract: Contract,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seen: [false; EXPORTS.len()],
            contract: Contract::V1_0,
        }
    }
}

impl World {
    /// Reads the imports and exports of the outermost component.
    pub(super) fn see(&mut self, payload: &Payload<'_>) -> Result<(), HostError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let import = import.map_err(invalid)?;
                    self.check_import(import.name.name, import.ty)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export.map_err(invalid)?;
                    let wanted = EXPORTS.iter().position(|name| *name == export.name.name);
                    if let Some(index) = wanted
                        && export.kind == ComponentExternalKind::Func
                    {
                        self.seen[index] = true;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that nothing is missing. Returns the version of the contract that the module was built
    /// for.
    pub(super) fn check(&self) -> Result<Contract, HostError> {
        let missing = EXPORTS.iter().zip(self.seen).find(|(_, seen)| !seen);
        match missing {
            None => Ok(self.contract),
            Some((name, _)) => Err(HostError::WrongWorld(format!(
                "it does not export the function `{name}`"
            ))),
        }
    }

    /// A world's types are imports too, and the host supplies nothing for them; nor for an interface
    /// of types, of which it is checked later that it has nothing else.
    fn check_import(&mut self, name: &str, ty: ComponentTypeRef) -> Result<(), HostError> {
        match ty {
            ComponentTypeRef::Type(_) => Ok(()),
            ComponentTypeRef::Func(_) if name == IMPORT => Ok(()),
            ComponentTypeRef::Instance(_) => match Contract::of_import(name) {
                Some(Ok(contract)) => {
                    self.contract = contract;
                    Ok(())
                }
                Some(Err(version)) => Err(HostError::UnknownContract(version)),
                None => Err(HostError::ForbiddenImport(name.to_owned())),
            },
            _ if name == IMPORT => Err(HostError::WrongWorld(
                "its import `trace` is not a function".to_owned(),
            )),
            _ => Err(HostError::ForbiddenImport(name.to_owned())),
        }
    }
}
