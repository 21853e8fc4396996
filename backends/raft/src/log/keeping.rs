//! Whose folder this is: a node's number for ever, and a group's name once it has one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_backend_api::Levels;
use tokio::sync::oneshot;

use super::GROUP;
use super::OWNER;
use super::disk::Change;
use super::reader::LogReader;
use super::reader::corrupt;
use super::writer::Job;
use super::writer::Told;
use super::writer::Writer;
use crate::OpenError;
use crate::RaftConfig;
use crate::identity::FOUNDER;
use crate::identity::GroupId;
use crate::identity::Identity;
use crate::identity::draw_node;
use crate::record;

/// What is known of a folder's owner before it is opened.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The configured name; a folder belongs to one for ever.
    pub(crate) cluster_id: String,
    /// What happens to a folder that has no owner.
    pub(crate) unowned: Unowned,
    /// Of which levels its node can apply entries.
    pub(crate) levels: Levels,
}

/// What happens to a folder that has no owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unowned {
    /// Its node waits for a group.
    Joins,
    /// Its node founds a group.
    Founds,
    /// It is refused, under this name.
    Refused(PathBuf),
}

impl Unowned {
    pub(crate) fn of(config: &RaftConfig) -> Self {
        let joins = config.peers.as_ref().is_some_and(|peers| peers.join);
        match (joins, config.may_create) {
            (true, _) => Self::Joins,
            (false, true) => Self::Founds,
            (false, false) => Self::Refused(config.data_dir.clone()),
        }
    }
}

/// What the folder says, and what must be written into it.
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) changes: Vec<Change>,
    /// Whether the folder had no owner.
    pub(super) is_new: bool,
}

impl Owner {
    /// Reads whose folder it is, or makes it somebody's.
    pub(super) fn find(&self, reader: &LogReader) -> Result<Found, OpenError> {
        let mut changes = Vec::new();
        let mut write = |key, bytes| changes.push(Change::Meta { key, bytes });
        let owner = corrupt(reader.meta::<String>(OWNER))?;
        let is_new = owner.is_none();
        let node = match owner {
            Some(found) => self.node(&found).ok_or_else(|| OpenError::Foreign {
                found,
                expected: format!("a node of {}", self.cluster_id),
            })?,
            None => {
                let node = match &self.unowned {
                    Unowned::Joins => draw_node(),
                    Unowned::Founds => FOUNDER,
                    Unowned::Refused(folder) => return Err(OpenError::Absent(folder.clone())),
                };
                let name = format!("node {node} of {}", self.cluster_id);
                write(OWNER, record::encode(&name));
                node
            }
        };
        let mut group = corrupt(reader.meta::<GroupId>(GROUP))?;
        if group.is_none() && node == FOUNDER {
            // A founder's group is as old as its folder; older builds did not name it.
            let drawn = GroupId::draw();
            write(GROUP, record::encode(&drawn));
            group = Some(drawn);
        }
        Ok(Found {
            identity: Identity::new(node, group),
            changes,
            is_new,
        })
    }

    fn node(&self, found: &str) -> Option<u64> {
        let (node, cluster_id) = found.strip_prefix("node ")?.split_once(" of ")?;
        node.parse().ok().filter(|_| cluster_id == self.cluster_id)
    }
}

/// Keeps what is no log.
#[derive(Debug, Clone)]
pub(crate) struct Keeping(pub(super) Arc<Writer>);

impl Keeping {
    /// Makes the group's name durable.
    pub(crate) async fn keep_group(&self, group: GroupId) -> io::Result<()> {
        let bytes = record::encode(&group);
        let done = self.submit(vec![Change::Meta { key: GROUP, bytes }]);
        done.await.map_err(io::Error::other)?
    }

    /// Makes changes durable, and blocks until they are.
    pub(super) fn keep(&self, changes: Vec<Change>) -> io::Result<()> {
        self.submit(changes)
            .blocking_recv()
            .map_err(io::Error::other)?
    }

    fn submit(&self, changes: Vec<Change>) -> oneshot::Receiver<io::Result<()>> {
        let (told, done) = oneshot::channel();
        self.0.submit(Job {
            changes,
            told: Told::Caller(told),
        });
        done
    }
}
