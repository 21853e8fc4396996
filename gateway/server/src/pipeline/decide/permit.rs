//! What a decision comes to: a permit, or why there is none.

use std::sync::Arc;

use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Denial;

use crate::pipeline::failure::Failure;

/// Proof that a command may be executed. Only the deciding module can make one, and the store's door
/// ([`Store::run`](crate::pipeline::execute::Store::run)) asks for it.
#[derive(Debug)]
pub(crate) struct Permit {
    command: Command,
}

impl Permit {
    /// Made where it was decided, and nowhere else.
    pub(super) fn new(command: Command) -> Self {
        Self { command }
    }

    /// The command that may be executed.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Why.
    pub(crate) fn cause(&self) -> Option<Arc<Cause>> {
        self.command.cause.clone()
    }
}

/// A denial that must be made durable before it may be answered; see [`Store::refuse`](crate::pipeline::execute::Store::refuse).
#[derive(Debug)]
pub(crate) struct Denied {
    cause: Arc<Cause>,
    denial: Denial,
}

impl Denied {
    /// Made where it was decided.
    pub(super) fn new(cause: Arc<Cause>, denial: Denial) -> Self {
        Self { cause, denial }
    }

    /// What the ledger keeps, and what the caller is told.
    pub(crate) fn into_parts(self) -> (Arc<Cause>, Denial) {
        (self.cause, self.denial)
    }

    /// The same, to be read.
    pub(crate) fn parts(&self) -> (&Arc<Cause>, Denial) {
        (&self.cause, self.denial.clone())
    }
}

/// Why there is no permit.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The policies, or a missing role, said no.
    Denied(Box<Denied>),
    /// There was no decision at all.
    Failed(Box<Failure>),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}
