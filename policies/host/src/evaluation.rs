//! What a decision of one policy came to.

use leasehold_domain::PolicyAnswer;

use crate::fault::PolicyFault;

/// What one decision of one policy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Allow or deny; or why there is no answer. Never [`PolicyAnswer::Error`], which only the
    /// caller can make, for it knows the binding.
    pub answer: Result<PolicyAnswer, PolicyFault>,
    /// The fuel that it spent, also if it failed. The same for the same module, configuration and
    /// arguments.
    pub fuel: u64,
}
