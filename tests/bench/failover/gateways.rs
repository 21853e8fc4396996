//! Three gateways on the embedded store.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::MEMBERS;
use leasehold_tests::cluster;
use leasehold_tests::leader;
use serde_json::json;
use tempfile::TempDir;

use super::Group;
use super::PATIENCE;
use super::REST;

pub(crate) struct Gateways {
    each: Vec<Gateway>,
    apis: Vec<Api>,
    killed: Option<usize>,
    _folder: TempDir,
}

impl Gateways {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let quiet = "[telemetry]\nlevel = \"error\"\n";
        let each = cluster(&folder, quiet).await?;
        Ok(Self {
            apis: each.iter().map(Gateway::admin).collect(),
            each,
            killed: None,
            _folder: folder,
        })
    }

    /// The newest event of a gateway's store.
    async fn newest(&self, place: usize) -> Result<u64> {
        let ready = self.apis[place].get("/readyz").await?;
        ensure!(ready.status == 200, "{ready:?}");
        let ledger = &ready.body["ledger"];
        let (cursor, lag) = (ledger["cursor"].as_u64(), ledger["lag_events"].as_u64());
        Ok(cursor.context("cursor")? + lag.context("lag")?)
    }
}

impl Group for Gateways {
    fn name(&self) -> &'static str {
        "Leasehold, 3 gateways"
    }

    async fn kill_leader(&mut self) -> Result<Vec<usize>> {
        let leads = leader(&self.each).await?;
        self.each[leads].kill().await?;
        self.killed = Some(leads);
        Ok((0..MEMBERS).filter(|place| *place != leads).collect())
    }

    async fn ask(&self, place: usize, lock: &str) -> Result<bool> {
        let body = json!({ "ttl_ms": 60_000, "request_id": lock });
        let answer = self.apis[place].verb(lock, "acquire", &body).await?;
        Ok(answer.status == 201 || answer.status == 200)
    }

    async fn mend(&mut self) -> Result<()> {
        let Some(killed) = self.killed.take() else {
            return Ok(());
        };
        self.each[killed].restart().await?;
        self.apis[killed] = self.each[killed].admin();
        let others = (killed + 1) % MEMBERS;
        let whole = async {
            let newest = self.newest(others).await?;
            while self.newest(killed).await? < newest {
                tokio::time::sleep(REST).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, whole).await?
    }
}
