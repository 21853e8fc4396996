//! Domain values as the wire shows them.

use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Decision;
use leasehold_domain::DrainCause;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LeaseState;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Transition;
use leasehold_wire::v1::locks::Grant;
use leasehold_wire::v1::locks::LimitsView;
use leasehold_wire::v1::locks::ModeName;
use leasehold_wire::v1::views::DrainView;
use leasehold_wire::v1::views::HolderView;
use leasehold_wire::v1::views::LeasePolicies;
use leasehold_wire::v1::views::LeasePolicy;
use leasehold_wire::v1::views::LockView;
use leasehold_wire::v1::views::WaiterView;
use leasehold_wire::v1::watch::WatchEvent;
use rand::RngExt;

use leasehold_core::pipeline::Held;
use leasehold_core::telemetry::rfc3339;

/// The decision's name in answers and in the ledger.
pub(crate) fn decision_id(decision: &Decision) -> String {
    format!("{:032x}", decision.id)
}

/// A lease, as its holder sees it.
pub(crate) fn grant(held: Held, request_id: &str) -> Grant {
    let Held {
        grant, decision, ..
    } = held;
    let limits = decision.as_ref().map(|decision| decision.limits.clone());
    Grant {
        lease: grant.lease_id.handle().to_string(),
        lease_id: grant.lease_id.reveal(),
        fencing_token: grant.token.0,
        ttl_ms: grant.ttl_ms,
        remaining_ms: grant.remaining_ms,
        renew_after_ms: renew_after(grant.ttl_ms.min(grant.remaining_ms)),
        mode: mode_name(grant.mode),
        permits: permits(grant.mode),
        state: state(&grant.state).to_owned(),
        drain: drain(&grant.state),
        hold_remaining_ms: grant.hold_remaining_ms,
        decision_id: decision.as_deref().map(decision_id),
        limits: limits
            .filter(|limits| *limits != Default::default())
            .map(|limits| LimitsView {
                max_ttl_ms: limits.max_ttl_ms,
                max_hold_ms: limits.max_hold_ms,
            }),
        repeated: grant.repeated,
        waited: grant.waited,
        request_id: request_id.to_owned(),
    }
}

/// About a third of the time, spread so that leases taken together are not renewed together.
fn renew_after(ttl_ms: u64) -> u64 {
    let third = ttl_ms / 3;
    let spread = third / 5;
    third.saturating_sub(rand::rng().random_range(0..=spread))
}

pub(crate) fn mode_name(mode: Mode) -> ModeName {
    match mode {
        Mode::Exclusive => ModeName::Exclusive,
        Mode::Shared { .. } => ModeName::Shared,
    }
}

pub(crate) fn permits(mode: Mode) -> Option<u32> {
    match mode {
        Mode::Exclusive => None,
        Mode::Shared { permits } => Some(permits),
    }
}

fn state(state: &LeaseState) -> &'static str {
    match state {
        LeaseState::Active => "active",
        LeaseState::Draining { .. } => "draining",
    }
}

fn drain(state: &LeaseState) -> Option<DrainView> {
    let LeaseState::Draining {
        remaining_ms,
        cause,
    } = state
    else {
        return None;
    };
    let (name, by, to) = match cause {
        DrainCause::Revoked { by } => ("revoked", Some(by.to_string()), None),
        DrainCause::Transfer { to } => ("transfer", None, Some(to.to_string())),
    };
    Some(DrainView {
        remaining_ms: *remaining_ms,
        cause: name.to_owned(),
        by,
        to,
    })
}

/// A holder, as everybody may see it.
pub(crate) fn holder(holder: &leasehold_domain::HolderView) -> HolderView {
    let owner = &holder.owner;
    HolderView {
        lease: holder.handle.to_string(),
        subject: owner.subject.to_string(),
        team: owner.team.as_ref().map(ToString::to_string),
        instance: owner.instance.as_deref().map(str::to_owned),
        labels: owner
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        value: owner.value.as_deref().map(str::to_owned),
        reason: owner.reason.as_deref().map(str::to_owned),
        mode: holder.mode.as_str().to_owned(),
        permits: permits(holder.mode),
        fencing_token: holder.token.0,
        since: rfc3339(holder.since),
        remaining_ms: holder.remaining_ms,
        drain: drain(&holder.state),
        policies: holder.policies.as_deref().map(policies),
    }
}

fn policies(policies: &leasehold_domain::LeasePolicies) -> LeasePolicies {
    let versions = |versions: &[leasehold_domain::PolicyVersion]| {
        let versions = versions.iter().map(|one| LeasePolicy {
            policy: one.policy.to_string(),
            version: one.version.to_string(),
        });
        versions.collect()
    };
    LeasePolicies {
        granted: versions(&policies.granted),
        renewed: policies.renewed.as_deref().map(versions),
    }
}

fn waiter(waiter: &leasehold_domain::WaiterView) -> WaiterView {
    WaiterView {
        lease: waiter.handle.to_string(),
        subject: waiter.owner.subject.to_string(),
        team: waiter.owner.team.as_ref().map(ToString::to_string),
        instance: waiter.owner.instance.as_deref().map(str::to_owned),
        mode: waiter.mode.as_str().to_owned(),
        permits: permits(waiter.mode),
        since: rfc3339(waiter.since),
    }
}

/// A lock, as everybody may see it.
pub(crate) fn lock(view: &leasehold_domain::LockView) -> LockView {
    let drains = view
        .holders
        .iter()
        .any(|holder| holder.state != LeaseState::Active);
    let state = match (view.holders.is_empty(), view.cooldown_remaining_ms) {
        (false, _) if drains => "draining",
        (false, _) => "held",
        (true, 0) if view.reserved_for.is_some() => "reserved",
        (true, 0) => "free",
        (true, _) => "cooling-down",
    };
    LockView {
        namespace: view.lock.namespace.to_string(),
        lock: view.lock.lock.to_string(),
        state: state.to_owned(),
        revision: view.revision,
        holders: view.holders.iter().map(holder).collect(),
        queue: view.queue.iter().map(waiter).collect(),
        limit: view.settings.limit,
        cooldown_ms: view.settings.cooldown_ms,
        description: view.settings.description.to_string(),
        cooldown_remaining_ms: view.cooldown_remaining_ms,
        reserved_for: view
            .reserved_for
            .as_ref()
            .map(|(subject, _)| subject.to_string()),
        last_fencing_token: view.last_token.0,
        stale_ms: view.stale_ms,
    }
}

/// One transition, as a watch shows it.
pub(crate) fn transition(event: &Event, lock: &LockRef, transition: &Transition) -> WatchEvent {
    let owner = match transition {
        Transition::Granted { owner, .. }
        | Transition::Queued { owner, .. }
        | Transition::Draining { owner, .. }
        | Transition::Ended { owner, .. }
        | Transition::WaitEnded { owner, .. } => Some(owner),
        Transition::Renewed { .. }
        | Transition::CoolingDown { .. }
        | Transition::Reserved { .. }
        | Transition::Configured { .. } => None,
    };
    let fencing_token = match transition {
        Transition::Granted { token, .. }
        | Transition::Renewed { token, .. }
        | Transition::Ended { token, .. } => Some(token.0),
        _ => None,
    };
    let remaining_ms = match transition {
        Transition::Draining { remaining_ms, .. }
        | Transition::CoolingDown { remaining_ms }
        | Transition::Reserved { remaining_ms, .. } => Some(*remaining_ms),
        _ => None,
    };
    let ender = taken_by(event, transition);
    WatchEvent {
        cursor: event.cursor.0,
        time: rfc3339(event.wall),
        namespace: lock.namespace.to_string(),
        lock: lock.lock.to_string(),
        transition: transition.as_str().to_owned(),
        lease: transition.handle().map(|handle| handle.to_string()),
        subject: owner.map(|owner| owner.subject.to_string()),
        team: owner
            .and_then(|owner| owner.team.as_ref())
            .map(ToString::to_string),
        fencing_token,
        remaining_ms,
        by: ender.map(|cause| cause.principal.subject.to_string()),
        reason: ender.and_then(|cause| cause.request.reason.as_deref().map(str::to_owned)),
    }
}

/// The request by which somebody took the lease from its holder, now or after a drain.
fn taken_by<'a>(event: &'a Event, transition: &Transition) -> Option<&'a Cause> {
    let EventKind::Lock { cause, .. } = &event.kind else {
        return None;
    };
    let ends = matches!(
        transition,
        Transition::Draining { .. } | Transition::Ended { .. }
    );
    let takes = |cause: &&Arc<Cause>| {
        matches!(
            cause.request.operation,
            Operation::Revoke | Operation::Transfer
        )
    };
    cause
        .as_ref()
        .filter(takes)
        .filter(|_| ends)
        .map(Arc::as_ref)
}
