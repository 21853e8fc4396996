//! Whether the plan is known to be current. A gateway that cannot ask its default store may act on
//! keys, bindings and namespaces that others have changed since, also in stores that it reaches. So
//! it asks regularly, whatever the stream of changes yields, and grants nothing while the last
//! answer is older than a window. Renewals and releases go on: they only keep or end what is held.

use std::ops::ControlFlow;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::failure::FailureKind;
use leasehold_domain::Operation;
use leasehold_domain::limits::CONFIRM_EVERY_MS;
use tokio::time::MissedTickBehavior;

use super::Governance;
use crate::failure::Failure;
use crate::safety::begins_ownership;

/// When a refused request may be worth sending again.
const RETRY_AFTER_MS: u64 = 1_000;

/// When the plan was last known to be current.
#[derive(Debug)]
pub(super) struct Confirmation {
    window: Duration,
    /// When the question was asked that the plan answers, in microseconds of the gateway's clock.
    asked_us: AtomicU64,
    /// Whether the newest question has failed.
    failed: AtomicBool,
}

impl Confirmation {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            asked_us: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// The plan has all that was written before `asked`.
    pub(super) fn confirmed(&self, asked: Duration) {
        let asked_us = u64::try_from(asked.as_micros()).unwrap_or(u64::MAX);
        self.asked_us.fetch_max(asked_us, Relaxed);
        self.failed.store(false, Relaxed);
    }

    /// A question was answered, or not.
    pub(super) fn tried(&self, answered: bool) {
        self.failed.store(!answered, Relaxed);
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_micros(self.asked_us.load(Relaxed)))
    }
}

/// Asks the store regularly whether the plan is current, until governance is gone.
pub(super) async fn confirm(governance: Weak<Governance>) -> ControlFlow<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(CONFIRM_EVERY_MS));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(governance) = governance.upgrade() else {
            return ControlFlow::Break(());
        };
        if let Err(failure) = governance.catch_up().await {
            let age_ms = governance.plan_age().as_millis();
            tracing::warn!(message = %failure.message, detail = ?failure.detail, age_ms, "governance.confirm failed");
        }
    }
}

impl Governance {
    /// Refuses what begins an ownership while the plan is not known to be current.
    ///
    /// # Errors
    /// `unavailable`, without effect.
    pub(crate) async fn admit(&self, operation: Operation) -> Result<(), Failure> {
        if !begins_ownership(operation) || self.is_confirmed() {
            return Ok(());
        }
        // If the last question was answered, it is this process that stood still; one more tells.
        if !self.confirmation.failed.load(Relaxed) {
            self.catch_up().await?;
        }
        match self.is_confirmed() {
            true => Ok(()),
            false => Err(unconfirmed(self.plan_age())),
        }
    }

    /// Whether the plan was current less than the window ago.
    pub fn is_confirmed(&self) -> bool {
        self.plan_age() <= self.confirmation.window
    }

    /// How long ago the plan was known to be current.
    pub fn plan_age(&self) -> Duration {
        self.confirmation.age(self.clock.monotonic())
    }
}

fn unconfirmed(age: Duration) -> Failure {
    let message = format!(
        "the default store has not confirmed policies and keys for {} ms; nothing is granted until it \
         does",
        age.as_millis()
    );
    Failure {
        retry_after_ms: Some(RETRY_AFTER_MS),
        ..Failure::new(FailureKind::Unavailable, message)
    }
}

#[cfg(test)]
mod tests;
