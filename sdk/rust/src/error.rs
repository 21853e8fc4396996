//! What can go wrong for a caller, and the two questions every failure answers.

use leasehold_wire::v1::error::EffectName;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::error::Problem;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gateway said no, and why.
    #[error("{}", told(.0))]
    Problem(Box<Problem>),
    /// The gateway said no for a reason that this client does not know: the gateway is newer.
    #[error("{code}: {detail}")]
    Unknown {
        /// The reason, for programs.
        code: String,
        /// What happened, for people.
        detail: String,
        /// Whether the gateway says that the same call may succeed later.
        retryable: bool,
        /// Whether the command may have taken effect.
        may_have_taken_effect: bool,
        /// When it may be worth asking again, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// No answer came, or none that can be read.
    #[error("{message}")]
    Transport {
        /// What happened.
        message: String,
        /// Whether the command may have taken effect. If so, ask again with the same `request_id`.
        may_have_taken_effect: bool,
    },
    /// The client was set up wrong.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.retryable,
            Self::Unknown { retryable, .. } => *retryable,
            Self::Transport { .. } => true,
            Self::Usage(_) => false,
        }
    }

    /// Whether the command may have taken effect.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.effect == EffectName::Unknown,
            Self::Unknown {
                may_have_taken_effect,
                ..
            }
            | Self::Transport {
                may_have_taken_effect,
                ..
            } => *may_have_taken_effect,
            Self::Usage(_) => false,
        }
    }

    /// The problem, if it is that somebody else holds the lock.
    pub(crate) fn held(&self) -> Option<&Problem> {
        self.problem()
            .filter(|problem| problem.code == ErrorCode::Held)
    }

    /// When the gateway thinks that asking again may help.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Problem(problem) => problem.retry_after_ms,
            Self::Unknown { retry_after_ms, .. } => *retry_after_ms,
            Self::Transport { .. } | Self::Usage(_) => None,
        }
    }

    /// No answer came, and the command may have taken effect.
    pub(crate) fn is_lost_answer(&self) -> bool {
        matches!(
            self,
            Self::Transport {
                may_have_taken_effect: true,
                ..
            }
        )
    }

    /// The gateway cannot be reached or cannot serve; another one in front of the same stores may.
    pub(crate) fn is_of_this_gateway(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Problem(problem) => {
                matches!(problem.code, ErrorCode::Unavailable | ErrorCode::SafeMode)
                    && problem.effect == EffectName::None
            }
            Self::Unknown { .. } | Self::Usage(_) => false,
        }
    }

    /// The same error for a request that only reads: without effect, whatever became of it.
    pub(crate) fn of_a_read(mut self) -> Self {
        if let Self::Transport {
            may_have_taken_effect,
            ..
        } = &mut self
        {
            *may_have_taken_effect = false;
        }
        self
    }

    /// The same error for a request that was sent before, too, and whose answer was lost then.
    /// That it had no effect this time does not say that it had none before. Only that somebody
    /// else holds the lock does: the same request would have got its lease again.
    pub(crate) fn after_a_lost_answer(mut self) -> Self {
        match &mut self {
            Self::Problem(problem) if problem.code == ErrorCode::Held => {}
            Self::Problem(problem) => problem.effect = EffectName::Unknown,
            Self::Unknown {
                may_have_taken_effect,
                ..
            }
            | Self::Transport {
                may_have_taken_effect,
                ..
            } => *may_have_taken_effect = true,
            Self::Usage(_) => {}
        }
        self
    }

    /// The gateway's problem, if it answered.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Unknown { .. } | Self::Transport { .. } | Self::Usage(_) => None,
        }
    }
}

/// A problem in one line: its code, what happened, and of a denial what leads to it in the ledger.
fn told(problem: &Problem) -> String {
    let mut line = format!("{}: {}", problem.code.as_str(), problem.detail);
    let Some(denial) = &problem.denial else {
        return line;
    };
    let mut facts = Vec::new();
    if let Some(policy) = &denial.policy {
        let version = denial.version.iter().map(|version| format!("@{version}"));
        facts.push(format!("policy {policy}{}", version.collect::<String>()));
    }
    if let Some(binding) = &denial.binding {
        facts.push(format!("binding {binding}"));
    }
    facts.push(format!("code {}", denial.code));
    if let Some(failure) = &denial.failure {
        let detail = failure.detail.iter().map(|detail| format!(": {detail}"));
        facts.push(format!(
            "failure {}{}",
            failure.kind,
            detail.collect::<String>()
        ));
    }
    if let Some(decision) = &denial.decision_id {
        facts.push(format!("decision {decision}"));
    }
    line += &format!(" [{}]", facts.join(", "));
    line
}

#[cfg(test)]
mod tests {
    use leasehold_wire::v1::error::DenialView;
    use leasehold_wire::v1::error::FailureView;

    use super::*;

    #[test]
    fn a_denial_names_its_policy_its_code_and_its_decision() {
        let document = serde_json::json!({ "type": "t", "title": "t", "status": 403,
            "detail": "frozen until Monday", "code": "denied", "retryable": false,
            "effect": "none", "request_id": "r" });
        let mut problem: Problem = serde_json::from_value(document).unwrap();
        assert_eq!(told(&problem), "denied: frozen until Monday");
        problem.denial = Some(DenialView {
            kind: "denied".to_owned(),
            policy: Some("freeze-window".to_owned()),
            version: Some("1.0.0".to_owned()),
            binding: Some("year-end".to_owned()),
            code: "frozen".to_owned(),
            message: String::new(),
            decision_id: Some("d1".to_owned()),
            failure: Some(FailureView {
                kind: "trap".to_owned(),
                detail: Some("unreachable".to_owned()),
            }),
        });
        assert_eq!(
            Error::Problem(Box::new(problem)).to_string(),
            "denied: frozen until Monday [policy freeze-window@1.0.0, binding year-end, code \
             frozen, failure trap: unreachable, decision d1]"
        );
    }
}
