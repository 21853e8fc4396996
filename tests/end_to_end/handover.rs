//! Leases that end early: handed to a successor, or taken by an operator.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;

/// Stands in a lock's queue.
async fn waiting(api: &Api, lock: &str, place: usize) -> Result<JoinHandle<Result<Answer>>> {
    let (waiter, name) = (api.clone(), lock.to_owned());
    let body = json!({ "ttl_ms": 10_000, "wait_ms": 30_000 });
    let task = tokio::spawn(async move { waiter.verb(&name, "acquire", &body).await });
    api.queue_of(lock, place).await?;
    Ok(task)
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |view| view["state"] == state
}

#[tokio::test]
async fn a_transfer_goes_to_the_named_successor_and_not_to_the_first_in_line() -> Result<()> {
    let gateway = Gateway::start().await?;
    let holder = gateway.service("holder", "team-a").await?;
    let first = gateway.service("first", "team-a").await?;
    let heir = gateway.service("heir", "team-a").await?;
    let grant = holder.acquire("t", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?;
    let ahead = waiting(&first, "t", 1).await?;
    let behind = waiting(&heir, "t", 2).await?;

    let body = json!({ "lease_id": lease_id, "to": "heir", "grace_ms": 60_000 });
    let stolen = heir.verb("t", "transfer", &body).await?;
    assert_eq!((stolen.status, stolen.code()), (403, "not_holder"));
    let wrong = json!({ "lease_id": "0".repeat(32), "to": "heir", "grace_ms": 60_000 });
    let wrong = holder.verb("t", "transfer", &wrong).await?;
    assert_eq!((wrong.status, wrong.code()), (409, "lease_lost"));

    let transfer = holder.verb("t", "transfer", &body).await?;
    assert_eq!(transfer.status, 200, "{transfer:?}");
    let again = holder.verb("t", "transfer", &body).await?;
    assert_eq!(again.status, 200, "a repeated transfer: {again:?}");
    let remaining = |answer: &Answer| answer.body["drain_remaining_ms"].as_u64();
    assert!(remaining(&again) <= remaining(&transfer), "no more time");

    let renewed = holder.with_lease("t", "renew", lease_id).await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.body["state"], json!("draining"), "{renewed:?}");
    assert_eq!(renewed.body["drain"]["to"], json!("heir"), "{renewed:?}");
    holder.with_lease("t", "release", lease_id).await?;
    let inherited = behind.await??;
    assert_eq!(inherited.status, 201, "{inherited:?}");
    assert!(inherited.token()? > grant.token()?);
    assert!(!ahead.is_finished(), "the first waits on");
    heir.with_lease("t", "release", inherited.text_of("lease_id")?)
        .await?;
    assert_eq!(ahead.await??.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_transfer_at_once_keeps_the_lock_for_a_successor_that_is_not_there_yet() -> Result<()> {
    let gateway = Gateway::start().await?;
    let holder = gateway.service("holder", "team-a").await?;
    let other = gateway.service("other", "team-a").await?;
    let heir = gateway.service("heir", "team-a").await?;
    let grant = holder.acquire("t", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?;
    let body = json!({ "lease_id": lease_id, "to": "heir" });
    for _ in 0..2 {
        let transfer = holder.verb("t", "transfer", &body).await?;
        assert_eq!(transfer.status, 200, "{transfer:?}");
        assert_eq!(transfer.body["drain_remaining_ms"], json!(0));
    }
    let lost = holder.with_lease("t", "renew", lease_id).await?;
    assert_eq!((lost.status, lost.code()), (410, "lease_ended"));
    assert_eq!(lost.body["end_cause"], json!("transferred"), "{lost:?}");
    let refused = other.acquire("t", 10_000).await?;
    assert_eq!(refused.code(), "held", "{refused:?}");
    assert_eq!(refused.body["reserved_for"], json!("heir"), "{refused:?}");
    let view = other.show("t").await?;
    assert_eq!(view.body["state"], json!("reserved"), "{view:?}");
    let reserved = "/v1/namespaces/demo/locks?state=reserved";
    let list = other.get(reserved).await?;
    assert_eq!(
        list.body["locks"].as_array().map(Vec::len),
        Some(1),
        "{list:?}"
    );
    let inherited = heir.acquire("t", 10_000).await?;
    assert_eq!(inherited.status, 201, "{inherited:?}");
    let list = other.get(reserved).await?;
    assert_eq!(list.body["locks"], json!([]), "{list:?}");
    assert!(inherited.token()? > grant.token()?);
    for bad in [
        json!({ "lease_id": lease_id, "to": "" }),
        json!({ "lease_id": lease_id }),
    ] {
        assert_eq!(holder.verb("t", "transfer", &bad).await?.status, 422);
    }
    Ok(())
}

#[tokio::test]
async fn a_graceful_revocation_lets_the_holder_finish_and_begins_nothing_new() -> Result<()> {
    let gateway = Gateway::start().await?;
    let holder = gateway.service("holder", "team-a").await?;
    let next = gateway.service("next", "team-b").await?;
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let grant = holder.acquire("r", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?;
    let waiter = waiting(&next, "r", 1).await?;

    let body = json!({ "reason": "maintenance", "grace_ms": 60_000 });
    let refused = next.verb("r", "revoke", &body).await?;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    assert_eq!(refused.body["denial"]["kind"], json!("role"), "{refused:?}");
    let silent = json!({ "grace_ms": 60_000 });
    let refused = operator.verb("r", "revoke", &silent).await?;
    assert_eq!((refused.status, refused.code()), (403, "denied"));

    let revoked = operator.verb("r", "revoke", &body).await?;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(revoked.body["leases"], json!([grant.body["lease"]]));
    let first = holder.with_lease("r", "renew", lease_id).await?;
    let second = holder.with_lease("r", "renew", lease_id).await?;
    assert_eq!(second.body["state"], json!("draining"), "{second:?}");
    assert_eq!(second.body["drain"]["by"], json!("ops"), "{second:?}");
    let remaining = |answer: &Answer| answer.body["remaining_ms"].as_u64();
    assert!(remaining(&second) <= remaining(&first), "not lengthened");
    let token = json!({ "fencing_token": grant.token()? });
    let valid = next.verb("r", "validate", &token).await?;
    assert_eq!(valid.body["current"], json!(true), "{valid:?}");
    assert_eq!(valid.body["accepts_work"], json!(false), "{valid:?}");
    assert!(!waiter.is_finished(), "it is still the holder's");
    holder.with_lease("r", "release", lease_id).await?;
    assert_eq!(waiter.await??.status, 201);
    let rows = gateway
        .admin()
        .ledger("operation=revoke&subject=ops")
        .await?;
    assert_eq!(rows.len(), 2, "the denied one and the other: {rows:?}");
    Ok(())
}

#[tokio::test]
async fn a_revocation_at_once_ends_exactly_the_leases_that_are_meant() -> Result<()> {
    let gateway = Gateway::start().await?;
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let mut leases = Vec::new();
    for subject in ["a", "b", "c"] {
        let api = gateway.service(subject, "team-a").await?;
        let shared = json!({ "ttl_ms": 60_000, "mode": "shared" });
        let grant = api.verb("s", "acquire", &shared).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        leases.push((api, grant));
    }
    let revoke = async |lease: Value| {
        let body = json!({ "reason": "INC-1", "lease": lease });
        operator.verb("s", "revoke", &body).await
    };
    let by_subject = revoke(json!({ "subject": "a" })).await?;
    assert_eq!(
        by_subject.body["leases"],
        json!([leases[0].1.body["lease"]])
    );
    let handle = leases[1].1.text_of("lease")?;
    let by_handle = revoke(json!({ "handle": handle })).await?;
    assert_eq!(by_handle.body["leases"], json!([handle]));
    let again = revoke(json!({ "handle": handle })).await?;
    assert_eq!((again.status, &again.body["leases"]), (200, &json!([])));
    for (n, (api, grant)) in leases.iter().enumerate() {
        let renewed = api
            .with_lease("s", "renew", grant.text_of("lease_id")?)
            .await?;
        match n {
            2 => assert_eq!(renewed.status, 200, "{renewed:?}"),
            _ => {
                assert_eq!((renewed.status, renewed.code()), (410, "lease_ended"));
                assert_eq!(renewed.body["end_cause"], json!("revoked"), "{renewed:?}");
            }
        }
    }
    for bad in [
        json!({ "handle": handle, "subject": "a" }),
        json!({}),
        json!({ "handle": "rubbish" }),
    ] {
        let answer = revoke(bad).await?;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    operator
        .until("s", |view| {
            view["holders"].as_array().map(Vec::len) == Some(1)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_whatever_the_holder_does() -> Result<()> {
    let gateway = Gateway::start().await?;
    let holder = gateway.service("holder", "team-a").await?;
    let operator = gateway.principal("ops", "ops", &["operator"]).await?;
    let grant = holder.acquire("d", 600_000).await?;
    let body = json!({ "reason": "maintenance", "grace_ms": 300 });
    assert_eq!(operator.verb("d", "revoke", &body).await?.status, 200);
    operator.until("d", is("free")).await?;
    let lease_id = grant.text_of("lease_id").context("lease_id")?;
    let lost = holder.with_lease("d", "renew", lease_id).await?;
    assert_eq!((lost.status, lost.code()), (410, "lease_ended"), "{lost:?}");
    assert_eq!(lost.body["end_cause"], json!("revoked"), "{lost:?}");
    Ok(())
}
