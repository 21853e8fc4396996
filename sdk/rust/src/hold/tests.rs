//! Holding a lock of a gateway that answers by a script, loses answers, and hangs.

use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::*;
use crate::Key;
use crate::Loss;

/// How the gateway answers one request.
enum Reply {
    Answer(u16, Value),
    /// Closes the connection unanswered.
    Lose,
    /// Never answers.
    Hang,
}

type Script = Box<dyn FnMut(&str, &Value) -> Reply + Send>;

/// What it was asked: the verb and the body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

async fn gateway(script: impl FnMut(&str, &Value) -> Reply + Send + 'static) -> (Client, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (script, log): (Arc<Mutex<Script>>, _) =
        (Arc::new(Mutex::new(Box::new(script))), asked.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, script.clone(), log.clone()));
        }
    });
    (Client::new(&url, Key::default()).unwrap(), asked)
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, log: Asked) {
    let (verb, body) = read(&mut stream).await;
    log.lock().unwrap().push((verb.clone(), body.clone()));
    let reply = (script.lock().unwrap())(&verb, &body);
    match reply {
        Reply::Lose => {}
        Reply::Hang => std::future::pending().await,
        Reply::Answer(status, body) => {
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// The verb after the colon, and the body.
async fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let path = head.split(' ').nth(1).unwrap();
                let verb = path.rsplit(':').next().unwrap().to_owned();
                return (verb, serde_json::from_str(body).unwrap_or_default());
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "cut off");
    }
}

fn grant(ttl_ms: u64, more: &Value) -> Reply {
    let mut grant = json!({ "lease_id": "secret", "lease": "public", "fencing_token": 1_024,
        "ttl_ms": ttl_ms, "remaining_ms": ttl_ms, "renew_after_ms": ttl_ms / 4,
        "mode": "exclusive", "state": "active", "repeated": false, "waited": false,
        "request_id": "r" });
    let fields = more.as_object().unwrap().clone();
    grant.as_object_mut().unwrap().extend(fields);
    Reply::Answer(200, grant)
}

fn problem(status: u16, code: &str, retryable: bool) -> Reply {
    let problem = json!({ "type": code, "title": code, "status": status, "detail": "by the script",
        "code": code, "retryable": retryable, "effect": "none", "request_id": "r" });
    Reply::Answer(status, problem)
}

fn options(wait: Option<Duration>) -> LockOptions {
    LockOptions {
        namespace: "demo".to_owned(),
        lock: "a".to_owned(),
        request: wire::AcquireRequest::default(),
        wait,
        watch: false,
    }
}

fn verbs(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|(verb, _)| verb.clone()).collect()
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
