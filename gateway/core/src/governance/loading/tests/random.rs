//! Whatever is written, here or elsewhere, and whenever it is loaded: what a gateway has put into force
//! piece by piece is what a gateway has that reads everything anew.

use std::collections::BTreeMap;

use leasehold_domain::Operation;
use leasehold_policy_guests::Guest;
use proptest::prelude::*;

use super::*;
use crate::governance::document::BINDINGS;
use crate::governance::document::KEYS;
use crate::governance::document::NAMESPACES;
use crate::governance::document::POLICIES;

const NAMESPACE_NAMES: [&str; 4] = ["*", "n1", "n2", "n3"];
const LOCKS: [&str; 2] = ["a", "b/c"];

/// What happens to a document.
#[derive(Debug, Clone)]
enum Written {
    Deleted,
    Unreadable,
    /// Made from these numbers.
    Put(usize, usize, usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// A document of a collection is written: on the gateway, or elsewhere.
    Write(bool, &'static str, usize, Written),
    /// Everything that was written elsewhere is loaded.
    Load,
    /// The modules can be read, or not.
    Blobs(bool),
    /// The store answers reads, or not.
    Answers(bool),
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        2 => Just(Written::Deleted),
        1 => Just(Written::Unreadable),
        6 => (0..8_usize, 0..4_usize, 0..4_usize).prop_map(|(a, b, c)| Written::Put(a, b, c)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let collections = prop::sample::select(vec![KEYS, NAMESPACES, POLICIES, BINDINGS, BINDINGS]);
    let write = (any::<bool>(), collections, 1..4_usize, written());
    prop_oneof![
        12 => write.prop_map(|(here, of, id, what)| Step::Write(here, of, id, what)),
        3 => Just(Step::Load),
        1 => any::<bool>().prop_map(Step::Blobs),
        1 => any::<bool>().prop_map(Step::Answers),
    ]
}

/// The id and the body of a document.
fn body(
    collection: &str,
    number: usize,
    written: &Written,
    real: Digest,
) -> (String, Option<Vec<u8>>) {
    let id = match collection {
        POLICIES => format!("p@1.0.{number}"),
        NAMESPACES => NAMESPACE_NAMES[number].to_owned(),
        BINDINGS => format!("b{number}"),
        _ => format!("k{number}"),
    };
    let &Written::Put(a, b, c) = written else {
        let body = matches!(written, Written::Unreadable).then(|| b"{".to_vec());
        return (id, body);
    };
    let value = match collection {
        POLICIES => serde_json::json!({
            "policy": "p", "version": format!("1.0.{number}"), "operations": ["acquire"],
            "digest": match a % 4 {
                0 => "none".to_owned(),
                1 => Digest([7; 32]).to_string(),
                _ => real.to_string(),
            },
            "needs_lock": false, "needs_usage": false, "config_schema": {}, "uploaded_by": "ops",
            "uploaded_at": b.to_string(),
            "deleted_at": (c == 3).then_some("2026-01-01T00:00:00Z"),
        }),
        NAMESPACES => serde_json::json!({ "name": id, "team": null, "description": a.to_string() }),
        BINDINGS => serde_json::json!({
            "name": id,
            "namespaces": (0..4).filter(|n| a & (1 << n) != 0).map(|n| NAMESPACE_NAMES[n])
                .collect::<Vec<_>>(),
            "locks": if b < 2 { ["**"] } else { ["b/*"] },
            "order": i32::try_from(c).unwrap() - 1,
            "policies": (0..=b % 2).map(|n| serde_json::json!({
                "policy": "p", "version": format!("1.0.{}", 1 + (c + n) % 3),
                "config": if a == 7 { serde_json::json!([]) } else { serde_json::json!({}) },
            })).collect::<Vec<_>>(),
        }),
        _ => {
            let mut key = key().document;
            key.id.clone_from(&id);
            key.digest = Digest([u8::try_from(a).unwrap(); 32]).to_string();
            key.revoked = (b == 0).then(|| "2026-01-01T00:00:00Z".to_owned());
            serde_json::to_value(key).unwrap()
        }
    };
    (id, Some(serde_json::to_vec(&value).unwrap()))
}

/// What a gateway has in force.
fn in_force(gateway: &Gateway) -> (u64, BTreeMap<String, String>, BTreeMap<Box<str>, String>) {
    let plan = gateway.governance.plan();
    let mut shown = BTreeMap::new();
    for namespace in plan.namespaces() {
        let mut judges = Vec::new();
        for (operation, lock) in Operation::ALL
            .iter()
            .flat_map(|o| LOCKS.map(|lock| (*o, lock)))
        {
            for planned in namespace.judges(operation, &lock.parse().unwrap()) {
                let step = &planned.step;
                let bound = step
                    .bound
                    .as_ref()
                    .map(leasehold_policy_host::BoundPolicy::config);
                let digest = step.digest();
                judges.push(format!(
                    "{operation:?} {lock} {} {bound:?} {digest}",
                    step.binding
                ));
            }
        }
        let document = namespace.document;
        shown.insert(
            document.name.to_string(),
            format!("{document:?} {judges:#?}"),
        );
    }
    (plan.revision, shown, gateway.governance.keys.shown())
}

async fn write(store: &Counting, gateway: Option<&Gateway>, edit: Edit) {
    match gateway {
        // It is done, also if it cannot be loaded afterwards.
        Some(gateway) => drop(gateway.governance.commit(vec![edit]).await.unwrap()),
        None => drop(store.store.write(vec![edit]).await.unwrap()),
    }
}

async fn check(steps: Vec<Step>, engine: &PolicyEngine, wasm: &Arc<[u8]>) {
    let store = store();
    let real = store.store.put_blob(wasm.clone()).await.unwrap();
    let gateway = Gateway::open_with(&store, engine.clone()).await;
    let ops = operator();
    for step in steps
        .into_iter()
        .chain([Step::Blobs(true), Step::Answers(true), Step::Load])
    {
        match step {
            Step::Blobs(can_be_read) => {
                store
                    .faults
                    .has_ill_blobs
                    .store(!can_be_read, Ordering::SeqCst);
            }
            Step::Answers(answers) => store.faults.ill.store(!answers, Ordering::SeqCst),
            Step::Load => {
                let newest = store.store.revision().await.unwrap();
                // Fails where the store does not answer or modules cannot be read.
                let _ = gateway.governance.reload_to(newest).await;
            }
            Step::Write(here, collection, number, written) => {
                let (id, body) = body(collection, number, &written, real);
                let nothing = None::<&()>;
                let any = Precondition::Any;
                let edit =
                    crate::governance::edit(&ops, collection, &id, nothing, any, "x".to_owned());
                let edit = Edit {
                    body: body.map(Into::into),
                    ..edit.unwrap()
                };
                write(&store, here.then_some(&gateway), edit).await;
            }
        }
    }
    let fresh = Gateway::open_with(&store, engine.clone()).await;
    assert_eq!(in_force(&gateway), in_force(&fresh));
}

#[test]
fn what_is_loaded_piece_by_piece_is_what_is_loaded_anew() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let engine = PolicyEngine::new(EngineLimits {
        instances: 2,
        ..EngineLimits::default()
    });
    let engine = engine.unwrap();
    let guest = Guest {
        schema: r#"{"type":"object"}"#.to_owned(),
        ..Guest::default()
    };
    let wasm: Arc<[u8]> = guest.wasm().into();
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(step(), 1..40);
    proptest::test_runner::TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(check(steps, &engine, &wasm));
            Ok(())
        })
        .unwrap();
}
