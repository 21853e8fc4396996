//! A watch: what happens to locks from a place on, each transition once and in order. What the
//! backend has forgotten is read from the ledger.

mod fanout;
mod scope;

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_audit::canonical;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPage;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::limits::WATCH_REPLAY_EVENTS_MAX;

use self::fanout::Fanout;
use self::fanout::Found;
use self::fanout::Subscription;
use crate::store_client::StoreClient;

pub use self::fanout::Published;
pub use self::scope::WatchScope;

/// Events read from the ledger at a time.
const PAGE_EVENTS: usize = 256;
/// How long the store may take to bring this node up to date with the others.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);
/// How long an event may be on its way to this node after that.
const PLACE_PATIENCE: Duration = Duration::from_millis(100);

/// Hex digits that tell one store from another.
const STORY_DIGITS: usize = 8;

/// A place in the story of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// After which event.
    pub cursor: Cursor,
    /// Of which store; none if that is not known.
    pub store: Option<Arc<str>>,
}

/// A watch that has begun.
pub struct Watching {
    /// Where it begins.
    pub begin: Place,
    /// What happens, without end unless it breaks.
    pub told: BoxStream<'static, Told>,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching")
            .field("begin", &self.begin)
            .finish_non_exhaustive()
    }
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened to a lock.
    Event(Arc<Published>),
    /// Events were missed; the watch goes on after this one.
    Resync {
        /// Why: `foreign`, `unknown`, `trimmed`, `too-many` or `corrupt`.
        reason: &'static str,
        /// After which event it goes on.
        goes_on: Cursor,
    },
    /// Nothing can be read now. The watch ends, and may be asked for again where it was.
    Broken,
}

/// Where watches read: the backend, and what it has forgotten in the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Watches {
    store: Arc<StoreClient>,
    ledger: Arc<dyn Ledger>,
    /// Which store's story the ledger tells, once that is known.
    story: Arc<OnceLock<Arc<str>>>,
    place_patience: Duration,
    /// The newest events, read once for all watches.
    fanout: Arc<Fanout>,
}

impl Watches {
    pub(crate) fn new(store: Arc<StoreClient>, ledger: Arc<dyn Ledger>) -> Self {
        Self {
            store,
            ledger,
            story: Arc::default(),
            place_patience: PLACE_PATIENCE,
            fanout: Fanout::new(),
        }
    }

    pub(crate) async fn begin(&self, scope: WatchScope, after: Option<Place>) -> Watching {
        self.fanout.start(&self.store);
        let store = self.story().await;
        let newest = self.newest().await;
        let (cursor, resync) = match after {
            None => (newest, None),
            Some(place) => match self.lost(&place, store.as_ref()).await {
                None => (place.cursor, None),
                Some(reason) => (newest, Some(reason)),
            },
        };
        let first = resync.map(|reason| Told::Resync {
            reason,
            goes_on: cursor,
        });
        let reader = Reader {
            source: Source::Store(self.store.events(cursor)),
            watches: self.clone(),
            scope,
            after: cursor,
            replayed: 0,
        };
        Watching {
            begin: Place { cursor, store },
            told: stream::iter(first).chain(reader.told()).boxed(),
        }
    }

    /// Which store's story this is: the beginning of the ledger's chain after its first event, which
    /// all nodes of one store have in common. None while the ledger is empty.
    async fn story(&self) -> Option<Arc<str>> {
        if let Some(known) = self.story.get() {
            return Some(known.clone());
        }
        let first = LedgerQuery {
            limit: 1,
            ..LedgerQuery::default()
        };
        let page = self.ledger.query(first).await.ok()?;
        let row = page.rows.first().filter(|row| row.cursor == Cursor(1))?;
        let story = Arc::from(&row.chain.to_string()[..STORY_DIGITS]);
        Some(self.story.get_or_init(|| story).clone())
    }

    /// Why a watch cannot go on from a place, if it cannot.
    async fn lost(&self, place: &Place, story: Option<&Arc<str>>) -> Option<&'static str> {
        if let (Some(theirs), Some(ours)) = (&place.store, story)
            && theirs != ours
        {
            return Some("foreign");
        }
        if place.cursor <= self.newest().await {
            return None;
        }
        // This node may be behind another: a linearizable read brings it up to date. If the read
        // fails, nobody knows of such an event either.
        let _ = tokio::time::timeout(CATCH_UP_WITHIN, self.store.probe_by_read()).await;
        if place.cursor <= self.newest().await {
            return None;
        }
        let before = Cursor(place.cursor.0.saturating_sub(1));
        let mut events = self.store.events(before);
        let there = tokio::time::timeout(self.place_patience, events.next()).await;
        (!matches!(there, Ok(Some(Ok(_))))).then_some("unknown")
    }

    async fn newest(&self) -> Cursor {
        self.store.health().await.newest
    }
}

/// Reads on, from the backend or from the ledger.
struct Reader {
    watches: Watches,
    scope: WatchScope,
    /// All events up to here were told, or are none of this watch's.
    after: Cursor,
    source: Source,
    /// How many events were told from the ledger.
    replayed: usize,
}

enum Source {
    /// The newest events, which are in memory.
    Newest(Subscription),
    Store(BoxStream<'static, Result<Arc<Event>, BackendError>>),
    Ledger,
    Over,
}

impl Reader {
    fn told(self) -> impl futures_util::Stream<Item = Told> + Send + 'static {
        let steps = stream::unfold(self, |mut reader| async move {
            let told = reader.step().await?;
            Some((told, reader))
        });
        steps.flat_map(stream::iter)
    }

    /// What comes next, perhaps nothing of this watch's; none if there is no more.
    async fn step(&mut self) -> Option<Vec<Told>> {
        if let Source::Store(_) = self.source
            && let Some(newest) = self.watches.fanout.subscribe(&self.scope, self.after)
        {
            self.replayed = 0;
            self.source = Source::Newest(newest);
        }
        match &mut self.source {
            Source::Over => None,
            Source::Ledger => Some(self.read_ledger().await),
            Source::Newest(newest) => {
                let found = newest.next(self.after).await;
                Some(self.found(found))
            }
            Source::Store(events) => match events.next().await? {
                Ok(event) => {
                    self.after = event.cursor;
                    self.replayed = 0;
                    Some(self.covered(event).into_iter().collect())
                }
                Err(error) => Some(self.failed(&error).await),
            },
        }
    }

    fn found(&mut self, found: Found) -> Vec<Told> {
        match found {
            Found::Events { events, to } => {
                self.after = to;
                events.into_iter().map(Told::Event).collect()
            }
            Found::Lost => {
                self.source = Source::Store(self.watches.store.events(self.after));
                Vec::new()
            }
            // The client reads too slowly for what happens. It may resume where it was.
            Found::TooFar => {
                self.source = Source::Over;
                vec![Told::Broken]
            }
        }
    }

    async fn failed(&mut self, error: &BackendError) -> Vec<Told> {
        match error.kind {
            ErrorKind::Trimmed => {
                self.source = Source::Ledger;
                Vec::new()
            }
            ErrorKind::Corrupt => vec![self.resync("corrupt").await],
            // It may pass: the watch is asked for again.
            _ => {
                self.source = Source::Over;
                vec![Told::Broken]
            }
        }
    }

    /// The next page of the ledger. After its last one the backend has the rest.
    async fn read_ledger(&mut self) -> Vec<Told> {
        let page = match self.page().await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, after = self.after.0, "watch.ledger failed");
                return self.failed(&error).await;
            }
        };
        let before = self.after;
        let mut told = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let Ok(recorded) = canonical::parse(&row.body) else {
                return vec![self.resync("corrupt").await];
            };
            told.extend(self.covered(Arc::new(recorded.event)));
        }
        self.replayed += told.len();
        if self.replayed > WATCH_REPLAY_EVENTS_MAX {
            return vec![self.resync("too-many").await];
        }
        match page.next {
            Some(last) => self.after = last,
            // The backend forgets nothing that the ledger has not.
            None if page.complete_to <= before => return vec![self.resync("trimmed").await],
            None => {
                self.after = page.complete_to;
                self.source = Source::Store(self.watches.store.events(self.after));
            }
        }
        told
    }

    async fn page(&mut self) -> Result<LedgerPage, BackendError> {
        let (namespace, lock) = match &self.scope {
            WatchScope::Lock(lock) => (None, Some(lock.to_string())),
            WatchScope::Prefix(namespace, _) => (Some(namespace.to_string()), None),
        };
        let query = LedgerQuery {
            namespace,
            lock,
            after: Some(self.after),
            limit: PAGE_EVENTS,
            ..LedgerQuery::default()
        };
        self.watches.ledger.query(query).await
    }

    /// Gives up what is missing, and goes on from now.
    async fn resync(&mut self, reason: &'static str) -> Told {
        self.after = self.watches.newest().await;
        self.replayed = 0;
        self.source = Source::Store(self.watches.store.events(self.after));
        Told::Resync {
            reason,
            goes_on: self.after,
        }
    }

    /// The event, if it is of this watch.
    fn covered(&self, event: Arc<Event>) -> Option<Told> {
        let covers = match &event.kind {
            EventKind::Lock { lock, .. } => self.scope.covers(&lock.namespace, &lock.lock),
            EventKind::Denied(_) | EventKind::Governance(_) => false,
        };
        covers.then(|| Told::Event(Published::new(event)))
    }
}

#[cfg(test)]
mod tests;
