//! All incidents that this gateway knows: shown to operators, kept over restarts, bounded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::failure::FailureKind;
use leasehold_backend_api::Effect;
use leasehold_domain::WallMillis;
use leasehold_domain::limits;

use super::file;
use super::incident::Acknowledged;
use super::incident::Ended;
use super::incident::EndedBy;
use super::incident::Incident;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::field_limits;

/// All incidents that this gateway knows.
#[derive(Debug)]
pub struct Incidents {
    /// Where they are kept; none to keep them in memory only.
    path: Option<PathBuf>,
    /// What this gateway is called in them.
    gateway: String,
    /// Oldest first.
    known: Mutex<Vec<Incident>>,
    /// Held while the file is written, so that the newest state is what stays.
    writing: Mutex<()>,
}

/// Which incidents to show.
#[derive(Debug, Clone, Default)]
pub struct IncidentQuery {
    /// Of this store.
    pub store: Option<String>,
    /// Only those that last, or only those that have ended.
    pub open: Option<bool>,
    /// Only those before this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A page of incidents, newest first.
#[derive(Debug, Clone)]
pub struct IncidentPage {
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// Give this as `after` for the next page; none if this was the last.
    pub next: Option<String>,
}

impl Incidents {
    /// Opens those that are kept in a file; one that is not there has none.
    ///
    /// # Errors
    /// The file cannot be read, or is not understood. It is left as it is: an incident in it may
    /// wait for an operator.
    pub fn open(path: PathBuf, gateway: String) -> io::Result<Self> {
        let known = file::read(&path)?;
        Ok(Self {
            path: Some(path),
            known: Mutex::new(known),
            ..Self::in_memory(gateway)
        })
    }

    /// Begins with none, and keeps none over a restart.
    #[must_use]
    pub fn in_memory(gateway: String) -> Self {
        Self {
            path: None,
            gateway,
            known: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Incident>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this gateway is called.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Puts one on record. The oldest that have ended make room.
    pub(crate) fn add(&self, incident: Incident) {
        let mut known = self.known();
        known.push(incident);
        let beyond = known.len().saturating_sub(limits::INCIDENTS_MAX);
        let mut left = beyond;
        known.retain(|incident| {
            let goes = left > 0 && !incident.is_open();
            left -= usize::from(goes);
            !goes
        });
    }

    /// Changes one, if it is there, and answers how it is then.
    pub(crate) fn change(&self, id: &str, how: impl FnOnce(&mut Incident)) -> Option<Incident> {
        let mut known = self.known();
        let incident = known.iter_mut().find(|incident| incident.id == id)?;
        how(incident);
        Some(incident.clone())
    }

    /// The one of a store's safe mode that lasts, if there is one.
    #[must_use]
    pub fn open_of(&self, store: &str) -> Option<Incident> {
        let known = self.known();
        let lasts = |incident: &&Incident| {
            incident.store == store && incident.is_safe_mode() && incident.is_open()
        };
        known.iter().rev().find(lasts).cloned()
    }

    /// The id of the oldest that fits.
    pub(crate) fn find(&self, fits: impl Fn(&Incident) -> bool) -> Option<String> {
        let known = self.known();
        let found = known.iter().find(|incident| fits(incident));
        found.map(|incident| incident.id.clone())
    }

    /// The open incidents of other gateways' clocks: the gateways, and the incidents' ids.
    pub(crate) fn open_clocks(&self) -> Vec<(String, String)> {
        let known = self.known();
        let open = known.iter().filter(|incident| incident.is_open());
        open.filter_map(|incident| {
            let clock = incident.clock.as_ref()?;
            Some((clock.gateway.clone(), incident.id.clone()))
        })
        .collect()
    }

    /// The oldest of a store of which the ledger lacks something.
    pub(crate) fn unrecorded_of(&self, store: &str) -> Option<Incident> {
        let known = self.known();
        let lacks = |incident: &&Incident| incident.store == store && incident.is_unrecorded();
        known.iter().find(lacks).cloned()
    }

    /// Ends those of a kind that an operator has acknowledged.
    pub(crate) async fn end_acknowledged(
        self: &Arc<Self>,
        of_kind: impl Fn(&Incident) -> bool,
        now: WallMillis,
    ) {
        let is_due = |incident: &Incident| {
            incident.is_open() && incident.acknowledged.is_some() && of_kind(incident)
        };
        let mut has_ended = false;
        while let Some(id) = self.find(is_due) {
            let by = EndedBy::Acknowledgement;
            self.change(&id, |incident| {
                incident.ended = Some(Ended { at: now, by });
            });
            has_ended = true;
        }
        if has_ended {
            self.keep().await;
        }
    }

    /// Writes the file; that it cannot be written is told in the log.
    pub(crate) async fn keep(self: &Arc<Self>) {
        if let Err(error) = self.save().await {
            tracing::error!(%error, "incidents cannot be kept over a restart");
        }
    }

    /// Makes what is known durable.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn save(self: &Arc<Self>) -> io::Result<()> {
        self.settle(|_| {}).await
    }

    /// Changes what is known, and shows the change only when it is durable: whoever has seen it
    /// will see it after a crash.
    ///
    /// # Errors
    /// The file cannot be written; the change is made all the same.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        how: impl Fn(&mut Vec<Incident>) + Send + 'static,
    ) -> io::Result<()> {
        let this = self.clone();
        let settle = move || {
            let _one_at_a_time = this.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let written = match &this.path {
                None => Ok(()),
                Some(path) => {
                    let mut known = this.known().clone();
                    how(&mut known);
                    file::write(path, &known)
                }
            };
            how(&mut this.known());
            written
        };
        let settled = tokio::task::spawn_blocking(settle).await;
        settled.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// One incident.
    ///
    /// # Errors
    /// There is no such incident here.
    pub fn get(&self, id: &str) -> Result<Incident, Failure> {
        let known = self.known();
        let found = known.iter().find(|incident| incident.id == id).cloned();
        found.ok_or_else(|| missing(id))
    }

    /// A page, newest first.
    ///
    /// # Errors
    /// The limit is out of range, or `after` is no incident that this gateway knows.
    pub fn list(&self, query: &IncidentQuery) -> Result<IncidentPage, Failure> {
        if query.limit == 0 || query.limit > limits::PAGE_ROWS_MAX {
            return Err(Failure::invalid("limit: must be 1 to 1000"));
        }
        let known = self.known();
        let end = match &query.after {
            None => known.len(),
            Some(after) => known
                .iter()
                .position(|incident| incident.id == *after)
                .ok_or_else(|| {
                    Failure::new(FailureKind::NotFound, "after: there is no such incident")
                })?,
        };
        let fits = |incident: &&Incident| {
            query
                .store
                .as_ref()
                .is_none_or(|store| incident.store == *store)
                && query.open.is_none_or(|open| incident.is_open() == open)
        };
        let mut rows = known[..end].iter().rev().filter(fits);
        let incidents: Vec<_> = rows.by_ref().take(query.limit).cloned().collect();
        let more = rows.next().is_some();
        let last = incidents.last().map(|incident| incident.id.clone());
        Ok(IncidentPage {
            incidents,
            next: last.filter(|_| more),
        })
    }

    /// An operator has seen it. Said again by the same, it is the same.
    ///
    /// # Errors
    /// There is no such incident here, somebody else has acknowledged it, the note is too long, or
    /// it cannot be kept.
    pub async fn acknowledge(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        note: String,
        now: WallMillis,
    ) -> Result<Incident, Failure> {
        field_limits::prose("note", Some(&note), limits::INCIDENT_NOTE_BYTES_MAX)?;
        let mut other = None;
        let changed = self.change(id, |incident| match &incident.acknowledged {
            Some(seen) if seen.by.subject != caller.principal.subject => {
                other = Some(seen.by.subject.clone());
            }
            Some(_) => {}
            None => {
                incident.acknowledged = Some(Acknowledged {
                    at: now,
                    by: (*caller.principal).clone(),
                    request_id: caller.request_id.clone(),
                    note,
                });
            }
        });
        if let Some(other) = other {
            let message = format!("acknowledged already by {other}");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let incident = changed.ok_or_else(|| missing(id))?;
        self.save().await.map_err(|error| Failure {
            effect: Effect::Unknown,
            ..Failure::internal(format!("incidents cannot be kept: {error}"))
        })?;
        Ok(incident)
    }
}

fn missing(id: &str) -> Failure {
    let message = format!("this gateway knows no incident {id}");
    Failure::new(FailureKind::NotFound, message)
}

#[cfg(test)]
mod tests;
