//! One request in the store of its namespace: decided, executed, and decided again or taken
//! elsewhere if what was decided on is no longer so.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::Cause;
use leasehold_domain::Decision;
use leasehold_domain::Feature;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Rejection;
use leasehold_domain::Request;

use super::DECISIONS_PER_REQUEST_MAX;
use super::Inner;
use super::MOVES_PER_REQUEST_MAX;
use super::admit;
use super::decide::Permit;
use super::decide::Refusal;
use super::decide::may_exceed;
use super::intent::Intent;
use super::turns::Taken;
use crate::authorization::sees;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::feature_gate;
use crate::governance::plan::NamespacePlan;
use crate::governance::plan::Plan;
use crate::stores::OpenStore;

/// How long a request waits for a namespace that is being moved.
const MOVE_PATIENCE: Duration = Duration::from_secs(5);

impl Inner {
    /// The store of a namespace: where its locks are. Before it says that there is no such
    /// namespace, or that the caller cannot see it, it makes sure that no other gateway has just
    /// changed that.
    pub(crate) async fn store_of(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        operation: &str,
    ) -> Result<Arc<OpenStore>, Failure> {
        self.find(caller, (namespace, operation), |_| false).await
    }

    /// The store of a namespace, whoever asks; none if there is no such namespace.
    pub(crate) async fn locate(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Option<Arc<OpenStore>>, Failure> {
        let mut plan = self.governance.plan();
        if plan.namespace(namespace).is_none() {
            self.governance.catch_up().await?;
            plan = self.governance.plan();
        }
        self.place(plan, namespace).await
    }

    /// The store of the namespace of a request for these locks. What would be denied because no
    /// policy judges it is in doubt as well: another gateway may have just bound one.
    pub(crate) async fn store_for<'a>(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        operation: Operation,
        locks: impl IntoIterator<Item = &'a LockRef>,
    ) -> Result<Arc<OpenStore>, Failure> {
        let lacks = |plan: NamespacePlan<'_>| {
            let mut locks = locks.into_iter();
            locks.any(|lock| plan.lacks_policies(operation, &lock.lock))
        };
        self.find(caller, (namespace, operation.as_str()), lacks)
            .await
    }

    async fn find(
        &self,
        caller: &Caller,
        (name, operation): (&NamespaceName, &str),
        in_doubt: impl FnOnce(NamespacePlan<'_>) -> bool,
    ) -> Result<Arc<OpenStore>, Failure> {
        let is_seen = |plan: NamespacePlan<'_>| sees(caller, plan.document);
        let in_doubt = |plan: NamespacePlan<'_>| !is_seen(plan) || in_doubt(plan);
        let mut plan = self.governance.plan();
        if plan.namespace(name).is_none_or(in_doubt) {
            self.governance.catch_up().await?;
            plan = self.governance.plan();
        }
        let place = match plan.namespace(name).is_some_and(is_seen) {
            true => self.place(plan, name).await?,
            false => None,
        };
        match place {
            Some(store) => Ok(store),
            None => Err(self.authorization.unseen(caller, operation, name).await),
        }
    }

    /// Whether, by the plan in force, there is such a namespace and the caller can see it.
    pub(crate) fn is_seen(&self, caller: &Caller, name: &NamespaceName) -> bool {
        let plan = self.governance.plan();
        let namespace = plan.namespace(name);
        namespace.is_some_and(|namespace| sees(caller, namespace.document))
    }

    /// The store that has a namespace by a plan; none if there is no such namespace.
    async fn place(
        &self,
        mut plan: Arc<Plan>,
        name: &NamespaceName,
    ) -> Result<Option<Arc<OpenStore>>, Failure> {
        let Some(mut namespace) = plan.namespace(name) else {
            return Ok(None);
        };
        if self.stores.rival(namespace.document).is_some() {
            // Another gateway may have recorded the move that the other store knows of.
            self.governance.catch_up().await?;
            plan = self.governance.plan();
            namespace = match plan.namespace(name) {
                Some(namespace) => namespace,
                None => return Ok(None),
            };
            let store = &namespace.document.store;
            if let Some(rival) = self.stores.rival(namespace.document) {
                return Err(Failure::claimed_twice(name, [store, rival]));
            }
        }
        self.stores
            .get(&namespace.document.store)
            .cloned()
            .map(Some)
    }

    /// Runs one request in the store of its namespace.
    pub(super) async fn run_where_it_is(
        &self,
        caller: &Caller,
        request: Request,
        intent: Intent,
    ) -> Result<(Outcome, Option<Arc<Decision>>), Failure> {
        let lock = &request.lock;
        let store = self.store_for(caller, &lock.namespace, request.operation, [lock]);
        let store = store.await?;
        self.run(&store, caller, request, intent).await
    }

    /// Admits, decides and executes one request; decides again while the state that the decision
    /// saw has changed by the time of execution. If the namespace is being moved, all but an acquire
    /// waits until it has arrived.
    pub(crate) async fn run(
        &self,
        store: &Arc<OpenStore>,
        caller: &Caller,
        mut request: Request,
        mut intent: Intent,
    ) -> Result<(Outcome, Option<Arc<Decision>>), Failure> {
        admit::check(&request)?;
        let operation = request.operation;
        let mut store = store.clone();
        let (mut decisions, mut moves) = (0, 0);
        let _turn = self.turn(caller, [&request]).await;
        while decisions < DECISIONS_PER_REQUEST_MAX && moves < MOVES_PER_REQUEST_MAX {
            let decided = self.decide(&store, caller, request, intent.clone());
            let permit = match decided.await {
                Ok(permit) => permit,
                Err(Refusal::Failed(failure)) => return Err(*failure),
                Err(Refusal::Denied(denied)) => return Err(store.door.refuse(*denied).await),
            };
            let cause = permit.cause();
            match (store.door.run(operation, permit).await?, cause) {
                (Outcome::Stale, Some(cause)) => {
                    request = cause.request.clone();
                    decisions += 1;
                }
                (Outcome::Moved, Some(cause)) if operation != Operation::Acquire => {
                    store = self.arrived(&cause.request.lock.namespace, &store).await?;
                    request = cause.request.clone();
                    moves += 1;
                }
                (Outcome::NotHolder, Some(cause)) => {
                    return Err(self.refuse_not_holder(&store, &cause).await);
                }
                (Outcome::Rejected(Rejection::CapReached(reached)), Some(cause)) => {
                    let lock = &cause.request.lock;
                    let refusing = self.refuse_beyond_cap(&store, caller, lock, reached);
                    return Err(refusing.await);
                }
                (Outcome::CounterFull(full), Some(cause)) => {
                    let overriding = intent.overriding().filter(|_| {
                        let asked = (&*cause.principal, &cause.request);
                        self.decider.may_override(&cause.request)
                            && may_exceed(asked, cause.decision.as_ref(), &full)
                    });
                    let Some(overriding) = overriding else {
                        return Err(self.decider.counter_full(cause.decision.clone(), &full));
                    };
                    (intent, request) = (overriding, cause.request.clone());
                    decisions += 1;
                }
                (outcome, cause) => {
                    return Ok((outcome, cause.and_then(|cause| cause.decision.clone())));
                }
            }
        }
        Err(Failure::unsettled())
    }

    /// Waits for the turn of requests of one namespace, if their decisions are tied to state.
    pub(super) async fn turn<'r>(
        &self,
        caller: &Caller,
        requests: impl IntoIterator<Item = &'r Request> + Clone,
    ) -> Taken {
        let plan = self.governance.plan();
        let first = requests.clone().into_iter().next();
        let namespace = first.and_then(|request| plan.namespace(&request.lock.namespace));
        match namespace {
            Some(namespace) => {
                let turn = self.decider.turn(namespace, &caller.principal, requests);
                turn.await
            }
            None => Taken::default(),
        }
    }

    /// Runs a request that no policy judges, in whichever store has the namespace.
    pub(crate) async fn pass(
        &self,
        mut store: Arc<OpenStore>,
        caller: &Caller,
        request: Request,
        intent: Intent,
    ) -> Result<Outcome, Failure> {
        let operation = request.operation;
        for _ in 0..MOVES_PER_REQUEST_MAX {
            let permit = self.decider.pass(caller, request.clone(), intent.clone());
            let cause = permit.cause();
            match store.door.run(operation, permit).await? {
                Outcome::NotHolder if operation == Operation::Release => {
                    return Err(match cause {
                        Some(cause) => self.refuse_not_holder(&store, &cause).await,
                        None => Failure::not_holder(),
                    });
                }
                Outcome::Moved => store = self.arrived(&request.lock.namespace, &store).await?,
                outcome => return Ok(outcome),
            }
        }
        Err(Failure::moving())
    }

    /// Makes durable that the lease of a request is another principal's, and only then answers it.
    async fn refuse_not_holder(&self, store: &OpenStore, cause: &Cause) -> Failure {
        match self.decider.not_holder(cause) {
            Ok(denied) => store.door.refuse(denied).await,
            Err(failure) => failure,
        }
    }

    /// Where a namespace has arrived that has left `store`. Waits for it, but not for long.
    pub(crate) async fn arrived(
        &self,
        namespace: &NamespaceName,
        store: &OpenStore,
    ) -> Result<Arc<OpenStore>, Failure> {
        let left = self.governance.leaves(namespace, &store.name);
        let in_time = tokio::time::timeout(MOVE_PATIENCE, left).await;
        in_time.map_err(|_| Failure::moving())?;
        let gone = || Failure::no_namespace(namespace);
        self.locate(namespace).await?.ok_or_else(gone)
    }

    /// Admits to the namespace and to what its store grants, and decides by the plan in force.
    pub(crate) async fn decide(
        &self,
        store: &OpenStore,
        caller: &Caller,
        request: Request,
        mut intent: Intent,
    ) -> Result<Permit, Refusal> {
        let plan = self.governance.plan();
        let (name, operation) = (&request.lock.namespace, request.operation.as_str());
        let seen = plan.namespace(name);
        let seen = seen.filter(|namespace| sees(caller, namespace.document));
        let Some(namespace) = seen else {
            return Err(self
                .authorization
                .unseen(caller, operation, name)
                .await
                .into());
        };
        store.door.safe_mode().admit(request.operation)?;
        self.governance.admit(request.operation).await?;
        store.admit(request.operation)?;
        let level = store.documents.level();
        if request.override_terms.is_some() {
            feature_gate::require(Feature::OverrideTerms, level, "the store of the namespace")?;
        }
        if let Intent::Acquire { override_ends, .. }
        | Intent::Confirm { override_ends, .. }
        | Intent::Renew { override_ends, .. } = &mut intent
        {
            *override_ends = self.governance.override_ends(&caller.principal, &request);
        }
        let revision = plan.revision;
        let caps = self.caps_for(request.operation, namespace.document, store);
        let judged = self
            .decider
            .judge(&store.door, namespace, revision, caller, request, intent)
            .await;
        if cause_of(&judged).is_some_and(|cause| counts(&cause)) {
            // Neither the lease nor a denial is written in a form that older builds cannot read.
            feature_gate::require(Feature::Counters, level, "the store of the namespace")?;
        }
        let permit = judged?;
        if let Some(cause) = permit.passes_a_denial() {
            // Rare, so that the futures of other requests have no room for it.
            Box::pin(self.governance.open_review(caller, &cause)).await?;
        }
        Ok(permit.held_to(caps))
    }
}

/// Why something was permitted or denied.
fn cause_of(judged: &Result<Permit, Refusal>) -> Option<Arc<Cause>> {
    match judged {
        Ok(permit) => permit.cause(),
        Err(Refusal::Denied(denied)) => Some(denied.cause().clone()),
        Err(Refusal::Failed(_)) => None,
    }
}

/// Whether a verdict of its decision has counters.
fn counts(cause: &Cause) -> bool {
    let verdicts = cause
        .decision
        .iter()
        .flat_map(|decision| &decision.verdicts);
    let mut answers = verdicts.map(|verdict| &verdict.answer);
    answers.any(|answer| match answer {
        PolicyAnswer::Allow(limits) => !limits.counters.is_empty(),
        PolicyAnswer::Deny { .. } | PolicyAnswer::Error { .. } => false,
    })
}
