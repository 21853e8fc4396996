//! The Merkle tree against one that is made of all events at once.

use std::path::Path;
use std::sync::Arc;

use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Event;
use leasehold_evidence::Edge;
use leasehold_evidence::check_consistency;
use leasehold_evidence::check_inclusion;
use leasehold_evidence::leaf_hash;
use leasehold_evidence::subtrees;
use rusqlite::Connection;

use super::model;
use super::open;
use crate::SqliteLedger;
use crate::canonical;

/// Enough for two whole tiles of leaves and a part.
const EVENTS: usize = 600;

fn events() -> Vec<Arc<Event>> {
    model::holds(model::acquire_and_release(EVENTS)).0
}

/// The leaf hashes of all events, and the root of each beginning.
fn naive(events: &[Arc<Event>]) -> (Vec<Digest>, Vec<Digest>) {
    let mut edge = Edge::default();
    let mut roots = vec![edge.root()];
    let mut leaves = Vec::new();
    for event in events {
        let mut body = Vec::new();
        canonical::write("test", event, &mut body);
        leaves.push(leaf_hash(&body));
        edge.push(leaf_hash(&body), |_, _| {});
        roots.push(edge.root());
    }
    (leaves, roots)
}

/// Proofs at some places lead to the roots.
async fn proves(ledger: &SqliteLedger, leaves: &[Digest], roots: &[Digest]) {
    let all = leaves.len() as u64;
    let root = |size: u64| &roots[size as usize];
    assert_eq!(ledger.tree().size, all);
    assert_eq!(ledger.tree().root, *root(all));
    for size in [1, 2, 255, 256, 257, 512, 599, all] {
        let size = size.min(all);
        let asked = ledger.tree_hashes(TreeQuestion::Root { size }).await;
        assert_eq!(asked.unwrap(), [*root(size)]);
        for leaf in [0, size / 2, size - 1] {
            let question = TreeQuestion::Inclusion { leaf, size };
            let proof = ledger.tree_hashes(question).await.unwrap();
            let of = (leaf, &leaves[leaf as usize]);
            check_inclusion(&proof, of, (size, root(size))).unwrap();
            let old = leaf + 1;
            let question = TreeQuestion::Consistency { old, size };
            let proof = ledger.tree_hashes(question).await.unwrap();
            check_consistency(&proof, (old, root(old)), (size, root(size))).unwrap();
        }
        let nodes: Vec<_> = subtrees(0, size).collect();
        let levels = nodes.iter().map(|(level, _)| *level);
        let mut edge = Edge::default();
        let question = TreeQuestion::Nodes {
            nodes: nodes.clone(),
            size,
        };
        let hashes = ledger.tree_hashes(question).await.unwrap();
        for (level, hash) in levels.zip(hashes) {
            edge.append(level, hash).unwrap();
        }
        assert_eq!(edge.root(), *root(size));
    }
}

#[tokio::test]
async fn the_tree_goes_on_over_segments_and_restarts() {
    let (events, folder) = (events(), tempfile::tempdir().unwrap());
    let (leaves, roots) = naive(&events);
    for part in [1, 100, 255, 256, 300, EVENTS] {
        let ledger = open(folder.path(), 7, true);
        ledger.append(events[..part].to_vec()).await.unwrap();
        proves(&ledger, &leaves[..part], &roots[..=part]).await;
        assert_eq!(ledger.verify().await.unwrap(), None);
        drop(ledger);
        // A crash keeps full segments from being closed.
        let ledger = open(folder.path(), 7, part % 2 == 0);
        proves(&ledger, &leaves[..part], &roots[..=part]).await;
    }
}

fn change(folder: &Path, sql: &str) {
    let connection = Connection::open(folder.join("ledger")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// As in a file of a build that knew of no tree, or that went on after one that did.
#[tokio::test]
async fn what_is_missing_of_the_tree_is_built_at_the_start() {
    let (events, folder) = (events(), tempfile::tempdir().unwrap());
    let (leaves, roots) = naive(&events);
    let ledger = open(folder.path(), 7, true);
    ledger.append(events[..300].to_vec()).await.unwrap();
    drop(ledger);
    let keep = "CREATE TABLE kept AS SELECT * FROM meta WHERE name = 'tree'";
    change(folder.path(), keep);
    let ledger = open(folder.path(), 7, true);
    ledger.append(events.clone()).await.unwrap();
    drop(ledger);
    for missing in [
        "DELETE FROM meta WHERE name = 'tree'; DELETE FROM blocks WHERE id < 0",
        "REPLACE INTO meta SELECT * FROM kept; DROP TABLE kept",
    ] {
        change(folder.path(), missing);
        let ledger = open(folder.path(), 7, true);
        proves(&ledger, &leaves, &roots).await;
    }
}

#[tokio::test]
async fn a_tree_that_was_changed_is_found() {
    let (events, folder) = (events(), tempfile::tempdir().unwrap());
    let ledger = open(folder.path(), 7, true);
    ledger.append(events).await.unwrap();
    drop(ledger);
    drop(open(folder.path(), 7, true));
    // The first byte of the largest subtree's hash.
    let flip =
        "UPDATE meta SET value = CAST(substr(value, 1, 8) || x'00' || substr(value, 10) AS BLOB)
                WHERE name = 'tree'";
    change(folder.path(), flip);
    let ledger = open(folder.path(), 7, true);
    let found = ledger.verify().await.unwrap();
    assert_eq!(found, Some(Cursor(EVENTS as u64)));
}

#[tokio::test]
async fn a_ledger_that_begins_elsewhere_has_a_tree_of_its_own() {
    let (events, folder) = (events(), tempfile::tempdir().unwrap());
    let ledger = open(folder.path(), 7, true);
    let position = LedgerHead {
        cursor: Cursor(100),
        chain: Digest([1; 32]),
    };
    ledger.begin_after(position).await.unwrap();
    ledger.append(events[100..].to_vec()).await.unwrap();
    let (leaves, roots) = naive(&events[100..]);
    assert_eq!(ledger.tree().before, Cursor(100));
    proves(&ledger, &leaves, &roots).await;
    drop(ledger);
    proves(&open(folder.path(), 7, true), &leaves, &roots).await;
}

#[tokio::test]
async fn what_the_tree_has_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 7, true);
    ledger.append(events()[..10].to_vec()).await.unwrap();
    for question in [
        TreeQuestion::Root { size: 11 },
        TreeQuestion::Inclusion { leaf: 10, size: 10 },
        TreeQuestion::Consistency { old: 0, size: 10 },
        TreeQuestion::Consistency { old: 10, size: 9 },
    ] {
        let refused = ledger.tree_hashes(question).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid);
    }
}
