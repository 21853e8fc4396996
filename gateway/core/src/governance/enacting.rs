//! How documents come into force: what differs is prepared while the old plan stays in force, and then
//! the plan is swapped at once.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;

use futures_util::StreamExt;
use leasehold_domain::DocumentSet;
use leasehold_domain::NamespaceName;
use leasehold_policy_host::Module;

use super::Governance;
use super::bound::BoundPolicies;
use super::document::BoundPolicyDocument;
use super::document::PolicyDocument;
use super::document::RolloutDocument;
use super::index::ALL_NAMESPACES;
use super::plan;
use super::plan::Plan;
use super::replica::Replica;
use super::replica::Touched;
use crate::failure::Failure;

/// How many modules one load reads and compiles at once; each waits on a thread that may block.
const MODULES_LOADING_MAX: usize = 8;

/// What was prepared for documents that are to come into force.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) bound: BoundPolicies,
    /// The modules that were loaded, by digest; with the reason if one cannot be used.
    modules: HashMap<Arc<str>, Option<String>>,
}

impl Prepared {
    /// These policies, where nothing else has to be prepared.
    pub(super) fn of(bound: BoundPolicies) -> Self {
        Self {
            bound,
            ..Self::default()
        }
    }

    /// Returns the modules of bindings in force that were loaded, or began to fail, or fail for
    /// another reason than before.
    fn settled(&self, replica: &Replica) -> BTreeSet<Arc<str>> {
        let differs = |(digest, problem): &(&Arc<str>, &Option<String>)| {
            let before = replica.broken.get(*digest);
            replica.unloaded.contains(*digest) || (before.is_some() && before != problem.as_ref())
        };
        let settled = self.modules.iter().filter(differs);
        settled.map(|(digest, _)| digest.clone()).collect()
    }
}

impl Governance {
    /// Puts the keys of these documents into force, and no others.
    pub(super) fn enact_keys(&self, replica: &mut Replica, documents: &DocumentSet) {
        let changes = replica.accept_keys(documents);
        if !changes.is_empty() {
            self.keys.update(changes);
        }
    }

    /// Loads and compiles the modules of the bindings that differ in `documents`, and binds their
    /// configurations. What cannot be used is tried again whenever a version or a binding changes, and
    /// modules that could not be read at each load.
    ///
    /// # Errors
    /// The store cannot be read. That says nothing of a module.
    pub(super) async fn prepare(&self, documents: &DocumentSet) -> Result<Prepared, Failure> {
        let (touched, retried) = {
            let replica = self.replica();
            let touched = replica.touched(documents, &BTreeSet::new());
            let is_retried = !touched.versions.is_empty() || !touched.bindings.is_empty();
            let broken = replica.broken.keys().filter(|_| is_retried);
            let missing = self.modules.missing().into_iter();
            let missing = missing.map(|digest| Arc::from(digest.to_string()));
            let missing = missing.filter(|digest| replica.broken.contains_key(digest));
            let retried = broken.chain(&replica.unloaded).cloned().chain(missing);
            let retried: BTreeSet<_> = retried.collect();
            // Also those whose module may be usable now.
            let touched = match retried.is_empty() {
                true => touched,
                false => replica.touched(documents, &retried),
            };
            (touched, retried)
        };
        let wanted = self.wanted(&touched);
        let digests = wanted.iter().map(|(digest, _)| digest).chain(&retried);
        let digests: BTreeSet<_> = digests.cloned().collect();
        let loading = digests.into_iter().map(async |digest| {
            let problem = self.module(&digest).await?.err();
            Ok::<_, Failure>((digest, problem))
        });
        // The engine admits as many compilations as the machine has room for.
        let loading = futures_util::stream::iter(loading).buffer_unordered(MODULES_LOADING_MAX);
        // All are tried, so that each is known to be missing from its first try on.
        let loaded: Vec<_> = loading.collect().await;
        let mut prepared = Prepared {
            modules: loaded.into_iter().collect::<Result<_, _>>()?,
            ..Prepared::default()
        };
        let bound = wanted.into_iter().filter_map(|(digest, config)| {
            let module = self.known_module(&digest)?;
            Some((module, config))
        });
        prepared.bound = BoundPolicies::bind(bound.collect()).await?;
        Ok(prepared)
    }

    /// Returns the digests and the configurations of the policies that touched bindings and their
    /// rollouts name.
    fn wanted(&self, touched: &Touched) -> Vec<(Arc<str>, serde_json::Value)> {
        let replica = self.replica();
        let mut wanted = Vec::new();
        let mut want = |policy: &str, version: &str, config: &serde_json::Value| {
            let id = PolicyDocument::id(policy, version);
            if let Some(digest) = replica.digest_with(touched, &id) {
                wanted.push((digest, config.clone()));
            }
        };
        for (id, binding) in &touched.bindings {
            let Some(binding) = binding else { continue };
            for policy in &binding.policies {
                want(&policy.policy, &policy.version, &policy.config);
            }
            for rollout in replica.rollouts.of_binding_with(id, &touched.rollouts) {
                let other = rollout.other();
                want(&rollout.policy, &other.version, &other.config);
            }
        }
        wanted
    }

    /// Puts these documents into force.
    pub(super) fn enact(&self, replica: &mut Replica, documents: DocumentSet, prepared: &Prepared) {
        self.enact_keys(replica, &documents);
        let touched = replica.touched(&documents, &prepared.settled(replica));
        for (digest, problem) in &prepared.modules {
            replica.unloaded.remove(digest);
            match problem {
                Some(problem) => replica.broken.insert(digest.clone(), problem.clone()),
                None => replica.broken.remove(digest),
            };
        }
        let mut plan = Plan::clone(&self.plan());
        plan.revision = documents.revision();
        self.apply(replica, &mut plan, touched, prepared);
        replica.accept(documents);
        self.modules.plan_is_in_force();
        self.modules
            .retain_missing(|digest| replica.names_module(digest));
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.changed.send_replace(());
    }

    fn apply(&self, replica: &mut Replica, plan: &mut Plan, touched: Touched, prepared: &Prepared) {
        for (id, digest) in touched.versions {
            match digest {
                Some(digest) => replica.versions.insert(id, digest),
                None => replica.versions.remove(&id),
            };
        }
        for (id, killed) in touched.killed {
            match killed {
                Some(killed) => replica.killed.insert(id, killed),
                None => replica.killed.remove(&id),
            };
        }
        for (name, rollout) in touched.rollouts {
            replica.rollouts.set(&name, rollout);
        }
        let mut namespaces = BTreeSet::new();
        for (id, binding) in touched.bindings {
            let rollouts: Vec<RolloutDocument> =
                replica.rollouts.of_binding(&id).cloned().collect();
            let bind = |document: &BoundPolicyDocument| {
                let module = self.bound_module(replica, document)?;
                prepared.bound.get(&module, &document.config)
            };
            let steps = binding.map(|binding| {
                let steps = plan::steps_of(&binding, &rollouts, bind);
                steps.map(|steps| (binding, steps))
            });
            namespaces.extend(match steps.transpose() {
                Ok(Some((binding, mut steps))) => {
                    for step in &mut steps {
                        step.kill(&replica.killed);
                    }
                    replica.bindings.put(&id, binding, steps)
                }
                Ok(None) => replica.bindings.remove(&id),
                Err(problem) => {
                    // Bindings are checked when they are written, so this is a newer or broken one.
                    tracing::error!(binding = %id, problem, "governance.binding unreadable");
                    replica.bindings.remove(&id)
                }
            });
        }
        for (id, document) in touched.namespaces {
            match (document, id.parse::<NamespaceName>()) {
                (Some(document), _) => {
                    let steps = replica.bindings.steps(&id);
                    plan.put_namespace(Arc::new(document), steps);
                }
                (None, Ok(name)) => plan.remove_namespace(&name),
                (None, Err(_)) => {}
            }
            namespaces.remove(&id);
        }
        for namespace in namespaces {
            let steps = replica.bindings.steps(&namespace);
            if &*namespace == ALL_NAMESPACES {
                plan.put_steps_everywhere(steps);
            } else if let Ok(name) = namespace.parse() {
                plan.put_steps(&name, steps);
            }
        }
    }

    /// Returns the module of a policy of a binding, or why it cannot be used.
    fn bound_module(
        &self,
        replica: &mut Replica,
        document: &BoundPolicyDocument,
    ) -> Result<Arc<Module>, String> {
        let id = PolicyDocument::id(&document.policy, &document.version);
        let digest = replica.versions.get(&*id);
        let digest = digest.ok_or_else(|| format!("there is no policy {id}"))?;
        if let Some(module) = self.known_module(digest) {
            return Ok(module);
        }
        if let Some(problem) = replica.broken.get(digest) {
            return Err(problem.clone());
        }
        replica.unloaded.insert(digest.clone());
        Err(format!("module {digest} is not loaded"))
    }

    /// Returns the module of that digest, if it is in memory.
    fn known_module(&self, digest: &str) -> Option<Arc<Module>> {
        self.modules.compiled(&digest.parse().ok()?)
    }
}
