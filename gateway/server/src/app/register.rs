//! Registers this gateway with the stores that it shares.

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Cluster;
use leasehold_backend_api::Documents;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_raft::RaftBackend;
use leasehold_core::config::Config;
use leasehold_core::gateways::GatewayIdentity;
use leasehold_core::gateways::SharedGateways;
use leasehold_core::stores::Remembered;
use leasehold_core::stores::StoreMembers;
use leasehold_domain::Clock;
use leasehold_domain::StoreName;

/// What says who writes to a store.
pub(super) struct Membership {
    pub(super) documents: Arc<dyn Documents>,
    /// The same store, if it is the embedded one.
    pub(super) raft: Option<Arc<RaftBackend>>,
    /// What this gateway is called among the readers of the store's events, if others share it.
    pub(super) consumer: Option<String>,
}

impl Membership {
    /// Finds out who writes to the store; registers this gateway if it shares the store with others.
    ///
    /// # Errors
    /// This build does not support the store's feature level, or the store cannot be read or written.
    pub(super) async fn take_part(
        self,
        name: &StoreName,
        config: &Config,
        remembered: &Arc<Remembered>,
        clock: &Arc<dyn Clock>,
    ) -> Result<StoreMembers, BackendError> {
        if let Some(raft) = self.raft {
            return Ok(StoreMembers::Group(raft as Arc<dyn Cluster>));
        }
        let Some(consumer) = self.consumer else {
            return Ok(StoreMembers::Process);
        };
        let failed = |problem: String| {
            BackendError::without_effect(ErrorKind::Unavailable, format!("gateway id: {problem}"))
        };
        let (remembered, of) = (remembered.clone(), name.clone());
        let drawn = tokio::task::spawn_blocking(move || remembered.gateway_id(&of)).await;
        let id = drawn.map_err(|error| failed(error.to_string()))?;
        let me = GatewayIdentity {
            id: id.map_err(|error| failed(error.to_string()))?,
            name: config.safe_mode.gateway(),
            consumer,
        };
        let levels = Levels::of_build();
        let registered = SharedGateways::register(self.documents, me, levels, clock.clone());
        let registered = registered.await?;
        Ok(StoreMembers::Gateways(Arc::new(registered)))
    }
}
