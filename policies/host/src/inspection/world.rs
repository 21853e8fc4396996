//! Checks that a component imports and exports what a policy does, by name and kind. The types are
//! checked when it is linked.

use wasmparser::ComponentExternalKind;
use wasmparser::ComponentTypeRef;
use wasmparser::Payload;

use super::invalid;
use crate::error::HostError;

/// What a policy must export.
const EXPORTS: [&str; 3] = ["describe", "check", "decide"];
/// All that a policy may import, besides types.
const IMPORT: &str = "trace";

/// Which of the required exports were seen.
#[derive(Debug, Default)]
pub(super) struct World {
    seen: [bool; EXPORTS.len()],
}

impl World {
    /// Reads the imports and exports of the outermost component.
    pub(super) fn see(&mut self, payload: &Payload<'_>) -> Result<(), HostError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let import = import.map_err(invalid)?;
                    check_import(import.name.name, import.ty)?;
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

    /// Checks that nothing is missing.
    pub(super) fn check(&self) -> Result<(), HostError> {
        let missing = EXPORTS.iter().zip(self.seen).find(|(_, seen)| !seen);
        match missing {
            None => Ok(()),
            Some((name, _)) => Err(HostError::WrongWorld(format!(
                "it does not export the function `{name}`"
            ))),
        }
    }
}

/// A world's types are imports too, and the host supplies nothing for them.
fn check_import(name: &str, ty: ComponentTypeRef) -> Result<(), HostError> {
    match ty {
        ComponentTypeRef::Type(_) => Ok(()),
        ComponentTypeRef::Func(_) if name == IMPORT => Ok(()),
        _ if name == IMPORT => Err(HostError::WrongWorld(
            "its import `trace` is not a function".to_owned(),
        )),
        _ => Err(HostError::ForbiddenImport(name.to_owned())),
    }
}
