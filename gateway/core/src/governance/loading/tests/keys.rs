//! The life of a key: it expires, and the last one of an administrator stays.

use leasehold_domain::Clock;
use leasehold_domain::Role;
use leasehold_domain::WallMillis;

use super::*;

/// More than any test takes.
const HOUR_MS: u64 = 3_600_000;

async fn put(gateway: &Gateway, key: &NewKey) {
    let ops = operator();
    let made = gateway.governance.put_key(&ops, &key.document);
    made.await.unwrap();
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
