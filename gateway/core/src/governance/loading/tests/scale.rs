//! One more document costs the same where there are very many.

use leasehold_domain::Edit;
use nix::time::ClockId;
use nix::time::clock_gettime;

use super::*;
use crate::governance::document::BINDINGS;
use crate::governance::document::KEY_USES;
use crate::governance::document::KEYS;
use crate::governance::document::NAMESPACES;

const KEYS_BEFORE: usize = 10_000;
/// On each gateway, in a build without optimisation too.
const CPU_MAX: Duration = Duration::from_millis(2);
/// Measured so often; the median counts.
const TIMES: usize = 21;

/// The CPU time of this thread, which does everything here but what is compiled and bound.
fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

fn made(collection: &str, id: &str, body: &impl serde::Serialize) -> Edit {
    let (ops, absent) = (operator(), Precondition::Absent);
    crate::governance::edit(&ops, collection, id, Some(body), absent, "made".to_owned()).unwrap()
}

fn binding(name: &str) -> Edit {
    let binding = serde_json::json!({
        "name": name, "namespaces": ["demo"], "policies": [{ "policy": "p", "version": "1.0.0" }],
    });
    made(BINDINGS, name, &binding)
}

/// The median of what it costs a gateway to write an edit, and to load one that was written elsewhere.
async fn costs(
    store: &Counting,
    gateway: &Gateway,
    edit: impl Fn(String) -> Edit,
) -> [Duration; 2] {
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for n in 0..TIMES {
        let edits = vec![edit(format!("here-{n}"))];
        let before = cpu();
        gateway.governance.commit(edits).await.unwrap();
        here.push(cpu() - before);
        let edits = vec![edit(format!("elsewhere-{n}"))];
        store.store.write(edits).await.unwrap();
        let newest = store.store.revision().await.unwrap();
        let before = cpu();
        gateway.governance.reload_to(newest).await.unwrap();
        elsewhere.push(cpu() - before);
    }
    [here, elsewhere].map(|mut measured| {
        measured.sort();
        measured[TIMES / 2]
    })
}

#[tokio::test]
async fn one_more_key_or_binding_of_very_many_costs_little() {
    let store = store();
    let keys: Vec<_> = (0..KEYS_BEFORE).map(|_| key().document).collect();
    for some in keys.chunks(500) {
        let edits = some.iter().map(|key| made(KEYS, &key.id, key));
        store.store.write(edits.collect()).await.unwrap();
    }
    let namespaces = (0..200).map(|n| format!("n{n}")).chain(["demo".to_owned()]);
    let namespaces = namespaces.map(|name| {
        let body = serde_json::json!({ "name": name, "team": null });
        made(NAMESPACES, &name, &body)
    });
    store.store.write(namespaces.collect()).await.unwrap();
    let gateway = Gateway::open(&store).await;
    let one_key = |id: String| {
        let mut key = key().document;
        key.id = id.replace('-', "");
        made(KEYS, &key.id, &key)
    };
    let one_use = |id: String| {
        let used = serde_json::json!({ "last_used_on": "2026-11-30" });
        Edit {
            change: None,
            ..made(KEY_USES, &id, &used)
        }
    };
    for (what, [here, elsewhere]) in [
        ("key", costs(&store, &gateway, one_key).await),
        ("use of a key", costs(&store, &gateway, one_use).await),
        (
            "binding",
            costs(&store, &gateway, |name| binding(&name)).await,
        ),
    ] {
        assert!(
            here < CPU_MAX && elsewhere < CPU_MAX,
            "one more {what} takes {here:?} where it is written, {elsewhere:?} elsewhere"
        );
    }
}
