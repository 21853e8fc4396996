//! A new history of the store, when an operator accepts an etcd that is older than its gateways
//! remember.
//!
//! A restored etcd counts its revisions on from the snapshot's, so `live/history` says what is added
//! to them: tokens stay above those of the old history. One transaction replaces identity, base,
//! events and consumers. It also puts the documents' revision, which is a condition of every write of
//! a lock: a gateway that is still open writes nothing before its watch has told it of the new
//! history.

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::HistoryStart;
use leasehold_backend_api::NewHistory;
use leasehold_backend_api::StartedHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Document;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_machine::LockRecord;
use leasehold_machine::Moment;
use leasehold_machine::State;
use leasehold_machine::stored;
use prost::bytes::Bytes;

use crate::EtcdBackend;
use crate::aside::Aside;
use crate::aside::delete;
use crate::aside::put;
use crate::aside::put_bytes;
use crate::aside::write;
use crate::client::Client;
use crate::keys::Kind;
use crate::mirror::Base;
use crate::mirror::HistoryMark;
use crate::mirror::decoded;
use crate::mirror::stored_events;
use crate::open::FORMAT_NEW_HISTORY;
use crate::proto::Compare;
use crate::proto::DeleteRangeRequest;
use crate::proto::KeyValue;
use crate::proto::Operation;
use crate::proto::RequestOp;
use crate::proto::TxnRequest;
use crate::writer::read_all;

/// Locks whose leases one transaction lengthens.
const LOCKS_PER_WRITE: usize = 60;
/// Packed events in one key.
const EVENTS_BYTES_MAX: usize = 1_000_000;
/// Events in one key.
const EVENTS_PER_KEY: usize = 256;

/// The store as it was read.
struct Old {
    kvs: Vec<KeyValue>,
    /// The last change of the head.
    head: i64,
    history: HistoryMark,
    base: Base,
    newest: Cursor,
    documents: u64,
    level: FeatureLevel,
}

impl Aside {
    async fn read_old(&self, client: &Client) -> Result<Old, BackendError> {
        let keys = &self.shared().keys;
        let (kvs, _) = read_all(keys, client).await?;
        let (mut base, entries) = stored_events(keys, &kvs)?;
        let events = entries.iter().flat_map(|(_, events)| events);
        let newest = Cursor(base.cursor.0 + events.clone().count() as u64);
        base.now = events.map(|event| event.now).fold(base.now, Millis::max);
        let (mut head, mut history, mut documents) = (0, HistoryMark::default(), 0);
        let mut level = FeatureLevel::FIRST;
        for kv in &kvs {
            match keys.kind(&kv.key) {
                Some(Kind::Head) => head = kv.mod_revision,
                Some(Kind::History) => history = decoded("history", kv)?,
                Some(Kind::Documents) => documents = decoded("documents", kv)?,
                Some(Kind::Document(collection, _)) if &*collection == FeatureLevel::COLLECTION => {
                    let document: Document = decoded("document", kv)?;
                    level = FeatureLevel::read(&document.body);
                }
                _ => {}
            }
        }
        Ok(Old {
            kvs,
            head,
            history,
            base,
            newest,
            documents,
            level,
        })
    }

    /// Gives every lease its whole ttl again; returns the head's last change then.
    async fn lengthen_leases(&self, client: &Client, old: &Old) -> Result<i64, BackendError> {
        let keys = &self.shared().keys;
        let mut longer = Vec::new();
        for kv in &old.kvs {
            if !matches!(keys.kind(&kv.key), Some(Kind::Lock(_))) {
                continue;
            }
            let before: LockRecord = decoded("lock", kv)?;
            let mut after = before.clone();
            // In the record's own time, which is that of its last write.
            after.lengthen_leases(before.clock());
            if after != before {
                longer.push((kv, put(kv.key.clone(), &after)));
            }
        }
        let mut head = old.head;
        for some in longer.chunks(LOCKS_PER_WRITE) {
            let mut compare = vec![Compare::unchanged(keys.head(), head)];
            compare.extend(
                some.iter()
                    .map(|(kv, _)| Compare::unchanged(kv.key.clone(), kv.mod_revision)),
            );
            let success = some.iter().map(|(_, put)| put.clone());
            let success = success.chain([put_bytes(keys.head(), Bytes::new())]);
            head = switched(client, compare, success.collect()).await?;
        }
        Ok(head)
    }

    /// What the one transaction does that starts the history, besides its first events.
    fn switch(
        &self,
        consumer: &str,
        (old, mark, events): (&Old, HistoryMark, &Bytes),
        start: &HistoryStart,
    ) -> Result<Vec<RequestOp>, BackendError> {
        let keys = &self.shared().keys;
        let (after, chain) = (start.after.cursor, start.after.chain);
        let base = Base {
            cursor: after,
            now: old.base.now,
        };
        let format = Bytes::from_static(FORMAT_NEW_HISTORY.as_bytes());
        let mut operations = vec![
            put_bytes(keys.format(), format),
            put(keys.identity(), &start.id),
            put(keys.history(), &mark),
            put(keys.base(), &base),
            put(keys.documents(), &old.documents),
            put(keys.consumer(consumer), &after),
            put(keys.ledger(consumer), &(after, chain)),
        ];
        for kv in &old.kvs {
            if let Some(Kind::Consumer(name)) = keys.kind(&kv.key)
                && name != consumer
            {
                operations.push(delete(kv.key.clone()));
                operations.push(delete(keys.ledger(&name)));
            }
        }
        // All events but the new ones: etcd takes no key twice in one transaction.
        let (first, end) = keys.all_events();
        let behind = Bytes::from([&events[..], &[0]].concat());
        for (key, range_end) in [(first, events.clone()), (behind, end)] {
            operations.push(Operation::Delete(DeleteRangeRequest { key, range_end }).into());
        }
        Ok(operations)
    }

    async fn start_history(
        &self,
        consumer: &str,
        start: &HistoryStart,
    ) -> Result<StartedHistory, BackendError> {
        let client = self.shared().client()?;
        let keys = &self.shared().keys;
        let old = self.read_old(&client).await?;
        if old.newest != start.newest {
            let (is, expected) = (old.newest.0, start.newest.0);
            let detail = format!("the store's newest event is {is}, not {expected}");
            return Err(BackendError::without_effect(ErrorKind::Contended, detail));
        }
        let head = self.lengthen_leases(&client, &old).await?;
        let counted = u64::try_from(head).unwrap_or_default();
        let missing = start.revision_min.saturating_sub(counted);
        let mark = HistoryMark {
            revisions_added: missing.max(old.history.revisions_added),
            id: Some(start.id),
        };
        let at = Moment {
            level: old.level,
            now: old.base.now,
            wall: start.wall,
            token_floor: 0,
        };
        let (after, change) = (start.after.cursor, start.change.clone());
        let events = State::default().start_history(after, change, &start.unrecorded, at);
        let packed = packed(&events);
        let writer: u64 = rand::random();
        let (mut head, mut revision) = (head, 0);
        for (number, events) in packed.into_iter().enumerate() {
            let key = keys.events(writer, number as u64);
            let mut operations = match number {
                0 => self.switch(consumer, (&old, mark, &key), start)?,
                // What does not fit into the first transaction follows. Only a crash of this process
                // between the two loses it.
                _ => Vec::new(),
            };
            operations.push(put_bytes(key, events.into()));
            operations.push(put_bytes(keys.head(), Bytes::new()));
            let compare = vec![Compare::unchanged(keys.head(), head)];
            head = switched(&client, compare, operations).await?;
            if number == 0 {
                revision = head;
            }
        }
        let revision = u64::try_from(revision).unwrap_or_default();
        Ok(StartedHistory {
            event: Cursor(after.0 + 1),
            revision: revision.saturating_add(mark.revisions_added),
        })
    }
}

/// Carries out a transaction; returns its revision.
async fn switched(
    client: &Client,
    compare: Vec<Compare>,
    success: Vec<RequestOp>,
) -> Result<i64, BackendError> {
    let request = TxnRequest {
        compare,
        success,
        failure: Vec::new(),
    };
    let done = write(client, request).await?;
    match done.succeeded {
        true => Ok(done.header.map_or(0, |header| header.revision)),
        false => {
            let detail = "somebody else writes to the store: stop all other gateways";
            Err(BackendError::without_effect(ErrorKind::Contended, detail))
        }
    }
}

/// Events as they are packed, each part for one key.
fn packed(events: &[Event]) -> Vec<Vec<u8>> {
    let (mut rest, mut parts) = (events, Vec::new());
    while !rest.is_empty() {
        let mut count = rest.len().min(EVENTS_PER_KEY);
        let mut bytes = stored::pack(&rest[..count]);
        while bytes.len() > EVENTS_BYTES_MAX && count > 1 {
            count /= 2;
            bytes = stored::pack(&rest[..count]);
        }
        parts.push(bytes);
        rest = &rest[count..];
    }
    parts
}

#[async_trait]
impl NewHistory for EtcdBackend {
    async fn start_history(&self, start: HistoryStart) -> Result<StartedHistory, BackendError> {
        self.aside.start_history(&self.consumer, &start).await
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::StoreId;

    use super::*;

    /// The bytes of `live/history`. They must stay readable.
    #[test]
    fn the_stored_form_is_fixed() {
        let mark = HistoryMark {
            revisions_added: 300,
            id: Some(StoreId::from_bytes([7; 16])),
        };
        let mut golden = vec![5, 0x82, 0x19, 0x01, 0x2c, 0x50];
        golden.extend([7; 16]);
        assert_eq!(stored::encode(&mark), golden);
        assert_eq!(stored::decode::<HistoryMark>(&golden).unwrap(), mark);
    }
}
