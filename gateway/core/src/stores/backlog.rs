//! What happens while the ledger does not take events: the store keeps them, and nothing is granted
//! that would add more of them than memory is meant for.

use crate::failure::FailureKind;
use leasehold_domain::Operation;

use super::OpenStore;
use crate::failure::Failure;

/// When a refused request may be worth sending again.
const RETRY_AFTER_MS: u64 = 1_000;

impl OpenStore {
    /// Refuses what adds events, if the ledger is too far behind. Releases are always taken.
    ///
    /// # Errors
    /// `unavailable`, without effect.
    pub(crate) fn admit(&self, operation: Operation) -> Result<(), Failure> {
        let (kept, most) = (
            self.carrier.unwritten_events(),
            self.carrier.unwritten_max(),
        );
        let most = match operation {
            Operation::Acquire | Operation::Transfer | Operation::Configure => most,
            // To refuse these costs somebody a lease, so it is the last resort.
            Operation::Renew | Operation::Revoke => most.saturating_mul(2),
            Operation::Release | Operation::CancelWait => return Ok(()),
        };
        match kept > most {
            true => Err(self.behind(kept)),
            false => Ok(()),
        }
    }

    /// Why the ledger holds up the store, if it does; safe to show to anybody.
    pub fn ledger_problem(&self) -> Option<String> {
        let kept = self.carrier.unwritten_events();
        if let Some(problem) = self.carrier.problem() {
            // What follows may name hosts and files; it is in the log.
            let what = problem.split(':').next().unwrap_or_default();
            return Some(format!("{what} fails; {kept} events wait"));
        }
        let is_full = kept > self.carrier.unwritten_max();
        is_full.then(|| format!("{kept} events wait for the ledger; nothing is granted"))
    }

    fn behind(&self, kept: u64) -> Failure {
        let message = format!(
            "the ledger of store {} is {kept} events behind; nothing is granted until it has them",
            self.name
        );
        Failure {
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..Failure::new(FailureKind::Unavailable, message)
        }
    }
}

#[cfg(test)]
mod tests;
