//! Keys and trusted keys under the rule that others approve changes, in a gateway in this process.

use leasehold_domain::Role;
use leasehold_domain::RoleSet;

use super::*;
use crate::authentication::KeyScope;
use crate::authentication::NewKey;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceDraft;
use crate::governance::document::Visibility;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;
use crate::signing::SigningKey;

/// Creates a key, as its administrator does.
fn drawn(subject: &str, creator: &Caller, roles: &[Role]) -> NewKey {
    let roles = RoleSet::from_iter(roles.iter().copied());
    NewKey::draw(subject.parse().unwrap(), None, roles, "", "")
        .created_by(&creator.principal.subject)
}

fn administrator(who: &str) -> Caller {
    caller(who, &[Role::Administrator])
}

/// A gateway where one approval is required. The first administrator created the keys of `ann` and
/// `mia`, administrators, and of `bob` and `eve`, approvers.
async fn governed() -> Gate {
    let gate = Gate::open().await;
    let root = administrator("root");
    for (subject, role) in [
        ("ann", Role::Administrator),
        ("mia", Role::Administrator),
        ("bob", Role::Approver),
        ("eve", Role::Approver),
    ] {
        let key = drawn(subject, &root, &[role]);
        gate.governance.put_key(&root, &key.document).await.unwrap();
    }
    let ann = administrator("ann");
    gate.governance.set_approval_rule(&ann, 1).await.unwrap();
    gate
}

/// Checks that a change needs approval. Returns the id of the request.
fn held_up<T: std::fmt::Debug>(changed: Result<T, Failure>) -> String {
    let failure = changed.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ApprovalRequired, "{failure:?}");
    let id = failure.message.split("approval approve ").nth(1).unwrap();
    id.chars().take(64).collect()
}

async fn approve(gate: &Gate, who: &str, id: &str) -> Result<ApprovalStanding, Failure> {
    let who = caller(who, &[Role::Approver]);
    gate.governance.approve(&who, id, None).await
}

async fn create(gate: &Gate, who: &Caller, subject: &str, roles: &[Role]) -> Result<u64, Failure> {
    let key = drawn(subject, who, roles);
    gate.governance.put_key(who, &key.document).await
}

#[tokio::test]
async fn a_key_with_a_governing_role_is_created_once_others_have_approved_exactly_it() {
    let gate = governed().await;
    let ann = administrator("ann");
    for role in [Role::Administrator, Role::PolicyAuthor, Role::Approver] {
        held_up(create(&gate, &ann, "zed", &[role, Role::Operator]).await);
    }
    let others = [Role::Operator, Role::Auditor, Role::BreakGlass];
    create(&gate, &ann, "ops", &others).await.unwrap();
    create(&gate, &ann, "svc", &[]).await.unwrap();

    let id = held_up(create(&gate, &ann, "zed", &[Role::Approver]).await);
    let request = gate.governance.approval(&id).await.unwrap();
    let document = request.stored.document;
    assert_eq!((&*document.kind, &*document.name), ("key", "zed"));
    assert_eq!(document.subject["created"]["roles"], json!(["approver"]));
    approve(&gate, "bob", &id).await.unwrap();
    // Another subject, other roles or another scope are other keys.
    held_up(create(&gate, &ann, "zoe", &[Role::Approver]).await);
    held_up(create(&gate, &ann, "zed", &[Role::Approver, Role::Administrator]).await);
    let scoped = drawn("zed", &ann, &[Role::Approver]).scoped(Some(KeyScope {
        namespaces: ["demo".parse().unwrap()].into(),
        teams: [].into(),
    }));
    held_up(gate.governance.put_key(&ann, &scoped.document).await);
    create(&gate, &ann, "zed", &[Role::Approver]).await.unwrap();
    let again = held_up(create(&gate, &ann, "zed", &[Role::Approver]).await);
    assert_eq!(again, id, "the same change, asked for anew");
}

#[tokio::test]
async fn nobody_gets_a_second_voice_by_making_or_rotating_a_key() {
    let gate = governed().await;
    let (ann, mia) = (administrator("ann"), administrator("mia"));
    // Neither a new approver, nor a further key of one that there is.
    held_up(create(&gate, &ann, "sock", &[Role::Approver]).await);
    held_up(create(&gate, &ann, "bob", &[Role::Approver]).await);
    // Nor the secret of an approver by rotation.
    let keys = gate.governance.keys().await.unwrap();
    let of = |subject: &str| {
        let mut keys = keys.iter().map(|key| &key.document);
        let key = keys.find(|key| key.subject.as_str() == subject);
        key.unwrap().id.clone()
    };
    let rotating = gate.governance.rotate_key(&ann, &of("bob"), 0).await;
    let id = held_up(rotating);
    // One's own key is rotated alone.
    gate.governance
        .rotate_key(&ann, &of("ann"), 0)
        .await
        .unwrap();
    approve(&gate, "eve", &id).await.unwrap();
    gate.governance
        .rotate_key(&ann, &of("bob"), 0)
        .await
        .unwrap();
    // Whose key she rotated now descends from her, and approves for others only.
    let draft = NamespaceDraft {
        name: "open".parse().unwrap(),
        team: None,
        visibility: Visibility::default(),
        description: String::new(),
        default_decision: DefaultDecision::Allow,
        caps: None,
        store: None,
    };
    let absent = Precondition::Absent;
    let namespace = async |who: &Caller| gate.governance.put_namespace(who, &draft, absent).await;
    let id = held_up(namespace(&ann).await);
    let refused = approve(&gate, "bob", &id).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Forbidden);
    gate.governance
        .withdraw_approval(&ann, &id, None)
        .await
        .unwrap();
    let id = held_up(namespace(&mia).await);
    assert_eq!(approve(&gate, "bob", &id).await.unwrap().counted, 1);
}

#[tokio::test]
async fn rights_are_taken_away_without_approval() {
    let gate = governed().await;
    let ann = administrator("ann");
    let keys = gate.governance.keys().await.unwrap();
    let of = |subject: &str| {
        let mut keys = keys.iter().map(|key| &key.document);
        let key = keys.find(|key| key.subject.as_str() == subject);
        key.unwrap().id.clone()
    };
    let revoke = async |id: &str| gate.governance.revoke_key(&ann, id, false).await;
    revoke(&of("mia")).await.unwrap();
    revoke(&of("bob")).await.unwrap();
    // The last approver stays.
    let last = revoke(&of("eve")).await.unwrap_err();
    assert_eq!(last.kind, FailureKind::Conflict, "{last:?}");
}

#[tokio::test]
async fn trust_is_widened_once_others_have_approved_it_and_narrowed_alone() {
    let gate = governed().await;
    let (ann, governance) = (administrator("ann"), &gate.governance);
    let public = SigningKey::draw().public().unwrap();
    let (id, pem) = (public.id().to_string(), public.pem().unwrap());
    let trust = async |name: &str| governance.trust_key(&ann, name, &pem, None).await;
    let request = held_up(trust("build").await);
    approve(&gate, "bob", &request).await.unwrap();
    held_up(trust("other-name").await);
    trust("build").await.unwrap();
    // It is trusted already.
    trust("build").await.unwrap();
    let require = async |required| {
        governance
            .require_signatures(&ann, required, "SEC-1", None)
            .await
    };
    require(1).await.unwrap();
    let request = held_up(require(0).await);
    approve(&gate, "eve", &request).await.unwrap();
    require(0).await.unwrap();
    governance
        .revoke_trusted_key(&ann, &id, "SEC-2", false)
        .await
        .unwrap();
}
