//! Faults, injected into real processes; a short run on each store. `cargo robustness` runs longer.

use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::robustness;
use leasehold_tests::robustness::Options;
use leasehold_tests::robustness::Store;

/// Long enough for each kind of fault once.
const SECONDS: u64 = 60;
/// Any would do; this one repeats the run.
const SEED: u64 = 1;

async fn holds(store: Store) -> Result<()> {
    let summary = robustness::run(&Options::new(store, SECONDS, SEED)).await?;
    ensure!(summary.violations.is_empty(), "{summary}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_its_promises() -> Result<()> {
    holds(Store::Raft).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_its_promises() -> Result<()> {
    holds(Store::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_its_promises() -> Result<()> {
    holds(Store::Etcd).await
}
