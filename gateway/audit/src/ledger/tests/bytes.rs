//! The bytes of each namespace's events are what a naive count says.

use std::collections::BTreeMap;

use leasehold_domain::NamespaceName;

use super::*;
use crate::canonical;

/// The bytes of the events of locks, by namespace.
fn naive(events: &[Arc<Event>]) -> BTreeMap<NamespaceName, u64> {
    let mut counts = BTreeMap::new();
    for event in events {
        let lock = match &event.kind {
            EventKind::Lock { lock, .. } => lock,
            EventKind::Denied(cause) => &cause.request.lock,
            EventKind::Governance(_) => continue,
        };
        let mut body = Vec::new();
        canonical::write("test", event, &mut body);
        *counts.entry(lock.namespace.clone()).or_default() += body.len() as u64;
    }
    counts
}

fn counted(
    ledger: &SqliteLedger,
    of: &BTreeMap<NamespaceName, u64>,
) -> BTreeMap<NamespaceName, u64> {
    let names = of.keys();
    names
        .map(|name| (name.clone(), ledger.namespace_bytes(name)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// In closed segments, in full ones that are not closed (a crash), and in the open one; over
    /// restarts, and when events are appended that the ledger has already.
    #[test]
    fn the_bytes_of_a_namespace_are_counted(
        events in events(80),
        options in limits(),
        split in 0_usize..80,
        closes in any::<bool>(),
    ) {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime());
        let split = split.min(events.len());
        let expected = naive(&events);
        let ledger = open_with(folder.path(), &options, closes);
        runtime.block_on(ledger.append(events[..split].to_vec())).unwrap();
        prop_assert_eq!(counted(&ledger, &naive(&events[..split])), naive(&events[..split]));
        drop(ledger);
        let ledger = open_with(folder.path(), &options, true);
        runtime.block_on(ledger.append(events)).unwrap();
        prop_assert_eq!(&counted(&ledger, &expected), &expected);
        drop(ledger);
        let ledger = open_with(folder.path(), &options, true);
        prop_assert_eq!(counted(&ledger, &expected), expected);
        let nobody: NamespaceName = "nobody".parse().unwrap();
        prop_assert_eq!(ledger.namespace_bytes(&nobody), 0);
    }
}
