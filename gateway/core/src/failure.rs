//! Why a request did not get what it asked for, in domain words.

mod kind;

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::EndCause;
use leasehold_domain::HolderView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Principal;
use leasehold_domain::Rejection;
use leasehold_domain::Role;
use leasehold_domain::StoreName;
use leasehold_domain::Subject;
use leasehold_domain::limits::NOT_HOLDER_RECORD_EVERY_MS;
use leasehold_domain::limits::REQUEST_ID_AGE_MS_MAX;

pub use self::kind::FailureKind;
use crate::places::InvalidPlaces;
use crate::places::Places;

/// Delay before a client asks again for a namespace whose store an operator must choose.
const CLAIMED_RETRY_AFTER_MS: u64 = 5_000;
/// How soon a namespace that is moved may be there.
const MOVING_RETRY_AFTER_MS: u64 = 200;

/// When to retry an acquire that exceeded a cap on locks or waiters.
const CAP_RETRY_AFTER_MS: u64 = 1_000;
/// When to retry where only an administrator can raise the cap.
const LEDGER_CAP_RETRY_AFTER_MS: u64 = 60_000;

/// What callers are told of a store that is behind its history; operators find more in `/readyz`.
const FENCED: &str =
    "the store that answers is an old primary, or a copy; nothing is granted from it";

/// What callers are told of a store whose feature level this build does not support.
const OUTDATED: &str = "another gateway has raised the feature level of the store, which this gateway's \
    build does not support: ask another gateway, and start a newer build of this one";

/// A request that failed: its kind, a message safe to show, and whether it took effect.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The kind, for programs.
    pub kind: FailureKind,
    /// For people; safe to show.
    pub message: String,
    /// Whether the command may have taken effect.
    pub effect: Effect,
    /// When it may be worth asking again.
    pub retry_after_ms: Option<u64>,
    /// What else the answer tells.
    pub detail: FailureDetail,
}

/// What an answer tells besides its kind.
#[derive(Debug, Clone, Default)]
pub enum FailureDetail {
    /// Nothing.
    #[default]
    None,
    /// Why it was denied.
    Denied {
        /// The denial.
        denial: Denial,
        /// The decision that holds it, to be found in the ledger by its id.
        decision: Option<Arc<Decision>>,
        /// Why the policy has no verdict, if it failed.
        fault: Option<Fault>,
    },
    /// Who stands in the way.
    Held(Blocked),
    /// How the lease ended.
    Ended(EndCause),
    /// The incident because of which nothing is granted.
    Incident(Arc<str>),
    /// What hangs on a namespace that was to be deleted.
    InUse(InUse),
    /// Which cap of the namespace is reached.
    Cap(CapReached),
    /// The newest events there are.
    BeyondEnd(Places),
    /// For the log only.
    Internal(String),
}

/// Why a policy has no verdict, as far as the caller may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of the failure, stable, for programs.
    pub kind: &'static str,
    /// Whether the same request would fail in the same way.
    pub lasts: bool,
    /// What exactly happened; only for those who may read bindings or the ledger.
    pub detail: Option<Box<str>>,
}

impl Fault {
    /// Whether a principal may know what exactly happened: what a module or its configuration says
    /// may quote another tenant, so it is for those who may read bindings or the ledger.
    #[must_use]
    pub fn is_told_to(principal: &Principal) -> bool {
        let readers = [Role::PolicyAuthor, Role::Auditor, Role::Administrator];
        readers.iter().any(|role| principal.roles.has(*role))
    }
}

/// Who stands in the way of an acquire.
#[derive(Debug, Clone, Default)]
pub struct Blocked {
    /// Who holds the lock.
    pub holders: Vec<HolderView>,
    /// How many wait for it.
    pub waiters: Option<u32>,
    /// The caller's own place in the queue, which it keeps for a short while.
    pub position: Option<u32>,
    /// How long the lock is not granted because a lease expired.
    pub cooldown_remaining_ms: u64,
    /// For whom a transfer reserved it.
    pub reserved_for: Option<Subject>,
}

/// What hangs on a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// How many leases are held.
    pub leases: u64,
    /// How many acquires wait.
    pub waiters: u64,
    /// The bindings that name it.
    pub bindings: Vec<String>,
    /// Whether there are more locks than were looked at.
    pub more: bool,
}

impl Failure {
    /// A failure without any effect.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            effect: Effect::None,
            retry_after_ms: None,
            detail: FailureDetail::None,
        }
    }

    /// The input was refused.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    /// There is no such namespace, as far as the caller may know.
    #[must_use]
    pub fn no_namespace(name: &NamespaceName) -> Self {
        let message = format!("there is no namespace {name}");
        Self::new(FailureKind::NamespaceNotFound, message)
    }

    /// The request names a store that this gateway does not have.
    #[must_use]
    pub fn no_store(name: &StoreName, known: &BTreeSet<StoreName>) -> Self {
        let known: Vec<_> = known.iter().map(StoreName::as_str).collect();
        let known = known.join(", ");
        let message = format!("store: there is no store {name}; there is {known}");
        Self::new(FailureKind::NotFound, message)
    }

    /// Something of ours is broken; the detail goes to the log only.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self {
            detail: FailureDetail::Internal(detail.into()),
            ..Self::new(FailureKind::Internal, "internal error")
        }
    }

    /// A lease that is no longer, or never was.
    #[must_use]
    pub fn lost(cause: EndCause) -> Self {
        let (kind, message) = match cause {
            EndCause::Unknown => (
                FailureKind::LeaseLost,
                "there is no such lease on this lock",
            ),
            EndCause::Released => (FailureKind::LeaseEnded, "the lease was released"),
            EndCause::Expired => (FailureKind::LeaseEnded, "the lease expired"),
            EndCause::HeldTooLong => (
                FailureKind::LeaseEnded,
                "the lease reached its longest hold",
            ),
            EndCause::Revoked => (FailureKind::LeaseEnded, "the lease was revoked"),
            EndCause::Transferred => (FailureKind::LeaseEnded, "the lease was transferred"),
            EndCause::GivenBack => (FailureKind::LeaseEnded, "the lease was given back"),
            EndCause::Moved => (FailureKind::LeaseEnded, "the lease is in another store"),
        };
        Self {
            detail: FailureDetail::Ended(cause),
            ..Self::new(kind, message)
        }
    }

    /// The lease of this acquire's request has ended: the acquire is a late duplicate.
    #[must_use]
    pub fn late_duplicate(cause: EndCause) -> Self {
        let lost = Self::lost(cause);
        let message = format!(
            "this request_id was granted a lease before: {}; ask for another with a new request_id",
            lost.message
        );
        Self { message, ..lost }
    }

    /// The lease is another principal's.
    #[must_use]
    pub fn not_holder() -> Self {
        Self::new(
            FailureKind::NotHolder,
            "the lease is held by another principal",
        )
    }

    /// A principal has asked too often about leases of others.
    #[must_use]
    pub fn too_many_foreign_leases() -> Self {
        Self {
            retry_after_ms: Some(NOT_HOLDER_RECORD_EVERY_MS),
            ..Self::new(
                FailureKind::RateLimited,
                "too many requests about leases that may be other principals'",
            )
        }
    }

    /// Somebody stands in the way.
    #[must_use]
    pub fn held(blocked: Blocked) -> Self {
        let retry_after_ms = (blocked.cooldown_remaining_ms > 0)
            .then_some(blocked.cooldown_remaining_ms)
            .or_else(|| {
                blocked
                    .holders
                    .iter()
                    .map(|holder| holder.remaining_ms)
                    .min()
            });
        let message = match (blocked.holders.first(), blocked.cooldown_remaining_ms) {
            (Some(holder), _) => format!("held by {}", holder.owner.subject),
            (None, 0) => match &blocked.reserved_for {
                Some(successor) => format!("reserved for {successor} by a transfer"),
                None => "others wait for the lock".to_owned(),
            },
            (None, ms) => format!("cooling down, free in {ms} ms"),
        };
        Self {
            retry_after_ms,
            detail: FailureDetail::Held(blocked),
            ..Self::new(FailureKind::Held, message)
        }
    }

    /// The namespace is in use, and was to be deleted.
    #[must_use]
    pub fn in_use(namespace: &NamespaceName, used: InUse) -> Self {
        let least = if used.more { "at least " } else { "" };
        let names = match used.bindings.is_empty() {
            true => String::new(),
            false => format!(" ({})", used.bindings.join(", ")),
        };
        let message = format!(
            "namespace {namespace} is in use: {least}{} leases, {least}{} waiters, {} bindings that \
             name it{names}; with force (--force, ?force=true) it is deleted all the same, and its \
             locks cannot be reached then",
            used.leases,
            used.waiters,
            used.bindings.len()
        );
        Self {
            detail: FailureDetail::InUse(used),
            ..Self::new(FailureKind::Conflict, message)
        }
    }

    /// The store has not agreed for its window, and grants nothing until it does.
    #[must_use]
    pub fn safe_mode(store: &str, incident: Arc<str>, retry_after_ms: u64) -> Self {
        let message = format!("store {store} is in safe mode: it has not agreed for a while");
        Self {
            retry_after_ms: Some(retry_after_ms),
            detail: FailureDetail::Incident(incident),
            ..Self::new(FailureKind::SafeMode, message)
        }
    }

    /// The same, because the store that answers is behind its history.
    #[must_use]
    pub fn fenced(incident: Arc<str>, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            detail: FailureDetail::Incident(incident),
            ..Self::new(FailureKind::Fenced, FENCED)
        }
    }

    /// The same, because this build does not support the feature level of the store.
    #[must_use]
    pub fn outdated(incident: Arc<str>, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            detail: FailureDetail::Incident(incident),
            ..Self::new(FailureKind::Unavailable, OUTDATED)
        }
    }

    /// Two stores disagree about which of them has the namespace.
    #[must_use]
    pub fn claimed_twice(namespace: &NamespaceName, stores: [&StoreName; 2]) -> Self {
        let [one, other] = stores;
        let message = format!(
            "the stores {one} and {other} disagree about which of them has namespace {namespace}: one \
             of them was restored from a backup, or a choice between them was cut off; neither serves \
             it until an operator chooses the store whose locks count: `leasehold namespace move \
             {namespace} --to {one}`, or `--to {other}`"
        );
        Self {
            retry_after_ms: Some(CLAIMED_RETRY_AFTER_MS),
            ..Self::new(FailureKind::Fenced, message)
        }
    }

    /// Each time that the policies had decided, the state that they saw had changed.
    #[must_use]
    pub fn unsettled() -> Self {
        Self {
            retry_after_ms: Some(50),
            ..Self::new(
                FailureKind::Overloaded,
                "the state that a policy reads changes too fast",
            )
        }
    }

    /// The namespace is on its way to another store.
    #[must_use]
    pub fn moving() -> Self {
        Self {
            retry_after_ms: Some(MOVING_RETRY_AFTER_MS),
            ..Self::new(
                FailureKind::Unavailable,
                "the namespace is being moved to another store; ask again with the same request_id",
            )
        }
    }

    /// A policy, or a missing role, said no.
    #[must_use]
    pub fn denied(denial: Denial, decision: Option<Arc<Decision>>, fault: Option<Fault>) -> Self {
        let kind = match denial.kind {
            DenialKind::Policy => FailureKind::Denied,
            DenialKind::PolicyError => FailureKind::PolicyError,
            DenialKind::NoPolicyBound => FailureKind::NoPolicyBound,
            DenialKind::Role => FailureKind::Forbidden,
            DenialKind::NotHolder => FailureKind::NotHolder,
        };
        Self {
            retry_after_ms: denial.retry_after_ms,
            message: denial.message.to_string(),
            detail: FailureDetail::Denied {
                denial,
                decision,
                fault,
            },
            ..Self::new(kind, "")
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable() && !self.lasts()
    }

    /// Whether a policy failed in a way in which it fails each time.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(&self.detail, FailureDetail::Denied { fault: Some(fault), .. } if fault.lasts)
    }

    /// The namespace has as much as a cap allows.
    #[must_use]
    pub fn cap_reached(namespace: &NamespaceName, reached: CapReached) -> Self {
        let CapReached { cap, most, present } = reached;
        let (what, hint, retry_after_ms) = match cap {
            Cap::Locks => (
                "locks that are held or waited for",
                "ask again when one of them is free",
                CAP_RETRY_AFTER_MS,
            ),
            Cap::Waiters => (
                "acquires that wait",
                "ask again when one of them has left, or without wait_ms",
                CAP_RETRY_AFTER_MS,
            ),
            Cap::LedgerBytes => (
                "bytes of events in the ledger",
                "nothing new is granted until an administrator raises the cap",
                LEDGER_CAP_RETRY_AFTER_MS,
            ),
        };
        let message =
            format!("namespace {namespace} has {present} {what}, of at most {most}; {hint}");
        Self {
            retry_after_ms: Some(retry_after_ms),
            detail: FailureDetail::Cap(reached),
            ..Self::new(FailureKind::NamespaceFull, message)
        }
    }

    /// The machine could never carry it out.
    #[must_use]
    pub fn rejected(rejection: Rejection) -> Self {
        match rejection {
            Rejection::QueueFull => Self {
                retry_after_ms: Some(1_000),
                ..Self::new(FailureKind::QueueFull, "the lock's queue is full")
            },
            Rejection::TooManyPermits => Self::new(
                FailureKind::Conflict,
                "permits: more than the settings of the lock allow",
            ),
            Rejection::RequestIdReused => Self::new(
                FailureKind::Conflict,
                "request_id was used for another request on this lock",
            ),
            Rejection::RequestIdTooOld => Self::new(
                FailureKind::RequestIdTooOld,
                format!(
                    "request_id: made more than {} s ago by this gateway's clock, and no lease or \
                     place in the queue has it; ask again with a new one",
                    REQUEST_ID_AGE_MS_MAX / 1_000
                ),
            ),
            // The pipeline records this one before it answers it.
            Rejection::CapReached(_) => Self::internal("a refusal by a cap was not recorded"),
            Rejection::Impossible => Self::internal("the machine refused an impossible command"),
        }
    }
}

impl From<InvalidPlaces> for Failure {
    fn from(error: InvalidPlaces) -> Self {
        Self::invalid(format!("places: {error}"))
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let (kind, message, retry_after_ms) = match error.kind {
            ErrorKind::Overloaded => (FailureKind::Overloaded, "too much at once", Some(200)),
            ErrorKind::Contended => (FailureKind::Overloaded, "too much contention", Some(50)),
            ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Closed => (
                FailureKind::Unavailable,
                "the store cannot agree now",
                Some(1_000),
            ),
            ErrorKind::Fenced => (FailureKind::Fenced, FENCED, Some(1_000)),
            ErrorKind::Outdated => (FailureKind::Unavailable, OUTDATED, Some(1_000)),
            ErrorKind::Invalid => (FailureKind::Invalid, "the store refused this", None),
            _ => (FailureKind::Internal, "internal error", None),
        };
        Self {
            kind,
            message: message.to_owned(),
            effect: error.effect,
            retry_after_ms,
            detail: FailureDetail::Internal(error.to_string()),
        }
    }
}
