//! What a policy says about itself.

use crate::Operation;

/// What a policy is and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// Its name: 1 to 63 of `a-z 0-9 -`, beginning with a letter.
    pub name: &'static str,
    /// Its semantic version; `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The operations that it judges; at least one.
    pub operations: &'static [Operation],
    /// Whether [`crate::Facts::lock`] shall be there. Costs a read of the store.
    pub needs_lock: bool,
    /// Whether [`crate::Facts::usage`] shall be there. Costs a read of the store.
    pub needs_usage: bool,
    /// A JSON Schema of its configuration; `include_str!("../schema.json")`.
    pub config_schema: &'static str,
    /// What its verdicts depend on; `None` if they may depend on everything. The policy sees nothing
    /// else, and the gateway may cache its verdicts.
    pub reads: Option<Inputs>,
}

/// The inputs that verdicts depend on, besides the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Which, each once. All others are empty, none or, for the operation, the first of
    /// [`Manifest::operations`].
    pub fields: &'static [Input],
    /// Milliseconds, 1 to 86,400,000, to a multiple of which [`crate::Facts::now`] is rounded down;
    /// `None` if no verdict depends on the time, which is that of 1970 then.
    pub now_granularity_ms: Option<u64>,
}

/// One input of a decision, besides the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// [`crate::Request::operation`].
    Operation,
    /// [`crate::Request::namespace`].
    Namespace,
    /// [`crate::Request::lock`].
    Lock,
    /// [`crate::Request::mode`].
    Mode,
    /// [`crate::Request::ttl_ms`].
    TtlMs,
    /// [`crate::Request::wait_ms`].
    WaitMs,
    /// [`crate::Request::grace_ms`].
    GraceMs,
    /// [`crate::Request::instance`].
    Instance,
    /// [`crate::Request::labels`].
    Labels,
    /// [`crate::Request::reason`].
    Reason,
    /// [`crate::Request::value`].
    Value,
    /// [`crate::Request::successor`].
    Successor,
    /// [`crate::Request::lease`].
    Lease,
    /// [`crate::Principal::subject`].
    Subject,
    /// [`crate::Principal::team`].
    Team,
    /// [`crate::Principal::roles`].
    Roles,
    /// [`crate::Principal::claims`].
    Claims,
    /// [`crate::Facts::lock`]; verdicts that read it are not cached.
    LockView,
    /// [`crate::Facts::usage`].
    Usage,
}

impl Input {
    /// Its name in the contract.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "request.operation",
            Self::Namespace => "request.namespace",
            Self::Lock => "request.lock",
            Self::Mode => "request.mode",
            Self::TtlMs => "request.ttl-ms",
            Self::WaitMs => "request.wait-ms",
            Self::GraceMs => "request.grace-ms",
            Self::Instance => "request.instance",
            Self::Labels => "request.labels",
            Self::Reason => "request.reason",
            Self::Value => "request.value",
            Self::Successor => "request.successor",
            Self::Lease => "request.lease",
            Self::Subject => "principal.subject",
            Self::Team => "principal.team",
            Self::Roles => "principal.roles",
            Self::Claims => "principal.claims",
            Self::LockView => "facts.lock",
            Self::Usage => "facts.usage",
        }
    }
}
