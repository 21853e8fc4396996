//! What policies are shown besides request and principal, if their manifests ask for it.

use leasehold_domain::Expectation;
use leasehold_domain::Facts;
use leasehold_domain::Request;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;

use super::ask::Caller;
use super::decide::Intent;
use super::execute::Store;
use super::failure::Failure;
use crate::governance::plan::PlanStep;

/// Reads what the policies' manifests ask for. A policy that asks for nothing costs no read.
pub(super) async fn gather(
    now: WallMillis,
    store: &Store,
    steps: &[&PlanStep],
    caller: &Caller,
    request: &Request,
    intent: &Intent,
) -> Result<(Facts, Option<Expectation>), Failure> {
    let manifests = || {
        steps
            .iter()
            .filter_map(|s| s.bound.as_ref().ok())
            .map(|b| b.module().manifest())
    };
    let mut facts = Facts {
        now,
        lock: None,
        usage: None,
    };
    if manifests().any(|manifest| manifest.needs_lock) {
        facts.lock = Some(Box::new(store.view(&request.lock).await?));
    }
    let mut usage = None;
    if manifests().any(|manifest| manifest.needs_usage) {
        let namespace = &request.lock.namespace;
        let held = store.usage(namespace, &caller.principal).await?;
        facts.usage = Some(found(store, caller, request, intent, held).await?);
        usage = Some(held);
    }
    let expect = (facts.lock.is_some() || usage.is_some()).then(|| Expectation {
        revision: facts.lock.as_ref().map(|view| view.revision),
        usage,
    });
    Ok((facts, expect))
}

/// The usage as a lease finds it. One that the caller holds already, because the request is asked
/// again or its grant waited, does not count against itself; one of several counts those before it.
async fn found(
    store: &Store,
    caller: &Caller,
    request: &Request,
    intent: &Intent,
    held: Usage,
) -> Result<Usage, Failure> {
    let before = match intent {
        Intent::Acquire { before, .. } => *before,
        Intent::Confirm { .. } => 0,
        _ => return Ok(held),
    };
    let subject = &caller.principal.subject;
    let asked_again = store
        .holds(&request.lock, subject, &caller.request_id)
        .await?;
    let count = |leases: u32| match asked_again {
        true => leases.saturating_sub(1),
        false => leases.saturating_add(before),
    };
    Ok(Usage {
        subject_leases: count(held.subject_leases),
        team_leases: count(held.team_leases),
    })
}
