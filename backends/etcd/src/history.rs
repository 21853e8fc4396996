//! Where the store stands in its history, and what it keeps of a consumer's ledger.
//!
//! The identity is a key that is written once. The position of a consumer's ledger is written in the
//! same transaction as the consumer's own position. Gateways do not watch either key.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::StoreId;
use prost::bytes::Bytes;

use crate::aside::Aside;
use crate::aside::get;
use crate::aside::put;
use crate::aside::write;
use crate::client::Client;
use crate::error;
use crate::keys::Keys;
use crate::mirror::decoded;
use crate::proto::Compare;
use crate::proto::KeyValue;
use crate::proto::RangeRequest;
use crate::proto::TxnRequest;

/// Draws the store's identity, unless it has one.
pub(crate) async fn identify(client: &Client, keys: &Keys) -> Result<(), BackendError> {
    let drawn = StoreId::from_bytes(rand::random());
    let identifying = TxnRequest {
        compare: vec![Compare::unchanged(keys.identity(), 0)],
        success: vec![put(keys.identity(), &drawn)],
        failure: Vec::new(),
    };
    // Another gateway may have been faster.
    write(client, identifying).await.map(drop)
}

impl Aside {
    /// Reads the store's identity, and where the ledgers of all consumers were at their last trims.
    async fn kept(&self) -> Result<(StoreId, Vec<(Bytes, LedgerHead)>), BackendError> {
        let shared = self.shared();
        let client = shared.client()?;
        let id = get(&client, shared.keys.identity()).await?;
        let id = id.ok_or_else(|| error::corrupt("identity", "it is not there"))?;
        let (key, range_end) = shared.keys.ledgers();
        let all = RangeRequest {
            key,
            range_end,
            ..RangeRequest::default()
        };
        let answer = client.range(all).await;
        let answer = answer.map_err(|status| error::read(&status))?;
        let head = |kv: &KeyValue| {
            let (cursor, chain) = decoded::<(Cursor, Digest)>("ledger", kv)?;
            Ok((kv.key.clone(), LedgerHead { cursor, chain }))
        };
        let heads = answer.kvs.iter().map(head);
        Ok((
            decoded("identity", &id)?,
            heads.collect::<Result<_, BackendError>>()?,
        ))
    }

    /// Returns where the store stands, as far as the mirror knows it. `is_new` says whether the
    /// consumer has become one by this opening.
    pub(crate) async fn history(
        &self,
        consumer: &str,
        is_new: bool,
    ) -> Result<StoreHistory, BackendError> {
        let (id, heads) = self.kept().await?;
        let shared = self.shared();
        let own = shared.keys.ledger(consumer);
        let own = heads.iter().find(|(key, _)| *key == own);
        let trimmed = shared.status.trimmed_to();
        let others = heads.iter().map(|(_, head)| *head);
        let oldest = others
            .filter(|head| head.cursor >= trimmed)
            .min_by_key(|head| head.cursor);
        let begins_after = oldest.unwrap_or(LedgerHead {
            cursor: trimmed,
            chain: Digest([0; 32]),
        });
        let mirror = shared.mirror.read().await;
        Ok(StoreHistory {
            id,
            newest: shared.status.newest(),
            trimmed,
            revision: mirror.writes(),
            ledger: own.map(|(_, head)| *head),
            begins_after: is_new.then_some(begins_after),
        })
    }
}
