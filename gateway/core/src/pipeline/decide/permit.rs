//! What a decision comes to: a permit, or why there is none.

use std::sync::Arc;

use leasehold_domain::Caps;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Denial;
use leasehold_domain::Effect;

use crate::failure::Failure;
use crate::failure::Fault;

/// Proof that a command may be executed. Only the deciding module can make one, and the store's door
/// ([`StoreClient::run`](crate::store_client::StoreClient::run)) asks for it.
#[derive(Debug)]
pub(crate) struct Permit {
    command: Command,
}

impl Permit {
    /// Made where it was decided, and nowhere else.
    pub(super) fn new(command: Command) -> Self {
        Self { command }
    }

    /// Holds the command to the caps of its namespace.
    pub(crate) fn held_to(mut self, caps: Option<Caps>) -> Self {
        if caps.is_some() {
            self.command.expect.get_or_insert_default().caps = caps;
        }
        self
    }

    /// The command that may be executed.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Why, if a denial was passed by break-glass.
    pub(crate) fn passes_a_denial(&self) -> Option<Arc<Cause>> {
        let cause = self.command.cause.as_ref()?;
        let effect = &cause.decision.as_ref()?.effect;
        matches!(effect, Effect::Override { .. }).then(|| cause.clone())
    }

    /// Why.
    pub(crate) fn cause(&self) -> Option<Arc<Cause>> {
        self.command.cause.clone()
    }
}

/// A denial that must be made durable before it may be answered; see [`StoreClient::refuse`](crate::store_client::StoreClient::refuse).
#[derive(Debug)]
pub(crate) struct Denied {
    cause: Arc<Cause>,
    denial: Denial,
    fault: Option<Fault>,
}

impl Denied {
    /// Made where it was decided.
    pub(super) fn new(cause: Arc<Cause>, denial: Denial, fault: Option<Fault>) -> Self {
        Self {
            cause,
            denial,
            fault,
        }
    }

    /// What the ledger keeps.
    pub(crate) fn cause(&self) -> &Arc<Cause> {
        &self.cause
    }

    /// What the caller is told, once the ledger has it.
    pub(crate) fn failure(&self) -> Failure {
        let decision = self.cause.decision.clone();
        Failure::denied(self.denial.clone(), decision, self.fault.clone())
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
