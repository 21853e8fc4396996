//! How a policy can fail to answer. A failure is never a denial: the binding says what follows.

use wasmtime::PoolConcurrencyLimitError;
use wasmtime::Trap;

use crate::guest::MemoryRefused;

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The guest did something that WebAssembly forbids, or gave up (`unreachable`, a panic).
    #[error("trapped: {trap}{}", after(.traced))]
    Trap {
        /// What WebAssembly forbids.
        trap: String,
        /// The last message that the guest traced in this call: the text of its panic, if it traces
        /// that.
        traced: Option<String>,
    },
    /// It spent its budget.
    #[error("spent its budget of {0} fuel")]
    FuelSpent(u64),
    /// The guard stopped it in real time. Says something about this gateway's load too.
    #[error("ran longer than {0} ms")]
    Deadline(u64),
    /// It asked for more memory than it may have.
    #[error("asked for more than {0} bytes of memory")]
    Memory(usize),
    /// It handed over more bytes than an answer may have.
    #[error("its answer is too large")]
    OversizedAnswer,
    /// Its answer breaks the contract.
    #[error("its answer is invalid: {0}")]
    InvalidAnswer(String),
    /// The guest's own error: it could not decide.
    #[error("could not decide: {0}")]
    Refused(String),
    /// Too many decisions run at once in this gateway.
    #[error("too many decisions run at once")]
    Busy,
    /// The caller did not supply a fact that the manifest asks for.
    #[error("the fact `{0}` was not supplied")]
    MissingFact(&'static str),
    /// The host failed.
    #[error("the policy host failed: {0}")]
    Host(String),
}

/// The limits that a failure may have met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) fuel: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) memory_bytes: usize,
}

impl PolicyFault {
    /// The fault's label in metrics and the ledger.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::FuelSpent(_) => "fuel",
            Self::Deadline(_) => "deadline",
            Self::Memory(_) => "memory",
            Self::OversizedAnswer => "oversized-answer",
            Self::InvalidAnswer(_) => "invalid-answer",
            Self::Refused(_) => "refused",
            Self::Busy => "busy",
            Self::MissingFact(_) => "missing-fact",
            Self::Host(_) => "host",
        }
    }

    /// The fault without any text that the guest or its configuration may have written: what callers
    /// may be told who may not read those.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::Refused(_) => "it could not decide".to_owned(),
            Self::InvalidAnswer(_) => "its answer is invalid".to_owned(),
            Self::Host(_) => "the policy host failed".to_owned(),
            Self::Trap { trap, .. } => format!("trapped: {trap}"),
            Self::FuelSpent(_)
            | Self::Deadline(_)
            | Self::Memory(_)
            | Self::OversizedAnswer
            | Self::Busy
            | Self::MissingFact(_) => self.to_string(),
        }
    }

    /// Whether running the same decision again must give the same fault.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Trap { .. }
            | Self::FuelSpent(_)
            | Self::Memory(_)
            | Self::OversizedAnswer
            | Self::InvalidAnswer(_)
            | Self::Refused(_)
            | Self::MissingFact(_) => true,
            Self::Deadline(_) | Self::Busy | Self::Host(_) => false,
        }
    }

    /// Names an error of the engine while an instance was made or called.
    pub(crate) fn of(error: &wasmtime::Error, met: Met) -> Self {
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Self::of_trap(*trap, met);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Busy;
        }
        if error.is::<MemoryRefused>() {
            return Self::Memory(met.memory_bytes);
        }
        let cause = error.root_cause().to_string();
        // The engine's type for this is private; a test holds the text.
        if cause.contains("fuel allocated for hostcalls") {
            return Self::OversizedAnswer;
        }
        Self::InvalidAnswer(cause)
    }

    fn of_trap(trap: Trap, met: Met) -> Self {
        match trap {
            Trap::OutOfFuel => Self::FuelSpent(met.fuel),
            Trap::Interrupt => Self::Deadline(met.deadline_ms),
            other => Self::Trap {
                trap: other.to_string(),
                traced: None,
            },
        }
    }

    /// Adds what the guest traced last, if it trapped.
    pub(crate) fn with_trace(mut self, last: Option<String>) -> Self {
        if let Self::Trap { traced, .. } = &mut self {
            *traced = last;
        }
        self
    }
}

fn after(traced: &Option<String>) -> String {
    let told = traced
        .as_deref()
        .map(|text| format!("; it traced last: {text}"));
    told.unwrap_or_default()
}
