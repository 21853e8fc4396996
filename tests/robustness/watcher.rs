//! A client that watches contended locks, and goes on at another gateway where its watch broke off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Recorder;
use super::Shown;
use super::Sight;
use super::Told;
use crate::ADMIN_KEY;
use crate::Api;
use crate::Seen;
use crate::Watch;

/// The locks that it watches: those that are never quiet for long.
const PATH: &str = "/v1/namespaces/demo/locks:watch?prefix=contended-";
/// A gateway that does not answer within this is left for another.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
/// So is one that shows nothing for so long: it may be frozen, or cut off.
const SILENCE: Duration = Duration::from_secs(3);
/// Between two gateways, so that it does not spin while none is there.
const PAUSE: Duration = Duration::from_millis(100);

/// One watcher.
#[derive(Debug)]
pub(crate) struct Watcher {
    number: u32,
    gateways: Vec<Api>,
    /// The gateway that it watches at.
    at: usize,
    recorder: Arc<Recorder>,
    /// The last event that it must see, once that is known.
    last: watch::Receiver<Option<u64>>,
    /// The id of the last event that it saw whole, and its cursor.
    id: Option<String>,
    cursor: u64,
}

impl Watcher {
    pub(crate) fn new(
        number: u32,
        urls: &[String],
        recorder: Arc<Recorder>,
        last: watch::Receiver<Option<u64>>,
    ) -> Self {
        Self {
            number,
            gateways: urls
                .iter()
                .map(|url| Api::new(url, Some(ADMIN_KEY)))
                .collect(),
            at: number as usize % urls.len(),
            recorder,
            last,
            id: None,
            cursor: 0,
        }
    }

    /// Watches until it has seen the last event.
    pub(crate) async fn work(mut self) {
        while !self.has_seen_all() {
            let gateway = &self.gateways[self.at];
            let opening = gateway.watch(PATH, self.id.as_deref());
            if let Ok(Ok(watch)) = tokio::time::timeout(OPEN_DEADLINE, opening).await {
                self.follow(watch).await;
                self.saw(Shown::Cut);
            }
            self.at = (self.at + 1) % self.gateways.len();
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn has_seen_all(&self) -> bool {
        self.last.borrow().is_some_and(|last| self.cursor >= last)
    }

    /// Follows one watch until it breaks off.
    async fn follow(&mut self, mut watch: Watch) {
        let mut event = Vec::new();
        while !self.has_seen_all() {
            let next = tokio::time::timeout(SILENCE, watch.next()).await;
            let Ok(Ok(Some(seen))) = next else { return };
            if seen.event == "resync" {
                event.clear();
                let reason = seen.data["reason"].as_str().unwrap_or_default().to_owned();
                let cursor = self.goes_on(seen.id);
                self.saw(Shown::Resync { reason, cursor });
                continue;
            }
            event.extend(told(&seen));
            // Only the last transition of an event has an id, and what begins a watch.
            let Some(cursor) = self.goes_on(seen.id) else {
                continue;
            };
            self.saw(match std::mem::take(&mut event) {
                none if none.is_empty() => Shown::Begun { cursor },
                event => Shown::Event(event),
            });
        }
    }

    /// The place after which the next watch shall go on.
    fn goes_on(&mut self, id: Option<String>) -> Option<u64> {
        let id = id?;
        let cursor = id.split('-').next()?.parse().ok()?;
        (self.id, self.cursor) = (Some(id), cursor);
        Some(cursor)
    }

    fn saw(&self, shown: Shown) {
        self.recorder.sight(Sight {
            watcher: self.number,
            gateway: u32::try_from(self.at).unwrap_or(u32::MAX),
            at_us: self.recorder.now_us(),
            shown,
        });
    }
}

fn told(seen: &Seen) -> Option<Told> {
    let text = |name: &str| seen.data[name].as_str().map(str::to_owned);
    Some(Told {
        cursor: seen.data["cursor"].as_u64()?,
        lock: text("lock")?,
        change: text("transition")?,
        handle: text("lease"),
        token: seen.data["fencing_token"].as_u64(),
    })
}
