//! Opening a store besides the default one.

use leasehold_core::data_dir::ledger_file;

use super::*;

#[tokio::test]
async fn a_store_that_is_not_there_costs_no_opening_of_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing listens on port 1.
    let text = "[storage]\nbackend = \"memory\"\n[stores.eu]\nbackend = \"etcd\"\n\
                [stores.eu.etcd]\nendpoints = [\"http://127.0.0.1:1\"]\n";
    let mut config = Config::parse(text).unwrap();
    config.storage.data_dir = folder.path().to_owned();
    let remembered = Arc::new(Remembered::open(folder.path()).unwrap());
    let name: StoreName = "eu".parse().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = extra_parts(Arc::new(config), name, clock, remembered).await;
    assert!(opened.unwrap_err().problem.contains("etcd"));
    let ledger = ledger_file(&folder.path().join("stores/eu"));
    assert!(!ledger.exists(), "{}", ledger.display());
}
