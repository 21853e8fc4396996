//! Every route, once: for the server's router, for its OpenAPI document, and for clients.

/// All namespaces.
pub const NAMESPACES: &str = "/v1/namespaces";
/// The revisions of a namespace.
pub const NAMESPACE_REVISIONS: &str = "/v1/namespaces/{ns}/revisions";
/// One of them.
pub const NAMESPACE_REVISION: &str = "/v1/namespaces/{ns}/revisions/{number}";
/// One namespace; `POST …:move` moves it to another store, `:restore` gives it the settings that one of
/// its revisions says.
pub const NAMESPACE: &str = "/v1/namespaces/{ns}";
/// All locks of a namespace; `POST …/locks:acquire` takes several.
pub const LOCKS: &str = "/v1/namespaces/{ns}/locks";
/// Several locks at once.
pub const LOCKS_ACQUIRE: &str = "/v1/namespaces/{ns}/locks:acquire";
/// Transitions of a namespace's locks.
pub const LOCKS_WATCH: &str = "/v1/namespaces/{ns}/locks:watch";
/// Several renewals at once.
pub const LEASES_RENEW: &str = "/v1/namespaces/{ns}/leases:renew";
/// One lock, and its verbs after a colon. Names hold slashes.
pub const LOCK: &str = "/v1/namespaces/{ns}/locks/{*lock}";
/// All policy versions.
pub const POLICIES: &str = "/v1/policies";
/// Recorded decisions, judged again.
pub const POLICIES_REPLAY: &str = "/v1/policies:replay";
/// One policy version; `POST …:deprecate`, `:withdraw`, `:restore`, `:kill` and `:revive` mark it.
pub const POLICY_VERSION: &str = "/v1/policies/{policy}/versions/{version}";
/// The keys that are trusted to sign policies, and how many must have signed a version.
pub const POLICY_TRUST: &str = "/v1/policy-trust";
/// The keys.
pub const POLICY_TRUST_KEYS: &str = "/v1/policy-trust/keys";
/// One key; `POST …:revoke` revokes it.
pub const POLICY_TRUST_KEY: &str = "/v1/policy-trust/keys/{id}";
/// All bindings.
pub const BINDINGS: &str = "/v1/bindings";
/// Which policies would judge a request.
pub const BINDINGS_RESOLVE: &str = "/v1/bindings:resolve";
/// What a change of a binding would touch.
pub const BINDINGS_PREVIEW: &str = "/v1/bindings:preview";
/// The revisions of a binding.
pub const BINDING_REVISIONS: &str = "/v1/bindings/{binding}/revisions";
/// One of them.
pub const BINDING_REVISION: &str = "/v1/bindings/{binding}/revisions/{number}";
/// One binding; `POST …:restore` makes it say what one of its revisions said.
pub const BINDING: &str = "/v1/bindings/{binding}";
/// All rollouts.
pub const ROLLOUTS: &str = "/v1/rollouts";
/// One rollout; `POST …:advance`, `:hold`, `:resume` and `:rollback` change it.
pub const ROLLOUT: &str = "/v1/rollouts/{rollout}";
/// How many people must approve a change.
pub const APPROVAL_RULE: &str = "/v1/approval-rule";
/// Changes that wait for approval.
pub const APPROVALS: &str = "/v1/approvals";
/// One of them; `POST …:approve` approves it, `:withdraw` takes it back.
pub const APPROVAL: &str = "/v1/approvals/{approval}";
/// What somebody did alone.
pub const REVIEWS: &str = "/v1/reviews";
/// One review; `POST …:close` closes it.
pub const REVIEW: &str = "/v1/reviews/{review}";
/// All keys.
pub const KEYS: &str = "/v1/keys";
/// One key; `POST …:rotate` replaces it.
pub const KEY: &str = "/v1/keys/{id}";
/// The cluster's members.
pub const CLUSTER: &str = "/v1/cluster";
/// A gateway that was alone becomes the first member.
pub const CLUSTER_INIT: &str = "/v1/cluster:init";
/// A gateway that waits is taken in.
pub const CLUSTER_JOIN: &str = "/v1/cluster:join";
/// A member leaves for ever.
pub const CLUSTER_LEAVE: &str = "/v1/cluster:leave";
/// A gateway that waits takes a member's place.
pub const CLUSTER_REPLACE: &str = "/v1/cluster:replace";
/// Another member leads.
pub const CLUSTER_TRANSFER_LEADER: &str = "/v1/cluster:transfer-leader";
/// Raises the feature level.
pub const CLUSTER_RAISE_LEVEL: &str = "/v1/cluster:raise-level";
/// Removes the registration of a gateway that shared a store.
pub const CLUSTER_FORGET_GATEWAY: &str = "/v1/cluster:forget-gateway";
/// Times in safe mode.
pub const INCIDENTS: &str = "/v1/incidents";
/// One of them; `POST …:acknowledge` says that an operator has seen it.
pub const INCIDENT: &str = "/v1/incidents/{incident}";
/// The store and its ledger, to be made anew elsewhere.
pub const BACKUP: &str = "/v1/backup";
/// The ledger's events.
pub const AUDIT_EVENTS: &str = "/v1/audit/events";
/// Who held a lock at a moment.
pub const AUDIT_HOLDERS: &str = "/v1/audit/holders";
/// Whether the ledger is what was written.
pub const AUDIT_VERIFY: &str = "/v1/audit/verify";
/// The name of the ledger's log, and the keys that its checkpoints are verified by.
pub const AUDIT_LOG_KEY: &str = "/v1/audit/log-key";
/// A signed checkpoint of the ledger.
pub const AUDIT_CHECKPOINT: &str = "/v1/audit/checkpoint";
/// That an event is in the ledger.
pub const AUDIT_PROOF: &str = "/v1/audit/proof";
/// That the ledger only grew since an earlier checkpoint.
pub const AUDIT_CONSISTENCY: &str = "/v1/audit/consistency";
/// Consecutive events, with what leads to a checkpoint.
pub const AUDIT_EXPORT: &str = "/v1/audit/export";
/// Whether the process lives.
pub const HEALTHZ: &str = "/healthz";
/// Whether it can serve.
pub const READYZ: &str = "/readyz";
/// For Prometheus.
pub const METRICS: &str = "/metrics";
/// This API.
pub const OPENAPI: &str = "/openapi.json";

/// `/v1/namespaces/{ns}/locks/{lock}`, with a verb if there is one.
#[must_use]
pub fn lock(namespace: &str, lock: &str, verb: Option<&str>) -> String {
    let base = format!("{}/locks/{}", member(NAMESPACES, namespace), encode(lock));
    match verb {
        Some(verb) => format!("{base}:{verb}"),
        None => base,
    }
}

/// `/v1/namespaces/{ns}/locks`, with a verb if there is one.
#[must_use]
pub fn locks(namespace: &str, verb: Option<&str>) -> String {
    let base = format!("{}/locks", member(NAMESPACES, namespace));
    match verb {
        Some(verb) => format!("{base}:{verb}"),
        None => base,
    }
}

/// `/v1/namespaces/{ns}/leases:renew`.
#[must_use]
pub fn leases_renew(namespace: &str) -> String {
    format!("{}/leases:renew", member(NAMESPACES, namespace))
}

/// A member of a collection, such as `/v1/bindings/{binding}`. Its id is one segment.
#[must_use]
pub fn member(collection: &str, id: &str) -> String {
    format!("{collection}/{}", encode(id).replace('/', "%2F"))
}

/// `/v1/incidents/{incident}:acknowledge`.
#[must_use]
pub fn incident_acknowledge(incident: &str) -> String {
    format!("{}:acknowledge", member(INCIDENTS, incident))
}

/// `/v1/rollouts/{rollout}:{verb}`.
#[must_use]
pub fn rollout_verb(rollout: &str, verb: &str) -> String {
    format!("{}:{verb}", member(ROLLOUTS, rollout))
}

/// The revisions of a member of a collection, such as `/v1/bindings/{binding}/revisions`.
#[must_use]
pub fn revisions(collection: &str, id: &str) -> String {
    format!("{}/revisions", member(collection, id))
}

/// One of them, such as `/v1/bindings/{binding}/revisions/{number}`.
#[must_use]
pub fn revision(collection: &str, id: &str, number: u64) -> String {
    format!("{}/{number}", revisions(collection, id))
}

/// Restores one of them, such as `/v1/bindings/{binding}:restore`.
#[must_use]
pub fn restore(collection: &str, id: &str) -> String {
    format!("{}:restore", member(collection, id))
}

/// `/v1/approvals/{approval}:{verb}`.
#[must_use]
pub fn approval_verb(approval: &str, verb: &str) -> String {
    format!("{}:{verb}", member(APPROVALS, approval))
}

/// `/v1/reviews/{review}:close`.
#[must_use]
pub fn review_close(review: &str) -> String {
    format!("{}:close", member(REVIEWS, review))
}

/// `/v1/keys/{id}:rotate`.
#[must_use]
pub fn key_rotate(id: &str) -> String {
    format!("{}:rotate", member(KEYS, id))
}

/// `/v1/policies/{policy}/versions/{version}`.
#[must_use]
pub fn policy_version(policy: &str, version: &str) -> String {
    member(&format!("{}/versions", member(POLICIES, policy)), version)
}

/// `/v1/policies/{policy}/versions/{version}:{verb}`.
#[must_use]
pub fn policy_verb(policy: &str, version: &str, verb: &str) -> String {
    format!("{}:{verb}", policy_version(policy, version))
}

/// `/v1/policy-trust/keys/{id}:revoke`.
#[must_use]
pub fn trusted_key_revoke(id: &str) -> String {
    format!("{}:revoke", member(POLICY_TRUST_KEYS, id))
}

/// Percent-encodes everything but unreserved characters and slashes.
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_once() {
        let path = lock("demo", "a b/c:d", Some("acquire"));
        assert_eq!(path, "/v1/namespaces/demo/locks/a%20b/c%3Ad:acquire");
        assert_eq!(member(KEYS, "a/b%2F"), "/v1/keys/a%2Fb%252F");
        assert_eq!(key_rotate("a"), "/v1/keys/a:rotate");
    }
}
