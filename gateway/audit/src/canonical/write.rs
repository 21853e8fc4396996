//! Event to canonical bytes.

mod verdict;

use leasehold_domain::Cause;
use leasehold_domain::Change;
use leasehold_domain::CounterFull;
use leasehold_domain::Decision;
use leasehold_domain::DrainCause;
use leasehold_domain::Effect;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::Facts;
use leasehold_domain::FeatureLevel;
use leasehold_domain::HolderView;
use leasehold_domain::LeasePolicies;
use leasehold_domain::LeaseState;
use leasehold_domain::LockRef;
use leasehold_domain::LockSettings;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Owner;
use leasehold_domain::PolicyVersion;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::Transition;

use self::verdict::limits;
use self::verdict::verdict;
use super::VERSION;
use super::json::Json;
use super::time::rfc3339;

/// Appends the event's canonical bytes to `out`.
pub fn write(backend: &str, event: &Event, out: &mut Vec<u8>) {
    let mut json = Json::new(out);
    let json = &mut json;
    json.begin(b'{');
    json.number("v", VERSION);
    json.number("cursor", event.cursor.0);
    json.text("backend", backend);
    json.ascii("time", &rfc3339(event.wall));
    json.number("time_unix_ms", event.wall.0);
    json.number("now_ms", event.now.0);
    // Events of the first level have the bytes that they always had.
    if event.level != FeatureLevel::FIRST {
        json.number("feature_level", event.level.0.into());
    }
    match &event.kind {
        EventKind::Lock {
            lock,
            cause: asked,
            transitions,
        } => {
            json.plain("kind", "lock");
            json.path("lock", lock.namespace.as_str(), lock.lock.as_str());
            if let Some(asked) = asked {
                cause(json, asked, lock);
            }
            json.key("transitions");
            json.begin(b'[');
            for change in transitions {
                json.comma();
                transition(json, change);
            }
            json.end(b']');
        }
        EventKind::Denied(denied) => {
            let lock = &denied.request.lock;
            json.plain("kind", "denied");
            json.path("lock", lock.namespace.as_str(), lock.lock.as_str());
            cause(json, denied, lock);
        }
        EventKind::Governance(changed) => {
            json.plain("kind", "governance");
            change(json, changed);
        }
    }
    json.end(b'}');
}

fn cause(json: &mut Json<'_>, cause: &Cause, lock: &LockRef) {
    json.key("cause");
    json.begin(b'{');
    json.text("request_id", cause.request_id.as_str());
    json.number("received_unix_ms", cause.received.0);
    principal(json, &cause.principal);
    request(json, &cause.request, lock);
    if let Some(made) = &cause.decision {
        decision(json, made);
    }
    json.end(b'}');
}

fn principal(json: &mut Json<'_>, principal: &Principal) {
    json.key("principal");
    json.begin(b'{');
    json.text("subject", principal.subject.as_str());
    json.optional_text("team", principal.team.as_ref().map(|team| team.as_str()));
    json.key("roles");
    json.begin(b'[');
    for role in principal.roles.names() {
        json.comma();
        json.string(role);
    }
    json.end(b']');
    json.map(
        "claims",
        principal
            .claims
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    json.end(b'}');
}

/// The request as asked; its lock is left out where it is the event's.
fn request(json: &mut Json<'_>, request: &Request, lock: &LockRef) {
    json.key("request");
    json.begin(b'{');
    json.plain("operation", request.operation.as_str());
    if request.lock != *lock {
        json.path(
            "lock",
            request.lock.namespace.as_str(),
            request.lock.lock.as_str(),
        );
    }
    if let Some(how) = request.mode {
        mode(json, how);
    }
    json.optional_number("ttl_ms", request.ttl_ms);
    json.optional_number("wait_ms", request.wait_ms);
    json.optional_number("grace_ms", request.grace_ms);
    json.optional_text("instance", request.instance.as_deref());
    json.map(
        "labels",
        request.labels.iter().map(|(key, value)| (&**key, &**value)),
    );
    json.optional_text("reason", request.reason.as_deref());
    json.optional_text("value", request.value.as_deref());
    json.optional_text(
        "successor",
        request.successor.as_ref().map(|to| to.as_str()),
    );
    if let Some(lease) = &request.lease {
        json.hex("lease", lease.as_bytes());
    }
    json.optional_text("ticket", request.ticket());
    json.optional_number("override_ttl_ms", request.override_ttl_ms());
    json.end(b'}');
}

fn mode(json: &mut Json<'_>, mode: Mode) {
    json.plain("mode", mode.as_str());
    if let Mode::Shared { permits } = mode {
        json.number("permits", permits.into());
    }
}

fn decision(json: &mut Json<'_>, decision: &Decision) {
    json.key("decision");
    json.begin(b'{');
    json.hex("id", &decision.id.to_be_bytes());
    json.key("effect");
    json.begin(b'{');
    match &decision.effect {
        Effect::Allow => json.plain("type", "allow"),
        Effect::Override { reason } => {
            json.plain("type", "override");
            json.text("reason", reason);
        }
        Effect::Deny(denial) => {
            json.plain("type", "deny");
            json.plain("kind", denial.kind.as_str());
            json.optional_text("policy", denial.policy.as_deref());
            json.text("code", &denial.code);
            json.text("message", &denial.message);
            json.optional_number("retry_after_ms", denial.retry_after_ms);
        }
    }
    json.end(b'}');
    facts(json, &decision.facts);
    json.key("verdicts");
    json.begin(b'[');
    for one in &decision.verdicts {
        json.comma();
        verdict(json, one);
    }
    json.end(b']');
    json.key("limits");
    limits(json, &decision.limits);
    json.number("bindings_revision", decision.bindings_revision);
    if let Some(rule) = &decision.rule {
        json.hex("rule", &rule.0);
    }
    json.end(b'}');
}

fn facts(json: &mut Json<'_>, facts: &Facts) {
    json.key("facts");
    json.begin(b'{');
    json.number("now_unix_ms", facts.now.0);
    if let Some(view) = &facts.lock {
        lock_view(json, view);
    }
    if let Some(usage) = facts.usage {
        json.key("usage");
        json.begin(b'{');
        json.number("subject_leases", usage.subject_leases.into());
        json.number("team_leases", usage.team_leases.into());
        json.end(b'}');
    }
    json.end(b'}');
}

fn lock_view(json: &mut Json<'_>, view: &LockView) {
    json.key("lock");
    json.begin(b'{');
    json.path(
        "lock",
        view.lock.namespace.as_str(),
        view.lock.lock.as_str(),
    );
    json.number("revision", view.revision);
    settings(json, &view.settings);
    json.key("holders");
    json.begin(b'[');
    for one in &view.holders {
        json.comma();
        holder(json, one);
    }
    json.end(b']');
    json.key("queue");
    json.begin(b'[');
    for waiter in &view.queue {
        json.comma();
        json.begin(b'{');
        json.hex("handle", waiter.handle.as_bytes());
        owner(json, &waiter.owner);
        mode(json, waiter.mode);
        json.number("since_unix_ms", waiter.since.0);
        json.end(b'}');
    }
    json.end(b']');
    json.number("cooldown_remaining_ms", view.cooldown_remaining_ms);
    if let Some((to, remaining_ms)) = &view.reserved_for {
        json.text("reserved_for", to.as_str());
        json.number("reserved_remaining_ms", *remaining_ms);
    }
    json.number("last_token", view.last_token.0);
    json.number("stale_ms", view.stale_ms);
    json.end(b'}');
}

fn holder(json: &mut Json<'_>, holder: &HolderView) {
    json.begin(b'{');
    json.hex("handle", holder.handle.as_bytes());
    owner(json, &holder.owner);
    mode(json, holder.mode);
    json.number("token", holder.token.0);
    json.number("since_unix_ms", holder.since.0);
    json.number("remaining_ms", holder.remaining_ms);
    if let LeaseState::Draining {
        remaining_ms,
        cause,
    } = &holder.state
    {
        json.number("drain_remaining_ms", *remaining_ms);
        drain_cause(json, cause);
    }
    if let Some(policies) = &holder.policies {
        lease_policies(json, policies);
    }
    json.end(b'}');
}

fn lease_policies(json: &mut Json<'_>, policies: &LeasePolicies) {
    json.key("policies");
    json.begin(b'{');
    policy_versions(json, "granted", &policies.granted);
    if let Some(renewed) = &policies.renewed {
        policy_versions(json, "renewed", renewed);
    }
    json.end(b'}');
}

fn policy_versions(json: &mut Json<'_>, key: &'static str, versions: &[PolicyVersion]) {
    json.key(key);
    json.begin(b'[');
    for one in versions {
        json.comma();
        json.begin(b'{');
        json.text("policy", &one.policy);
        json.text("version", &one.version);
        json.end(b'}');
    }
    json.end(b']');
}

fn drain_cause(json: &mut Json<'_>, cause: &DrainCause) {
    match cause {
        DrainCause::Revoked { by } => json.text("revoked_by", by.as_str()),
        DrainCause::Transfer { to } => json.text("transfer_to", to.as_str()),
    }
}

fn settings(json: &mut Json<'_>, settings: &LockSettings) {
    json.key("settings");
    json.begin(b'{');
    json.number("limit", settings.limit.into());
    json.number("cooldown_ms", settings.cooldown_ms);
    json.text("description", &settings.description);
    json.end(b'}');
}

fn owner(json: &mut Json<'_>, owner: &Owner) {
    json.key("owner");
    json.begin(b'{');
    json.text("subject", owner.subject.as_str());
    json.optional_text("team", owner.team.as_ref().map(|team| team.as_str()));
    json.optional_text("instance", owner.instance.as_deref());
    json.map(
        "labels",
        owner.labels.iter().map(|(key, value)| (&**key, &**value)),
    );
    json.optional_text("value", owner.value.as_deref());
    json.optional_text("reason", owner.reason.as_deref());
    json.end(b'}');
}

fn transition(json: &mut Json<'_>, transition: &Transition) {
    json.begin(b'{');
    match transition {
        Transition::Granted { .. } => granted(json, transition),
        Transition::Queued {
            handle,
            owner: whose,
            mode: how,
            position,
        } => {
            json.plain("type", "queued");
            json.hex("handle", handle.as_bytes());
            owner(json, whose);
            mode(json, *how);
            json.number("position", (*position).into());
        }
        Transition::Renewed {
            handle,
            token,
            ttl_ms,
        } => {
            json.plain("type", "renewed");
            json.hex("handle", handle.as_bytes());
            json.number("token", token.0);
            json.number("ttl_ms", *ttl_ms);
        }
        Transition::Draining {
            handle,
            owner: whose,
            remaining_ms,
            cause,
        } => {
            json.plain("type", "draining");
            json.hex("handle", handle.as_bytes());
            owner(json, whose);
            json.number("remaining_ms", *remaining_ms);
            drain_cause(json, cause);
        }
        Transition::Ended { .. } => ended(json, transition),
        Transition::WaitEnded {
            handle,
            owner: whose,
            expired,
            refused,
        } => {
            json.plain("type", "wait-ended");
            json.hex("handle", handle.as_bytes());
            owner(json, whose);
            json.flag("expired", *expired);
            if let Some(full) = refused {
                counter_full(json, full);
            }
        }
        Transition::CoolingDown { remaining_ms } => {
            json.plain("type", "cooling-down");
            json.number("remaining_ms", *remaining_ms);
        }
        Transition::Reserved { to, remaining_ms } => {
            json.plain("type", "reserved");
            json.text("to", to.as_str());
            json.number("remaining_ms", *remaining_ms);
        }
        Transition::Configured { settings: new } => {
            json.plain("type", "configured");
            settings(json, new);
        }
    }
    json.end(b'}');
}

fn counter_full(json: &mut Json<'_>, full: &CounterFull) {
    json.key("refused");
    json.begin(b'{');
    json.text("policy", &full.key.policy);
    json.text("counter", &full.key.name);
    json.number("maximum", full.maximum.into());
    json.number("present", full.present.into());
    json.optional_text("code", full.code.as_deref());
    json.end(b'}');
}

fn granted(json: &mut Json<'_>, transition: &Transition) {
    let Transition::Granted {
        handle,
        owner: whose,
        mode: how,
        token,
        ttl_ms,
        waited_ms,
        request_id,
    } = transition
    else {
        return;
    };
    json.plain("type", "granted");
    json.hex("handle", handle.as_bytes());
    owner(json, whose);
    mode(json, *how);
    json.number("token", token.0);
    json.number("ttl_ms", *ttl_ms);
    json.optional_number("waited_ms", *waited_ms);
    json.text("request_id", request_id.as_str());
}

fn ended(json: &mut Json<'_>, transition: &Transition) {
    let Transition::Ended {
        handle,
        owner: whose,
        mode: how,
        token,
        cause,
        since,
        held_ms,
        late_ms,
        renewals,
    } = transition
    else {
        return;
    };
    json.plain("type", "ended");
    json.hex("handle", handle.as_bytes());
    owner(json, whose);
    mode(json, *how);
    json.number("token", token.0);
    json.plain("cause", cause.as_str());
    json.number("since_unix_ms", since.0);
    json.number("held_ms", *held_ms);
    json.number("late_ms", *late_ms);
    json.number("renewals", renewals.count);
    json.number("first_renewal_unix_ms", renewals.first.0);
    json.number("last_renewal_unix_ms", renewals.last.0);
}

fn change(json: &mut Json<'_>, change: &Change) {
    json.text("request_id", change.request_id.as_str());
    principal(json, &change.principal);
    json.text("collection", &change.collection);
    json.text("id", &change.id);
    if let Some(digest) = &change.digest {
        json.hex("digest", &digest.0);
    }
    json.text("summary", &change.summary);
}
