//! What others wrote, as the watch tells it; and the whole store, as it was read.

use std::collections::BTreeMap;

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Event;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_machine::EndedRequest;
use leasehold_machine::LockRecord;
use leasehold_machine::stored;
use leasehold_stored::Formed;
use prost::bytes::Bytes;

use super::Base;
use super::Known;
use super::Mirror;
use super::queue::Kept;
use super::queue::Valued;
use crate::error;
use crate::feed::Written;
use crate::keys::Keys;
use crate::keys::Kind;
use crate::proto::KeyValue;
use crate::time::Timekeeper;

/// Events of one write, with their key.
pub(crate) type Entry = (Bytes, Vec<Event>);

/// What a write did to one of a lock's keys; none if it deleted it.
#[derive(Debug)]
enum LockChange {
    Head(Option<LockRecord>),
    Waiter(u64, Option<Valued>),
}

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
        let mut locks: BTreeMap<LockRef, Vec<LockChange>> = BTreeMap::new();
        for change in written.changes {
            let key = &change.kv.key;
            let Some(kind) = keys.kind(key) else {
                continue;
            };
            match kind {
                Kind::Head => moves_head = true,
                Kind::History => self.history = decoded("history", &change.kv)?,
                Kind::Consumer(name) => self.put_consumer(name, change.put, &change.kv)?,
                Kind::Events if !change.put => followed.gone.push(key.clone()),
                // Also of own writes, which the mirror has already.
                Kind::Counter(number) => self.put_counter(number, &change.kv),
                _ if known => {}
                Kind::Events => followed.made.push((key.clone(), events(&change.kv)?)),
                Kind::Ended if !change.put => self.ended.remove(key),
                Kind::Ended => self.put_ended(&change.kv, written.seen)?,
                Kind::Lock(lock) => {
                    let head = change.put.then(|| decoded("lock", &change.kv));
                    let head = LockChange::Head(head.transpose()?);
                    locks.entry(lock).or_default().push(head);
                }
                Kind::Waiter(lock, number) => {
                    let waiter = change.put.then(|| valued(&change.kv));
                    let waiter = LockChange::Waiter(number, waiter.transpose()?);
                    locks.entry(lock).or_default().push(waiter);
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
        for (lock, changes) in locks {
            if self.revision(&lock) < written.revision {
                self.follow_lock(lock, changes, written.revision, written.seen);
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

    /// Follows what one revision did to a lock.
    fn follow_lock(
        &mut self,
        lock: LockRef,
        changes: Vec<LockChange>,
        revision: i64,
        seen: Millis,
    ) {
        let known = self.known.remove(&lock).zip(self.state.record(&lock));
        let mut waiters =
            known.map_or_else(BTreeMap::new, |(known, record)| known.kept.waiters(record));
        let mut head = None;
        for change in changes {
            match change {
                LockChange::Head(put) => head = put,
                LockChange::Waiter(number, Some(waiter)) => {
                    waiters.insert(number, waiter);
                }
                LockChange::Waiter(number, None) => {
                    waiters.remove(&number);
                }
            }
        }
        // Every write of a waiter puts the lock's own key: without it, the lock is gone.
        let there = head.map(|head: LockRecord| Kept::join(head, waiters, seen));
        let (record, kept) = there.unzip();
        self.state.put_record(&lock, record);
        if let Some(kept) = kept {
            let mine = false;
            let known = Known {
                revision,
                mine,
                kept,
            };
            self.known.insert(lock, known);
        }
    }

    /// Remembers the acquires that a key holds, unless it is known: this gateway may have written
    /// it itself.
    fn put_ended(&mut self, kv: &KeyValue, seen: Millis) -> Result<(), BackendError> {
        let ended: Vec<EndedRequest> = decoded("ended", kv)?;
        if self.ended.add(kv.key.clone(), seen) {
            let ended = ended.into_iter().map(|one| one.seen(seen));
            self.state.put_ended(ended);
        }
        Ok(())
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
        let mut all = self.state.all_documents().clone();
        for (kind, change) in changes {
            match kind {
                Kind::Documents => {
                    all.set_revision(decoded("documents", &change.kv)?);
                    self.documents = change.kv.mod_revision;
                }
                Kind::Document(collection, id) => {
                    if change.put {
                        all.put(decoded("document", &change.kv)?);
                    } else {
                        all.remove(&collection, &id);
                    }
                }
                _ => {}
            }
        }
        self.state.put_documents(all);
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
        let (mut documents_revision, mut documents) = (0, Vec::<Document>::new());
        let (base, entries) = stored_events(keys, &kvs)?;
        if self.fed == 0 {
            // The clock begins where events have been, so that their time goes on.
            let made = entries.iter().flat_map(|(_, events)| events);
            keeper.begin_at(made.map(|event| event.now).fold(base.now, Millis::max));
        }
        let arrived = keeper.arrival();
        let (mut heads, mut waiters) = (Vec::new(), BTreeMap::new());
        let mut ended: Vec<(Millis, i64, KeyValue)> = Vec::new();
        for kv in kvs {
            match keys.kind(&kv.key) {
                Some(Kind::Head) => mirror.head = kv.mod_revision,
                Some(Kind::History) => mirror.history = decoded("history", &kv)?,
                Some(Kind::Documents) => {
                    documents_revision = decoded("documents", &kv)?;
                    mirror.documents = kv.mod_revision;
                }
                Some(Kind::Document(..)) => documents.push(decoded("document", &kv)?),
                Some(Kind::Lock(lock)) => heads.push((lock, kv)),
                Some(Kind::Waiter(lock, number)) => {
                    let queue: &mut BTreeMap<u64, Valued> = waiters.entry(lock).or_default();
                    queue.insert(number, valued(&kv)?);
                }
                Some(Kind::Consumer(name)) => mirror.put_consumer(name, true, &kv)?,
                Some(Kind::Counter(number)) => mirror.put_counter(number, &kv),
                Some(Kind::Ended) => {
                    let seen = self.ended.seen(&kv.key).unwrap_or(arrived);
                    ended.push((seen, kv.mod_revision, kv));
                }
                Some(Kind::Base | Kind::Events | Kind::Forgotten) | None => {}
            }
        }
        for (lock, kv) in heads {
            let waiters = waiters.remove(&lock).unwrap_or_default();
            let (known, record) = self.known_or_read(&lock, &kv, waiters, arrived)?;
            mirror.known.insert(lock.clone(), known);
            mirror.state.put_record(&lock, Some(record));
        }
        ended.sort_by_key(|(seen, revision, _)| (*seen, *revision));
        for (seen, _, kv) in ended {
            mirror.put_ended(&kv, seen)?;
        }
        let documents = DocumentSet::of(documents_revision, documents);
        mirror.state.put_documents(documents);
        // Not the arrival, which is rounded up: records of this gateway's own may be kept.
        mirror.state.resume(keeper.look(), Cursor(0));
        Ok(Snapshot {
            mirror,
            base,
            entries,
        })
    }
}

impl Mirror {
    /// A lock of which these values were read; as it was, if it has not changed since.
    fn known_or_read(
        &self,
        lock: &LockRef,
        kv: &KeyValue,
        waiters: BTreeMap<u64, Valued>,
        arrived: Millis,
    ) -> Result<(Known, LockRecord), BackendError> {
        let known = self.known.get(lock);
        let known = known.filter(|known| known.revision == kv.mod_revision);
        if let Some((known, record)) = known.zip(self.state.record(lock)) {
            return Ok((known.clone(), record.clone()));
        }
        let (record, kept) = Kept::join(decoded("lock", kv)?, waiters, arrived);
        let known = Known {
            revision: kv.mod_revision,
            mine: false,
            kept,
        };
        Ok((known, record))
    }
}

/// Where events begin, and all that are there, in order.
pub(crate) fn stored_events(
    keys: &Keys,
    kvs: &[KeyValue],
) -> Result<(Base, Vec<Entry>), BackendError> {
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

fn valued(kv: &KeyValue) -> Result<Valued, BackendError> {
    Ok((decoded("waiter", kv)?, kv.value.len()))
}

fn events(kv: &KeyValue) -> Result<Vec<Event>, BackendError> {
    decoded("events", kv)
}

/// What a value holds.
pub(crate) fn decoded<T: for<'a> Formed<'a>>(what: &str, kv: &KeyValue) -> Result<T, BackendError> {
    stored::decode(&kv.value).map_err(|problem| {
        let key = String::from_utf8_lossy(&kv.key);
        error::corrupt(what, format!("{key}: {problem}"))
    })
}
