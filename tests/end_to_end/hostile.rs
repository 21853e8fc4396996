//! Bad input: a clear error each time, and nothing lost.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::json;

#[tokio::test]
async fn bad_bodies_get_a_problem_each() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let path = "/v1/namespaces/demo/locks/a:acquire";
    let raw = |body: &'static str, kind: &'static str| {
        let request = api.request(reqwest::Method::POST, path);
        api.send(request.header("content-type", kind).body(body))
    };
    for (body, kind, status) in [
        ("", "application/json", 400),
        ("{", "application/json", 400),
        ("[]", "application/json", 422),
        ("{\"ttl_ms\":10000}", "text/plain", 415),
        ("{\"ttl_ms\":10000,\"tll\":1}", "application/json", 422),
        ("{\"ttl_ms\":0}", "application/json", 422),
        ("{\"ttl_ms\":-1}", "application/json", 422),
        ("{\"ttl_ms\":1.5}", "application/json", 422),
        ("{\"ttl_ms\":\"10\"}", "application/json", 422),
        ("{\"ttl_ms\":18446744073709551615}", "application/json", 422),
        ("{\"ttl_ms\":18446744073709551616}", "application/json", 422),
        (
            "{\"ttl_ms\":10000,\"wait_ms\":18446744073709551615}",
            "application/json",
            422,
        ),
        (
            "{\"ttl_ms\":10000,\"mode\":\"both\"}",
            "application/json",
            422,
        ),
        (
            "{\"ttl_ms\":10000,\"mode\":\"shared\",\"permits\":0}",
            "application/json",
            422,
        ),
        (
            "{\"ttl_ms\":10000,\"request_id\":\"a b\"}",
            "application/json",
            422,
        ),
        (
            "{\"ttl_ms\":10000,\"request_id\":\"\"}",
            "application/json",
            422,
        ),
    ] {
        let answer = raw(body, kind).await?;
        assert_eq!(answer.status, status, "{body} gave {answer:?}");
        let kind = answer.headers["content-type"].to_str()?;
        assert_eq!(kind, "application/problem+json", "{body}");
        assert_eq!(
            answer.body["effect"],
            json!("none"),
            "{body} gave {answer:?}"
        );
        assert!(
            answer.body["request_id"].is_string(),
            "{body} gave {answer:?}"
        );
    }
    assert_eq!(
        api.acquire("a", 10_000).await?.status,
        201,
        "nothing was taken by any of these"
    );
    Ok(())
}

#[tokio::test]
async fn names_that_try_to_escape_are_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    for name in [
        "..%2F..%2Fetc",
        "a%2F..%2Fb",
        "a%2F%2Fb",
        "%2Fa",
        "a%00b",
        "a%0Ab",
        "%C3%A4",
        "a%20b",
        "a%252Fb",
        ".",
        "a%3Aacquire",
        "%FF",
    ] {
        let path = format!("/v1/namespaces/demo/locks/{name}:acquire");
        let answer = api.post(&path, &json!({ "ttl_ms": 10_000 })).await?;
        assert!(
            [404, 422].contains(&answer.status),
            "{name} gave {answer:?}"
        );
    }
    let long = "x".repeat(513);
    assert_eq!(api.acquire(&long, 10_000).await?.status, 422);
    let nowhere = "/v1/namespaces/nowhere/locks/a:acquire";
    let answer = api.post(nowhere, &json!({ "ttl_ms": 10_000 })).await?;
    assert_eq!((answer.status, answer.code()), (404, "namespace_not_found"));
    let verb = api
        .post("/v1/namespaces/demo/locks/a:steal", &json!({}))
        .await?;
    assert_eq!(verb.status, 404, "{verb:?}");
    Ok(())
}

#[tokio::test]
async fn huge_bodies_and_slow_headers_do_not_hold_the_gateway() -> Result<()> {
    let config = "[limits]\nheader_deadline_ms = 300\n".to_owned();
    let gateway = Gateway::start_with(GatewayOptions {
        config,
        ..Default::default()
    })
    .await?;
    let api = gateway.admin();
    let huge = json!({ "ttl_ms": 10_000, "reason": "x".repeat(1_000_000) });
    let answer = api
        .post("/v1/namespaces/demo/locks/a:acquire", &huge)
        .await?;
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));

    let address = gateway.url().trim_start_matches("http://").to_owned();
    let closed = tokio::task::spawn_blocking(move || -> Result<Vec<u8>> {
        let mut slow = TcpStream::connect(address)?;
        slow.set_read_timeout(Some(Duration::from_secs(20)))?;
        slow.write_all(
            b"POST /v1/namespaces/demo/locks/a:acquire HTTP/1.1\r\nhost: x\r\nx-slow: ",
        )?;
        let mut answer = Vec::new();
        // Never finishing its headers, it is answered or hung up on; not kept for ever.
        slow.read_to_end(&mut answer)?;
        Ok(answer)
    });
    let answer = closed.await??;
    let text = String::from_utf8_lossy(&answer);
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 408"),
        "{text}"
    );
    assert_eq!(api.acquire("a", 10_000).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn wrong_keys_and_wrong_leases_get_nowhere() -> Result<()> {
    let gateway = Gateway::start().await?;
    let grant = gateway.admin().acquire("a", 10_000).await?;
    for key in [
        None,
        Some(""),
        Some("lh_x_y"),
        Some("Bearer"),
        Some("lh_bootstrap_00"),
    ] {
        let answer = gateway.api(key).acquire("a", 10_000).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthenticated"),
            "{key:?}"
        );
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let api = gateway.admin();
    let unknown = "0".repeat(32);
    let lost = api.with_lease("a", "renew", &unknown).await?;
    assert_eq!((lost.status, lost.code()), (409, "lease_lost"), "{lost:?}");
    let garbled = api.with_lease("a", "renew", "xyz").await?;
    assert_eq!(garbled.status, 422, "{garbled:?}");

    let service = gateway.service("svc", "team-a").await?;
    let handle = grant.body["lease"].as_str().context("public handle")?;
    let by_handle = service.with_lease("a", "release", handle).await?;
    assert_eq!(
        by_handle.code(),
        "lease_lost",
        "a handle is no lease id: {by_handle:?}"
    );
    for (path, body) in [
        (
            "/v1/keys",
            json!({ "subject": "me", "roles": ["administrator"] }),
        ),
        ("/v1/namespaces", json!({ "name": "mine" })),
    ] {
        let answer = service.post(path, &body).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "forbidden"),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(service.get("/v1/audit/events").await?.code(), "forbidden");
    Ok(())
}

#[tokio::test]
async fn names_that_look_like_others_are_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let lease = api.acquire("a", 60_000).await?;
    let lease_id = lease.body["lease_id"].as_str().context("lease_id")?;
    let verb = |verb: &str| format!("/v1/namespaces/demo/locks/a:{verb}");
    for bad in [
        "cafe\u{301}",
        "adm\u{200b}in",
        "adm\u{200d}in",
        "\u{feff}admin",
        "a\u{202e}nimda",
        "a\u{2066}b\u{2069}",
        "adm\u{ad}in",
    ] {
        for (path, body) in [
            ("/v1/keys".to_owned(), json!({ "subject": bad })),
            (
                "/v1/keys".to_owned(),
                json!({ "subject": "svc", "team": bad }),
            ),
            (verb("transfer"), json!({ "lease_id": lease_id, "to": bad })),
            (
                verb("acquire"),
                json!({ "ttl_ms": 10_000, "instance": bad }),
            ),
            (
                verb("acquire"),
                json!({ "ttl_ms": 10_000, "labels": { "team": bad } }),
            ),
            (
                verb("acquire"),
                json!({ "ttl_ms": 10_000, "labels": { bad: "x" } }),
            ),
            (
                "/v1/namespaces/demo/locks:acquire".to_owned(),
                json!({ "ttl_ms": 10_000, "locks": ["z"], "labels": { "team": bad } }),
            ),
        ] {
            let answer = api.post(&path, &body).await?;
            let refused = (answer.status, answer.code());
            assert_eq!(
                refused,
                (422, "invalid_request"),
                "{bad:?} {path}: {answer:?}"
            );
        }
    }
    let turned = "paid by \u{202e}nimda";
    let body = json!({ "ttl_ms": 10_000, "reason": turned });
    let answer = api
        .post("/v1/namespaces/demo/locks/b:acquire", &body)
        .await?;
    assert_eq!(answer.status, 422, "{answer:?}");
    for good in ["caf\u{e9}", "日本語", "svc:billing"] {
        let answer = api.post("/v1/keys", &json!({ "subject": good })).await?;
        assert_eq!(answer.status, 201, "{good:?}: {answer:?}");
    }
    Ok(())
}
