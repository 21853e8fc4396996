//! The keys: what is where.
//!
//! All that gateways follow is in one range, so that one watch tells of all of it in order. Blobs
//! are beside it, because nobody needs to hear of them.

use leasehold_domain::CounterKey;
use leasehold_domain::Digest;
use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use prost::bytes::Bytes;

/// Keys under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

/// What a followed key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Put by every write of locks or documents.
    Head,
    /// Put by every write that deletes a record.
    Forgotten,
    /// The cursor before the first event that is still there.
    Base,
    /// The revision of the documents.
    Documents,
    /// A record.
    Lock(LockRef),
    /// One of those who wait for a lock, by its number.
    Waiter(LockRef, u64),
    /// The events of a write.
    Events,
    /// The acquires whose leases a write has ended.
    Ended,
    /// What the last new history began with.
    History,
    /// Put by every write that changes how many leases carry one of the counters of this number.
    Counter(u16),
    /// Up to where a consumer has events.
    Consumer(String),
    /// A document.
    Document(Box<str>, Box<str>),
}

impl Keys {
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    fn key(&self, rest: &str) -> Bytes {
        Bytes::from(format!("{}{rest}", self.prefix))
    }

    /// What the bytes of all others mean.
    pub(crate) fn format(&self) -> Bytes {
        self.key("format")
    }

    /// What the last new history began with: see [`crate::new_history`].
    pub(crate) fn history(&self) -> Bytes {
        self.key("live/history")
    }

    /// The identity of the store's history.
    pub(crate) fn identity(&self) -> Bytes {
        self.key("identity")
    }

    /// Where the ledger of a consumer was at its last trim.
    pub(crate) fn ledger(&self, consumer: &str) -> Bytes {
        self.key(&format!("ledger/{consumer}"))
    }

    /// The range of where all ledgers were at their last trim.
    pub(crate) fn ledgers(&self) -> (Bytes, Bytes) {
        (self.key("ledger/"), self.key("ledger0"))
    }

    /// The range of all that is followed.
    pub(crate) fn followed(&self) -> (Bytes, Bytes) {
        // `0` is the character after `/`.
        (self.key("live/"), self.key("live0"))
    }

    pub(crate) fn head(&self) -> Bytes {
        self.key("live/head")
    }

    pub(crate) fn forgotten(&self) -> Bytes {
        self.key("live/forgotten")
    }

    pub(crate) fn base(&self) -> Bytes {
        self.key("live/base")
    }

    pub(crate) fn documents(&self) -> Bytes {
        self.key("live/documents")
    }

    pub(crate) fn lock(&self, lock: &LockRef) -> Bytes {
        // A namespace has no slash in it, so no two locks have the same key.
        self.key(&format!("live/lock/{lock}"))
    }

    /// In the order of their numbers, which is that of the queue.
    pub(crate) fn waiter(&self, lock: &LockRef, number: u64) -> Bytes {
        self.key(&format!("live/waiter/{lock}/{number:016x}"))
    }

    /// The key of a counter's number: see [`counter_number`].
    pub(crate) fn counter(&self, number: u16) -> Bytes {
        self.key(&format!("live/counter/{number:04x}"))
    }

    /// A key for the events of one write; no other write has it.
    pub(crate) fn events(&self, writer: u64, number: u64) -> Bytes {
        self.key(&format!("live/events/{writer:016x}/{number:016x}"))
    }

    /// The range of all events.
    pub(crate) fn all_events(&self) -> (Bytes, Bytes) {
        (self.key("live/events/"), self.key("live/events0"))
    }

    /// A key for the acquires whose leases one write has ended; no other write has it.
    pub(crate) fn ended(&self, writer: u64, number: u64) -> Bytes {
        self.key(&format!("live/ended/{writer:016x}/{number:016x}"))
    }

    pub(crate) fn consumer(&self, name: &str) -> Bytes {
        self.key(&format!("live/consumer/{name}"))
    }

    /// The range of all consumers.
    pub(crate) fn consumers(&self) -> (Bytes, Bytes) {
        (self.key("live/consumer/"), self.key("live/consumer0"))
    }

    pub(crate) fn document(&self, collection: &str, id: &str) -> Bytes {
        self.key(&format!("live/document/{collection}/{id}"))
    }

    /// How many chunks a blob has; put after them.
    pub(crate) fn blob(&self, digest: &Digest) -> Bytes {
        self.key(&format!("blob/{digest}"))
    }

    pub(crate) fn blob_chunk(&self, digest: &Digest, number: usize) -> Bytes {
        self.key(&format!("blob/{digest}/{number:04}"))
    }

    /// What a key of the followed range holds; none if it is not one of ours.
    pub(crate) fn kind(&self, key: &[u8]) -> Option<Kind> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?.strip_prefix("live/")?;
        Some(match rest.split_once('/') {
            None if rest == "head" => Kind::Head,
            None if rest == "forgotten" => Kind::Forgotten,
            None if rest == "base" => Kind::Base,
            None if rest == "documents" => Kind::Documents,
            None if rest == "history" => Kind::History,
            Some(("lock", lock)) => Kind::Lock(lock.parse().ok()?),
            Some(("waiter", waiter)) => {
                let (lock, number) = waiter.rsplit_once('/')?;
                Kind::Waiter(lock.parse().ok()?, u64::from_str_radix(number, 16).ok()?)
            }
            Some(("events", _)) => Kind::Events,
            Some(("ended", _)) => Kind::Ended,
            Some(("counter", number)) => Kind::Counter(u16::from_str_radix(number, 16).ok()?),
            Some(("consumer", name)) => Kind::Consumer(name.to_owned()),
            Some(("document", name)) => {
                let (collection, id) = name.split_once('/')?;
                Kind::Document(collection.into(), id.into())
            }
            _ => return None,
        })
    }
}

/// The number of a counter's key. Counters share a fixed number of keys, so that there are no keys to
/// delete when nobody counts any more. Two counters of one number conflict, and count apart all the
/// same.
pub(crate) fn counter_number(namespace: &NamespaceName, key: &CounterKey) -> u16 {
    let named = [namespace.as_str(), &*key.policy, &*key.name].join("\0");
    let Digest([high, low, ..]) = Digest::of(named.as_bytes());
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_holds() {
        let keys = Keys::new("/x/".to_owned());
        let lock: LockRef = "demo/a/b".parse().unwrap();
        let all = [
            (keys.head(), Kind::Head),
            (keys.forgotten(), Kind::Forgotten),
            (keys.base(), Kind::Base),
            (keys.documents(), Kind::Documents),
            (keys.history(), Kind::History),
            (keys.counter(0xab), Kind::Counter(0xab)),
            (keys.lock(&lock), Kind::Lock(lock.clone())),
            (keys.waiter(&lock, 30), Kind::Waiter(lock, 30)),
            (keys.events(1, 2), Kind::Events),
            (keys.ended(1, 2), Kind::Ended),
            (keys.consumer("me/1"), Kind::Consumer("me/1".to_owned())),
            (
                keys.document("key", "a/b"),
                Kind::Document("key".into(), "a/b".into()),
            ),
        ];
        let (from, to) = keys.followed();
        for (key, kind) in all {
            assert!(from <= key && key < to, "{key:?} is followed");
            assert_eq!(keys.kind(&key), Some(kind));
        }
        let blob = keys.blob_chunk(&Digest([1; 32]), 3);
        assert!(!(from <= blob && blob < to), "{blob:?} is not followed");
        assert_eq!(keys.kind(&blob), None);
        assert_eq!(keys.kind(b"/x/live/lock/nonsense"), None);
    }
}
