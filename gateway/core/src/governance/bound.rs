//! Policies with their configurations, bound away from the request threads: a schema may take long
//! to check a configuration, and then the module itself is asked.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::Module;
use serde_json::Value;

use crate::failure::Failure;

/// Policies that were bound, or why they cannot be, by module and configuration.
#[derive(Debug, Default)]
pub(super) struct BoundPolicies(HashMap<(Digest, String), Result<BoundPolicy, String>>);

impl BoundPolicies {
    /// Binds modules to configurations on a thread for blocking work.
    ///
    /// # Errors
    /// `internal`: the thread failed.
    pub(super) async fn bind(wanted: Vec<(Arc<Module>, Value)>) -> Result<Self, Failure> {
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let bind_all = move || {
            let mut bound = HashMap::new();
            for (module, config) in wanted {
                let outcome = bind(&module, &config);
                bound.insert((module.digest(), config.to_string()), outcome);
            }
            Self(bound)
        };
        let bound = tokio::task::spawn_blocking(bind_all).await;
        bound.map_err(|error| Failure::internal(format!("policies were not bound: {error}")))
    }

    /// Returns a policy that was bound. Binds it on this thread if it was not, which happens only if
    /// another change came in between.
    pub(super) fn get(&self, module: &Arc<Module>, config: &Value) -> Result<BoundPolicy, String> {
        match self.0.get(&(module.digest(), config.to_string())) {
            Some(bound) => bound.clone(),
            None => bind(module, config),
        }
    }
}

fn bind(module: &Arc<Module>, config: &Value) -> Result<BoundPolicy, String> {
    module.bind(config).map_err(|error| error.to_string())
}
