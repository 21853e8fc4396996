//! Holding a lock of a gateway that answers by a script, loses answers, and hangs.

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::Loss;
use crate::scripted::Reply;
use crate::scripted::gateway;
use crate::scripted::grant;
use crate::scripted::problem;
use crate::scripted::verbs;

fn options(wait: Option<Duration>) -> LockOptions {
    LockOptions {
        namespace: "demo".to_owned(),
        lock: "a".to_owned(),
        request: wire::AcquireRequest::default(),
        wait,
        watch: false,
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_id_and_then_renewed() {
    let mut first = true;
    let (client, asked) = gateway(move |verb, _| match verb {
        "acquire" if std::mem::take(&mut first) => Reply::Lose,
        "acquire" => grant(60_000, &json!({ "repeated": true, "remaining_ms": 30_000 })),
        "renew" => grant(60_000, &json!({})),
        _ => Reply::Answer(200, json!({ "released": true, "request_id": "r" })),
    })
    .await;
    let guard = client.hold(options(None), |_| {}).await.unwrap();
    assert_eq!(verbs(&asked), ["acquire", "acquire", "renew"]);
    let ids: Vec<Value> = asked.lock().unwrap()[..2]
        .iter()
        .map(|(_, body)| body["request_id"].clone())
        .collect();
    assert!(ids[0].is_string() && ids[0] == ids[1], "{ids:?}");
    assert!(
        guard.deadline().instant() > now() + Duration::from_secs(50),
        "counted from the renewal"
    );
    guard.release().await.unwrap();
    assert_eq!(verbs(&asked).last().unwrap(), "release");
}

#[tokio::test]
async fn an_outage_is_endured_in_the_queue_and_a_waited_grant_is_renewed_first() {
    let mut turn = 0;
    let (client, asked) = gateway(move |verb, _| {
        turn += 1;
        match (verb, turn) {
            ("acquire", 1) => problem(409, "held", true),
            ("acquire", 2) => problem(503, "unavailable", true),
            ("acquire", _) => grant(60_000, &json!({ "waited": true })),
            _ => grant(60_000, &json!({})),
        }
    })
    .await;
    let mut shown = 0;
    client.hold(options(None), |_| shown += 1).await.unwrap();
    assert_eq!(shown, 1);
    assert_eq!(verbs(&asked), ["acquire", "acquire", "acquire", "renew"]);
}

#[tokio::test]
async fn a_denial_is_final_and_a_wait_ends_in_time() {
    let (client, asked) = gateway(|_, _| problem(403, "denied", false)).await;
    let denied = client.hold(options(None), |_| {}).await.unwrap_err();
    assert_eq!(denied.problem().unwrap().code, ErrorCode::Denied);
    assert_eq!(verbs(&asked), ["acquire"]);

    let (client, _) = gateway(|_, _| problem(409, "held", true)).await;
    let wait = Some(Duration::from_millis(300));
    let begun = now();
    let held = client.hold(options(wait), |_| {}).await.unwrap_err();
    assert!(held.held().is_some() && begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_grant_that_cannot_be_confirmed_is_given_back() {
    let (client, asked) = gateway(|verb, _| match verb {
        "acquire" => grant(60_000, &json!({ "waited": true })),
        "renew" => problem(403, "denied", false),
        _ => Reply::Answer(200, json!({ "released": true, "request_id": "r" })),
    })
    .await;
    client.hold(options(None), |_| {}).await.unwrap_err();
    assert_eq!(verbs(&asked), ["acquire", "renew", "release"]);
}

#[tokio::test]
async fn silence_is_a_loss_before_the_lease_can_be_anothers() {
    let (client, asked) = gateway(|verb, _| match verb {
        "acquire" => grant(2_000, &json!({})),
        _ => Reply::Hang,
    })
    .await;
    let sent = now();
    let mut guard = client.hold(options(None), |_| {}).await.unwrap();
    let loss = guard.lost(Duration::from_millis(200)).await;
    assert!(matches!(loss, Loss::NotRenewed(_)), "{loss:?}");
    assert!(now() < guard.deadline().instant());
    assert!(guard.deadline().instant() < sent + Duration::from_millis(2_000));
    assert!(verbs(&asked).len() > 2, "one hung call is not the last");
}

#[tokio::test]
async fn a_denied_renewal_does_not_shorten_the_lease_and_an_ended_lease_is_lost_at_once() {
    let (client, _) = gateway(|verb, _| match verb {
        "acquire" => grant(1_000, &json!({})),
        _ => problem(403, "denied", false),
    })
    .await;
    let begun = now();
    let mut guard = client.hold(options(None), |_| {}).await.unwrap();
    let loss = guard.lost(Duration::from_millis(100)).await;
    assert_eq!(loss, Loss::NotRenewed("denied: by the script".to_owned()));
    assert!(begun.elapsed() > Duration::from_millis(700));

    let (client, _) = gateway(|verb, _| match verb {
        "acquire" => grant(60_000, &json!({ "renew_after_ms": 100 })),
        _ => problem(410, "lease_ended", false),
    })
    .await;
    let begun = now();
    let mut guard = client.hold(options(None), |_| {}).await.unwrap();
    let loss = guard.lost(Duration::ZERO).await;
    assert!(matches!(loss, Loss::Ended(_)), "{loss:?}");
    guard.over(Duration::ZERO).await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_drain_is_told_with_its_deadline_and_its_early_end() {
    let mut renewals = 0;
    let (client, _) = gateway(move |verb, _| match verb {
        "acquire" => grant(60_000, &json!({ "renew_after_ms": 50 })),
        _ => {
            renewals += 1;
            if renewals > 2 {
                return problem(410, "lease_ended", false);
            }
            let drain = json!({ "remaining_ms": 20_000, "cause": "revoked", "by": "ops" });
            grant(
                60_000,
                &json!({ "renew_after_ms": 50, "remaining_ms": 20_000, "drain": drain }),
            )
        }
    })
    .await;
    let mut guard = client.hold(options(None), |_| {}).await.unwrap();
    let loss = guard.lost(Duration::ZERO).await;
    assert_eq!(loss, Loss::Draining("revoked by ops".to_owned()));
    assert!(guard.deadline().instant() < now() + Duration::from_secs(20));
    guard.over(Duration::ZERO).await;
}
