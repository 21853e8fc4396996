//! What a shared store does when an operator starts a new history of it.

use std::sync::Arc;

use futures_util::StreamExt;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Effect;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::HistoryStart;
use leasehold_backend_api::NewHistory;
use leasehold_domain::Cursor;
use leasehold_domain::EventKind;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::StoreId;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::TOKENS_PER_WRITE;

use crate::asking::LONG;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::fresh_request;
use crate::asking::granted;
use crate::asking::lock;
use crate::governing::edit;
use crate::head;

async fn take(backend: &dyn Backend, name: &str) -> Result<Outcome, BackendError> {
    let asked = command("ann", &fresh_request(), lock(name), acquire(LONG, None));
    let mut outcomes = backend.execute(Batch::one(asked)).await?;
    Ok(outcomes.remove(0))
}

/// A gateway that is left running while an operator starts a new history writes nothing to it. What
/// opens the store afterwards has the old leases, and grants tokens above all that were asked for.
///
/// # Panics
/// The store does anything else.
pub async fn a_new_history_fences_who_had_the_old_one<B: Backend + NewHistory>(
    (running, accepting): (&dyn Backend, &B),
    reopen: impl AsyncFnOnce() -> Arc<B>,
) {
    granted(take(running, "kept").await.expect("an answer"));
    let old = accepting.history().await.expect("an answer");
    let mut start = HistoryStart {
        id: StoreId::from_bytes([7; 16]),
        newest: Cursor(old.newest.0 + 1),
        after: head(old.newest.0 + 100),
        unrecorded: Vec::new(),
        revision_min: old.revision + 1_000_000,
        change: edit("history", None, Precondition::Any)
            .change
            .expect("an edit has a change"),
        wall: WallMillis(5),
    };
    let early = accepting.start_history(start.clone()).await.unwrap_err();
    assert_eq!(
        (early.kind, early.effect),
        (ErrorKind::Contended, Effect::None)
    );
    start.newest = old.newest;
    let change = start.change.clone();
    let started = accepting.start_history(start).await.expect("a new history");
    assert!(started.revision >= old.revision + 1_000_000, "{started:?}");

    let mut fenced = None;
    for _ in 0..3 {
        let refused = take(running, "new").await.unwrap_err();
        assert_eq!(refused.effect, Effect::None, "{refused}");
        fenced = Some(refused.kind);
    }
    assert_eq!(fenced, Some(ErrorKind::Fenced));

    let backend = reopen().await;
    let history = backend.history().await.expect("an answer");
    assert_eq!(history.id, StoreId::from_bytes([7; 16]));
    assert_eq!(history.ledger, Some(head(old.newest.0 + 100)));
    assert!(history.revision >= started.revision, "{history:?}");
    let first = backend.events(history.trimmed).next().await;
    let first = first.expect("an event").expect("an event");
    assert_eq!(first.cursor, started.event);
    assert_eq!(first.kind, EventKind::Governance(Box::new(change)));
    let new = granted(take(&*backend, "new").await.expect("an answer"));
    assert!(new.token.0 > started.revision * TOKENS_PER_WRITE, "{new:?}");
    let held = take(&*backend, "kept").await.expect("an answer");
    assert!(matches!(held, Outcome::Held { .. }), "{held:?}");
}
