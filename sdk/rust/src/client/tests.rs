//! Names, keys, several gateways, and answers that are lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use leasehold_wire::v1::error::ErrorCode;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::scripted::Reply;
use crate::scripted::gateway;
use crate::scripted::grant;
use crate::scripted::listen;
use crate::scripted::problem;
use crate::scripted::verbs;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn a_name_never_becomes_another() {
    let address = |path: &str| super::address("http://gateway/base", path);
    let plain = paths::lock("demo", "a b/c:d?e", Some("acquire"));
    assert_eq!(
        address(&plain).unwrap().as_str(),
        "http://gateway/base/v1/namespaces/demo/locks/a%20b/c%3Ad%3Fe:acquire"
    );
    assert!(address("/v1/audit/holders?lock=demo/../x").is_ok());
    for name in ["..", "a/../b", "a/./b", "../../x"] {
        let path = paths::lock("demo", name, None);
        assert!(matches!(address(&path), Err(Error::Usage(_))), "{name}");
    }
    let key = paths::member(paths::KEYS, "../namespaces/demo");
    assert!(!address(&key).is_ok_and(|url| url.path().contains("namespaces/")));
}

#[test]
fn keys_do_not_print() {
    let client = Client::new("http://gateway", Key::from("lh_secret".to_owned())).unwrap();
    assert!(!format!("{client:?}").contains("lh_secret"));
}

fn request(wait_ms: Option<u64>) -> wire::AcquireRequest {
    wire::AcquireRequest {
        ttl_ms: 60_000,
        wait_ms,
        request_id: Some("mine".to_owned()),
        ..wire::AcquireRequest::default()
    }
}

fn client(urls: &[&str]) -> Client {
    Client::new(&urls.join(","), Key::default()).unwrap()
}

/// A gateway that takes one request, and is gone: the connection breaks, and nobody listens after.
async fn gone_after_one_request() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut bytes = [0; 4_096];
        let length = stream.read(&mut bytes).await.unwrap();
        assert!(length > 0);
    });
    url
}

#[tokio::test]
async fn what_may_have_taken_effect_is_never_reported_as_without_effect() {
    // The later attempts are refused before they are sent, which says nothing of the first.
    let url = gone_after_one_request().await;
    let error = client(&[&url]).acquire("demo", "a", &request(None)).await;
    let error = error.unwrap_err();
    assert!(error.may_have_taken_effect(), "{error:?}");

    // Nor does a refusal that the state of that later moment has caused.
    let mut first = true;
    let (client, _) = gateway(move |_, _| match std::mem::take(&mut first) {
        true => Reply::Lose,
        false => problem(403, "denied", false),
    })
    .await;
    let error = client.acquire("demo", "a", &request(None)).await;
    let error = error.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ErrorCode::Denied);
    assert!(error.may_have_taken_effect(), "{error:?}");

    // That somebody else holds the lock does: the same request would have got its lease again.
    let mut first = true;
    let (client, _) = gateway(move |_, _| match std::mem::take(&mut first) {
        true => Reply::Lose,
        false => problem(409, "held", true),
    })
    .await;
    let error = client.acquire("demo", "a", &request(None)).await;
    assert!(!error.unwrap_err().may_have_taken_effect());
}

#[tokio::test]
async fn a_wait_that_loses_its_connection_asks_again_for_the_rest_of_it() {
    let mut turn = 0;
    let (client, asked) = gateway(move |_, _| {
        turn += 1;
        match turn {
            1..=4 => Reply::Lose,
            5 => problem(503, "unavailable", true),
            _ => grant(60_000, &json!({ "waited": true })),
        }
    })
    .await;
    let granted = client.acquire("demo", "a", &request(Some(30_000))).await;
    assert!(granted.unwrap().waited);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|(_, body)| body["request_id"] == "mine"));
    let waits: Vec<u64> = asked
        .iter()
        .filter_map(|(_, body)| body["wait_ms"].as_u64())
        .collect();
    assert!(
        waits.is_sorted_by(|earlier, later| earlier > later),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_gone_or_cannot_serve_is_followed_by_the_next() {
    let (ill, asked_ill) = listen(|_, _| problem(503, "unavailable", true)).await;
    let (well, asked_well) = listen(|_, _| grant(60_000, &json!({}))).await;
    let client = client(&[NOBODY, &ill, &well]);
    for _ in 0..3 {
        client.acquire("demo", "a", &request(None)).await.unwrap();
    }
    // The turn stays where it was served.
    assert_eq!(asked_ill.lock().unwrap().len(), 1);
    assert_eq!(verbs(&asked_well), ["acquire", "acquire", "acquire"]);
    // A clone shares the turn.
    client.clone().get::<Value>("/v1/x").await.unwrap();
    assert_eq!(asked_ill.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_the_answer_and_what_cannot_be_repeated_is_not() {
    let (no, _) = listen(|_, _| problem(403, "denied", false)).await;
    let (yes, asked) = listen(|_, _| Reply::Answer(200, json!({}))).await;
    let denied = client(&[&no, &yes])
        .get::<Value>("/v1/x")
        .await
        .unwrap_err();
    assert_eq!(denied.problem().unwrap().code, ErrorCode::Denied);
    assert!(asked.lock().unwrap().is_empty());

    let (loses, _) = listen(|_, _| Reply::Lose).await;
    let client = client(&[&loses, &yes]);
    let lost = client.put::<Value>("/v1/x", &json!({})).await.unwrap_err();
    assert!(lost.may_have_taken_effect());
    assert!(asked.lock().unwrap().is_empty(), "sent twice");
    // The next call goes to the next gateway.
    client.put::<Value>("/v1/x", &json!({})).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_hangs_does_not_cost_the_lease() {
    let hangs = Arc::new(AtomicBool::new(false));
    let is_hanging = hangs.clone();
    let (first, _) = listen(move |_, _| match is_hanging.load(Ordering::Relaxed) {
        true => Reply::Hang,
        false => grant(3_000, &json!({})),
    })
    .await;
    let (second, _) = listen(|_, _| grant(3_000, &json!({}))).await;
    let options = crate::LockOptions {
        namespace: "demo".to_owned(),
        lock: "a".to_owned(),
        request: wire::AcquireRequest::default(),
        wait: None,
        watch: false,
    };
    let mut guard = client(&[&first, &second])
        .hold(options, |_| {})
        .await
        .unwrap();
    hangs.store(true, Ordering::Relaxed);
    let lost = tokio::time::timeout(Duration::from_secs(5), guard.lost(Duration::ZERO));
    assert!(lost.await.is_err(), "renewed at the second gateway");
}
