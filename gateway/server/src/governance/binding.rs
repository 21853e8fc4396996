//! Bindings: checked whole when they are written, so that a request never meets a bad one.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_domain::Precondition;
use leasehold_domain::limits;
use leasehold_wire::v1::error::ErrorCode;

use super::Governance;
use super::Stored;
use super::bind;
use super::document::BINDINGS;
use super::document::BindingDocument;
use super::document::BoundPolicyDocument;
use super::document::PolicyDocument;
use super::plan;
use crate::pipeline::ask::Caller;
use crate::pipeline::failure::Failure;

impl Governance {
    /// Creates or replaces a binding; answers its revision.
    ///
    /// # Errors
    /// A namespace, policy version or pattern does not exist, a configuration does not fit the
    /// version's schema (the message says where), the precondition does not hold, or the store
    /// cannot write.
    pub async fn put_binding(
        &self,
        caller: &Caller,
        binding: &BindingDocument,
        precondition: Precondition,
    ) -> Result<u64, Failure> {
        self.check(binding).await?;
        for bound in &binding.policies {
            let config = serde_json::to_vec(&bound.config)
                .map_err(|error| Failure::internal(error.to_string()))?;
            if config.len() > limits::POLICY_CONFIG_BYTES_MAX {
                return Err(Failure::invalid("config: too large"));
            }
        }
        let named: Vec<String> = binding
            .policies
            .iter()
            .map(|p| PolicyDocument::id(&p.policy, &p.version))
            .collect();
        let summary = format!("binding {}: {}", binding.name, named.join(", "));
        self.write(
            caller,
            BINDINGS,
            &binding.name,
            Some(binding),
            precondition,
            summary,
        )
        .await
    }

    /// Deletes a binding.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot write.
    pub async fn delete_binding(&self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let stored: Stored<BindingDocument> = self.binding(name).await?;
        let precondition = Precondition::Revision(stored.revision);
        let summary = format!("binding {name} deleted");
        let nothing = None::<&BindingDocument>;
        self.write(caller, BINDINGS, name, nothing, precondition, summary)
            .await?;
        Ok(())
    }

    /// One binding.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot be read.
    pub async fn binding(&self, name: &str) -> Result<Stored<BindingDocument>, Failure> {
        self.read(BINDINGS, name).await
    }

    /// All bindings, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn bindings(&self) -> Result<Vec<Stored<BindingDocument>>, Failure> {
        self.list(BINDINGS).await
    }

    /// Asks the store: another gateway may have made the namespace a moment ago.
    async fn check_namespace(&self, name: &str) -> Result<(), Failure> {
        let missing = || Failure::invalid(format!("namespaces: there is no {name:?}"));
        let parsed = name.parse().map_err(|_| missing())?;
        match self.namespace(&parsed).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code == ErrorCode::NamespaceNotFound => Err(missing()),
            Err(failure) => Err(failure),
        }
    }

    async fn check(&self, binding: &BindingDocument) -> Result<(), Failure> {
        if binding
            .name
            .parse::<leasehold_domain::NamespaceName>()
            .is_err()
        {
            return Err(Failure::invalid("name: 1 to 63 of a-z, 0-9 and -"));
        }
        if binding.policies.is_empty() || binding.policies.len() > limits::POLICIES_PER_DECISION_MAX
        {
            return Err(Failure::invalid("policies: 1 to 16 of them"));
        }
        if binding.namespaces.is_empty() {
            return Err(Failure::invalid("namespaces: at least one, or \"*\""));
        }
        for name in binding.namespaces.iter().filter(|name| *name != "*") {
            self.check_namespace(name).await?;
        }
        let mut modules = HashMap::new();
        for bound in &binding.policies {
            for name in &bound.on_error.allow {
                if leasehold_domain::Operation::from_name(name).is_none() {
                    return Err(Failure::invalid(format!("on_error: there is no {name:?}")));
                }
            }
            let id = PolicyDocument::id(&bound.policy, &bound.version);
            let version = self.version(&bound.policy, &bound.version).await?;
            let Some(version) = version else {
                return Err(Failure::invalid(format!("policies: there is no {id}")));
            };
            modules.insert(id, self.module(&version.document.digest).await?);
        }
        let checked = |document: &BoundPolicyDocument| bind(&modules, document);
        let steps = plan::steps_of(binding, checked).map_err(Failure::invalid)?;
        for step in &steps {
            if let Err(problem) = &step.bound {
                return Err(Failure::invalid(format!(
                    "{}@{}: {problem}",
                    step.policy, step.version
                )));
            }
        }
        // The configuration's bytes are kept by digest, so that any recorded decision can be run
        // again although the binding has changed since.
        for step in &steps {
            if let Ok(bound) = &step.bound {
                self.documents
                    .put_blob(Arc::from(bound.config().as_bytes()))
                    .await?;
            }
        }
        Ok(())
    }
}
