//! What a client can do to the gateway with bytes: bodies and heads that are too large, too slow,
//! or mean two things at once.

use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::Wire;
use serde_json::json;

async fn with_config(config: &str) -> Result<Gateway> {
    Gateway::start_with(GatewayOptions {
        config: config.to_owned(),
        ..Default::default()
    })
    .await
}

/// A request's head, up to the headers that a test adds.
fn head(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ADMIN_KEY}\r\n")
}

fn acquire(lock: &str) -> String {
    let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
    format!("{}content-type: application/json\r\n", head("POST", &path))
}

/// A whole request that takes a lock.
fn whole(lock: &str) -> String {
    let body = r#"{"ttl_ms":60000}"#;
    let length = body.len();
    format!("{}content-length: {length}\r\n\r\n{body}", acquire(lock))
}

async fn is_free(gateway: &Gateway, lock: &str) -> Result<()> {
    let view = gateway.admin().show(lock).await?;
    assert_eq!(view.body["state"], json!("free"), "{view:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() -> Result<()> {
    let gateway = with_config("[limits]\nbody_bytes_max = 4096\n").await?;
    let mut wire = Wire::to(&gateway).await?;
    let head = acquire("chunked");
    wire.send(format!("{head}transfer-encoding: chunked\r\n\r\n"))
        .await?;
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1_024));
    for _ in 0..64 {
        // The server may have hung up already.
        if wire.send(&chunk).await.is_err() {
            break;
        }
    }
    let answer = wire.until("body_too_large").await?;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    is_free(&gateway, "chunked").await?;

    // Small enough, a body without a length is as good as any.
    let mut wire = Wire::to(&gateway).await?;
    let body = "10\r\n{\"ttl_ms\":60000}\r\n0\r\n\r\n";
    wire.send(format!("{head}transfer-encoding: chunked\r\n\r\n{body}"))
        .await?;
    wire.until("fencing_token").await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_and_its_sender_told() -> Result<()> {
    let gateway = with_config("[limits]\nbody_deadline_ms = 300\n").await?;
    let mut wire = Wire::to(&gateway).await?;
    wire.send(format!("{}content-length: 4000\r\n\r\n", acquire("drip")))
        .await?;
    // Each byte is in time; the whole is not.
    for _ in 0..40 {
        if wire.send(" ").await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let answer = wire.until("request_timeout").await?;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    is_free(&gateway, "drip").await
}

#[tokio::test]
async fn strangers_cannot_make_the_gateway_read() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut wire = Wire::to(&gateway).await?;
    let path = "/v1/policies/by-hand/versions/1.2.3";
    wire.send(format!(
        "PUT {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/wasm\r\n\
         content-length: 4000000\r\n\r\n"
    ))
    .await?;
    // Not one byte of the body was sent.
    let answer = wire.until("unauthenticated").await?;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_order() -> Result<()> {
    let gateway = Gateway::start().await?;
    let mut wire = Wire::to(&gateway).await?;
    let closing = format!("{}connection: close\r\n\r\n", head("GET", "/healthz"));
    wire.send(format!("{}{}{closing}", whole("one"), whole("two")))
        .await?;
    let answers = wire.until_closed().await?;
    let statuses: Vec<&str> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["201", "201", "200"], "{answers}");
    Ok(())
}

/// Each hides a second request in what one reader takes for the first one's body.
#[tokio::test]
async fn a_request_that_means_two_things_smuggles_nothing() -> Result<()> {
    let gateway = Gateway::start().await?;
    let hidden = whole("smuggled");
    let empty = "0\r\n\r\n";
    let both = empty.len() + hidden.len();
    let json = acquire("front");
    for (what, request) in [
        (
            "a length, then chunks",
            format!(
                "{json}content-length: {both}\r\ntransfer-encoding: chunked\r\n\r\n{empty}{hidden}"
            ),
        ),
        (
            "chunks, then a length",
            format!(
                "{json}transfer-encoding: chunked\r\ncontent-length: {both}\r\n\r\n{empty}{hidden}"
            ),
        ),
        (
            "two lengths",
            format!("{json}content-length: 0\r\ncontent-length: {both}\r\n\r\n{hidden}"),
        ),
        (
            "a length with a sign",
            format!("{json}content-length: +0\r\n\r\n{hidden}"),
        ),
        (
            "a length below nothing",
            format!("{json}content-length: -1\r\n\r\n{hidden}"),
        ),
        (
            "a coding that is none",
            format!("{json}transfer-encoding: chunked, x\r\n\r\n{empty}{hidden}"),
        ),
        (
            "a space before the colon",
            format!("{json}transfer-encoding : chunked\r\ncontent-length: 0\r\n\r\n{hidden}"),
        ),
        (
            "a folded header",
            format!(
                "{json}x-a: b\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n{hidden}"
            ),
        ),
        (
            "a chunk's length that overflows",
            format!("{json}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
        ),
    ] {
        let mut wire = Wire::to(&gateway).await?;
        wire.send(request).await?;
        let answer = wire.until_closed().await?;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{what}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count().max(1),
            1,
            "{what}: {answer}"
        );
        is_free(&gateway, "smuggled").await?;
    }
    is_free(&gateway, "front").await
}

#[tokio::test]
async fn heads_that_are_no_heads_are_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let large = format!(
        "{}x-large: {}\r\n\r\n",
        head("GET", "/healthz"),
        "x".repeat(20_000)
    );
    for (what, request) in [
        ("a large head", large),
        (
            "many headers",
            format!("{}{}\r\n", head("GET", "/healthz"), "a: b\r\n".repeat(500)),
        ),
        (
            "a long path",
            format!("{}\r\n", head("GET", &format!("/{}", "x".repeat(20_000)))),
        ),
        ("no version", "GET /healthz\r\n\r\n".to_owned()),
        (
            "a NUL",
            format!("{}x-a: \0\r\n\r\n", head("GET", "/healthz")),
        ),
        (
            "TLS",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n".to_owned(),
        ),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ] {
        let mut wire = Wire::to(&gateway).await?;
        // It may hang up before it has read all.
        let _ = wire.send(request).await;
        let answer = wire.until_closed().await?;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{what}: {answer}"
        );
    }
    assert_eq!(gateway.admin().acquire("a", 10_000).await?.status, 201);
    Ok(())
}

/// Whose a request is must have one answer, whoever reads it.
#[tokio::test]
async fn a_request_names_one_server_in_lines_that_end() -> Result<()> {
    let gateway = Gateway::start().await?;
    let ask = async |head: &str, end: &str| {
        let mut wire = Wire::to(&gateway).await?;
        wire.send(format!("{head}{end}")).await?;
        wire.until_closed().await
    };
    let close = "connection: close\r\n\r\n";
    for head in [
        "GET /healthz HTTP/1.1\r\nhost: gateway:1\r\n",
        "GET http://gateway:1/healthz HTTP/1.1\r\nhost: gateway:1\r\n",
        "GET /healthz HTTP/1.0\r\n",
    ] {
        let answer = ask(head, close).await?;
        assert!(answer.contains(" 200 OK\r\n"), "{head:?}: {answer}");
    }
    for head in [
        "GET /healthz HTTP/1.1\r\n",
        "GET /v1/policies HTTP/1.1\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a, b\r\n",
        "GET /healthz HTTP/1.1\r\nhost:\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a/b\r\n",
        "GET /healthz HTTP/1.1\r\nhost: user@a\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a:99999\r\n",
        "GET http://other/healthz HTTP/1.1\r\nhost: a\r\n",
        "GET ftp://a/healthz HTTP/1.1\r\nhost: a\r\n",
        "GET /healthz HTTP/1.1\nhost: a\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\nx-a: b\r\n",
    ] {
        let answer = ask(head, close).await?;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        let code = "\"code\":\"bad_request\"";
        assert!(answer.contains(code), "{head:?}: {answer}");
        assert!(answer.contains("connection: close"), "{head:?}: {answer}");
    }
    let answer = ask("GET /healthz HTTP/1.1\r\nhost: a\r\n", "\n").await?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    Ok(())
}

/// A client that reads no `connection: close` sends its next request on the same connection.
#[tokio::test]
async fn an_early_answer_keeps_the_connection_or_says_that_it_ends() -> Result<()> {
    let gateway = Gateway::start().await?;
    let small = r#"{"ttl_ms":60000}"#;
    let acquire = "/v1/namespaces/demo/locks/early:acquire";
    let json = "content-type: application/json\r\n";
    let key = format!("authorization: Bearer {ADMIN_KEY}\r\n");
    for (what, method, path, headers, status) in [
        ("no key", "POST", acquire, json.to_owned(), 401),
        (
            "no path",
            "POST",
            "/v2/nowhere",
            format!("{json}{key}"),
            404,
        ),
        ("no method", "PATCH", acquire, format!("{json}{key}"), 405),
        ("no type", "POST", acquire, key.clone(), 415),
        (
            "an encoding",
            "POST",
            acquire,
            format!("{json}{key}content-encoding: gzip\r\n"),
            415,
        ),
    ] {
        // Small bodies are read, so that the connection serves on.
        let mut wire = Wire::to(&gateway).await?;
        let length = small.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}");
        wire.send(format!("{head}content-length: {length}\r\n\r\n{small}"))
            .await?;
        let answer = wire.until("\"request_id\"").await?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
        assert!(!answer.contains("connection: close"), "{what}: {answer}");
        wire.send("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            .await?;
        wire.until("HTTP/1.1 200").await?;

        // Large ones are not; the answer arrives all the same, and says so.
        let mut wire = Wire::to(&gateway).await?;
        wire.send(format!("{head}content-length: 200000\r\n\r\n"))
            .await?;
        wire.send(" ".repeat(200_000)).await?;
        let answer = wire.until_closed().await?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
        assert!(answer.contains("connection: close"), "{what}: {answer}");

        // Nor is a body that its client holds back until it is asked for.
        let mut wire = Wire::to(&gateway).await?;
        wire.send(format!(
            "{head}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await?;
        let answer = wire.until_closed().await?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
        assert!(answer.contains("connection: close"), "{what}: {answer}");
    }
    is_free(&gateway, "early").await
}
