//! Requests for several leases: batch renewal, and all-or-nothing acquire.

use std::collections::HashSet;
use std::sync::Arc;

use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::CounterFull;
use leasehold_domain::Decision;
use leasehold_domain::LeaseId;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Rejection;
use leasehold_domain::Request;
use leasehold_domain::limits;

use super::DECISIONS_PER_REQUEST_MAX;
use super::Held;
use super::Inner;
use super::MOVES_PER_REQUEST_MAX;
use super::Pipeline;
use super::admit;
use super::ask;
use super::decide::Denied;
use super::decide::Permit;
use super::decide::Refusal;
use super::decide::may_exceed;
use super::held;
use super::intent::Intent;
use super::refused;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::stores::OpenStore;

/// How many writes a batch of renewals may take: as many as it has leases of one lock that a policy
/// reads. Those beyond are to be asked for again.
const RENEWAL_ROUNDS_MAX: usize = 64;

/// What each lease's renewal came to, as far as it is known.
type Answers = Vec<Option<Result<Held, Failure>>>;

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
        let locks = renewals.iter().map(|renewal| &renewal.lock);
        let store = self
            .inner
            .store_for(caller, namespace, Operation::Renew, locks);
        let mut store = store.await?;
        for _ in 0..MOVES_PER_REQUEST_MAX {
            match self.renew_all(&store, caller, &renewals).await? {
                Some(answers) => return Ok(answers),
                None => store = self.inner.arrived(namespace, &store).await?,
            }
        }
        Err(Failure::moving())
    }

    /// Lengthens leases in one store; none if they are no longer there. Where a policy has read a
    /// lock that another renewal of the same request has changed, it is asked once more.
    async fn renew_all(
        &self,
        store: &OpenStore,
        caller: &Caller,
        renewals: &[ask::Renew],
    ) -> Result<Option<Vec<Result<Held, Failure>>>, Failure> {
        let mut answers: Answers = renewals.iter().map(|_| None).collect();
        let mut due: Vec<usize> = (0..renewals.len()).collect();
        let mut later = Vec::new();
        for _ in 0..RENEWAL_ROUNDS_MAX {
            let round = self.renew_round(store, caller, (renewals, &due), &mut answers);
            let Some(stale) = round.await? else {
                return Ok(None);
            };
            later.extend(stale);
            if later.is_empty() {
                break;
            }
            (due, later) = first_of_each_lock(renewals, later);
        }
        let unsettled = || Err(Failure::unsettled());
        let answers = answers.into_iter();
        let answers = answers.map(|answer| answer.unwrap_or_else(unsettled));
        Ok(Some(answers.collect()))
    }

    /// Lengthens those of the leases that are due, in one durable write. Answers those whose lock
    /// is no longer as a policy saw it; none if all of them are no longer there.
    async fn renew_round(
        &self,
        store: &OpenStore,
        caller: &Caller,
        (renewals, due): (&[ask::Renew], &[usize]),
        answers: &mut Answers,
    ) -> Result<Option<Vec<usize>>, Failure> {
        let mut permits: Vec<Permit> = Vec::new();
        let mut permitted: Vec<(usize, Option<Arc<Cause>>)> = Vec::new();
        let mut denied: Vec<Denied> = Vec::new();
        for (count, index) in due.iter().copied().enumerate() {
            let ask = &renewals[index];
            let intent = Intent::Renew {
                lease_id: ask.lease_id,
                override_ends: None,
            };
            let request = ask.request();
            let judged = match admit::check(&request) {
                Ok(()) => self.inner.decide(store, caller, request, intent).await,
                Err(failure) => Err(failure.into()),
            };
            match judged {
                Ok(permit) => {
                    permitted.push((index, permit.cause()));
                    permits.push(permit);
                }
                Err(Refusal::Failed(failure)) => answers[index] = Some(Err(*failure)),
                Err(Refusal::Denied(no)) => {
                    answers[index] = Some(Err(no.failure()));
                    denied.push(*no);
                }
            }
            // Policies run on this thread; let others have it between them.
            if count % 16 == 15 {
                tokio::task::yield_now().await;
            }
        }
        let (operation, each) = (Operation::Renew, Atomicity::Each);
        let outcomes = store.door.run_all(operation, permits, denied, each).await?;
        if outcomes.contains(&Outcome::Moved) {
            return Ok(None);
        }
        let mut stale = Vec::new();
        let mut foreign = Vec::new();
        for ((index, cause), outcome) in permitted.into_iter().zip(outcomes) {
            match (outcome, cause) {
                (Outcome::Stale, _) => stale.push(index),
                (Outcome::NotHolder, Some(cause)) => foreign.push((index, cause)),
                (outcome, cause) => {
                    let decision = cause.and_then(|cause| cause.decision.clone());
                    answers[index] = Some(held(outcome, decision));
                }
            }
        }
        self.refuse_foreign(store, foreign, answers).await;
        Ok(Some(stale))
    }

    /// Makes durable, in one write, which of the leases are another principal's, and only then
    /// answers it. If that fails, those leases get the failure: the others were renewed all the
    /// same.
    async fn refuse_foreign(
        &self,
        store: &OpenStore,
        foreign: Vec<(usize, Arc<Cause>)>,
        answers: &mut Answers,
    ) {
        let (mut denied, mut noted) = (Vec::new(), Vec::new());
        for (index, cause) in foreign {
            let failure = match self.inner.decider.not_holder(&cause) {
                Ok(no) => {
                    let failure = no.failure();
                    denied.push(no);
                    noted.push(index);
                    failure
                }
                Err(failure) => failure,
            };
            answers[index] = Some(Err(failure));
        }
        if denied.is_empty() {
            return;
        }
        let (operation, each) = (Operation::Renew, Atomicity::Each);
        let written = store
            .door
            .run_all(operation, Vec::new(), denied, each)
            .await;
        if let Err(failure) = written {
            for index in noted {
                answers[index] = Some(Err(failure.clone()));
            }
        }
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
        let locks = ask.acquires.iter().map(|acquire| &acquire.lock);
        let store = self
            .inner
            .store_for(caller, &ask.namespace, Operation::Acquire, locks);
        let store = store.await?;
        let requests = ask.acquires.into_iter().zip(0..).map(one);
        let mut requests: Vec<(Request, Intent)> = requests.collect();
        let asked = requests.iter().map(|(request, _)| request);
        let _turn = self.inner.turn(caller, asked).await;
        for _ in 0..DECISIONS_PER_REQUEST_MAX {
            let (permits, decisions) = self.inner.decide_all(&store, caller, &requests).await?;
            let (operation, together) = (Operation::Acquire, Atomicity::AllOrNothing);
            let running = store.door.run_all(operation, permits, Vec::new(), together);
            let outcomes = running.await?;
            if outcomes.contains(&Outcome::Stale) {
                continue;
            }
            if let Some(again) = overriding(caller, &requests, &decisions, &outcomes) {
                requests = again;
                continue;
            }
            let granted = |outcome: &Outcome| matches!(outcome, Outcome::Granted(_));
            if !outcomes.iter().all(granted) {
                let mut outcomes = requests.iter().zip(decisions).zip(outcomes);
                let first = outcomes
                    .find(|(_, outcome)| *outcome != Outcome::NotAttempted && !granted(outcome));
                return Err(match first {
                    Some(((_, decision), Outcome::CounterFull(full))) => {
                        self.inner.decider.counter_full(decision, &full)
                    }
                    Some((_, Outcome::LeaseLost(cause))) => Failure::late_duplicate(cause),
                    Some((
                        ((request, _), _),
                        Outcome::Rejected(Rejection::CapReached(reached)),
                    )) => {
                        let (inner, lock) = (&self.inner, &request.lock);
                        let refusing = inner.refuse_beyond_cap(&store, caller, lock, reached);
                        refusing.await
                    }
                    Some((_, first)) => refused(first),
                    None => refused(Outcome::NotAttempted),
                });
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

/// Returns the requests as they are asked again after the counter of an overridable policy refused
/// them, if the caller may exceed it.
fn overriding(
    caller: &Caller,
    requests: &[(Request, Intent)],
    decisions: &[Option<Arc<Decision>>],
    outcomes: &[Outcome],
) -> Option<Vec<(Request, Intent)>> {
    let all = outcomes.iter().zip(decisions).zip(requests);
    let refused = all.filter_map(|((outcome, decision), (request, _))| match outcome {
        Outcome::CounterFull(full) => Some((&**full, decision, request)),
        _ => None,
    });
    let mut refused = refused.peekable();
    refused.peek()?;
    let may_exceed = |(full, decision, request): (&CounterFull, &Option<_>, &Request)| {
        may_exceed((&*caller.principal, request), decision.as_ref(), full)
    };
    if !refused.all(may_exceed) {
        return None;
    }
    let again = requests.iter().map(|(request, intent)| {
        let overriding = intent.overriding()?;
        Some((request.clone(), overriding))
    });
    again.collect()
}

/// Those that come first on their locks, and the others: of several leases of one lock a policy can
/// see it as it is for one at a time.
fn first_of_each_lock(renewals: &[ask::Renew], of: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let mut seen = HashSet::new();
    of.into_iter()
        .partition(|index| seen.insert(&renewals[*index].lock))
}

/// One lock of several, and how many the same request takes before it.
fn one((acquire, before): (ask::Acquire, u32)) -> (Request, Intent) {
    let intent = Intent::Acquire {
        lease_id: LeaseId::from_bytes(rand::random()),
        mode: acquire.mode,
        ttl_ms: acquire.ttl_ms,
        before,
        overrides: false,
        override_ends: None,
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
