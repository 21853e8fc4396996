//! The caps of a namespace: which an acquire is held to, and what is answered beyond one.
//!
//! The lock machine counts locks and waiters, and refuses what would exceed a cap in the same write.
//! Bytes in the ledger are counted by the ledger, which follows the store; the machine is told that
//! the cap is reached, because only it knows whether an acquire is a repetition.

use std::sync::Arc;

use leasehold_domain::Cap;
use leasehold_domain::CapReached;
use leasehold_domain::Caps;
use leasehold_domain::LockRef;
use leasehold_domain::Operation;

use super::Inner;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::document::NamespaceDocument;
use crate::stores::OpenStore;

impl Inner {
    /// Returns the caps to which an operation is held; `None` if there are none.
    pub(super) fn caps_for(
        &self,
        operation: Operation,
        namespace: &NamespaceDocument,
        store: &OpenStore,
    ) -> Option<Caps> {
        if operation != Operation::Acquire {
            return None;
        }
        let caps = namespace.caps.or(&self.default_caps);
        let reached = caps.ledger_bytes.and_then(|most| {
            let present = store.ledger.namespace_bytes(&namespace.name);
            let reached = CapReached {
                cap: Cap::LedgerBytes,
                most,
                present,
            };
            (present >= most).then_some(reached)
        });
        let caps = Caps {
            locks: caps.locks,
            waiters: caps.waiters,
            reached,
        };
        (!caps.is_none()).then_some(caps)
    }

    /// Makes durable that an acquire was refused because of a cap, and only then answers it.
    pub(super) async fn refuse_beyond_cap(
        &self,
        store: &Arc<OpenStore>,
        caller: &Caller,
        lock: &LockRef,
        reached: CapReached,
    ) -> Failure {
        let refusing = self.authorization.beyond_cap(store, caller, lock, reached);
        // On the heap: the future of a request that is not refused stays small.
        Box::pin(refusing).await
    }
}

#[cfg(test)]
mod tests;
