//! Errors: one enum of codes that know what they mean, and the problem document.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use super::views::HolderView;

/// Why a request failed: stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The body is not JSON.
    BadJson,
    /// The request is not valid HTTP: its line ends, its `Host` or its target are wrong.
    BadRequest,
    /// No valid key or token.
    Unauthenticated,
    /// The caller lacks a role.
    Forbidden,
    /// A policy said no; `denial` has its code and message.
    Denied,
    /// A policy failed, and its binding says that this denies.
    PolicyError,
    /// No policy is bound, and the namespace denies by default.
    NoPolicyBound,
    /// The lease is another principal's.
    NotHolder,
    /// There is no such thing.
    NotFound,
    /// There is no such namespace.
    NamespaceNotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// Somebody else holds the lock.
    Held,
    /// There is no such lease on this lock (any more).
    LeaseLost,
    /// The request contradicts what exists.
    Conflict,
    /// The `request_id` of an acquire is a version 7 UUID that was made too long ago, and nothing
    /// stands under it.
    RequestIdTooOld,
    /// The lease expired, was revoked, or was transferred.
    LeaseEnded,
    /// The page begins after the newest event; `newest_cursor` and `newest_cursors` tell it.
    CursorBeyondEnd,
    /// The document has another revision.
    PreconditionFailed,
    /// The body is too large.
    BodyTooLarge,
    /// The body's content type is not the one expected.
    UnsupportedMediaType,
    /// A field is missing, unknown, or out of range.
    InvalidRequest,
    /// The lock's queue is full.
    QueueFull,
    /// The namespace has as many locks or waiters, or as many bytes in the ledger, as its cap
    /// allows; `cap` tells which. Only acquires of something new are refused by it.
    NamespaceFull,
    /// Too many requests by this caller.
    RateLimited,
    /// Something of ours is broken.
    Internal,
    /// Too much at once.
    Overloaded,
    /// The store cannot agree now.
    Unavailable,
    /// The store has not agreed for a while; nothing is granted until it does.
    SafeMode,
    /// The store that answers is behind what the gateway knows of its history: an old primary, or a
    /// copy restored from a backup. Nothing is granted from it.
    Fenced,
    /// It is the last key of an administrator; `force` revokes it.
    LastAdministrator,
    /// A binding names the policy version that was to be deleted, or a lease was granted under it.
    PolicyVersionInUse,
    /// Other people must approve the change first; `detail` names the request.
    ApprovalRequired,
    /// The policy version cannot be pushed, bound or promoted: it was withdrawn, or too few trusted keys
    /// signed it for now.
    PolicyVersionUnusable,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 34] = [
        Self::BadJson,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Denied,
        Self::PolicyError,
        Self::NoPolicyBound,
        Self::NotHolder,
        Self::NotFound,
        Self::NamespaceNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Held,
        Self::LeaseLost,
        Self::Conflict,
        Self::RequestIdTooOld,
        Self::LeaseEnded,
        Self::CursorBeyondEnd,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::QueueFull,
        Self::NamespaceFull,
        Self::RateLimited,
        Self::Internal,
        Self::Overloaded,
        Self::Unavailable,
        Self::SafeMode,
        Self::Fenced,
        Self::LastAdministrator,
        Self::PolicyVersionInUse,
        Self::ApprovalRequired,
        Self::PolicyVersionUnusable,
    ];

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadJson | Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden
            | Self::Denied
            | Self::PolicyError
            | Self::NoPolicyBound
            | Self::NotHolder => 403,
            Self::NotFound | Self::NamespaceNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Held
            | Self::LeaseLost
            | Self::Conflict
            | Self::RequestIdTooOld
            | Self::LastAdministrator
            | Self::PolicyVersionInUse
            | Self::ApprovalRequired
            | Self::PolicyVersionUnusable => 409,
            Self::LeaseEnded | Self::CursorBeyondEnd => 410,
            Self::PreconditionFailed => 412,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidRequest => 422,
            Self::QueueFull | Self::NamespaceFull | Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Overloaded | Self::Unavailable | Self::SafeMode | Self::Fenced => 503,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::RequestTimeout
            | Self::Held
            | Self::QueueFull
            | Self::NamespaceFull
            | Self::RateLimited
            | Self::PolicyError
            | Self::Internal
            | Self::Overloaded
            | Self::Unavailable
            | Self::SafeMode
            | Self::Fenced => true,
            Self::BadJson
            | Self::BadRequest
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::Denied
            | Self::NoPolicyBound
            | Self::NotHolder
            | Self::NotFound
            | Self::NamespaceNotFound
            | Self::MethodNotAllowed
            | Self::LeaseLost
            | Self::Conflict
            | Self::RequestIdTooOld
            | Self::LeaseEnded
            | Self::CursorBeyondEnd
            | Self::PreconditionFailed
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::InvalidRequest
            | Self::LastAdministrator
            | Self::PolicyVersionInUse
            | Self::ApprovalRequired
            | Self::PolicyVersionUnusable => false,
        }
    }

    /// Whether an error of this code never took effect. Of the others, `effect` tells.
    #[must_use]
    pub fn has_no_side_effects(self) -> bool {
        match self {
            Self::Internal | Self::Unavailable | Self::Overloaded => false,
            Self::BadJson
            | Self::BadRequest
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::Denied
            | Self::PolicyError
            | Self::NoPolicyBound
            | Self::NotHolder
            | Self::NotFound
            | Self::NamespaceNotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::Held
            | Self::LeaseLost
            | Self::Conflict
            | Self::RequestIdTooOld
            | Self::LeaseEnded
            | Self::CursorBeyondEnd
            | Self::PreconditionFailed
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::InvalidRequest
            | Self::QueueFull
            | Self::NamespaceFull
            | Self::RateLimited
            | Self::SafeMode
            | Self::Fenced
            | Self::LastAdministrator
            | Self::PolicyVersionInUse
            | Self::ApprovalRequired
            | Self::PolicyVersionUnusable => true,
        }
    }

    /// The code as it stands in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Denied => "denied",
            Self::PolicyError => "policy_error",
            Self::NoPolicyBound => "no_policy_bound",
            Self::NotHolder => "not_holder",
            Self::NotFound => "not_found",
            Self::NamespaceNotFound => "namespace_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::Held => "held",
            Self::LeaseLost => "lease_lost",
            Self::Conflict => "conflict",
            Self::RequestIdTooOld => "request_id_too_old",
            Self::LeaseEnded => "lease_ended",
            Self::CursorBeyondEnd => "cursor_beyond_end",
            Self::PreconditionFailed => "precondition_failed",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidRequest => "invalid_request",
            Self::QueueFull => "queue_full",
            Self::NamespaceFull => "namespace_full",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::SafeMode => "safe_mode",
            Self::Fenced => "fenced",
            Self::LastAdministrator => "last_administrator",
            Self::PolicyVersionInUse => "policy_version_in_use",
            Self::ApprovalRequired => "approval_required",
            Self::PolicyVersionUnusable => "policy_version_unusable",
        }
    }
}

/// Whether a failed request may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectName {
    /// Certainly not.
    None,
    /// Nobody knows; ask again with the same `request_id`.
    Unknown,
}

/// RFC 9457 problem document, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// What happened, for programs.
    pub code: ErrorCode,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether it may have taken effect.
    pub effect: EffectName,
    /// The request, to be found in log and ledger.
    pub request_id: String,
    /// When it may be worth asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Which policy said no, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<DenialView>,
    /// Who holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<Vec<HolderView>>,
    /// How many wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiters: Option<u32>,
    /// The caller's own place in the queue, kept for a short while; 0 is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// How long the lock is not granted because a lease expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_remaining_ms: Option<u64>,
    /// For whom a transfer reserved the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<String>,
    /// How the lease ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_cause: Option<String>,
    /// The incident because of which nothing is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The newest event of the ledger that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_cursor: Option<u64>,
    /// The newest events of the ledgers that were asked, in the form of `cursors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_cursors: Option<String>,
    /// Which cap of the namespace is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<CapView>,
    /// What hangs on the namespace that was to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<InUseView>,
}

/// A cap of a namespace that an acquire would exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapView {
    /// `locks`, `waiters` or `ledger_bytes`.
    pub name: String,
    /// How much the namespace may have.
    pub most: u64,
    /// How much it has.
    pub present: u64,
}

/// What hangs on a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InUseView {
    /// How many leases are held.
    pub leases: u64,
    /// How many acquires wait.
    pub waiters: u64,
    /// The bindings that name it.
    pub bindings: Vec<String>,
    /// Whether the namespace has more locks than were counted.
    pub more: bool,
}

/// A policy's no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenialView {
    /// `denied`, `policy_error`, `no_policy_bound`, `role` or `not_holder`.
    pub kind: String,
    /// The policy, if one denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The version of that policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The binding by which it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// The policy's own code.
    pub code: String,
    /// The policy's own message.
    pub message: String,
    /// The decision, to be found in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// Why the policy has no verdict, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

/// A policy's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// `trap`, `fuel`, `deadline`, `memory`, `oversized-answer`, `invalid-answer`, `refused`, `busy`,
    /// `missing-fact`, `host`, `not-loaded`, `killed` or `too-many-policies`.
    pub kind: String,
    /// What exactly happened: what the module says may quote others, so this is only for callers
    /// with the role `policy-author`, `auditor` or `administrator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_serde_writes() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!((400..600).contains(&code.status()));
        }
    }
}
