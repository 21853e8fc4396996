//! Whatever is asked, the answer is one that a program can read; and a full gateway says so.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Answer;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use reqwest::Method;
use serde_json::json;

const LOCK: &str = "/v1/namespaces/demo/locks/a";

fn is_problem(answer: &Answer) -> Result<()> {
    let kind = answer.headers["content-type"].to_str()?;
    assert_eq!(kind, "application/problem+json", "{answer:?}");
    assert_eq!(answer.body["status"], json!(answer.status), "{answer:?}");
    assert_eq!(answer.body["effect"], json!("none"), "{answer:?}");
    assert!(answer.body["retryable"].is_boolean(), "{answer:?}");
    let id = answer.body["request_id"].as_str().context("request_id")?;
    assert_eq!(answer.headers["x-request-id"].to_str()?, id, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn wrong_methods_and_paths_are_problems() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    for (method, path) in [
        (Method::DELETE, LOCK),
        (Method::PATCH, LOCK),
        (Method::OPTIONS, LOCK),
        (Method::TRACE, LOCK),
        (Method::from_bytes(b"BREW")?, LOCK),
        (Method::POST, "/v1/namespaces/demo/locks"),
        (Method::POST, "/healthz"),
        (Method::DELETE, "/v1/audit/events"),
    ] {
        let answer = api.send(api.request(method.clone(), path)).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (405, "method_not_allowed"),
            "{method} {path}: {answer:?}"
        );
        is_problem(&answer)?;
        let allowed = answer.headers.get("allow").context("allow")?;
        assert!(!allowed.is_empty(), "{method} {path}: {answer:?}");
    }
    for path in [
        "/",
        "/v2/namespaces",
        "/v1/",
        "/v1/namespaces/demo/locks/",
        "/metrics/x",
    ] {
        let answer = api.get(path).await?;
        assert_eq!(answer.status / 100, 4, "{path}: {answer:?}");
        is_problem(&answer)?;
    }
    for (path, body) in [
        (LOCK, json!({})),
        ("/v1/namespaces/demo/locks/a:renew:x", json!({})),
    ] {
        let answer = api.post(path, &body).await?;
        assert!([404, 422].contains(&answer.status), "{path}: {answer:?}");
        is_problem(&answer)?;
    }
    let head = api.send(api.request(Method::HEAD, LOCK)).await?;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    Ok(())
}

#[tokio::test]
async fn json_that_means_two_things_or_never_ends_is_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!("{{\"ttl_ms\":10000,\"labels\":{open}1{close}}}")
    };
    for (body, status) in [
        (r#"{"ttl_ms":10000,"ttl_ms":60000}"#.to_owned(), 422),
        (
            r#"{"ttl_ms":10000,"labels":{"a":"1","a":"2"}}"#.to_owned(),
            422,
        ),
        (r#"{"ttl_ms":10000} {"ttl_ms":60000}"#.to_owned(), 400),
        ("\u{feff}{\"ttl_ms\":10000}".to_owned(), 400),
        (r#"{"ttl_ms":10000,"reason":"\ud800"}"#.to_owned(), 400),
        (r#"{"ttl_ms":NaN}"#.to_owned(), 400),
        (r#"{"ttl_ms":1e400}"#.to_owned(), 400),
        (r#"{"ttl_ms":10000,"reason":"a\u0000b"}"#.to_owned(), 422),
        (deep("[", "]"), 422),
        (deep("{\"a\":", "}"), 422),
    ] {
        let path = format!("{LOCK}:acquire");
        let request = api.request(Method::POST, &path);
        let request = request.header("content-type", "application/json");
        let answer = api.send(request.body(body.clone())).await?;
        let shown = &body[..body.len().min(80)];
        assert!(
            answer.status == status || (answer.status == 400 && status == 422),
            "{shown} gave {answer:?}"
        );
        is_problem(&answer)?;
    }
    let view = api.show("a").await?;
    assert_eq!(
        view.body["revision"],
        json!(0),
        "nothing was taken: {view:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_one() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let ask = async |id: &[u8]| {
        let request = api.request(Method::GET, LOCK);
        let id = reqwest::header::HeaderValue::from_bytes(id)?;
        api.send(request.header("x-request-id", id)).await
    };
    let echoed = ask(b"trace-7").await?;
    assert_eq!(echoed.headers["x-request-id"], "trace-7");
    let long = "x".repeat(129);
    for bad in [b"a b".as_slice(), b"\xff\xfe", b"", long.as_bytes()] {
        let answer = ask(bad).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.headers["x-request-id"].to_str()?;
        assert_eq!(id.len(), 32, "one was drawn: {id}");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_gateway_says_so_at_once_and_stays_visibly_alive() -> Result<()> {
    let gateway = Gateway::start_with(GatewayOptions {
        config: "[limits]\nrequests_max = 2\n".to_owned(),
        ..Default::default()
    })
    .await?;
    let api = gateway.admin();
    let held = api.acquire("a", 60_000).await?;
    let wait = || {
        let api = api.clone();
        let body = json!({ "ttl_ms": 10_000, "wait_ms": 30_000 });
        tokio::spawn(async move {
            // The second may find both places taken, by the first and by a question of this test.
            loop {
                let answer = api.verb("a", "acquire", &body).await?;
                if answer.status != 503 {
                    return anyhow::Ok(answer);
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
    };
    let first = wait();
    api.queue_of("a", 1).await?;
    let second = wait();
    let full = async {
        loop {
            let answer = api.show("b").await?;
            if answer.status == 503 {
                return anyhow::Ok(answer);
            }
        }
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), full).await??;
    assert_eq!(answer.code(), "overloaded", "{answer:?}");
    assert_eq!(answer.body["retryable"], json!(true), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    is_problem(&answer)?;
    // Whoever watches over it must not take a full gateway for a dead one.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(api.get(path).await?.status, 200, "{path}");
    }
    second.abort();
    let again = async {
        loop {
            let released = api
                .with_lease("a", "release", held.text_of("lease_id")?)
                .await?;
            if released.status != 503 {
                return anyhow::Ok(released);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let released = tokio::time::timeout(std::time::Duration::from_secs(30), again).await??;
    assert_eq!(released.status, 200, "{released:?}");
    assert_eq!(first.await??.status, 201);
    Ok(())
}

#[tokio::test]
async fn bodies_are_not_encoded_and_answers_are_not_kept() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    for encoding in ["gzip", "br", "identity", ""] {
        let request = api.request(Method::POST, &format!("{LOCK}:acquire"));
        let request = request.header("content-encoding", encoding);
        let answer = api.send(request.json(&json!({ "ttl_ms": 10_000 }))).await?;
        let refused = (answer.status, answer.code());
        assert_eq!(
            refused,
            (415, "unsupported_media_type"),
            "{encoding:?}: {answer:?}"
        );
        assert_eq!(answer.headers["accept-encoding"], "identity", "{answer:?}");
    }
    let kept = |answer: &Answer| answer.headers["cache-control"] == "no-store";
    let grant = api.acquire("kept", 60_000).await?;
    assert!(grant.status == 201 && kept(&grant), "{grant:?}");
    let lease_id = grant.body["lease_id"].as_str().context("lease_id")?;
    let renewed = api.with_lease("kept", "renew", lease_id).await?;
    assert!(renewed.status == 200 && kept(&renewed), "{renewed:?}");
    let many = json!({ "locks": ["x", "y"], "ttl_ms": 10_000 });
    let many = api.post("/v1/namespaces/demo/locks:acquire", &many).await?;
    assert!(many.status == 201 && kept(&many), "{many:?}");
    let key = api.post("/v1/keys", &json!({ "subject": "svc" })).await?;
    assert!(key.status == 201 && kept(&key), "{key:?}");
    let backup = api.get("/v1/backup").await?;
    assert!(
        backup.status == 200 && kept(&backup),
        "{:?}",
        backup.headers
    );
    Ok(())
}
