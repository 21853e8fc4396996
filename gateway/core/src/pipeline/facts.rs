//! What policies are shown besides request and principal, if their manifests ask for it.

use std::sync::Arc;

use leasehold_backend_api::Freshness;
use leasehold_domain::Expectation;
use leasehold_domain::Facts;
use leasehold_domain::LockView;
use leasehold_domain::Request;
use leasehold_domain::Usage;
use leasehold_domain::WallMillis;

use super::intent::Intent;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::plan::PlanStep;
use crate::store_client::StoreClient;

/// Which state the policies' manifests ask for, and which of it a decision is tied to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// A policy wants to see the lock.
    lock: bool,
    /// A policy wants to see the caller's usage.
    usage: bool,
    /// Only versions that are evaluated for comparison need the lock.
    lock_compared: bool,
    /// A policy whose verdict counts sees the lock.
    pub(super) tied_to_lock: bool,
    /// A policy whose verdict counts sees the usage.
    pub(super) tied_to_usage: bool,
}

impl Needs {
    /// What these steps ask for. An advisory verdict changes nothing, so it ties a request to
    /// nothing.
    pub(super) fn of<'s>(steps: impl IntoIterator<Item = &'s Arc<PlanStep>>) -> Self {
        let mut needs = Self::default();
        for planned in steps {
            let step = &planned.step;
            let Ok(bound) = &step.bound else { continue };
            let manifest = bound.module().manifest();
            let counts = step.decides();
            needs.lock |= manifest.needs_lock;
            needs.usage |= manifest.needs_usage;
            needs.tied_to_lock |= manifest.needs_lock && counts;
            needs.tied_to_usage |= manifest.needs_usage && counts;
        }
        needs
    }

    /// Adds the needs of versions that are evaluated for comparison only. They must not cost a round
    /// trip, so they are shown the lock as this gateway's replica has it.
    pub(super) fn with_compared<'s>(
        mut self,
        steps: impl IntoIterator<Item = &'s Arc<PlanStep>>,
    ) -> Self {
        let compared = Self::of(steps);
        self.lock_compared = compared.lock && !self.lock;
        self.usage |= compared.usage;
        self
    }
}

/// Reads what the policies' manifests ask for. A policy that asks for nothing costs no read. State
/// that only advisory policies ask for and that cannot be read is left out: their verdicts are
/// errors then, and the request goes on.
pub(super) async fn gather(
    now: WallMillis,
    store: &StoreClient,
    needs: Needs,
    caller: &Caller,
    request: &Request,
    intent: &Intent,
) -> Result<(Facts, Option<Expectation>), Failure> {
    let mut facts = Facts {
        now,
        lock: None,
        usage: None,
    };
    if needs.lock {
        let view = store.view(&request.lock).await;
        let view = unless_advisory(view, needs.tied_to_lock)?;
        facts.lock = view.map(|view| Box::new(shown(view)));
    }
    if needs.lock_compared {
        let old = Freshness::Stale {
            max_age_ms: u64::MAX,
        };
        let view = Box::pin(store.read(&request.lock, old)).await;
        facts.lock = view.ok().map(|view| Box::new(shown(view)));
    }
    let mut held = None;
    if needs.usage {
        let read = usage(store, caller, request, intent).await;
        if let Some((found, now)) = unless_advisory(read, needs.tied_to_usage)? {
            facts.usage = Some(found);
            held = Some(now);
        }
    }
    let revision = facts.lock.as_ref().map(|view| view.revision);
    let expect = Expectation {
        revision: revision.filter(|_| needs.tied_to_lock),
        usage: held.filter(|_| needs.tied_to_usage),
        ..Expectation::default()
    };
    let tied = expect.revision.is_some() || expect.usage.is_some();
    Ok((facts, tied.then_some(expect)))
}

/// Returns what policies are shown of a lock: not the policies of its leases, so that they are not in
/// the event either.
fn shown(mut view: LockView) -> LockView {
    for holder in &mut view.holders {
        holder.policies = None;
    }
    view
}

/// What was read, or nothing if it failed and only advisory policies asked for it.
fn unless_advisory<T>(read: Result<T, Failure>, tied: bool) -> Result<Option<T>, Failure> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(failure) if tied => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The usage as the request's lease finds it, and as it is.
async fn usage(
    store: &StoreClient,
    caller: &Caller,
    request: &Request,
    intent: &Intent,
) -> Result<(Usage, Usage), Failure> {
    let namespace = &request.lock.namespace;
    let held = store.usage(namespace, &caller.principal).await?;
    let found = found(store, caller, request, intent, held).await?;
    Ok((found, held))
}

/// The usage as a lease finds it. One that the caller holds already, because the request is asked
/// again or its grant waited, does not count against itself; one of several counts those before it.
async fn found(
    store: &StoreClient,
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
