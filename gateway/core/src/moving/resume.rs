//! Moves that were cut off: whoever began one may be gone, and its namespace serves nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::NamespaceName;
use leasehold_domain::StoreName;

use super::Mover;
use crate::caller::Caller;

/// A move that is seen twice, so far apart, is taken up. That its mover is only slow does no harm:
/// several may work on one move.
const TAKE_UP_AFTER: Duration = Duration::from_secs(10);

impl Mover {
    /// Takes up moves that were cut off, for ever.
    pub async fn take_up(self: Arc<Self>) {
        let Ok(caller) = Caller::gateway("move") else {
            return;
        };
        let mut before = BTreeMap::new();
        loop {
            tokio::time::sleep(TAKE_UP_AFTER).await;
            let now = self.under_way();
            for (namespace, (era, to)) in &now {
                if before.get(namespace) != Some(&(*era, to.clone())) {
                    continue;
                }
                tracing::warn!(%namespace, store = %to, "move.resumed");
                if let Err(failure) = self.run(&caller, namespace, to).await {
                    let (message, detail) = (&failure.message, &failure.detail);
                    tracing::error!(%namespace, message, ?detail, "move.resume failed");
                }
            }
            before = now;
        }
    }

    /// The moves that the plan in force tells of: how manieth each is, and where it goes.
    fn under_way(&self) -> BTreeMap<NamespaceName, (u64, StoreName)> {
        let plan = self.governance.plan();
        let moving = plan.namespaces().filter_map(|namespace| {
            let document = &namespace.document;
            let travels = &document.travels;
            let to = travels.to.clone()?;
            Some((document.name.clone(), (travels.era, to)))
        });
        moving.collect()
    }
}
