//! The state machine of a rollout.

use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutState;
use crate::governance::document::RolloutStep;

/// A change of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutAction {
    /// Goes to the next step.
    Advance,
    /// Stays in its step until it is resumed.
    Hold,
    /// Ends a hold.
    Resume,
    /// Returns to the version before.
    RollBack,
}

impl RolloutAction {
    /// Returns the action's name in the history of the rollout.
    pub(in crate::governance) fn done(self) -> &'static str {
        match self {
            Self::Advance => "advanced",
            Self::Hold => "held",
            Self::Resume => "resumed",
            Self::RollBack => "rolled-back",
        }
    }
}

/// Returns the state after a change.
pub(in crate::governance) fn next_state(
    rollout: &RolloutDocument,
    action: RolloutAction,
    now: u64,
) -> Result<RolloutState, Failure> {
    let state = rollout.state;
    let refused = |problem: &str| {
        let message = format!("rollout {}: {problem}", rollout.name);
        Err(Failure::new(FailureKind::Conflict, message))
    };
    let moved = |stage, share, step| RolloutState {
        stage,
        share,
        step,
        epoch: state.epoch + 1,
        since_ms: now,
        held: false,
    };
    match action {
        RolloutAction::RollBack => match state.stage {
            RolloutStage::RolledBack | RolloutStage::Superseded => {
                refused(&format!("it is {} already", state.stage.as_str()))
            }
            _ => Ok(moved(RolloutStage::RolledBack, 0, state.step)),
        },
        _ if !state.stage.is_open() => refused(&format!("it is {}", state.stage.as_str())),
        RolloutAction::Hold => Ok(RolloutState {
            held: true,
            ..state
        }),
        RolloutAction::Resume => Ok(RolloutState {
            held: false,
            ..state
        }),
        RolloutAction::Advance if state.held => refused("it is held; resume it first"),
        RolloutAction::Advance => {
            let least = rollout
                .steps
                .get(state.step)
                .map_or(0, |step| step.least_ms);
            let left = state.since_ms.saturating_add(least).saturating_sub(now);
            if left > 0 {
                let failure = Failure::new(
                    FailureKind::Conflict,
                    format!(
                        "rollout {}: its step ({}) lasts {left} ms more",
                        rollout.name,
                        state.describe()
                    ),
                );
                return Err(Failure {
                    retry_after_ms: Some(left),
                    ..failure
                });
            }
            match rollout.steps.get(state.step + 1) {
                Some(RolloutStep { stage, share, .. }) => Ok(moved(*stage, *share, state.step + 1)),
                None => refused("it has no further step"),
            }
        }
    }
}
