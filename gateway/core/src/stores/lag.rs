//! How far the ledger is behind its backend, in events and in time.

use std::time::Duration;

use futures_util::StreamExt;
use leasehold_domain::Cursor;
use leasehold_domain::WallMillis;

use crate::store_client::StoreClient;
use crate::telemetry::Lag;

/// How long a scrape waits for the event that tells the age. It is there, or the store is ill.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks for the first event after the ledger's end.
pub(super) async fn measure_lag(store: &StoreClient, ledger: Cursor, now: WallMillis) -> Lag {
    let newest = store.health().await.newest;
    let events = newest.0.saturating_sub(ledger.0);
    if events == 0 {
        let seconds = 0.0;
        return Lag { events, seconds };
    }
    let mut behind = store.events(ledger);
    let oldest = tokio::time::timeout(PATIENCE, behind.next()).await;
    let seconds = match oldest {
        Ok(Some(Ok(event))) => {
            Duration::from_millis(now.0.saturating_sub(event.wall.0)).as_secs_f64()
        }
        Ok(Some(Err(error))) => {
            tracing::warn!(%error, "lag.measure failed");
            f64::NAN
        }
        Ok(None) | Err(_) => f64::NAN,
    };
    Lag { events, seconds }
}

#[cfg(test)]
mod tests;
