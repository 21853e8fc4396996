//! Requests about a lease that is another principal's: denied by the lock machine, and recorded like
//! any denial. A request can be made at any rate, so each principal has a budget of records; what
//! goes beyond it is refused as too many requests, and answers nothing about the lease.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::Cause;
use leasehold_domain::Decision;
use leasehold_domain::Denial;
use leasehold_domain::DenialKind;
use leasehold_domain::Effect;
use leasehold_domain::Facts;
use leasehold_domain::PolicyLimits;
use leasehold_domain::Subject;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::NOT_HOLDER_PRINCIPALS_MAX;
use leasehold_domain::limits::NOT_HOLDER_RECORD_EVERY_MS;
use leasehold_domain::limits::NOT_HOLDER_RECORDS_BURST;

const EVERY: Duration = Duration::from_millis(NOT_HOLDER_RECORD_EVERY_MS);

/// The denial that such a request gets.
pub(super) fn denial() -> Denial {
    Denial {
        kind: DenialKind::NotHolder,
        policy: None,
        code: "not_holder".into(),
        message: "the lease is held by another principal".into(),
        retry_after_ms: None,
    }
}

/// The cause that the ledger keeps. Whatever policies had said, it was the lock machine that
/// denied, so the decision has no verdicts.
pub(super) fn denied_cause(cause: &Cause, now: WallMillis) -> Cause {
    let judged = cause.decision.as_deref();
    Cause {
        decision: Some(std::sync::Arc::new(Decision {
            id: rand::random(),
            effect: Effect::Deny(denial()),
            facts: Facts {
                now,
                lock: None,
                usage: None,
            },
            verdicts: Vec::new(),
            limits: PolicyLimits::default(),
            bindings_revision: judged.map_or(0, |decision| decision.bindings_revision),
            rule: None,
        })),
        ..cause.clone()
    }
}

/// How many such denials each principal may still cause to be written.
#[derive(Debug, Default)]
pub(super) struct RecordBudget {
    principals: Mutex<HashMap<Subject, Spent>>,
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    records: u32,
    /// Up to when the time that has passed is taken off `records`.
    since: Duration,
}

impl Spent {
    /// What is left of it at `now`.
    fn at(self, now: Duration) -> Self {
        let passed = now.saturating_sub(self.since).as_millis() / EVERY.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        Self {
            records: self.records.saturating_sub(passed),
            since: self.since + EVERY.saturating_mul(passed),
        }
    }
}

impl RecordBudget {
    /// Takes one record from a principal's budget, at `now` on the gateway's monotonic clock;
    /// returns false if none is left.
    pub(super) fn take(&self, subject: &Subject, now: Duration) -> bool {
        let mut principals = self
            .principals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(spent) = principals.get_mut(subject) {
            *spent = spent.at(now);
            let is_left = spent.records < NOT_HOLDER_RECORDS_BURST;
            spent.records += u32::from(is_left);
            return is_left;
        }
        if principals.len() >= NOT_HOLDER_PRINCIPALS_MAX {
            principals.retain(|_, spent| spent.at(now).records > 0);
        }
        if principals.len() >= NOT_HOLDER_PRINCIPALS_MAX {
            return false;
        }
        let first = Spent {
            records: 1,
            since: now,
        };
        principals.insert(subject.clone(), first);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_a_burst_and_then_one_record_a_second() {
        let budget = RecordBudget::default();
        let take = |who: &str, ms: u64| {
            let subject: Subject = who.parse().unwrap();
            budget.take(&subject, Duration::from_millis(ms))
        };
        let taken = (0..500).filter(|n| take("ann", *n)).count();
        assert_eq!(taken, NOT_HOLDER_RECORDS_BURST as usize);
        assert!(take("bob", 500), "others have their own");
        assert!(!take("ann", 999) && take("ann", 1_000) && !take("ann", 1_001));
        assert!(take("ann", 5_000));
        // The table is bounded: who has spent nothing any more makes room.
        for n in 0..NOT_HOLDER_PRINCIPALS_MAX {
            take(&format!("p-{n}"), 6_000);
        }
        assert!(!take("late", 6_500));
        assert!(take("late", 7_500));
        let kept = budget.principals.lock().unwrap().len();
        assert!(kept < NOT_HOLDER_PRINCIPALS_MAX, "{kept}");
    }
}
