//! Guests in the real engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_domain::Facts;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
pub(crate) use leasehold_policy_guests::ANSWER;
pub(crate) use leasehold_policy_guests::Guest;
pub(crate) use leasehold_policy_guests::TEXT;
pub(crate) use leasehold_policy_guests::allow;
pub(crate) use leasehold_policy_guests::deny;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::Evaluation;
use leasehold_policy_host::HostError;
use leasehold_policy_host::Module;
use leasehold_policy_host::PolicyEngine;
use serde_json::json;

/// What tests do with a guest.
pub(crate) trait InEngine {
    /// Loads it.
    fn compile(&self, engine: &PolicyEngine) -> Result<Arc<Module>, HostError>;

    /// Loads it and binds it to an empty configuration.
    fn bound(&self, engine: &PolicyEngine) -> BoundPolicy {
        self.compile(engine)
            .expect("it loads")
            .bind(&json!({}))
            .expect("it binds")
    }

    /// One decision of it.
    fn decided(&self, engine: &PolicyEngine) -> Evaluation {
        decide(&self.bound(engine))
    }
}

impl InEngine for Guest {
    fn compile(&self, engine: &PolicyEngine) -> Result<Arc<Module>, HostError> {
        engine.compile(&self.wasm())
    }
}

/// An engine with the default limits.
pub(crate) fn engine() -> PolicyEngine {
    PolicyEngine::new(EngineLimits::default()).expect("an engine")
}

/// A decision on a plain request.
pub(crate) fn decide(policy: &BoundPolicy) -> Evaluation {
    policy.decide(&request(), &principal(), &facts())
}

pub(crate) fn request() -> Request {
    Request::new(Operation::Acquire, "demo/nightly".parse().expect("a lock"))
}

pub(crate) fn principal() -> Principal {
    Principal {
        subject: "svc".parse().expect("a subject"),
        team: None,
        roles: RoleSet::default(),
        claims: BTreeMap::new(),
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        now: WallMillis(1_795_456_800_000),
        lock: None,
        usage: None,
    }
}
