//! What needs no place in the queue: old events, consumers and their trims, blobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_machine::stored;
use leasehold_stored::Formed;
use prost::bytes::Bytes;

use crate::client::Client;
use crate::error;
use crate::keys::Kind;
use crate::mirror::Base;
use crate::mirror::decoded;
use crate::outbox;
use crate::outbox::Entry;
use crate::proto::Compare;
use crate::proto::DeleteRangeRequest;
use crate::proto::KeyValue;
use crate::proto::Operation;
use crate::proto::Performed;
use crate::proto::PutRequest;
use crate::proto::RangeRequest;
use crate::proto::RequestOp;
use crate::proto::TxnRequest;
use crate::proto::TxnResponse;
use crate::transaction::one;
use crate::writer::Shared;

/// Keys of events that one transaction deletes.
const KEYS_TRIMMED_MAX: usize = 100;
/// A blob is cut into chunks of this, so that each fits into a request.
const CHUNK_BYTES: usize = 512 * 1_024;
/// How often a change of a consumer is tried against others.
const TRIES_MAX: usize = 16;

/// What needs no place in the queue.
#[derive(Debug)]
pub(crate) struct Aside {
    shared: Arc<Shared>,
}

impl Aside {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes a consumer known, so that events are kept for it from now on. Returns whether it was
    /// unknown.
    pub(crate) async fn enrol(
        &self,
        consumer: &str,
        client: &Client,
    ) -> Result<bool, BackendError> {
        let keys = &self.shared.keys;
        for _ in 0..TRIES_MAX {
            if get(client, keys.consumer(consumer)).await?.is_some() {
                return Ok(false);
            }
            let (base, revision) = self.base(client).await?;
            let enrolling = TxnRequest {
                compare: vec![
                    Compare::unchanged(keys.base(), revision),
                    Compare::unchanged(keys.consumer(consumer), 0),
                ],
                // The base is put as it was: whoever is about to trim, and has not heard of this
                // consumer, must look again.
                success: vec![
                    put(keys.consumer(consumer), &base.cursor),
                    put(keys.base(), &base),
                ],
                failure: Vec::new(),
            };
            if write(client, enrolling).await?.succeeded {
                return Ok(true);
            }
        }
        Err(contended())
    }

    /// Notes that a consumer has the events up to there, and the hash chain of its ledger there;
    /// answers up to where all have them, and deletes those.
    pub(crate) async fn trim(
        &self,
        consumer: &str,
        to: Cursor,
        chain: Option<Digest>,
    ) -> Result<Cursor, BackendError> {
        let client = self.shared.client()?;
        let keys = &self.shared.keys;
        for _ in 0..TRIES_MAX {
            // Before the consumers: who is enrolled later changes it.
            let base = self.base(&client).await?;
            let mut consumers = self.consumers(&client).await?;
            let (has, revision) = consumers.get(consumer).copied().unwrap_or_default();
            if to > has {
                let mut success = vec![put(keys.consumer(consumer), &to)];
                if let Some(chain) = chain {
                    success.push(put(keys.ledger(consumer), &(to, chain)));
                }
                let noting = TxnRequest {
                    compare: vec![Compare::unchanged(keys.consumer(consumer), revision)],
                    success,
                    failure: Vec::new(),
                };
                if !write(&client, noting).await?.succeeded {
                    continue;
                }
                consumers.insert(consumer.to_owned(), (to, revision));
            }
            let least = consumers.values().map(|(cursor, _)| *cursor).min();
            let least = least.unwrap_or_default();
            self.delete(&client, base, least).await?;
            return Ok(least);
        }
        Err(contended())
    }

    /// Deletes events that all consumers have, and moves the base behind them. If another gateway
    /// does the same, it is left to it.
    async fn delete(
        &self,
        client: &Client,
        base: (Base, i64),
        up_to: Cursor,
    ) -> Result<(), BackendError> {
        let (mut base, mut revision) = base;
        let (keys, outbox) = (&self.shared.keys, &self.shared.outbox);
        while let Some(consumed) = outbox.consumed(up_to, KEYS_TRIMMED_MAX) {
            if consumed.after != base {
                // Others have deleted some of these, and the watch has not told yet.
                return Ok(());
            }
            let keys_gone = consumed.keys.iter();
            let mut deletions: Vec<_> = keys_gone.map(|key| delete(key.clone())).collect();
            deletions.push(put(keys.base(), &consumed.end));
            let deleting = TxnRequest {
                compare: vec![Compare::unchanged(keys.base(), revision)],
                success: deletions,
                failure: Vec::new(),
            };
            let done = write(client, deleting).await?;
            if !done.succeeded {
                return Ok(());
            }
            outbox.forget(&consumed.keys);
            (base, revision) = (consumed.end, done.header.map_or(0, |h| h.revision));
        }
        Ok(())
    }

    /// Where events begin, and the revision of that.
    async fn base(&self, client: &Client) -> Result<(Base, i64), BackendError> {
        let kv = get(client, self.shared.keys.base()).await?;
        let kv = kv.ok_or_else(|| error::corrupt("base", "it is not there"))?;
        Ok((decoded("base", &kv)?, kv.mod_revision))
    }

    /// Up to where each consumer has events, and the revision of that.
    async fn consumers(
        &self,
        client: &Client,
    ) -> Result<BTreeMap<String, (Cursor, i64)>, BackendError> {
        let (key, range_end) = self.shared.keys.consumers();
        let all = RangeRequest {
            key,
            range_end,
            ..RangeRequest::default()
        };
        let answer = client.range(all).await.map_err(|s| error::read(&s))?;
        let mut consumers = BTreeMap::new();
        for kv in &answer.kvs {
            if let Some(Kind::Consumer(name)) = self.shared.keys.kind(&kv.key) {
                consumers.insert(name, (decoded("consumer", kv)?, kv.mod_revision));
            }
        }
        Ok(consumers)
    }

    /// The events of these keys that come after a cursor, as far as they are still there.
    pub(crate) async fn events(
        &self,
        entries: Vec<Entry>,
        after: Cursor,
    ) -> Result<Vec<Arc<Event>>, BackendError> {
        let client = self.shared.client()?;
        let reading = |entry: &Entry| RequestOp::from(Operation::Range(one(entry.key.clone())));
        let reading = TxnRequest {
            success: entries.iter().map(reading).collect(),
            ..TxnRequest::default()
        };
        let answer = client.txn(reading).await.map_err(|s| error::read(&s))?;
        let mut events = Vec::new();
        for (entry, op) in entries.iter().zip(answer.responses) {
            let Some(Performed::Range(range)) = op.response else {
                break;
            };
            let Some(kv) = range.kvs.first() else {
                break;
            };
            let made = outbox::number(entry.after, decoded("events", kv)?);
            let new = made.into_iter().filter(|event| event.cursor > after);
            events.extend(new.map(Arc::new));
        }
        Ok(events)
    }

    /// Keeps bytes under their digest: the chunks first, and then that they are there.
    pub(crate) async fn put_blob(&self, digest: Digest, body: &[u8]) -> Result<(), BackendError> {
        let client = self.shared.client()?;
        let keys = &self.shared.keys;
        if get(&client, keys.blob(&digest)).await?.is_some() {
            return Ok(());
        }
        let chunks = body.chunks(CHUNK_BYTES);
        let count = chunks.len();
        for (number, chunk) in chunks.enumerate() {
            let value = Bytes::copy_from_slice(chunk);
            write_one(&client, keys.blob_chunk(&digest, number), value).await?;
        }
        write_one(&client, keys.blob(&digest), stored::encode(&count).into()).await
    }

    /// The bytes of a digest.
    pub(crate) async fn get_blob(
        &self,
        digest: &Digest,
    ) -> Result<Option<Arc<[u8]>>, BackendError> {
        let client = self.shared.client()?;
        let keys = &self.shared.keys;
        let Some(kv) = get(&client, keys.blob(digest)).await? else {
            return Ok(None);
        };
        let mut body = Vec::new();
        for number in 0..decoded::<usize>("blob", &kv)? {
            let chunk = get(&client, keys.blob_chunk(digest, number)).await?;
            let chunk = chunk.ok_or_else(|| error::corrupt("blob", "a chunk is missing"))?;
            body.extend_from_slice(&chunk.value);
        }
        match Digest::of(&body) == *digest {
            true => Ok(Some(body.into())),
            false => Err(error::corrupt("blob", format!("{digest} has other bytes"))),
        }
    }
}

fn contended() -> BackendError {
    BackendError::without_effect(ErrorKind::Contended, "other gateways were faster each time")
}

pub(crate) fn put<T: for<'a> Formed<'a>>(key: Bytes, value: &T) -> RequestOp {
    put_bytes(key, stored::encode(value).into())
}

/// The deletion of one key.
pub(crate) fn delete(key: Bytes) -> RequestOp {
    Operation::Delete(DeleteRangeRequest {
        key,
        ..DeleteRangeRequest::default()
    })
    .into()
}

pub(crate) fn put_bytes(key: Bytes, value: Bytes) -> RequestOp {
    Operation::Put(PutRequest {
        key,
        value,
        prev_kv: false,
    })
    .into()
}

pub(crate) async fn get(client: &Client, key: Bytes) -> Result<Option<KeyValue>, BackendError> {
    let answer = client.range(one(key)).await;
    let answer = answer.map_err(|status| error::read(&status))?;
    Ok(answer.kvs.into_iter().next())
}

pub(crate) async fn write(
    client: &Client,
    request: TxnRequest,
) -> Result<TxnResponse, BackendError> {
    let done = client.txn(request).await;
    done.map_err(|status| error::written(&status))
}

async fn write_one(client: &Client, key: Bytes, value: Bytes) -> Result<(), BackendError> {
    let request = TxnRequest {
        success: vec![put_bytes(key, value)],
        ..TxnRequest::default()
    };
    write(client, request).await.map(|_| ())
}
