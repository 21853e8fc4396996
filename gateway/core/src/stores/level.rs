//! Follows the feature level of a store: the ledger's file is migrated when it is raised, and a gateway
//! that shares the store says now and then that it is there.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use leasehold_backend_api::Documents;
use leasehold_backend_api::Ledger;
use leasehold_domain::FeatureLevel;
use tokio::time::MissedTickBehavior;

use super::StoreMembers;
use crate::tasks::Supervised;
use crate::tasks::TaskMetrics;
use crate::tasks::supervise;

/// How often the level is looked at. It is known without asking the store.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks a gateway says that it is there: once a minute, because it is a write of the
/// store.
const LOOKS_PER_REGISTRATION: u32 = 60;

/// Starts to follow.
pub(super) fn follow_level(
    (documents, ledger): (Arc<dyn Documents>, Arc<dyn Ledger>),
    members: StoreMembers,
    tasks: &TaskMetrics,
) -> Supervised {
    supervise("feature-level", tasks, move || {
        let of = (documents.clone(), ledger.clone());
        follow(of, members.clone()).map(ControlFlow::Continue)
    })
}

async fn follow((documents, ledger): (Arc<dyn Documents>, Arc<dyn Ledger>), members: StoreMembers) {
    // The ledger's file has at least what this level allows.
    let mut known = FeatureLevel::FIRST;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // It was registered when the store was opened.
    let mut looks = 0;
    loop {
        look.tick().await;
        let level = documents.level();
        if level > known {
            match ledger.raise_level(level).await {
                Ok(()) => known = level,
                Err(error) => tracing::warn!(%error, "ledger.migration failed; tried again"),
            }
        }
        looks = (looks + 1) % LOOKS_PER_REGISTRATION;
        if looks == 0
            && let StoreMembers::Gateways(gateways) = &members
            && let Err(error) = gateways.announce().await
        {
            tracing::warn!(%error, "gateway.registration failed; tried again");
        }
    }
}
