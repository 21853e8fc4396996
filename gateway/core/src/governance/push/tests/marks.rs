//! Which keys are trusted, and versions that were deprecated or withdrawn.

use super::*;

#[tokio::test]
async fn trust_keeps_what_is_required_possible() {
    let desk = Desk::new(0).await;
    refused(
        desk.require(3).await,
        FailureKind::Conflict,
        &["more than the 2 keys"],
    );
    refused(
        desk.require(9).await,
        FailureKind::Invalid,
        &["must be 0 to 8"],
    );
    let trust = desk.require(2).await.unwrap();
    assert_eq!(trust.document.required, 2);
    refused(
        desk.revoke(0, false).await,
        FailureKind::Conflict,
        &["1 other keys"],
    );
    desk.require(1).await.unwrap();
    desk.revoke(0, false).await.unwrap();
    let governance = desk.governance();
    let pem = |key: &SigningKey| key.public().unwrap().pem().unwrap();
    let (a, b) = (pem(&desk.keys[0]), pem(&desk.keys[1]));
    let other = pem(&SigningKey::draw());
    let back = governance.trust_key(ops(), "a", &a, None);
    refused(
        back.await,
        FailureKind::Conflict,
        &["was revoked by ops", "SEC-2"],
    );
    let same_name = governance.trust_key(ops(), "b", &other, None);
    refused(
        same_name.await,
        FailureKind::Conflict,
        &["name: b is the name"],
    );
    let again = governance.trust_key(ops(), "b2", &b, None);
    assert_eq!(again.await.unwrap().document.keys.len(), 2);
    for (name, pem, part) in [
        ("x", "no key", "public_key: not an ed25519"),
        (" ", &other, "name: is missing"),
        ("x", &"-".repeat(2_000), "public_key: at most"),
    ] {
        let added = governance.trust_key(ops(), name, pem, None);
        refused(added.await, FailureKind::Invalid, &[part]);
    }
    let none = governance.require_signatures(ops(), 0, " ", None);
    refused(none.await, FailureKind::Invalid, &["reason: is missing"]);
    let stale = governance.require_signatures(ops(), 0, "x", Some(1));
    refused(stale.await, FailureKind::PreconditionFailed, &["revision"]);
    let unknown = governance.revoke_trusted_key(ops(), "00", "x", false);
    refused(unknown.await, FailureKind::NotFound, &["no key 00"]);
}

#[tokio::test]
async fn a_deprecated_version_warns_and_a_withdrawn_one_is_refused() {
    let desk = Desk::new(0).await;
    desk.push("1.0.0", Vec::new()).await.unwrap();
    desk.push("2.0.0", Vec::new()).await.unwrap();
    desk.mark("1.0.0", PolicyMark::Deprecate).await.unwrap();
    let warnings = desk.bind("1.0.0").await.unwrap();
    assert!(warnings[0].contains("deprecated by ops"), "{warnings:?}");
    assert!(warnings[0].ends_with("INC-7"), "{warnings:?}");
    let governance = desk.governance();
    governance.start_rollout(ops(), &draft()).await.unwrap();
    for version in ["1.0.0", "2.0.0"] {
        desk.mark(version, PolicyMark::Withdraw).await.unwrap();
        // A second time changes nothing.
        desk.mark(version, PolicyMark::Withdraw).await.unwrap();
    }
    let in_use = governance.uses_of_version("p", "1.0.0").await.unwrap();
    assert_eq!(
        (in_use.bindings, in_use.rollouts.len()),
        (vec!["b".to_owned()], 0)
    );
    let in_use = governance.uses_of_version("p", "2.0.0").await.unwrap();
    assert_eq!(
        (in_use.bindings.len(), in_use.rollouts),
        (0, vec!["r".to_owned()])
    );
    let (none, advance) = (RolloutReason::default(), RolloutAction::Advance);
    let promoted = governance.change_rollout(ops(), "r", advance, none, None);
    refused(
        promoted.await,
        UNUSABLE,
        &["promoted: it was withdrawn by ops"],
    );
    refused(desk.push("1.0.0", Vec::new()).await, UNUSABLE, &["INC-7"]);
    let mut other = binding("1.0.0");
    other["name"] = json!("other");
    refused(desk.gate.bind(other.clone()).await, UNUSABLE, &["INC-7"]);
    // What is bound goes on.
    desk.bind("1.0.0").await.unwrap();
    desk.gate.acquire(ops(), "demo/a", None).await.unwrap();
    desk.mark("1.0.0", PolicyMark::Restore).await.unwrap();
    desk.gate.bind(other).await.unwrap();
    refused(
        desk.mark("9.0.0", PolicyMark::Withdraw).await,
        FailureKind::NotFound,
        &["p@9.0.0"],
    );
}

/// A binding that was checked before a withdrawal and written after it is refused.
#[tokio::test]
async fn a_version_that_is_withdrawn_meanwhile_is_not_bound() {
    let desk = Desk::new(0).await;
    desk.push("1.0.0", Vec::new()).await.unwrap();
    let governance = desk.governance();
    let seen = governance.version("p", "1.0.0").await.unwrap().unwrap();
    desk.mark("1.0.0", PolicyMark::Withdraw).await.unwrap();
    let after = governance.version("p", "1.0.0").await.unwrap().unwrap();
    assert!(after.revision > seen.revision);
    assert_eq!(after.document, seen.document);
}
