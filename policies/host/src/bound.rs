//! A module with its configuration: what a request is judged by.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_domain::Digest;
use leasehold_domain::Facts;
use leasehold_domain::Principal;
use leasehold_domain::Request;

use crate::convert::Arguments;
use crate::convert::answer;
use crate::error::ConfigError;
use crate::error::ConfigProblem;
use crate::evaluation::Evaluation;
use crate::limits::Budget;
use crate::module::Module;
use crate::stock;
use crate::verdict_cache::CacheLookup;
use crate::verdict_cache::VerdictCache;
use crate::verdict_cache::VerdictKey;

/// A module with a configuration that it accepted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BoundPolicy {
    module: Arc<Module>,
    config: Arc<str>,
    config_digest: Digest,
    verdicts: Option<Arc<VerdictCache>>,
}

impl Module {
    /// The policy that this module is with a configuration. Checks it against the module's schema,
    /// and then asks the module itself.
    ///
    /// # Errors
    /// All that is wrong, with the place of each.
    pub fn bind(self: &Arc<Self>, config: &serde_json::Value) -> Result<BoundPolicy, ConfigError> {
        let config = self.check(config)?;
        let config_digest = Digest::of(config.as_bytes());
        Ok(BoundPolicy {
            module: self.clone(),
            config_digest,
            config: config.into(),
            verdicts: self.verdict_cache(config_digest),
        })
    }
}

impl BoundPolicy {
    /// The module.
    #[must_use]
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// The SHA-256 of [`Self::config`].
    #[must_use]
    pub fn config_digest(&self) -> Digest {
        self.config_digest
    }

    /// The configuration as canonical JSON: no spaces, keys in order.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Finds what can never match in a stock policy's configuration: patterns that no lock name
    /// matches, teams, subjects, roles and labels that cannot be, and rules behind others that cover
    /// them. Other modules check their own configuration, so nothing is found in theirs.
    #[must_use]
    pub fn unmatchable(&self) -> Vec<ConfigProblem> {
        self.of_stock(stock::unmatchable).unwrap_or_default()
    }

    /// Finds the roles in a stock policy's configuration that are not the gateway's: custom ones, or
    /// misspelt.
    #[must_use]
    pub fn custom_roles(&self) -> BTreeSet<String> {
        self.of_stock(stock::custom_roles).unwrap_or_default()
    }

    /// What is found in the configuration of a stock policy.
    fn of_stock<T>(&self, find: impl FnOnce(&str, &serde_json::Value) -> T) -> Option<T> {
        let manifest = self.module.manifest();
        let ours = |(name, wasm): &&(&str, &[u8])| {
            *name == manifest.name && Digest::of(wasm) == self.module.digest()
        };
        stock::MODULES.iter().find(ours)?;
        let config = serde_json::from_str(&self.config).ok()?;
        Some(find(&manifest.name, &config))
    }

    /// Judges one request in a fresh instance. Synchronous: some microseconds, and at most the
    /// engine's deadline. Never panics.
    #[must_use]
    pub fn decide(&self, request: &Request, principal: &Principal, facts: &Facts) -> Evaluation {
        let budget = self.module.budget();
        self.run(request, principal, facts, budget, false).0
    }

    /// What one decision may spend by the engine's limits.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.module.budget()
    }

    /// The same decision with no more than this to spend, and no more than the engine allows.
    #[must_use]
    pub fn decide_within(
        &self,
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        budget: Budget,
    ) -> Evaluation {
        let budget = budget.least(self.module.budget());
        self.run(request, principal, facts, budget, false).0
    }

    /// Looks up the cached verdict on these inputs, for a decision that may spend `budget`.
    #[must_use]
    pub fn cached_verdict(
        &self,
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        budget: Budget,
    ) -> CacheLookup {
        let Some(verdicts) = &self.verdicts else {
            return CacheLookup::Disabled;
        };
        let key = self
            .module
            .manifest()
            .inputs()
            .key(request, principal, facts);
        verdicts.lookup(key, budget.fuel)
    }

    /// Caches the result of an evaluation of these inputs with `budget`, if the same inputs always give
    /// the same result.
    pub fn cache_verdict(&self, key: VerdictKey, evaluation: &Evaluation, budget: Budget) {
        if let Some(verdicts) = &self.verdicts {
            let is_whole = budget.fuel >= self.module.budget().fuel;
            verdicts.insert(key, evaluation, is_whole);
        }
    }

    /// The same decision with what the policy traced, in order; at most 100 lines of 1 KiB.
    #[must_use]
    pub fn explain(
        &self,
        request: &Request,
        principal: &Principal,
        facts: &Facts,
    ) -> (Evaluation, Vec<String>) {
        self.run(request, principal, facts, self.module.budget(), true)
    }

    fn run(
        &self,
        request: &Request,
        principal: &Principal,
        facts: &Facts,
        budget: Budget,
        traced: bool,
    ) -> (Evaluation, Vec<String>) {
        let manifest = self.module.manifest();
        let arguments = match Arguments::new(manifest, request, principal, facts) {
            Ok(arguments) => arguments,
            Err(fault) => {
                return (
                    Evaluation {
                        answer: Err(fault),
                        fuel: 0,
                    },
                    Vec::new(),
                );
            }
        };
        let holders = arguments.holders();
        let facts = arguments.facts(manifest, &holders);
        let (request, principal) = (arguments.request(), arguments.principal());
        let arguments = (request, principal, facts, &*self.config);
        let called = self.module.decide(budget, traced, arguments);
        let answer = called.result.and_then(answer);
        (
            Evaluation {
                answer,
                fuel: called.fuel,
            },
            called.traces,
        )
    }
}
