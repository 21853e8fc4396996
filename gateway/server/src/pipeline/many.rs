//! Requests for several leases: batch renewal, and all-or-nothing acquire.

use std::collections::HashSet;
use std::sync::Arc;

use leasehold_domain::Atomicity;
use leasehold_domain::Decision;
use leasehold_domain::LeaseId;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Request;
use leasehold_domain::limits;

use super::DECISIONS_PER_REQUEST_MAX;
use super::Held;
use super::Inner;
use super::Pipeline;
use super::admit;
use super::ask;
use super::ask::Caller;
use super::decide::Denied;
use super::decide::Intent;
use super::decide::Permit;
use super::decide::Refusal;
use super::failure::Failure;
use super::held;
use super::refused;
use crate::stores::OpenStore;

impl Pipeline {
    /// Lengthens up to a thousand leases in one durable write, with an answer for each.
    ///
    /// # Errors
    /// Only what concerns all of them; each lease has its own answer.
    pub async fn renew_many(
        &self,
        caller: &Caller,
        renewals: Vec<ask::Renew>,
    ) -> Result<Vec<Result<Held, Failure>>, Failure> {
        if renewals.is_empty() || renewals.len() > limits::LEASES_PER_RENEWAL_MAX {
            return Err(Failure::invalid("leases: 1 to 1000 of them"));
        }
        // Its path names one namespace for all of them, and so one store.
        let namespace = &renewals[0].lock.namespace;
        let mut store = self.inner.store_of(namespace)?;
        for _ in 0..DECISIONS_PER_REQUEST_MAX {
            match self.renew_all(&store, caller, &renewals).await? {
                Some(answers) => return Ok(answers),
                None => store = self.inner.arrived(namespace, &store).await?,
            }
        }
        Err(Failure::moving())
    }

    /// Lengthens leases in one store; none if they are no longer there.
    async fn renew_all(
        &self,
        store: &OpenStore,
        caller: &Caller,
        renewals: &[ask::Renew],
    ) -> Result<Option<Vec<Result<Held, Failure>>>, Failure> {
        let mut answers: Vec<Option<Result<Held, Failure>>> = Vec::new();
        let mut permits: Vec<(usize, Permit, Option<Arc<Decision>>)> = Vec::new();
        let mut denials: Vec<(usize, Box<Denied>)> = Vec::new();
        for (index, ask) in renewals.iter().cloned().enumerate() {
            answers.push(None);
            let intent = Intent::Renew {
                lease_id: ask.lease_id,
            };
            let request = ask.request();
            let judged = match admit::check(&request) {
                Ok(()) => self.inner.decide(store, caller, request, intent).await,
                Err(failure) => Err(failure.into()),
            };
            match judged {
                Ok(permit) => {
                    let decision = permit.cause().and_then(|cause| cause.decision.clone());
                    permits.push((index, permit, decision));
                }
                Err(Refusal::Failed(failure)) => answers[index] = Some(Err(*failure)),
                Err(Refusal::Denied(denied)) => denials.push((index, denied)),
            }
            // Policies run on this thread; let others have it between them.
            if index % 16 == 15 {
                tokio::task::yield_now().await;
            }
        }
        let mut notes = Vec::new();
        for (index, denied) in denials {
            let (cause, denial) = denied.parts();
            answers[index] = Some(Err(Failure::denied(denial, cause.decision.clone())));
            notes.push(*denied);
        }
        let (indexes, permits): (Vec<_>, Vec<_>) = permits
            .into_iter()
            .map(|(index, permit, decision)| ((index, decision), permit))
            .unzip();
        let operation = Operation::Renew;
        let each = Atomicity::Each;
        let outcomes = store.door.run_all(operation, permits, notes, each).await?;
        if outcomes.contains(&Outcome::Moved) {
            return Ok(None);
        }
        for ((index, decision), outcome) in indexes.into_iter().zip(outcomes) {
            answers[index] = Some(match outcome {
                Outcome::Stale => Err(Failure {
                    retry_after_ms: Some(50),
                    ..Failure::new(
                        leasehold_wire::v1::error::ErrorCode::Overloaded,
                        "the state that a policy reads has changed; renew again",
                    )
                }),
                outcome => held(outcome, decision),
            });
        }
        let unanswered = || Err(Failure::internal("a renewal got no answer"));
        let answers = answers.into_iter();
        let answers = answers.map(|answer| answer.unwrap_or_else(unanswered));
        Ok(Some(answers.collect()))
    }

    /// Takes several locks, all or nothing, without waiting.
    ///
    /// # Errors
    /// The first lock that is held, or denied; nothing was taken then.
    pub async fn acquire_many(
        &self,
        caller: &Caller,
        ask: ask::AcquireMany,
    ) -> Result<Vec<Held>, Failure> {
        let count = ask.acquires.len();
        if count == 0 || count > limits::LOCKS_PER_BATCH_MAX {
            return Err(Failure::invalid("locks: 1 to 64 of them"));
        }
        let mut seen = HashSet::new();
        for acquire in &ask.acquires {
            if acquire.lock.namespace != ask.namespace || !seen.insert(&acquire.lock) {
                return Err(Failure::invalid(format!(
                    "locks: {} stands there twice",
                    acquire.lock
                )));
            }
        }
        let store = self.inner.store_of(&ask.namespace)?;
        let requests: Vec<(Request, Intent)> = ask.acquires.into_iter().zip(0..).map(one).collect();
        for _ in 0..DECISIONS_PER_REQUEST_MAX {
            let (permits, decisions) = self.inner.decide_all(&store, caller, &requests).await?;
            let (operation, together) = (Operation::Acquire, Atomicity::AllOrNothing);
            let outcomes = store
                .door
                .run_all(operation, permits, Vec::new(), together)
                .await?;
            if outcomes.contains(&Outcome::Stale) {
                continue;
            }
            let granted = |outcome: &Outcome| matches!(outcome, Outcome::Granted(_));
            if !outcomes.iter().all(granted) {
                let mut outcomes = outcomes.into_iter();
                let first =
                    outcomes.find(|outcome| *outcome != Outcome::NotAttempted && !granted(outcome));
                return Err(refused(first.unwrap_or(Outcome::NotAttempted)));
            }
            return outcomes
                .into_iter()
                .zip(decisions)
                .map(|(outcome, decision)| held(outcome, decision))
                .collect();
        }
        Err(Failure::unsettled())
    }
}

/// One lock of several, and how many the same request takes before it.
fn one((acquire, before): (ask::Acquire, u32)) -> (Request, Intent) {
    let intent = Intent::Acquire {
        lease_id: LeaseId::from_bytes(rand::random()),
        mode: acquire.mode,
        ttl_ms: acquire.ttl_ms,
        before,
    };
    (acquire.request(), intent)
}

type Decided = (Vec<Permit>, Vec<Option<Arc<Decision>>>);

impl Inner {
    /// Decides on all, or answers the first that may not be.
    async fn decide_all(
        &self,
        store: &OpenStore,
        caller: &Caller,
        requests: &[(Request, Intent)],
    ) -> Result<Decided, Failure> {
        let mut permits = Vec::with_capacity(requests.len());
        let mut decisions = Vec::with_capacity(requests.len());
        for (request, intent) in requests {
            admit::check(request)?;
            match self
                .decide(store, caller, request.clone(), intent.clone())
                .await
            {
                Ok(permit) => {
                    decisions.push(permit.cause().and_then(|cause| cause.decision.clone()));
                    permits.push(permit);
                }
                Err(Refusal::Failed(failure)) => return Err(*failure),
                Err(Refusal::Denied(denied)) => return Err(store.door.refuse(*denied).await),
            }
        }
        Ok((permits, decisions))
    }
}
