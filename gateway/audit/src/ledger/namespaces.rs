//! How many bytes the events of each namespace take, for its cap.
//!
//! Counted are the canonical bytes of what happened to its locks and of what was denied there; the
//! file is smaller, because it is compressed. The counts of a full segment are added in the
//! transaction that closes it, so they survive a restart without reading closed segments.

use std::collections::BTreeMap;

use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::NamespaceName;
use rusqlite::Connection;

/// The rows of `meta` that have the counts of closed segments begin with this.
const PREFIX: &str = "bytes/";
/// The first text after all that begin with it.
const AFTER_PREFIX: &str = "bytes0";

/// The bytes of a namespace's events.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    all: u64,
    /// Those of the open segment.
    open: u64,
}

/// The bytes of the events of all namespaces.
#[derive(Debug, Default)]
pub(super) struct NamespaceBytes(BTreeMap<NamespaceName, Bytes>);

impl NamespaceBytes {
    /// Reads what closed segments have.
    pub(super) fn read(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let sql = "SELECT name, value FROM meta WHERE name >= ?1 AND name < ?2";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([PREFIX, AFTER_PREFIX])?;
        let mut counts = Self::default();
        while let Some(row) = rows.next()? {
            let name = row.get_ref(0)?.as_str()?.strip_prefix(PREFIX);
            // Nothing else writes such rows, so all of them name a namespace.
            if let Some(name) = name.and_then(|name| name.parse().ok()) {
                let all = row.get::<_, i64>(1)?.cast_unsigned();
                counts.0.insert(name, Bytes { all, open: 0 });
            }
        }
        Ok(counts)
    }

    /// Counts the canonical bytes of the next event.
    pub(super) fn add(&mut self, event: &Event, bytes: usize) {
        let namespace = match &event.kind {
            EventKind::Lock { lock, .. } => &lock.namespace,
            EventKind::Denied(cause) => &cause.request.lock.namespace,
            EventKind::Governance(_) => return,
        };
        if !self.0.contains_key(namespace) {
            self.0.insert(namespace.clone(), Bytes::default());
        }
        if let Some(counted) = self.0.get_mut(namespace) {
            counted.all += bytes as u64;
            counted.open += bytes as u64;
        }
    }

    /// Returns the bytes of a namespace's events.
    pub(super) fn of(&self, namespace: &NamespaceName) -> u64 {
        self.0.get(namespace).map_or(0, |counted| counted.all)
    }

    /// Returns what the open segment has, which is full; the next begins with nothing.
    pub(super) fn close_segment(&mut self) -> Vec<(NamespaceName, u64)> {
        let counts = self.0.iter_mut().filter(|(_, counted)| counted.open > 0);
        let full = counts.map(|(name, counted)| (name.clone(), std::mem::take(&mut counted.open)));
        full.collect()
    }
}

/// Adds what a full segment has, in the transaction that closes it.
pub(super) fn write(
    connection: &Connection,
    counts: &[(NamespaceName, u64)],
) -> Result<(), rusqlite::Error> {
    let mut add = connection.prepare(
        "INSERT INTO meta VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
    )?;
    for (namespace, bytes) in counts {
        add.execute((format!("{PREFIX}{namespace}"), bytes.cast_signed()))?;
    }
    Ok(())
}
