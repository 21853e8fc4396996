//! What others wrote, as the watch tells it; and the whole store, as it was read.

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Document;
use leasehold_domain::Event;
use leasehold_domain::Millis;
use leasehold_machine::LockRecord;
use leasehold_machine::stored;
use prost::bytes::Bytes;

use super::Base;
use super::Known;
use super::Mirror;
use crate::error;
use crate::feed::Written;
use crate::keys::Keys;
use crate::keys::Kind;
use crate::proto::KeyValue;
use crate::time::Timekeeper;

/// Events of one write, with their key.
pub(crate) type Entry = (Bytes, Vec<Event>);

/// What a write left that is not in the mirror.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Events that it made, in the order of their keys.
    pub(crate) made: Vec<Entry>,
    /// Keys of events that it deleted.
    pub(crate) gone: Vec<Bytes>,
}

/// The whole store as of one revision.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) mirror: Mirror,
    pub(crate) base: Base,
    /// All events that are there, in order.
    pub(crate) entries: Vec<Entry>,
}

impl Mirror {
    /// Follows one revision. What is known already is passed over: this gateway's own writes come
    /// back by the watch.
    pub(crate) fn follow(
        &mut self,
        keys: &Keys,
        written: Written,
    ) -> Result<Followed, BackendError> {
        let mut followed = Followed::default();
        let known = written.revision <= self.head;
        let mut moves_head = false;
        let mut documents = Vec::new();
        for change in written.changes {
            let key = &change.kv.key;
            let Some(kind) = keys.kind(key) else {
                continue;
            };
            match kind {
                Kind::Head => moves_head = true,
                Kind::Consumer(name) => self.put_consumer(name, change.put, &change.kv)?,
                Kind::Events if !change.put => followed.gone.push(key.clone()),
                _ if known => {}
                Kind::Events => followed.made.push((key.clone(), events(&change.kv)?)),
                Kind::Lock(lock) => {
                    if self.revision(&lock) < change.kv.mod_revision {
                        let record = change.put.then(|| seen(&change.kv, written.seen));
                        self.put(lock, record.transpose()?, change.kv.mod_revision);
                    }
                }
                Kind::Documents if self.documents < change.kv.mod_revision => {
                    documents.push((kind, change));
                }
                Kind::Document(..) if self.documents < written.revision => {
                    documents.push((kind, change));
                }
                Kind::Documents | Kind::Document(..) | Kind::Forgotten | Kind::Base => {}
            }
        }
        if !documents.is_empty() {
            self.follow_documents(documents)?;
        }
        followed.made.sort_by(|one, other| one.0.cmp(&other.0));
        self.fed = self.fed.max(written.revision);
        if moves_head {
            self.head = self.head.max(written.revision);
        }
        Ok(followed)
    }

    fn put(&mut self, lock: leasehold_domain::LockRef, record: Option<LockRecord>, revision: i64) {
        match record {
            Some(_) => {
                let known = Known {
                    revision,
                    mine: false,
                };
                self.known.insert(lock.clone(), known);
            }
            None => {
                self.known.remove(&lock);
            }
        }
        self.state.put_record(&lock, record);
    }

    fn put_consumer(&mut self, name: String, put: bool, kv: &KeyValue) -> Result<(), BackendError> {
        match put {
            true => self.consumers.insert(name, decoded("consumer", kv)?),
            false => self.consumers.remove(&name),
        };
        Ok(())
    }

    fn follow_documents(
        &mut self,
        changes: Vec<(Kind, crate::feed::Change)>,
    ) -> Result<(), BackendError> {
        let mut all = self.state.all_documents();
        let mut revision = self.state.documents_revision();
        for (kind, change) in changes {
            match kind {
                Kind::Documents => {
                    revision = decoded("documents", &change.kv)?;
                    self.documents = change.kv.mod_revision;
                }
                Kind::Document(collection, id) => {
                    all.retain(|d| d.collection != collection || d.id != id);
                    if change.put {
                        all.push(decoded::<Document>("document", &change.kv)?);
                    }
                }
                _ => {}
            }
        }
        self.state.put_documents(revision, all);
        Ok(())
    }

    /// The store of these keys, as of a revision, first seen now. What `self` knows of a record
    /// that has not changed since is kept: it was seen earlier.
    pub(crate) fn read_anew(
        &self,
        keys: &Keys,
        kvs: Vec<KeyValue>,
        revision: i64,
        keeper: &Timekeeper,
    ) -> Result<Snapshot, BackendError> {
        let mut mirror = Self {
            fed: revision,
            ..Self::default()
        };
        let (mut documents_revision, mut documents) = (0, Vec::new());
        let (base, entries) = stored_events(keys, &kvs)?;
        if self.fed == 0 {
            // The clock begins where events have been, so that their time goes on.
            let made = entries.iter().flat_map(|(_, events)| events);
            keeper.begin_at(made.map(|event| event.now).fold(base.now, Millis::max));
        }
        let arrived = keeper.arrival();
        for kv in kvs {
            match keys.kind(&kv.key) {
                Some(Kind::Head) => mirror.head = kv.mod_revision,
                Some(Kind::Documents) => {
                    documents_revision = decoded("documents", &kv)?;
                    mirror.documents = kv.mod_revision;
                }
                Some(Kind::Document(..)) => documents.push(decoded("document", &kv)?),
                Some(Kind::Lock(lock)) => {
                    let known = self
                        .known
                        .get(&lock)
                        .filter(|k| k.revision == kv.mod_revision);
                    let (known, record) = match (known, self.state.record(&lock)) {
                        (Some(known), Some(record)) => (*known, record.clone()),
                        _ => {
                            let (revision, mine) = (kv.mod_revision, false);
                            (Known { revision, mine }, seen(&kv, arrived)?)
                        }
                    };
                    mirror.known.insert(lock.clone(), known);
                    mirror.state.put_record(&lock, Some(record));
                }
                Some(Kind::Consumer(name)) => mirror.put_consumer(name, true, &kv)?,
                Some(Kind::Base | Kind::Events | Kind::Forgotten) | None => {}
            }
        }
        mirror.state.put_documents(documents_revision, documents);
        // Not the arrival, which is rounded up: records of this gateway's own may be kept.
        mirror.state.resume(keeper.look(), Cursor(0));
        Ok(Snapshot {
            mirror,
            base,
            entries,
        })
    }
}

/// Where events begin, and all that are there, in order.
fn stored_events(keys: &Keys, kvs: &[KeyValue]) -> Result<(Base, Vec<Entry>), BackendError> {
    let mut base = Base::default();
    let mut stored: Vec<&KeyValue> = Vec::new();
    for kv in kvs {
        match keys.kind(&kv.key) {
            Some(Kind::Base) => base = decoded("base", kv)?,
            Some(Kind::Events) => stored.push(kv),
            _ => {}
        }
    }
    stored.sort_by(|one, other| {
        let by_key = || one.key.cmp(&other.key);
        one.create_revision
            .cmp(&other.create_revision)
            .then_with(by_key)
    });
    let entries = stored
        .into_iter()
        .map(|kv| Ok((kv.key.clone(), events(kv)?)));
    Ok((base, entries.collect::<Result<_, BackendError>>()?))
}

/// A record as it is on this gateway's clock, having arrived at `seen`.
fn seen(kv: &KeyValue, seen: Millis) -> Result<LockRecord, BackendError> {
    Ok(decoded::<LockRecord>("lock", kv)?.rebased(seen))
}

fn events(kv: &KeyValue) -> Result<Vec<Event>, BackendError> {
    decoded("events", kv)
}

/// What a value holds.
pub(crate) fn decoded<T: serde::de::DeserializeOwned>(
    what: &str,
    kv: &KeyValue,
) -> Result<T, BackendError> {
    stored::decode(&kv.value).map_err(|problem| {
        let key = String::from_utf8_lossy(&kv.key);
        error::corrupt(what, format!("{key}: {problem}"))
    })
}
