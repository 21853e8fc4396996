//! What this gateway knows of the database's history. A server that is behind it is fenced: it may
//! be an old primary, or a copy of a backup, and would grant what others hold.
//!
//! Three sources say what the history must be: the configuration's pins, what the gateway has seen
//! (in this process, and in earlier ones by its [`Memory`]), and the other servers of the URL,
//! standbys included. A position counts as seen only when the database has confirmed it by a commit:
//! a primary that was started again may show writes that no standby has.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;

use leasehold_backend_api::BackendError;

use crate::OpenError;
use crate::PostgresConfig;
use crate::catch_up::Head;
use crate::error;
use crate::memory::Memory;
use crate::memory::Seen;

/// A server that was met, primary or not.
#[derive(Debug)]
pub(crate) struct Met<P> {
    pub(crate) name: String,
    /// Its cluster's system identifier.
    pub(crate) system: i64,
    /// Which timeline it writes or follows.
    pub(crate) timeline: i32,
    /// None for a standby.
    pub(crate) primary: Option<P>,
}

/// What this gateway knows of the database's history.
#[derive(Debug)]
pub(crate) struct Known {
    pinned_system: Option<i64>,
    timeline_min: Option<i32>,
    memory: Option<Arc<dyn Memory>>,
    /// The identity of the history that was read first: this process serves no other.
    history: OnceLock<Vec<u8>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Clone, Copy)]
struct Inner {
    /// The newest position that was seen.
    seen: Option<Seen>,
    /// What the memory has of it.
    kept: Option<Seen>,
}

impl Known {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        let memory = config.memory.clone();
        let kept = memory.as_ref().and_then(|memory| memory.seen());
        Self {
            pinned_system: config.system_identifier,
            timeline_min: config.timeline_min,
            memory,
            history: OnceLock::new(),
            inner: Mutex::new(Inner { seen: kept, kept }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        self.lock().seen
    }

    /// Chooses the primary with the newest timeline of the known cluster. `refused` says why other
    /// servers could not be met.
    pub(crate) fn choose<P>(
        &self,
        met: Vec<Met<P>>,
        mut refused: Vec<String>,
    ) -> Result<P, OpenError> {
        let (met, foreign) = self.of_one_cluster(met)?;
        let seen = self.seen();
        let newest = met.iter().map(|met| (met.timeline, met.name.clone()));
        let mut newest = newest.max_by_key(|(timeline, _)| *timeline);
        let mut know = |timeline: i32, who: &str| {
            if newest.as_ref().is_none_or(|(newest, _)| *newest < timeline) {
                newest = Some((timeline, who.to_owned()));
            }
        };
        if let Some(least) = self.timeline_min {
            know(least, "timeline_min in the configuration");
        }
        if let Some(seen) = seen.filter(|seen| met.iter().any(|met| met.system == seen.system)) {
            know(seen.timeline, "this gateway before");
        }
        let mut best: Option<(P, i32, String)> = None;
        for met in met {
            let (name, timeline) = (met.name, met.timeline);
            match met.primary {
                Some(primary) if best.as_ref().is_none_or(|(_, best, _)| *best < timeline) => {
                    best = Some((primary, timeline, name));
                }
                Some(_) => refused.push(format!("{name}: timeline {timeline}")),
                None => refused.push(format!("{name}: is a standby")),
            }
        }
        match (best, newest) {
            (Some((_, writes, name)), Some((timeline, who))) if writes < timeline => {
                Err(OpenError::Fenced(format!(
                    "{name} is an old primary: it writes timeline {writes}, and {who} has had \
                     timeline {timeline}"
                )))
            }
            (Some((primary, ..)), _) => Ok(primary),
            (None, _) if !foreign.is_empty() => Err(OpenError::Fenced(foreign.join("; "))),
            (None, _) => Err(OpenError::Unavailable(refused.join("; "))),
        }
    }

    /// Leaves the servers of one cluster: the pinned one, or the one that this gateway knows, or
    /// the only one. Of the others it says what they are.
    fn of_one_cluster<P>(&self, met: Vec<Met<P>>) -> Result<(Vec<Met<P>>, Vec<String>), OpenError> {
        let known = self.seen().map(|seen| seen.system);
        let is_there = |system: &i64| met.iter().any(|met| met.system == *system);
        let system = self.pinned_system.or(known.filter(is_there));
        let Some(system) = system.or(met.first().map(|met| met.system)) else {
            return Ok((met, Vec::new()));
        };
        let (ours, others): (Vec<_>, Vec<_>) = met.into_iter().partition(|m| m.system == system);
        let is_sure = self.pinned_system.is_some() || known == Some(system);
        let foreign: Vec<String> = others
            .iter()
            .map(|other| {
                let (name, is) = (&other.name, other.system);
                format!("{name}: is of the cluster {is}, not of {system}")
            })
            .collect();
        match is_sure || foreign.is_empty() {
            true => Ok((ours, foreign)),
            // Nothing says which of them is the store's.
            false => Err(OpenError::Fenced(format!(
                "the url names servers of several clusters ({}); system_identifier in the \
                 configuration chooses one",
                foreign.join("; ")
            ))),
        }
    }

    /// Returns the identity of the history that this process serves; `None` before the store was
    /// read.
    pub(crate) fn history(&self) -> Option<&[u8]> {
        self.history.get().map(Vec::as_slice)
    }

    /// Refuses a store whose history an operator has started anew since this process opened it, and
    /// one that is behind what was seen. Only the failover of a primary that waits for
    /// nobody may lose writes; tokens jump then.
    pub(crate) fn check(&self, head: &Head, allow_unreplicated: bool) -> Result<(), BackendError> {
        if *self.history.get_or_init(|| head.history.clone()) != head.history {
            return Err(error::fenced(
                "an operator has started a new history of this store (`leasehold store \
                 accept-older`): stop this gateway, and start it with an empty data directory",
            ));
        }
        let Some(seen) = self.seen() else {
            return Ok(());
        };
        let is_failover = head.server_system == seen.system && head.server_timeline > seen.timeline;
        if head.version >= seen.version || (is_failover && allow_unreplicated) {
            return Ok(());
        }
        Err(error::fenced(format!(
            "the database is older than what this gateway has seen of it: version {} on timeline {} \
             of cluster {}, after version {} on timeline {} of cluster {}; it was restored from a \
             backup, or is a copy; bring the newer one back, or start a new history from this one with \
             `leasehold store accept-older`",
            head.version,
            head.server_timeline,
            head.server_system,
            seen.version,
            seen.timeline,
            seen.system
        )))
    }

    /// The database has confirmed a version of the history that was accepted.
    pub(crate) fn confirmed(&self, version: u64) {
        if let Some(seen) = &mut self.lock().seen {
            seen.version = seen.version.max(version);
        }
    }

    /// Accepts a history. It is in the memory before anything is served from it.
    pub(crate) async fn accept(&self, system: i64, timeline: i32) -> Result<(), BackendError> {
        {
            let mut inner = self.lock();
            let version = inner.seen.map_or(0, |seen| seen.version);
            inner.seen = Some(Seen {
                system,
                timeline,
                version,
            });
            let same = |kept: Seen| (kept.system, kept.timeline) == (system, timeline);
            if inner.kept.is_some_and(same) {
                return Ok(());
            }
        }
        let kept = self.keep().await;
        kept.map_err(|problem| error::unavailable(format!("what it is cannot be kept: {problem}")))
    }

    /// Makes the memory current.
    pub(crate) async fn keep(&self) -> io::Result<()> {
        let Inner { seen, kept } = *self.lock();
        let (Some(memory), Some(seen)) = (self.memory.clone(), seen.filter(|_| seen != kept))
        else {
            return Ok(());
        };
        let keeping = tokio::task::spawn_blocking(move || memory.keep(seen)).await;
        keeping.map_err(io::Error::other)??;
        self.lock().kept = Some(seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
