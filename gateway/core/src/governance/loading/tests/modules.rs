//! Bindings whose modules cannot be read fail until they can, and nothing else does.

use leasehold_domain::LockName;
use leasehold_domain::Operation;

use super::*;
use crate::governance::Push;
use crate::governance::document::BINDINGS;
use crate::governance::document::POLICIES;

/// Within which something must be so.
const SOON: Duration = Duration::from_secs(20);

/// Whether the one step that judges acquires in `demo` can be asked; `None` if there is no step.
fn step(gateway: &Gateway) -> Option<Result<(), String>> {
    let plan = gateway.governance.plan();
    let namespace = plan.namespace(&"demo".parse().unwrap())?;
    let lock: LockName = "l".parse().unwrap();
    let mut steps = namespace.judges(Operation::Acquire, &lock);
    let step = steps.next()?;
    Some(step.step.bound.as_ref().map(|_| ()).map_err(Clone::clone))
}

async fn becomes(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(SOON, looking).await;
    assert!(seen.is_ok(), "{what}");
}

fn namespace() -> NamespaceDraft {
    NamespaceDraft {
        name: "demo".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        store: None,
        caps: None,
    }
}

/// Writes a namespace, a policy and a binding of it through a gateway.
async fn bind(gateway: &Gateway) {
    let (ops, absent, draft) = (operator(), Precondition::Absent, namespace());
    let made = gateway.governance.put_namespace(&ops, &draft, absent);
    made.await.unwrap();
    let (name, wasm) = leasehold_policy_host::stock::MODULES[0];
    let uploaded = gateway.governance.push_policy(&ops, Push::of(wasm));
    let version = uploaded.await.unwrap().stored.document.version;
    let draft = serde_json::json!({
        "name": "all", "namespaces": ["*"], "policies": [{ "policy": name, "version": version }],
    });
    let binding: BindingDocument = serde_json::from_value(draft).unwrap();
    let bound = gateway.governance.put_binding(&ops, &binding, absent);
    bound.await.unwrap();
}

#[tokio::test]
async fn a_module_that_stays_unreadable_fails_its_bindings_alone_until_it_can_be_read() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let _following = tokio::spawn(there.governance.clone().follow());
    store.faults.has_ill_blobs.store(true, Ordering::SeqCst);
    bind(&here).await;
    assert_eq!(step(&here), Some(Ok(())));
    becomes("the binding is in force", || step(&there).is_some()).await;
    let problem = step(&there).unwrap().unwrap_err();
    assert!(
        problem.contains("cannot be read on this gateway"),
        "{problem}"
    );
    assert_eq!(there.governance.missing_modules(), 1);
    // The rest of what is written is in force, so the gateway goes on granting.
    there.governance.catch_up().await.unwrap();
    assert!(there.governance.is_confirmed());

    store.faults.has_ill_blobs.store(false, Ordering::SeqCst);
    becomes("it is read", || step(&there) == Some(Ok(()))).await;
    assert_eq!(there.governance.missing_modules(), 0);
}

#[tokio::test]
async fn a_gateway_starts_without_a_module_and_reads_it_later() {
    let store = store();
    bind(&Gateway::open(&store).await).await;
    store.faults.has_ill_blobs.store(true, Ordering::SeqCst);
    let gateway = Gateway::open(&store).await;
    assert!(matches!(step(&gateway), Some(Err(_))));
    assert_eq!(gateway.governance.missing_modules(), 1);
    store.faults.has_ill_blobs.store(false, Ordering::SeqCst);
    becomes("it is read", || step(&gateway) == Some(Ok(()))).await;
}

#[tokio::test]
async fn a_module_that_the_store_has_lost_is_healed_by_the_same_upload() {
    let store = store();
    bind(&Gateway::open(&store).await).await;
    // The same documents in a store that has no blobs.
    let lost = super::store();
    let all = store.store.snapshot().await.unwrap();
    let edit = |document: &Document| Edit {
        collection: document.collection.clone(),
        id: document.id.clone(),
        body: Some(document.body.clone()),
        precondition: Precondition::Any,
        change: None,
    };
    let edits: Vec<Edit> = all.iter().map(edit).collect();
    assert!(edits.iter().any(|edit| &*edit.collection == BINDINGS));
    assert!(edits.iter().any(|edit| &*edit.collection == POLICIES));
    lost.store.write(edits).await.unwrap();
    let gateway = Gateway::open(&lost).await;
    let problem = step(&gateway).unwrap().unwrap_err();
    assert!(problem.contains("not in the store"), "{problem}");
    let (ops, (_, wasm)) = (operator(), leasehold_policy_host::stock::MODULES[0]);
    let again = gateway.governance.push_policy(&ops, Push::of(wasm));
    again.await.unwrap();
    becomes("it is read", || step(&gateway) == Some(Ok(()))).await;
    assert_eq!(gateway.governance.missing_modules(), 0);
}

#[tokio::test]
async fn a_missing_module_is_forgotten_with_its_binding() {
    let store = store();
    bind(&Gateway::open(&store).await).await;
    store.faults.has_ill_blobs.store(true, Ordering::SeqCst);
    let gateway = Gateway::open(&store).await;
    assert_eq!(gateway.governance.missing_modules(), 1);
    let ops = operator();
    let deleted = gateway.governance.delete_binding(&ops, "all");
    deleted.await.unwrap();
    becomes("it is forgotten", || {
        gateway.governance.missing_modules() == 0
    })
    .await;
}
