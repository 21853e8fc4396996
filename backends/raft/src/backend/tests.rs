//! What a node does with its folder.

use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_api::Documents;
use leasehold_domain::SystemClock;

use crate::OpenError;
use crate::RaftBackend;
use crate::RaftConfig;

async fn open(config: &RaftConfig) -> Result<Arc<RaftBackend>, OpenError> {
    RaftBackend::open(config.clone(), Arc::new(SystemClock::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_folder_can_be_opened_again_at_once_and_an_open_one_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(folder.path().join("node"));
    for round in 0..3 {
        let node = open(&config).await.unwrap();
        let second = open(&config).await;
        assert!(matches!(second, Err(OpenError::Locked(_))), "{round}");
        let digest = node.put_blob(Arc::from(*b"module")).await.unwrap();
        assert!(node.get_blob(&digest).await.unwrap().is_some());
        node.close().await;
    }
}
