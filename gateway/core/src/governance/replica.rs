//! The governance documents in force on this gateway: as the store last had them, and over that what
//! this gateway has written since. The plan and the key ring are made from them, piece by piece: of a
//! change only the documents that differ are parsed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::WallMillis;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::document;
use super::document::BindingDocument;
use super::document::MarkDocument;
use super::document::NamespaceDocument;
use super::document::PolicyDocument;
use super::document::RolloutDocument;
use super::document::RolloutStage;
use super::document::StandingDocument;
use super::document::TrustDocument;
use super::index::BindingIndex;
use super::rollout_index::RolloutIndex;
use super::standing::Standing;
use super::standing::assess;
use crate::authentication::KeyDocument;

/// The documents of one gateway, and what was made of them.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// In force. Complete up to the revision of the set; a write of this gateway may be newer.
    documents: DocumentSet,
    /// Writes of this gateway that are newer than the revision of the set, by their revision.
    written: BTreeMap<u64, Vec<Edit>>,
    /// The digests of the modules of all policy versions, by the ids of their documents.
    pub(super) versions: HashMap<Box<str>, Arc<str>>,
    /// Who killed versions, when and why, by the ids of their documents.
    pub(super) killed: HashMap<Box<str>, Arc<str>>,
    pub(super) bindings: BindingIndex,
    pub(super) rollouts: RolloutIndex,
    /// Why modules cannot be used, by digest.
    pub(super) broken: HashMap<Arc<str>, String>,
    /// Digests of modules that bindings in force name and that are still to be loaded.
    pub(super) unloaded: BTreeSet<Arc<str>>,
}

/// What differs between the documents in force and others, parsed. `None` is a document that was
/// deleted or cannot be parsed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) namespaces: Vec<(Box<str>, Option<NamespaceDocument>)>,
    /// The digests of policy versions.
    pub(super) versions: HashMap<Box<str>, Option<Arc<str>>>,
    /// Versions that were killed, and revived ones without a text.
    pub(super) killed: HashMap<Box<str>, Option<Arc<str>>>,
    /// Bindings that changed, and those whose rollout, or a version that they name, changed.
    pub(super) bindings: BTreeMap<Box<str>, Option<BindingDocument>>,
    pub(super) rollouts: BTreeMap<Box<str>, Option<RolloutDocument>>,
}

/// What a gateway needs of every policy version. The schema of its configuration is large, and passed
/// over.
#[derive(Debug, Deserialize)]
struct VersionDigest {
    digest: String,
    #[serde(default)]
    deleted_at: Option<serde::de::IgnoredAny>,
}

impl Replica {
    /// Returns the documents of a collection that are in force.
    pub(super) fn collection(&self, collection: &str) -> impl Iterator<Item = &Document> {
        self.documents.collection(collection)
    }

    /// Returns a document.
    pub(super) fn document(&self, collection: &str, id: &str) -> Option<&Document> {
        self.documents.get(collection, id)
    }

    /// Records a write of this gateway, which took effect at `revision`.
    pub(super) fn record(&mut self, edits: Vec<Edit>, revision: u64) {
        if revision > self.documents.revision() {
            self.written.insert(revision, edits);
        }
    }

    /// Returns what is to be in force if the store has `newest`; if that is `None`, what it had last.
    pub(super) fn target(&self, newest: Option<&DocumentSet>) -> DocumentSet {
        let mut target = newest.unwrap_or(&self.documents).clone();
        let after = target.revision().saturating_add(1);
        for (revision, edits) in self.written.range(after..) {
            for edit in edits {
                let found = target.get(&edit.collection, &edit.id);
                if found.is_none_or(|found| found.revision < *revision) {
                    target.apply(edit, *revision);
                }
            }
        }
        target
    }

    /// Parses the keys that differ between the documents in force and `target`, which are in force
    /// from now on.
    pub(super) fn accept_keys(
        &mut self,
        target: &DocumentSet,
    ) -> Vec<(Box<str>, Option<KeyDocument>)> {
        let mut with_keys = self.documents.clone();
        with_keys.adopt(document::KEYS, target);
        let before = std::mem::replace(&mut self.documents, with_keys);
        let changes = self.documents.changes_since(&before).into_iter();
        changes
            .map(|change| (change.id.into(), change.after.and_then(parsed)))
            .collect()
    }

    /// Parses what differs between the documents in force and `target`. Bindings are touched, too,
    /// that name a version whose module is one of `settled`.
    pub(super) fn touched(&self, target: &DocumentSet, settled: &BTreeSet<Arc<str>>) -> Touched {
        let mut touched = Touched::default();
        for change in target.changes_since(&self.documents) {
            let id = change.id;
            match change.collection {
                document::NAMESPACES => {
                    let namespace = change.after.and_then(parsed);
                    touched.namespaces.push((id.into(), namespace));
                }
                document::POLICIES => {
                    let version = change.after.and_then(parsed::<VersionDigest>);
                    let version = version.filter(|version| version.deleted_at.is_none());
                    let digest = version.map(|version| Arc::from(version.digest));
                    if digest.as_ref() != self.versions.get(id) {
                        touched.versions.insert(id.into(), digest);
                    }
                }
                document::BINDINGS => {
                    let binding = change.after.and_then(parsed);
                    touched.bindings.insert(id.into(), binding);
                }
                document::ROLLOUTS => {
                    let rollout = change.after.and_then(parsed);
                    touched.rollouts.insert(id.into(), rollout);
                }
                document::STANDINGS => {
                    let standing = change.after.and_then(parsed::<StandingDocument>);
                    let killed = standing.and_then(|standing| standing.killed);
                    let killed = killed.map(|mark| killed_by(&mark));
                    if killed.as_ref() != self.killed.get(id) {
                        touched.killed.insert(id.into(), killed);
                    }
                }
                _ => {}
            }
        }
        self.touch_bindings_of_rollouts(&mut touched);
        if touched.versions.is_empty() && touched.killed.is_empty() && settled.is_empty() {
            return touched;
        }
        for (id, binding) in self.bindings.iter() {
            let bound = binding.policies.iter();
            let bound = bound.map(|policy| (&policy.policy, &policy.version));
            let rollouts = self.rollouts.of_binding_with(id, &touched.rollouts);
            let other = rollouts.map(|rollout| (&rollout.policy, &rollout.other().version));
            let names_changed = bound.chain(other).any(|(policy, version)| {
                let version = PolicyDocument::id(policy, version);
                let digest = self.versions.get(&*version);
                touched.versions.contains_key(&*version)
                    || touched.killed.contains_key(&*version)
                    || digest.is_some_and(|digest| settled.contains(digest))
            });
            if names_changed && !touched.bindings.contains_key(id) {
                touched.bindings.insert(id.into(), Some(binding.clone()));
            }
        }
        touched
    }

    /// Adds the bindings in force whose rollouts changed.
    fn touch_bindings_of_rollouts(&self, touched: &mut Touched) {
        for (name, rollout) in &touched.rollouts {
            let after = rollout.as_ref().map(|rollout| &*rollout.binding);
            for id in self.rollouts.binding_of(name).into_iter().chain(after) {
                let binding = self.bindings.get(id);
                if let (Some(binding), false) = (binding, touched.bindings.contains_key(id)) {
                    touched.bindings.insert(id.into(), Some(binding.clone()));
                }
            }
        }
    }

    /// Returns the versions that bindings in force and their open or full rollouts name.
    pub(super) fn versions_in_use(&self) -> BTreeSet<(String, String)> {
        let bound = self.bindings.iter().flat_map(|(_, binding)| {
            let policies = binding.policies.iter();
            policies.map(|bound| (bound.policy.clone(), bound.version.clone()))
        });
        let rollouts = self.rollouts.iter().filter(|rollout| {
            rollout.state.stage.is_open() || rollout.state.stage == RolloutStage::Full
        });
        let other = rollouts.map(|rollout| {
            let version = &rollout.other().version;
            (rollout.policy.clone(), version.clone())
        });
        bound.chain(other).collect()
    }

    /// Computes the standing of a version from the documents in force; `None` if there is no such
    /// version.
    pub(super) fn standing(
        &self,
        policy: &str,
        version: &str,
        now: WallMillis,
    ) -> Option<Standing> {
        let id = PolicyDocument::id(policy, version);
        let version = self.documents.get(document::POLICIES, &id);
        let version: PolicyDocument = version.and_then(parsed)?;
        let standing = self.documents.get(document::STANDINGS, &id);
        let standing: StandingDocument = standing.and_then(parsed).unwrap_or_default();
        let trust = self.documents.get(document::TRUST, document::TRUST_ID);
        let trust: TrustDocument = trust.and_then(parsed).unwrap_or_default();
        Some(assess(&version, &standing, &trust, now))
    }

    /// Returns the digest of a policy version's module as it will be once `touched` is in force.
    pub(super) fn digest_with(&self, touched: &Touched, version: &str) -> Option<Arc<str>> {
        match touched.versions.get(version) {
            Some(changed) => changed.clone(),
            None => self.versions.get(version).cloned(),
        }
    }

    /// Whether a binding in force, or a rollout of one, names a version with this module.
    pub(super) fn names_module(&self, digest: &Digest) -> bool {
        let digest = digest.to_string();
        let is_meant = |policy: &str, version: &str| {
            let named = self.versions.get(&*PolicyDocument::id(policy, version));
            named.is_some_and(|named| **named == *digest)
        };
        let bindings = self.bindings.iter();
        let mut bound = bindings.flat_map(|(_, binding)| &binding.policies);
        let mut rollouts = self.rollouts.iter();
        bound.any(|policy| is_meant(&policy.policy, &policy.version))
            || rollouts.any(|rollout| is_meant(&rollout.policy, &rollout.other().version))
    }

    /// Records that these documents are in force.
    pub(super) fn accept(&mut self, documents: DocumentSet) {
        self.documents = documents;
        let newer = self.documents.revision().saturating_add(1);
        self.written = self.written.split_off(&newer);
    }
}

/// Returns who killed a version, when and why.
fn killed_by(MarkDocument { by, at, reason }: &MarkDocument) -> Arc<str> {
    format!("its version was killed by {by} at {at}: {reason}").into()
}

/// Parses a document; one that cannot be read is logged and left out.
fn parsed<T: DeserializeOwned>(row: &Document) -> Option<T> {
    match serde_json::from_slice(&row.body) {
        Ok(document) => Some(document),
        Err(error) => {
            tracing::error!(collection = %row.collection, id = %row.id, %error, "governance.document unreadable");
            None
        }
    }
}
