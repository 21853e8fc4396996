//! Under which rule a lease was held: the decision of its acquire, or of the last renewal that
//! has an event of its own.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::HeldUnder;
use leasehold_backend_api::Hold;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cause;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::Operation;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

use super::query;
use super::reader::Readers;
use super::state::Shared;
use crate::canonical;
use crate::error::corrupt;

/// Events read at a time; mostly the first is the one.
const PAGE_EVENTS: usize = 16;

/// Searches the decision under which one hold stood.
pub(super) struct RuleSearch<'s> {
    pub(super) shared: &'s Shared,
    pub(super) readers: &'s Readers,
    pub(super) lock: &'s LockRef,
    pub(super) hold: &'s Hold,
    pub(super) ended_by: Option<Cursor>,
}

impl RuleSearch<'_> {
    /// The decision in force at `at`; none if it is that of the grant's own event, or if the
    /// ledger has none.
    pub(super) fn at(
        &self,
        at: WallMillis,
        waited: bool,
    ) -> Result<Option<HeldUnder>, BackendError> {
        let renewals = LedgerQuery {
            until: Some(WallMillis(at.0.saturating_add(1))),
            after: self.ended_by,
            ..self.query(Operation::Renew)
        };
        let renewed = |transition: &Transition| matches!(transition, Transition::Renewed { .. });
        if let Some(event) = self.last(renewals, self.hold.granted_by, renewed)? {
            return Ok(decision_of(&event, event.wall));
        }
        if !waited {
            return Ok(None);
        }
        let acquires = LedgerQuery {
            after: Some(self.hold.granted_by),
            ..self.query(Operation::Acquire)
        };
        let queued = |transition: &Transition| matches!(transition, Transition::Queued { .. });
        let event = self.last(acquires, Cursor(0), queued)?;
        Ok(event.and_then(|event| decision_of(&event, self.hold.from)))
    }

    fn query(&self, operation: Operation) -> LedgerQuery {
        LedgerQuery {
            lock: Some(self.lock.to_string()),
            subject: Some(self.hold.owner.subject.to_string()),
            operation: Some(operation.as_str().to_owned()),
            descending: true,
            limit: PAGE_EVENTS,
            ..LedgerQuery::default()
        }
    }

    /// The last event after `after` with such a transition of the lease, and a decision.
    fn last(
        &self,
        mut query: LedgerQuery,
        after: Cursor,
        wanted: impl Fn(&Transition) -> bool,
    ) -> Result<Option<Event>, BackendError> {
        loop {
            let page = query::query(self.shared, self.readers, &query)?;
            for row in &page.rows {
                if row.cursor <= after {
                    return Ok(None);
                }
                if let Some(event) = self.ours(row, &wanted)? {
                    return Ok(Some(event));
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// The event in a row, if it has such a transition of the lease, and a decision.
    fn ours(
        &self,
        row: &LedgerRow,
        wanted: impl Fn(&Transition) -> bool,
    ) -> Result<Option<Event>, BackendError> {
        let event = canonical::parse(&row.body)
            .map_err(|error| corrupt(format!("event {}: {error}", row.cursor.0)))?
            .event;
        let EventKind::Lock {
            cause: Some(cause),
            transitions,
            ..
        } = &event.kind
        else {
            return Ok(None);
        };
        let ours = |transition: &Transition| {
            transition.handle() == Some(self.hold.handle) && wanted(transition)
        };
        let found = cause.decision.is_some() && transitions.iter().any(ours);
        Ok(found.then_some(event))
    }
}

fn decision_of(event: &Event, since: WallMillis) -> Option<HeldUnder> {
    match &event.kind {
        EventKind::Lock {
            cause: Some(cause), ..
        } => under(event.cursor, since, cause),
        EventKind::Lock { cause: None, .. } | EventKind::Denied(_) | EventKind::Governance(_) => {
            None
        }
    }
}

/// The decision in a cause, if it has one.
pub(super) fn under(decided_by: Cursor, since: WallMillis, cause: &Cause) -> Option<HeldUnder> {
    let decision = cause.decision.clone()?;
    Some(HeldUnder {
        decided_by,
        since,
        decision,
    })
}
