//! Reading what other gateways wrote: the log's end, or, where that is not enough, everything.

pub(crate) mod documents;

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockName;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::NamespaceName;
use leasehold_machine::EndedRequest;
use leasehold_machine::State;
use leasehold_machine::stored;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use self::documents::Names;
use crate::client::Connection;
use crate::error;
use crate::mirror::Changes;
use crate::mirror::Mirror;
use crate::transaction::Parameter;
use crate::transaction::signed;
use crate::transaction::unsigned;

const HEAD: &str = "SELECT version, now_us, clock_us, newest, documents, system, timeline, \
    leasehold.timeline(), leasehold.clock_us(), \
    (SELECT coalesce(min(trimmed), 0) FROM leasehold.consumers), \
    current_setting('synchronous_standby_names') <> '', \
    (SELECT system_identifier FROM pg_control_system()), \
    (SELECT id FROM leasehold.history) FROM leasehold.store";
const FOR_UPDATE: &str = " FOR UPDATE";
/// More writes than this are not followed one by one.
const FOLLOWED_MAX: usize = 2_000;
const FOLLOW: &str = "SELECT previous, version, now_us, newest, events, changes \
    FROM leasehold.log WHERE version > $1 ORDER BY version LIMIT 2001";
const LOCKS: &str = "SELECT namespace, name, record FROM leasehold.locks";
const ENDED: &str = "SELECT requests FROM leasehold.ended ORDER BY version";
const UNFOLDED: &str = "SELECT changes FROM leasehold.log \
    WHERE version > (SELECT version FROM leasehold.folded) ORDER BY version";

/// Where the store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) now_us: u64,
    /// The database's clock at that write.
    pub(crate) clock_us: i64,
    pub(crate) newest: u64,
    pub(crate) documents: u64,
    pub(crate) system: i64,
    pub(crate) timeline: i32,
    /// The timeline that this server writes.
    pub(crate) server_timeline: i32,
    /// The database's clock now.
    pub(crate) server_clock_us: i64,
    pub(crate) trimmed: Cursor,
    /// Whether commits wait for a standby.
    pub(crate) replicated: bool,
    /// The cluster that this server is of.
    pub(crate) server_system: i64,
    /// The identity of the store's history.
    pub(crate) history: Vec<u8>,
}

/// The store's head, and the writes after a version.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) head: Head,
    writes: Vec<Row>,
}

/// Whether writes could be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// The mirror is where the head is. These are the events that were made on the way.
    Here(Vec<Event>),
    /// The log does not lead from the mirror to the head: read everything.
    Gap,
}

/// Reads the head, and locks it if asked to, and the writes after `version`.
pub(crate) async fn news(
    connection: &Connection,
    version: u64,
    lock: bool,
) -> Result<News, tokio_postgres::Error> {
    let statement = match lock {
        true => format!("{HEAD}{FOR_UPDATE}"),
        false => HEAD.to_owned(),
    };
    let after = signed(version);
    let parameters: [Parameter<'_>; 1] = [(&after, Type::INT8)];
    let (head, writes) = tokio::join!(
        connection.client.query_typed_one(&statement, &[]),
        connection.client.query_typed(FOLLOW, &parameters),
    );
    Ok(News {
        head: Head::of(&head?)?,
        writes: writes?,
    })
}

impl Head {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            version: unsigned(row.try_get(0)?),
            now_us: unsigned(row.try_get(1)?),
            clock_us: row.try_get(2)?,
            newest: unsigned(row.try_get(3)?),
            documents: unsigned(row.try_get(4)?),
            system: row.try_get(5)?,
            timeline: row.try_get(6)?,
            server_timeline: row.try_get(7)?,
            server_clock_us: row.try_get(8)?,
            trimmed: Cursor(unsigned(row.try_get(9)?)),
            replicated: row.try_get(10)?,
            server_system: row.try_get(11)?,
            history: row.try_get(12)?,
        })
    }
}

#[cfg(test)]
impl Head {
    /// Where only the history matters.
    pub(crate) fn at(system: i64, timeline: i32, version: u64) -> Self {
        Self {
            version,
            now_us: 0,
            clock_us: 0,
            newest: 0,
            documents: 0,
            system,
            timeline,
            server_timeline: timeline,
            server_clock_us: 0,
            trimmed: Cursor(0),
            replicated: true,
            server_system: system,
            history: Vec::new(),
        }
    }
}

impl News {
    /// Returns the names of the documents that the writes changed, by their events and, of changes
    /// that have none, by the log; `None` if there are too many writes to be followed.
    pub(crate) fn changed_documents(&self) -> Result<Option<Names>, BackendError> {
        if self.writes.len() > FOLLOWED_MAX {
            return Ok(None);
        }
        let mut names = Names::new();
        for write in &self.writes {
            for event in events(write)? {
                if let EventKind::Governance(change) = event.kind {
                    names.insert((change.collection, change.id));
                }
            }
            let changes = Changes::read(changes_of(write, 5)?)?;
            let untold = changes.documents.into_iter();
            names.extend(untold.map(|name| (name.collection, name.id)));
        }
        Ok(Some(names))
    }

    /// Lets the mirror follow, write by write. After an error, or a gap, it must be read anew.
    pub(crate) fn follow(&self, mirror: &mut Mirror) -> Result<Followed, BackendError> {
        let here = (mirror.timeline, mirror.system) == (self.head.timeline, self.head.system);
        if self.writes.len() > FOLLOWED_MAX || !here {
            return Ok(Followed::Gap);
        }
        let mut all = Vec::new();
        for write in &self.writes {
            let read = |failure| error::corrupt("log", error::describe(&failure));
            let number = |at| write.try_get(at).map(unsigned).map_err(read);
            if number(0)? != mirror.version {
                return Ok(Followed::Gap);
            }
            mirror.version = number(1)?;
            put_write(mirror, write, 5)?;
            all.extend(events(write)?);
            mirror.now_us = number(2)?;
            let now = Millis(mirror.now_us / 1_000);
            mirror.state.resume(now, Cursor(number(3)?));
        }
        match mirror.version == self.head.version {
            true => Ok(Followed::Here(all)),
            false => Ok(Followed::Gap),
        }
    }
}

/// Lets the mirror follow the write of a row that has its changes at `at`.
fn put_write(mirror: &mut Mirror, row: &Row, at: usize) -> Result<(), BackendError> {
    mirror.follow(changes_of(row, at)?)
}

/// Returns what the write of a row has changed besides its events, from the column `at`.
fn changes_of(row: &Row, at: usize) -> Result<&[u8], BackendError> {
    let changes = row.try_get::<_, Option<&[u8]>>(at);
    let changes = changes.map_err(|failure| error::corrupt("log", error::describe(&failure)))?;
    changes.ok_or_else(before_release)
}

fn before_release() -> BackendError {
    let detail = "a row of a build before the first release, which no later build reads";
    error::corrupt("log", detail)
}

/// Returns the events of a write.
fn events(write: &Row) -> Result<Vec<Event>, BackendError> {
    let bytes = write.try_get(4);
    let bytes = bytes.map_err(|failure| error::corrupt("log", error::describe(&failure)))?;
    stored::decode(bytes).map_err(|failure| error::corrupt("log.events", failure))
}

/// The whole store as of the transaction's snapshot.
pub(crate) async fn everything(connection: &Connection) -> Result<(Head, Mirror), BackendError> {
    let failed = |failure| error::without_effect(&failure);
    let head = connection.client.query_typed_one(HEAD, &[]).await;
    let head = Head::of(&head.map_err(failed)?).map_err(failed)?;
    let mut mirror = Mirror {
        state: State::default(),
        version: head.version,
        now_us: head.now_us,
        timeline: head.timeline,
        system: head.system,
        ..Mirror::default()
    };
    for row in connection
        .client
        .query_typed(LOCKS, &[])
        .await
        .map_err(failed)?
    {
        let (namespace, name) = (text(&row, 0)?, text(&row, 1)?);
        let bad = |problem: leasehold_domain::InvalidName| error::corrupt("locks", problem);
        let namespace: NamespaceName = namespace.parse().map_err(bad)?;
        let name: LockName = name.parse().map_err(bad)?;
        let record = stored::decode(row.try_get(2).map_err(failed)?)
            .map_err(|problem| error::corrupt("locks.record", problem))?;
        let lock = LockRef::new(namespace, name);
        mirror.state.put_record(&lock, Some(record));
    }
    put_ended(connection, &mut mirror).await?;
    for row in connection
        .client
        .query_typed(UNFOLDED, &[])
        .await
        .map_err(failed)?
    {
        put_write(&mut mirror, &row, 0)?;
    }
    let documents = documents::all(connection, head.documents).await?;
    mirror.state.put_documents(documents);
    let now = Millis(head.now_us / 1_000);
    mirror.state.resume(now, Cursor(head.newest));
    Ok((head, mirror))
}

/// The acquires whose leases have ended, as they were folded.
async fn put_ended(connection: &Connection, mirror: &mut Mirror) -> Result<(), BackendError> {
    let failed = |failure| error::without_effect(&failure);
    let rows = connection.client.query_typed(ENDED, &[]).await;
    for row in rows.map_err(failed)? {
        let ended: Vec<EndedRequest> = stored::decode(row.try_get(0).map_err(failed)?)
            .map_err(|problem| error::corrupt("ended.requests", problem))?;
        mirror.state.put_ended(ended);
    }
    Ok(())
}

fn text(row: &Row, at: usize) -> Result<&str, BackendError> {
    row.try_get(at)
        .map_err(|failure| error::corrupt("text", error::describe(&failure)))
}
