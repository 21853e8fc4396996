//! Where a ledger is opened.

use futures_util::FutureExt;

use super::*;

#[test]
fn a_ledger_is_opened_on_a_thread_for_blocking_work() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        // The only thread for blocking work is busy, so nothing can be opened until it is free.
        let (free, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let mut opening = std::pin::pin!(open_ledger(folder.path()));
        assert!(opening.as_mut().now_or_never().is_none());
        assert!(!ledger_file(folder.path()).exists());
        drop(free);
        assert!(busy.await.unwrap().is_err());
        opening.await.unwrap();
        assert!(ledger_file(folder.path()).exists());
    });
}
