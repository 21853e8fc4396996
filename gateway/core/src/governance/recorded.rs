//! Policies as decisions record them: by the digests of module and configuration.

use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::Module;
use serde_json::Value;

use super::Governance;
use super::Stored;
use super::bound::BoundPolicies;
use super::document::POLICIES;
use super::document::PolicyDocument;
use crate::failure::Failure;
use crate::failure::FailureKind;

impl Governance {
    /// Returns a policy with the module and the configuration of these digests, or why it cannot be
    /// used.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn recorded(
        &self,
        module: Digest,
        config: Digest,
    ) -> Result<Result<BoundPolicy, String>, Failure> {
        let Some(bytes) = self.documents.get_blob(&config).await? else {
            return Ok(Err(format!("configuration {config} is not in the store")));
        };
        let config: Value = match serde_json::from_slice(&bytes) {
            Ok(config) => config,
            Err(error) => return Ok(Err(format!("configuration {config}: {error}"))),
        };
        match self.module(&module.to_string()).await? {
            Ok(module) => Self::bind(module, config).await,
            Err(problem) => Ok(Err(problem)),
        }
    }

    /// Checks that there is, or was, a version of a policy.
    ///
    /// # Errors
    /// `not_found`: there was none. The store cannot be read.
    pub(crate) async fn check_policy(&self, policy: &str) -> Result<(), Failure> {
        let all: Vec<Stored<PolicyDocument>> = self.list(POLICIES).await?;
        match all.iter().any(|stored| stored.document.policy == policy) {
            true => Ok(()),
            false => {
                let message = format!("there is no policy {policy}");
                Err(Failure::new(FailureKind::NotFound, message))
            }
        }
    }

    /// Returns the digest of a version's module.
    ///
    /// # Errors
    /// `not_found`: there is no such version. The store cannot be read.
    pub(crate) async fn module_of(&self, policy: &str, version: &str) -> Result<Digest, Failure> {
        let id = PolicyDocument::id(policy, version);
        let missing = || Failure::new(FailureKind::NotFound, format!("there is no policy {id}"));
        let stored = self.version(policy, version).await?.ok_or_else(missing)?;
        let digest = stored.document.digest.parse();
        digest.map_err(|_| Failure::internal(format!("policy {id} has no valid digest")))
    }

    /// Returns a policy with the module of this digest and this configuration.
    ///
    /// # Errors
    /// `invalid`: the configuration does not suit the module, or the module cannot be used. The store
    /// cannot be read.
    pub(crate) async fn candidate(
        &self,
        module: Digest,
        config: &Value,
    ) -> Result<BoundPolicy, Failure> {
        let module = self.module(&module.to_string()).await?;
        let module = module.map_err(Failure::invalid)?;
        let bound = Self::bind(module, config.clone()).await?;
        bound.map_err(|problem| Failure::invalid(format!("config: {problem}")))
    }

    /// Binds a module to a configuration away from the request threads.
    async fn bind(
        module: Arc<Module>,
        config: Value,
    ) -> Result<Result<BoundPolicy, String>, Failure> {
        let bound = BoundPolicies::bind(vec![(module.clone(), config.clone())]).await?;
        Ok(bound.get(&module, &config))
    }
}
