//! Pushes of policy versions, in two phases: the module is compiled, tested and checked beside all
//! requests, and then one write puts the version into the store, or nothing.

mod signatures;

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Precondition;
use leasehold_domain::limits::MODULE_BYTES_MAX;
use leasehold_domain::limits::PUSH_BINDINGS_MAX;
use leasehold_policy_host::Module;

use self::signatures::Merged;
use super::Governance;
use super::Stored;
use super::bound::BoundPolicies;
use super::document::BindingDocument;
use super::document::POLICIES;
use super::document::PolicyDocument;
use super::document::STANDINGS;
use super::document::StandingDocument;
use super::edit;
use super::standing::Standing;
use super::standing::assess;
use super::standing::unusable;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::signing::PolicySignature;

/// How often a version is written against others that are written at the same time.
const WRITES_MAX: usize = 4;

/// What is pushed.
#[derive(Debug, Clone, Default)]
pub struct Push<'a> {
    /// The name and version that the module must have; `None` for whichever it has.
    pub named: Option<(&'a str, &'a str)>,
    /// The module.
    pub wasm: Arc<[u8]>,
    /// Signatures of it.
    pub signatures: Vec<PolicySignature>,
    /// Whether everything is done but the write.
    pub dry_run: bool,
}

impl Push<'_> {
    /// A push of a module without signatures.
    #[must_use]
    pub fn of(wasm: impl Into<Arc<[u8]>>) -> Self {
        Self {
            wasm: wasm.into(),
            ..Self::default()
        }
    }
}

/// A version that was pushed, or would be.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The version; its revision is 0 if it was not written.
    pub stored: Stored<PolicyDocument>,
    /// Its standing.
    pub standing: Standing,
    /// The signatures that were sent and are not kept, each with the reason.
    pub ignored: Vec<String>,
    /// The bindings that name another version of the policy.
    pub bindings: Vec<BindingFit>,
    /// How many more there are that were not checked.
    pub more_bindings: usize,
}

/// Whether the configuration of a binding fits another version than it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingFit {
    /// The binding.
    pub binding: String,
    /// The version that it names.
    pub version: String,
    /// Why its configuration does not fit; `None` if it does.
    pub problem: Option<String>,
}

impl Governance {
    /// Takes a module: compiles it, reads its manifest, runs its own test cases, verifies its
    /// signatures, and only then stores it. The same bytes again add the signatures that are new, and
    /// change nothing else; other bytes under a name and version that exist, or existed before they
    /// were deleted, are refused.
    ///
    /// # Errors
    /// The module or a signature is refused (the message says why), the version exists with another
    /// digest. `policy_version_unusable`: it was withdrawn, or too few trusted keys signed it for now.
    /// Or the store cannot write.
    pub async fn push_policy(&self, caller: &Caller, push: Push<'_>) -> Result<Pushed, Failure> {
        if push.wasm.len() > MODULE_BYTES_MAX {
            let message = "the module is too large";
            return Err(Failure::new(FailureKind::TooLarge, message));
        }
        let module = self.verify(push.wasm.clone()).await?;
        let manifest = module.manifest();
        if let Some((name, version)) = push.named
            && (name, version) != (manifest.name.as_str(), manifest.version.as_str())
        {
            return Err(Failure::invalid(format!(
                "the module says that it is {}@{}",
                manifest.name, manifest.version
            )));
        }
        let document = self.new_version(caller, &module);
        let (bindings, more_bindings) = self.fits(&module).await?;
        for _ in 0..WRITES_MAX {
            if let Some(pushed) = self.try_push(caller, &push, &document).await? {
                return Ok(Pushed {
                    bindings,
                    more_bindings,
                    ..pushed
                });
            }
        }
        let id = PolicyDocument::id(&document.policy, &document.version);
        let message = format!("others wrote policy {id} each time; try again");
        Err(Failure::new(FailureKind::Conflict, message))
    }

    /// Checks and writes a version. Returns `None` if what it was checked against has changed by the
    /// time of the write.
    async fn try_push(
        &self,
        caller: &Caller,
        push: &Push<'_>,
        new: &PolicyDocument,
    ) -> Result<Option<Pushed>, Failure> {
        let id = PolicyDocument::id(&new.policy, &new.version);
        let existing = match self.find(&new.policy, &new.version).await? {
            None => None,
            Some(existing) => Some(same_bytes(existing, &new.digest)?),
        };
        let trust = self.trust().await?.document;
        let before = self.standing_document(&id).await?;
        let now = self.clock.wall();
        let before_push = before.as_ref().map(|stored| &stored.document);
        let mut merged = Merged::of(new, before_push);
        merged.add(&push.signatures, (new, &trust), (caller, now))?;
        let standing = assess(new, &merged.document, &trust, now);
        if let Some(problem) = &standing.problem {
            return Err(unusable(new, "pushed", problem));
        }
        let (kept, deleted) = match existing {
            Some(existing) if existing.document.deleted_at.is_none() => (Some(existing), None),
            other => (None, other),
        };
        let is_new = kept.is_none();
        let mut stored = kept.unwrap_or_else(|| Stored {
            document: new.clone(),
            revision: 0,
        });
        let pushed = |stored| Pushed {
            stored,
            standing,
            ignored: merged.ignored,
            bindings: Vec::new(),
            more_bindings: 0,
        };
        if push.dry_run {
            return Ok(Some(pushed(stored)));
        }
        // The blob first: a version must never point to nothing. A store that has lost the bytes gets
        // them back.
        self.documents.put_blob(push.wasm.clone()).await?;
        let mut edits = Vec::new();
        if is_new {
            let summary = format!("policy {id}, module {}", new.digest);
            let (body, same) = (Some(&stored.document), unchanged(deleted.as_ref()));
            edits.push(edit(caller, POLICIES, &id, body, same, summary)?);
        }
        if before_push != Some(&merged.document) && merged.document != StandingDocument::default() {
            let (body, same) = (Some(&merged.document), unchanged(before.as_ref()));
            let summary = merged.summary;
            edits.push(edit(caller, STANDINGS, &id, body, same, summary)?);
        }
        if edits.is_empty() {
            return Ok(Some(pushed(stored)));
        }
        match self.try_commit(edits, BoundPolicies::default()).await? {
            Ok(revision) => {
                if is_new {
                    stored.revision = revision;
                }
                Ok(Some(pushed(stored)))
            }
            Err(_) => Ok(None),
        }
    }

    /// Checks which bindings of other versions could name this one with the configurations that they
    /// have. Returns how many more there are, too.
    async fn fits(&self, module: &Arc<Module>) -> Result<(Vec<BindingFit>, usize), Failure> {
        let manifest = module.manifest();
        let mut entries = Vec::new();
        for binding in self.bindings().await? {
            let BindingDocument { name, policies, .. } = binding.document;
            let others = policies
                .into_iter()
                .filter(|bound| bound.policy == manifest.name && bound.version != manifest.version);
            entries.extend(others.map(|bound| (name.clone(), bound)));
        }
        let more = entries.len().saturating_sub(PUSH_BINDINGS_MAX);
        entries.truncate(PUSH_BINDINGS_MAX);
        // Each configuration once.
        let distinct: BTreeMap<String, serde_json::Value> = entries
            .iter()
            .map(|(_, bound)| (bound.config.to_string(), bound.config.clone()))
            .collect();
        let wanted = distinct.into_values();
        let wanted = wanted.map(|config| (module.clone(), config)).collect();
        let bound = BoundPolicies::bind(wanted).await?;
        let fits = entries.into_iter().map(|(binding, entry)| BindingFit {
            binding,
            problem: bound.get(module, &entry.config).err(),
            version: entry.version,
        });
        Ok((fits.collect(), more))
    }
}

/// The precondition that a document is as it was read.
fn unchanged<T>(read: Option<&Stored<T>>) -> Precondition {
    read.map_or(Precondition::Absent, |read| {
        Precondition::Revision(read.revision)
    })
}

/// Checks that a version that exists has this module.
fn same_bytes(
    existing: Stored<PolicyDocument>,
    digest: &str,
) -> Result<Stored<PolicyDocument>, Failure> {
    if existing.document.digest == digest {
        return Ok(existing);
    }
    let PolicyDocument {
        policy,
        version,
        digest,
        deleted_at,
        ..
    } = &existing.document;
    let id = PolicyDocument::id(policy, version);
    let state = match deleted_at {
        None => "exists",
        Some(_) => "was deleted",
    };
    let message = format!("{id} {state} with module {digest}; versions are immutable");
    Err(Failure::new(FailureKind::Conflict, message))
}

#[cfg(test)]
mod tests;
