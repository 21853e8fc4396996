//! What the ledger tells, once it has everything that was answered.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;

use crate::Api;

/// How long the ledger may be behind before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

impl Api {
    /// Waits until the ledger holds every event of what was answered before this call.
    ///
    /// # Errors
    /// It does not catch up.
    pub async fn settled(&self) -> Result<()> {
        let caught_up = async {
            loop {
                let ready = self.get("/readyz").await?;
                if ready.body["ledger"]["lag_events"].as_u64() == Some(0) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, caught_up)
            .await
            .context("the ledger does not catch up")?
    }

    /// All rows that answer a query such as `lock=demo/a&verdict=deny`, page by page, once the
    /// ledger holds every event of what was answered before this call.
    ///
    /// # Errors
    /// It does not catch up, or the caller may not read it.
    pub async fn ledger(&self, query: &str) -> Result<Vec<Value>> {
        self.settled().await?;
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/audit/events?limit=1000&{query}{after}");
            let page = self.get(&path).await?;
            ensure!(page.status == 200, "{page:?}");
            let events = page.body["events"].as_array().context("events")?;
            rows.extend(events.iter().cloned());
            match page.body["next_cursor"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(rows),
            }
        }
    }
}
