//! Components in a component: what they may do so that the whole stays as large as its parts.
//!
//! The compiler unfolds a component: what is instantiated twice is compiled and kept twice. So that
//! this is never more than what was counted, a component is instantiated at most once, and none is
//! handed on under another index, which would hide that.

use std::collections::BTreeSet;

use leasehold_domain::limits;
use wasmparser::ComponentAlias;
use wasmparser::ComponentExternalKind;
use wasmparser::ComponentInstance;
use wasmparser::ComponentOuterAliasKind;
use wasmparser::ComponentTypeRef;
use wasmparser::Instance;
use wasmparser::Payload;

use super::counts::Counts;
use super::invalid;
use super::within;
use crate::error::HostError;

/// The components and modules around what is read.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// Which components each of them has instantiated, by index.
    open: Vec<BTreeSet<u32>>,
}

impl Nesting {
    /// Checks what comes next.
    pub(super) fn see(
        &mut self,
        payload: &Payload<'_>,
        counts: &mut Counts,
    ) -> Result<(), HostError> {
        match payload {
            Payload::Version { .. } => self.open.push(BTreeSet::new()),
            Payload::End(_) => {
                self.open.pop();
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { .. } = instance.map_err(invalid)? {
                        counts.add_core_instance()?;
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    let instance = instance.map_err(invalid)?;
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance
                    {
                        self.instantiate(component_index)?;
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    if names_a_component(&alias.map_err(invalid)?) {
                        return handed_on();
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let ty = import.map_err(invalid)?.ty;
                    // Of the outermost one the imports are checked by name.
                    if self.open.len() > 1 && matches!(ty, ComponentTypeRef::Component(_)) {
                        return handed_on();
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn instantiate(&mut self, component: u32) -> Result<(), HostError> {
        let is_first = self
            .open
            .last_mut()
            .is_none_or(|seen| seen.insert(component));
        let max = limits::MODULE_INSTANTIATIONS_OF_ONE_COMPONENT_MAX;
        within(
            "instances of one component",
            max + usize::from(!is_first),
            max,
        )
    }
}

fn names_a_component(alias: &ComponentAlias<'_>) -> bool {
    match alias {
        ComponentAlias::InstanceExport { kind, .. } => *kind == ComponentExternalKind::Component,
        ComponentAlias::Outer { kind, .. } => *kind == ComponentOuterAliasKind::Component,
        ComponentAlias::CoreInstanceExport { .. } => false,
    }
}

fn handed_on() -> Result<(), HostError> {
    within("imports or aliases of components", 1, 0)
}
