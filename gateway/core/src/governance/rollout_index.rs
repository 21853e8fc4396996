//! The rollouts that change bindings in force.

use std::collections::BTreeMap;

use super::document::RolloutDocument;
use super::document::RolloutStage;

/// The rollouts that are open or full, by name.
#[derive(Debug, Default)]
pub(super) struct RolloutIndex(BTreeMap<Box<str>, RolloutDocument>);

impl RolloutIndex {
    /// Records what was written of a rollout; `None` if it was deleted.
    pub(super) fn set(&mut self, name: &str, rollout: Option<RolloutDocument>) {
        match rollout.filter(applies) {
            Some(rollout) => self.0.insert(name.into(), rollout),
            None => self.0.remove(name),
        };
    }

    /// Returns the binding that a rollout changes.
    pub(super) fn binding_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|rollout| &*rollout.binding)
    }

    /// Returns the rollouts that change a binding once `changed` is in force.
    pub(super) fn of_binding_with<'r>(
        &'r self,
        binding: &'r str,
        changed: &'r BTreeMap<Box<str>, Option<RolloutDocument>>,
    ) -> impl Iterator<Item = &'r RolloutDocument> {
        let kept = self
            .0
            .iter()
            .filter(|(name, _)| !changed.contains_key(*name));
        let kept = kept.map(|(_, rollout)| rollout);
        let new = changed
            .values()
            .flatten()
            .filter(|rollout| applies(rollout));
        kept.chain(new)
            .filter(move |rollout| rollout.binding == binding)
    }

    /// Returns the rollouts that are open or full.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RolloutDocument> {
        self.0.values()
    }

    /// Returns the rollouts that change a binding.
    pub(super) fn of_binding<'r>(
        &'r self,
        binding: &'r str,
    ) -> impl Iterator<Item = &'r RolloutDocument> {
        let all = self.0.values();
        all.filter(move |rollout| rollout.binding == binding)
    }
}

/// Whether a rollout affects requests.
fn applies(rollout: &RolloutDocument) -> bool {
    let stage = rollout.state.stage;
    stage.is_open() || stage == RolloutStage::Full
}
