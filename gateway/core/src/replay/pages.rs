//! Reads recorded decisions from the ledger, page by page, within the limits of one request.

use std::sync::Arc;
use std::time::Duration;

use leasehold_audit::canonical;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Decision;
use leasehold_domain::EventKind;
use leasehold_domain::FencingToken;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::REPLAY_EVENTS_MAX;
use leasehold_domain::limits::REPLAY_MS_MAX;
use leasehold_domain::limits::REPLAY_PAGE_ROWS_MAX;
use leasehold_policy_host::Manifest;

use super::report::ReplayDifference;
use crate::failure::Failure;
use crate::places::Places;
use crate::rollouts::Difference;
use crate::stores::HistoryRow;
use crate::stores::Ledgers;

/// A decision from the ledger.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) cursor: Cursor,
    at: WallMillis,
    pub(super) cause: Arc<Cause>,
    pub(super) decision: Arc<Decision>,
    /// The token of the lease that the request got.
    token: Option<FencingToken>,
}

/// The decisions of one page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) decisions: Vec<Recorded>,
    /// The ledger is complete up to this event, within the range of the request.
    pub(super) complete_to: Cursor,
    /// The last event of the page, if there are more.
    pub(super) next: Option<Cursor>,
}

/// The pages that one request reads: until the end of the range, until [`REPLAY_EVENTS_MAX`] events
/// were read, or until [`REPLAY_MS_MAX`] have passed.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    ledgers: &'a Ledgers,
    clock: &'a dyn Clock,
    began: Duration,
    query: LedgerQuery,
    to: Option<Cursor>,
    events: usize,
    has_next: bool,
}

impl<'a> Pages<'a> {
    /// Begins to read the events that match `query`, up to the event `to`.
    pub(super) fn new(
        ledgers: &'a Ledgers,
        clock: &'a dyn Clock,
        query: LedgerQuery,
        to: Option<Cursor>,
    ) -> Self {
        Self {
            ledgers,
            clock,
            began: clock.monotonic(),
            query: LedgerQuery {
                limit: REPLAY_PAGE_ROWS_MAX,
                ..query
            },
            to,
            events: 0,
            has_next: true,
        }
    }

    /// Reads the next page.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(super) async fn read(&mut self) -> Result<Page, Failure> {
        let query = self.query.clone();
        let mut page = self.ledgers.query(query, Places::default()).await?;
        if let Some(to) = self.to {
            let found = page.rows.len();
            page.rows.retain(|row| row.row.cursor <= to);
            if page.rows.len() < found {
                page.next = None;
            }
        }
        self.events += page.rows.len();
        let last = page.rows.last().map(|row| row.row.cursor);
        let next = page.next.and(last);
        self.has_next = next.is_some();
        self.query.after = next;
        let complete_to = page.complete_to.first().map(|(_, cursor)| *cursor);
        let complete_to = complete_to.unwrap_or_default();
        Ok(Page {
            decisions: decisions(&page.rows)?,
            complete_to: self.to.map_or(complete_to, |to| to.min(complete_to)),
            next,
        })
    }

    /// Returns whether the request must end after the page that was read last.
    pub(super) fn are_over(&self) -> bool {
        let took = self.clock.monotonic().saturating_sub(self.began);
        let is_long = took >= Duration::from_millis(REPLAY_MS_MAX);
        !self.has_next || self.events >= REPLAY_EVENTS_MAX || is_long
    }
}

/// Returns the decisions in these events.
fn decisions(rows: &[HistoryRow]) -> Result<Vec<Recorded>, Failure> {
    let mut all = Vec::with_capacity(rows.len());
    for HistoryRow { row, .. } in rows {
        let parsed = canonical::parse(&row.body);
        let event = parsed
            .map_err(|error| Failure::internal(error.to_string()))?
            .event;
        let (cause, transitions) = match event.kind {
            EventKind::Lock {
                cause, transitions, ..
            } => (cause, transitions),
            EventKind::Denied(cause) => (Some(cause), Vec::new()),
            EventKind::Governance(_) => (None, Vec::new()),
        };
        let Some(cause) = cause else { continue };
        let Some(decision) = cause.decision.clone() else {
            continue;
        };
        all.push(Recorded {
            cursor: row.cursor,
            at: event.wall,
            token: granted(&cause, &transitions),
            cause,
            decision,
        });
    }
    Ok(all)
}

/// Returns the token of the lease that an event's own request got in it.
fn granted(cause: &Cause, transitions: &[Transition]) -> Option<FencingToken> {
    transitions.iter().find_map(|transition| match transition {
        Transition::Granted {
            token, request_id, ..
        } if *request_id == cause.request_id => Some(*token),
        _ => None,
    })
}

impl Recorded {
    /// Returns why a module cannot judge the decision again: a fact that it needs is not recorded.
    pub(super) fn lacks(&self, manifest: &Manifest) -> Option<&'static str> {
        let facts = &self.decision.facts;
        if manifest.needs_lock && facts.lock.is_none() {
            return Some("lock-not-recorded");
        }
        let lacks_usage = manifest.needs_usage && facts.usage.is_none();
        lacks_usage.then_some("usage-not-recorded")
    }

    /// Describes a difference between the recorded answer and that of the candidate.
    pub(super) fn difference(
        &self,
        kind: Difference,
        recorded: String,
        candidate: String,
    ) -> ReplayDifference {
        let principal = &self.cause.principal;
        ReplayDifference {
            kind,
            cursor: self.cursor,
            at: self.at,
            subject: principal.subject.to_string(),
            team: principal.team.as_ref().map(ToString::to_string),
            operation: self.cause.request.operation.as_str(),
            lock: self.cause.request.lock.clone(),
            token: self.token,
            recorded,
            candidate,
        }
    }
}
