//! The life of a key: it expires, it is rotated, and the last one of an administrator stays.

use leasehold_domain::Role;
use leasehold_domain::WallMillis;

use super::*;
use crate::authentication::KeyDocument;

/// More than any test takes.
const HOUR_MS: u64 = 3_600_000;

async fn put(gateway: &Gateway, key: &NewKey) {
    let ops = operator();
    let made = gateway.governance.put_key(&ops, &key.document);
    made.await.unwrap();
}

async fn rotate(gateway: &Gateway, id: &str, overlap_ms: u64) -> Result<NewKey, Failure> {
    let governance = &gateway.governance;
    governance.rotate_key(&operator(), id, overlap_ms).await
}

async fn stored(gateway: &Gateway, id: &str) -> KeyDocument {
    let keys = gateway.governance.keys().await.unwrap();
    let mut documents = keys.into_iter().map(|stored| stored.document);
    documents.find(|document| document.id == id).unwrap()
}

#[tokio::test]
async fn a_rotated_key_and_its_successor_are_in_force_until_the_overlap_is_over() {
    let store = store();
    let (here, there) = (Gateway::open(&store).await, Gateway::open(&store).await);
    let old = key();
    put(&here, &old).await;
    let new = rotate(&here, &old.document.id, HOUR_MS).await.unwrap();
    assert_eq!(new.document.created_by, Some("ops".parse().unwrap()));
    for gateway in [&here, &there] {
        for key in [&old, &new] {
            let known = gateway.recognises(&key.reveal()).await.unwrap();
            assert_eq!(known.subject.as_str(), "svc");
        }
    }
    let ending = stored(&here, &old.document.id).await.expires;
    let ending = ending.expect("the old key expires").0;
    // A lost answer is asked for again: another successor, and the overlap is not longer.
    let again = rotate(&here, &old.document.id, 2 * HOUR_MS).await.unwrap();
    assert!(here.recognises(&again.reveal()).await.is_ok());
    let still = stored(&here, &old.document.id).await.expires;
    assert_eq!(still, Some(WallMillis(ending)));
    // Now without any overlap.
    let last = rotate(&there, &old.document.id, 0).await.unwrap();
    assert!(there.recognises(&last.reveal()).await.is_ok());
    let refused = there.recognises(&old.reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Expired));
    here.governance.catch_up().await.unwrap();
    let refused = here.recognises(&old.reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Expired));
}

#[tokio::test]
async fn a_key_that_is_not_in_force_is_not_rotated() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let (revoked, expired) = (key(), key().expiring(Some(1), WallMillis(0)));
    put(&gateway, &revoked).await;
    put(&gateway, &expired).await;
    let id = &revoked.document.id;
    let ops = operator();
    let revoking = gateway.governance.revoke_key(&ops, id, false);
    revoking.await.unwrap();
    for key in [&revoked, &expired] {
        let failure = rotate(&gateway, &key.document.id, 0).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict, "{failure:?}");
    }
    let failure = rotate(&gateway, "none", 0).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert_eq!(gateway.governance.keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_is_looked_up() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let old = key();
    put(&gateway, &old).await;
    store.faults.loses_answers.store(true, Ordering::SeqCst);
    let new = rotate(&gateway, &old.document.id, 0).await.unwrap();
    assert!(gateway.recognises(&new.reveal()).await.is_ok());
    let refused = gateway.recognises(&old.reveal()).await;
    assert_eq!(refused, Err(AuthFailure::Expired));
}

#[tokio::test]
async fn an_expired_key_is_no_administrators() {
    let store = store();
    let gateway = Gateway::open(&store).await;
    let administrator = || {
        let roles = RoleSet::default().with(Role::Administrator);
        NewKey::draw("root".parse().unwrap(), None, roles, "", "")
    };
    let (last, expired) = (administrator(), administrator());
    let expired = expired.expiring(Some(1), WallMillis(0));
    put(&gateway, &last).await;
    put(&gateway, &expired).await;
    let ops = operator();
    let revoke = |id| gateway.governance.revoke_key(&ops, id, false);
    let failure = revoke(&last.document.id).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::LastAdministrator);
    revoke(&expired.document.id).await.unwrap();
    // One that will expire is in force until then.
    let now = SystemClock::new().wall();
    put(&gateway, &administrator().expiring(Some(HOUR_MS), now)).await;
    revoke(&last.document.id).await.unwrap();
}
