//! What a ledger gives to people who check it without trusting us: signed checkpoints, proofs, and
//! exports that stand alone.

mod export;
mod keys;
mod witness;
mod witnesses;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::TreeHead;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Cursor;
use leasehold_evidence::Checkpoint;
use leasehold_evidence::ConsistencyProof;
use leasehold_evidence::InclusionProof;
use leasehold_evidence::LogKey;

pub use self::witnesses::Witnesses;
use crate::config::Config;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::stores::OpenStore;

/// Signs what the ledgers of this gateway's stores give.
#[derive(Debug)]
pub struct Evidence {
    keys: Vec<LogKey>,
    name: String,
    /// The newest checkpoints that witnesses have cosigned, by the logs' names.
    cosigned: Mutex<BTreeMap<String, String>>,
}

/// A checkpoint, and the tree that it is of.
#[derive(Debug, Clone)]
struct Signed {
    origin: String,
    note: String,
    head: TreeHead,
}

impl Evidence {
    /// Reads the keys that the configuration names. If it names none, there is one in the data
    /// directory, which is made if absent.
    ///
    /// # Errors
    /// A key cannot be read, or written; the text is for operators.
    pub fn open(config: &Config) -> Result<Self, String> {
        Ok(Self {
            keys: keys::open(&config.storage.data_dir, &config.audit.log_key_files)?,
            name: config.audit.log_name.clone(),
            cosigned: Mutex::default(),
        })
    }

    /// Returns the name of the store's log. A store that was restored, and a ledger that begins
    /// elsewhere, is another log.
    ///
    /// # Errors
    /// The ledger does not know yet whose it is.
    pub fn origin(&self, store: &OpenStore) -> Result<String, Failure> {
        let message = "the ledger is not of a store yet";
        let id = store
            .ledger
            .store()
            .ok_or_else(|| Failure::new(FailureKind::Unavailable, message))?;
        Ok(match store.ledger.tree().before {
            Cursor(0) => format!("{}/{id}", self.name),
            Cursor(before) => format!("{}/{id}/after/{before}", self.name),
        })
    }

    /// Returns the public keys of the store's log, each in the form that verifiers take.
    ///
    /// # Errors
    /// As of [`Evidence::origin`].
    pub fn public_keys(&self, store: &OpenStore) -> Result<Vec<String>, Failure> {
        Ok(self.public_keys_of(&self.origin(store)?))
    }

    fn public_keys_of(&self, origin: &str) -> Vec<String> {
        self.keys.iter().map(|key| key.public(origin)).collect()
    }

    /// Returns a signed checkpoint of everything that was answered before.
    ///
    /// # Errors
    /// As of [`Evidence::origin`].
    pub async fn checkpoint(&self, store: &OpenStore) -> Result<String, Failure> {
        store.ledger_follows().await;
        self.checkpoint_now(store)
    }

    /// Returns the newest checkpoint that witnesses have cosigned.
    ///
    /// # Errors
    /// None has cosigned one since this gateway was started; or as of [`Evidence::origin`].
    pub fn cosigned_checkpoint(&self, store: &OpenStore) -> Result<String, Failure> {
        let origin = self.origin(store)?;
        let message = "no witness has cosigned a checkpoint since this gateway was started";
        let cosigned = self.cosigned.lock();
        let cosigned = cosigned.unwrap_or_else(PoisonError::into_inner);
        let note = cosigned.get(&origin).cloned();
        note.ok_or_else(|| Failure::new(FailureKind::NotFound, message))
    }

    fn keep_cosigned(&self, origin: &str, note: String) {
        let cosigned = self.cosigned.lock();
        let mut cosigned = cosigned.unwrap_or_else(PoisonError::into_inner);
        cosigned.insert(origin.to_owned(), note);
    }

    /// Returns a signed checkpoint of what the ledger has now.
    ///
    /// # Errors
    /// As of [`Evidence::origin`].
    pub fn checkpoint_now(&self, store: &OpenStore) -> Result<String, Failure> {
        self.sign(store).map(|signed| signed.note)
    }

    fn sign(&self, store: &OpenStore) -> Result<Signed, Failure> {
        let head = store.ledger.tree();
        let origin = self.origin(store)?;
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            size: head.size,
            root: head.root,
        };
        let note = checkpoint.sign(&self.keys);
        let note = note.ok_or_else(|| Failure::internal("a checkpoint cannot be written"))?;
        Ok(Signed { origin, note, head })
    }

    /// Returns the proof that an event is in the ledger.
    ///
    /// # Errors
    /// The ledger does not have the event.
    pub async fn inclusion(
        &self,
        store: &OpenStore,
        cursor: Cursor,
    ) -> Result<InclusionProof, Failure> {
        store.ledger_follows().await;
        let Signed { note, head, .. } = self.sign(store)?;
        let index = place(&head, cursor)?;
        let size = head.size;
        let question = TreeQuestion::Inclusion { leaf: index, size };
        let hashes = store.ledger.tree_hashes(question).await?;
        let query = LedgerQuery {
            after: Some(Cursor(cursor.0 - 1)),
            limit: 1,
            ..LedgerQuery::default()
        };
        let row = store.ledger.query(query).await?.rows.pop();
        let row = row.ok_or_else(|| missing(&head, cursor))?;
        Ok(InclusionProof {
            event: row.body.to_string(),
            index,
            hashes,
            checkpoint: note,
        })
    }

    /// Returns the proof that the ledger, which had `old` events at an earlier checkpoint, only grew.
    ///
    /// # Errors
    /// The ledger does not have as many events (it is not what it was, then), or `old` is 0.
    pub async fn consistency(
        &self,
        store: &OpenStore,
        old: u64,
    ) -> Result<ConsistencyProof, Failure> {
        store.ledger_follows().await;
        let Signed { note, head, .. } = self.sign(store)?;
        if old == 0 {
            return Err(Failure::invalid("from_size: at least 1"));
        }
        if old > head.size {
            let message = format!("the ledger has {} events, not {old}", head.size);
            return Err(Failure::new(FailureKind::NotFound, message));
        }
        let size = head.size;
        let question = TreeQuestion::Consistency { old, size };
        let hashes = store.ledger.tree_hashes(question).await?;
        Ok(ConsistencyProof::new(old, &hashes, note))
    }
}

/// The place of an event in the tree.
fn place(head: &TreeHead, cursor: Cursor) -> Result<u64, Failure> {
    let place = cursor.0.checked_sub(head.before.0 + 1);
    place
        .filter(|place| *place < head.size)
        .ok_or_else(|| missing(head, cursor))
}

fn missing(head: &TreeHead, cursor: Cursor) -> Failure {
    let (first, last) = (head.before.0 + 1, head.before.0 + head.size);
    let message = format!(
        "the ledger has no event {}: it has {first} to {last}",
        cursor.0
    );
    Failure::new(FailureKind::NotFound, message)
}
