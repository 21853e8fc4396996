//! Policy versions: immutable, verified before they are stored.

use std::sync::Arc;

use crate::failure::FailureKind;
use leasehold_domain::Digest;
use leasehold_domain::Precondition;
use leasehold_domain::limits::UPLOADS_WAITING_MAX;
use leasehold_policy_host::Contract;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Module;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;

use super::Governance;
use super::Stored;
use super::document::POLICIES;
use super::document::PolicyDocument;
use super::document::RolloutDocument;
use super::document::RolloutStage;
use crate::caller::Caller;
use crate::failure::Failure;

/// How soon an upload that found too many before it may be sent again.
const UPLOAD_RETRY_AFTER_MS: u64 = 1_000;

/// Uploads of modules that are under way on this gateway. Only one at a time is compiled, so that
/// modules that governance loads do not wait for many of them.
#[derive(Debug)]
pub(super) struct Uploads {
    places: Semaphore,
    compiler: tokio::sync::Mutex<()>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            places: Semaphore::new(1 + UPLOADS_WAITING_MAX),
            compiler: tokio::sync::Mutex::default(),
        }
    }
}

/// The versions of the contract `leasehold:policy` that this build loads, oldest first.
#[must_use]
pub fn policy_contracts() -> Vec<String> {
    let version = |contract: Contract| contract.version().to_owned();
    Contract::ALL.map(version).to_vec()
}

/// The right to send a module; given back when dropped.
#[derive(Debug)]
pub struct UploadPlace<'a>(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'a>);

impl Governance {
    /// Admits an upload before its body is read, so that bodies that wait cost bounded memory.
    ///
    /// # Errors
    /// `overloaded`: too many uploads wait already.
    pub fn admit_upload(&self) -> Result<UploadPlace<'_>, Failure> {
        match self.uploads.places.try_acquire() {
            Ok(place) => Ok(UploadPlace(place)),
            Err(_) => Err(Failure {
                retry_after_ms: Some(UPLOAD_RETRY_AFTER_MS),
                ..Failure::new(
                    FailureKind::Overloaded,
                    "too many modules are being uploaded",
                )
            }),
        }
    }

    /// The document of a module that `caller` uploads.
    pub(super) fn new_version(&self, caller: &Caller, module: &Module) -> PolicyDocument {
        let manifest = module.manifest();
        PolicyDocument {
            policy: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: module.digest().to_string(),
            operations: manifest
                .operations
                .iter()
                .map(|o| o.as_str().to_owned())
                .collect(),
            needs_lock: manifest.needs_lock,
            needs_usage: manifest.needs_usage,
            config_schema: manifest.config_schema.clone(),
            uploaded_by: caller.principal.subject.to_string(),
            uploaded_at: crate::telemetry::rfc3339(self.clock.wall()),
            deleted_at: None,
        }
    }

    /// Compiles an uploaded module, one at a time.
    pub(super) async fn verify(&self, wasm: Arc<[u8]>) -> Result<Arc<Module>, Failure> {
        let _one_at_a_time = self.uploads.compiler.lock().await;
        let digest = Digest::of(&wasm);
        self.compile(wasm).await.map_err(|error| {
            if matches!(error, HostError::Panicked(_)) {
                tracing::error!(module.digest = %digest, %error, "governance.module compiler failed");
            }
            Failure::invalid(format!("module {digest} was refused: {error}"))
        })
    }

    /// All versions of all policies, by id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn policies(&self) -> Result<Vec<Stored<PolicyDocument>>, Failure> {
        let mut all: Vec<Stored<PolicyDocument>> = self.list(POLICIES).await?;
        all.retain(|stored| stored.document.deleted_at.is_none());
        Ok(all)
    }

    /// One version, if it exists.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn version(
        &self,
        policy: &str,
        version: &str,
    ) -> Result<Option<Stored<PolicyDocument>>, Failure> {
        let found = self.find(policy, version).await?;
        Ok(found.filter(|stored| stored.document.deleted_at.is_none()))
    }

    /// Finds one version, also a deleted one.
    pub(super) async fn find(
        &self,
        policy: &str,
        version: &str,
    ) -> Result<Option<Stored<PolicyDocument>>, Failure> {
        let id = PolicyDocument::id(policy, version);
        self.find_document(POLICIES, &id).await
    }

    /// Returns a version that no binding and no rollout names.
    ///
    /// # Errors
    /// `not_found`: there is no such version. `policy_version_in_use`: a binding names it. Or the store
    /// cannot be read.
    pub(crate) async fn unbound_version(
        &self,
        policy: &str,
        version: &str,
    ) -> Result<Stored<PolicyDocument>, Failure> {
        let id = PolicyDocument::id(policy, version);
        let stored = self.version(policy, version).await?;
        let missing = || Failure::new(FailureKind::NotFound, format!("there is no policy {id}"));
        let stored = stored.ok_or_else(missing)?;
        let bindings = self.bindings().await?.into_iter();
        let bindings = bindings.map(|binding| binding.document);
        let naming = bindings.filter(|binding| {
            let mut policies = binding.policies.iter();
            policies.any(|bound| bound.policy == policy && bound.version == version)
        });
        let naming: Vec<String> = naming.map(|binding| binding.name).collect();
        if !naming.is_empty() {
            let message = format!(
                "policy {id} is in use: bindings name it ({}); bind another version in them, or \
                 delete them, first",
                naming.join(", ")
            );
            return Err(Failure::new(FailureKind::PolicyVersionInUse, message));
        }
        let rollouts = self.rollouts().await?.into_iter();
        let mut rollouts = rollouts.map(|rollout| rollout.document);
        let is_other = |rollout: &RolloutDocument| {
            let applies =
                rollout.state.stage.is_open() || rollout.state.stage == RolloutStage::Full;
            applies && rollout.policy == policy && rollout.other().version == version
        };
        match rollouts.find(is_other) {
            None => Ok(stored),
            Some(rollout) => {
                let message = format!(
                    "policy {id} is in use: rollout {} needs it; roll it back, or delete it if it is \
                     full, first",
                    rollout.name
                );
                Err(Failure::new(FailureKind::PolicyVersionInUse, message))
            }
        }
    }

    /// Deletes a version. Its module's bytes stay in the store, for decisions that were recorded, and
    /// so does its name: only the same module can be uploaded under it again.
    ///
    /// # Errors
    /// `precondition_failed`: it was bound or deleted since it was read. Or the store cannot write.
    pub(crate) async fn delete_version(
        &self,
        caller: &Caller,
        version: &Stored<PolicyDocument>,
    ) -> Result<(), Failure> {
        let deleted = PolicyDocument {
            deleted_at: Some(crate::telemetry::rfc3339(self.clock.wall())),
            ..version.document.clone()
        };
        let id = PolicyDocument::id(&deleted.policy, &deleted.version);
        let unchanged = Precondition::Revision(version.revision);
        let summary = format!("policy {id} deleted, module {}", deleted.digest);
        self.write(caller, POLICIES, &id, Some(&deleted), unchanged, summary)
            .await?;
        self.forget_module(&deleted.digest);
        Ok(())
    }

    /// Drops a compiled module that no version has any more.
    fn forget_module(&self, digest: &str) {
        let replica = self.replica();
        let is_known = replica.versions.values().any(|known| **known == *digest);
        if let (false, Ok(digest)) = (is_known, digest.parse::<Digest>()) {
            self.modules.forget(&digest);
        }
    }
}
