//! How binding a policy's answer is, and what its failure means: advisory, mandatory, overridable,
//! and `on_error`.

use anyhow::Context;
use anyhow::Result;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

/// Uploads `fails`, which traps, and `denies`, which says no; both judge everything.
async fn upload(admin: &Api) -> Result<()> {
    let operations = ["acquire", "renew", "revoke", "transfer"].map(str::to_owned);
    let at = TEXT as u32;
    let denies = Guest {
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    };
    for (name, guest) in [("fails", Guest::doing("(unreachable)")), ("denies", denies)] {
        let wasm = Guest {
            name: name.to_owned(),
            operations: operations.to_vec(),
            ..guest
        }
        .wasm();
        let stored = admin.upload_policy(name, "1.2.3", wasm).await?;
        assert_eq!(stored.status, 201, "{name}: {stored:?}");
    }
    Ok(())
}

/// Binds one policy alone to all locks below `by-hand/`.
async fn bind(admin: &Api, policy: &str, operation: &str, how: Value) -> Result<Answer> {
    let mut bound = json!({ "policy": policy, "version": "1.2.3" });
    for (key, value) in how.as_object().context("an object")? {
        bound[key] = value.clone();
    }
    let body = json!({ "namespaces": ["demo"], "locks": ["by-hand/**"],
        "operations": [operation], "policies": [bound] });
    admin.put("/v1/bindings/by-hand", &body).await
}

/// What the ledger says of the decision on the newest request of a lock.
async fn decision(admin: &Api, lock: &str) -> Result<Value> {
    let rows = admin.ledger(&format!("lock=demo/{lock}")).await?;
    let row = rows.last().context("an event of the lock")?;
    Ok(row["event"]["cause"]["decision"].clone())
}

#[tokio::test]
async fn advice_is_written_down_and_changes_nothing() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(&admin).await?;
    for (policy, answered) in [("fails", "error"), ("denies", "deny")] {
        let how = json!({ "enforcement": "advisory" });
        assert_eq!(bind(&admin, policy, "acquire", how).await?.status, 200);
        let lock = format!("by-hand/{policy}");
        let grant = admin.acquire(&lock, 10_000).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        let decision = decision(&admin, &lock).await?;
        assert_eq!(decision["effect"]["type"], json!("allow"), "{decision}");
        let verdicts = decision["verdicts"].as_array().context("verdicts")?;
        let verdict = verdicts.iter().find(|row| row["policy"] == *policy);
        let verdict = verdict.context("the adviser's verdict")?;
        assert_eq!(verdict["answer"], json!(answered), "{verdict}");
        assert_eq!(verdict["enforcement"], json!("advisory"), "{verdict}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_break_glass_principal_with_a_reason_passes_an_overridable_no() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(&admin).await?;
    let plain = gateway.service("plain", "team-a").await?;
    let breaker = gateway
        .principal("breaker", "team-a", &["break-glass"])
        .await?;
    for (policy, code) in [("fails", "policy_error"), ("denies", "denied")] {
        let how = json!({ "enforcement": "overridable" });
        assert_eq!(bind(&admin, policy, "acquire", how).await?.status, 200);
        let lock = format!("by-hand/{policy}");
        let path = format!("/v1/namespaces/demo/locks/{lock}:acquire");
        let bare = json!({ "ttl_ms": 10_000 });
        let blank = json!({ "ttl_ms": 10_000, "reason": "  " });
        let reasoned = json!({ "ttl_ms": 10_000, "reason": "INC-7, the nightly is stuck" });
        for (api, body) in [(&plain, &reasoned), (&breaker, &bare), (&breaker, &blank)] {
            let answer = api.post(&path, body).await?;
            assert_eq!((answer.status, answer.code()), (403, code), "{answer:?}");
        }
        let grant = breaker.post(&path, &reasoned).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        let decision = decision(&admin, &lock).await?;
        let effect = &decision["effect"];
        assert_eq!(effect["type"], json!("override"), "{decision}");
        assert_eq!(effect["reason"], json!("INC-7, the nightly is stuck"));
    }
    let overrides = admin.ledger("verdict=override&subject=breaker").await?;
    assert_eq!(overrides.len(), 2, "{overrides:?}");
    let metrics = admin.get("/metrics").await?;
    assert!(metrics.text.contains("leasehold_overrides_total 2"));
    reviewed(&gateway, &breaker).await
}

#[tokio::test]
async fn break_glass_by_command_line_names_its_ticket_and_ends() -> Result<()> {
    let gateway = Gateway::start_with(GatewayOptions {
        config: "[policy]\nbreak_glass_ticket_required = true\n".to_owned(),
        ..GatewayOptions::default()
    });
    let gateway = gateway.await?;
    let admin = gateway.admin();
    upload(&admin).await?;
    let how = json!({ "enforcement": "overridable" });
    assert_eq!(bind(&admin, "denies", "acquire", how).await?.status, 200);
    let breaker = gateway
        .principal("breaker", "team-a", &["break-glass"])
        .await?;
    let approver = gateway.principal("eve", "rules", &["approver"]).await?;
    let run = async |who: &Api, line: &[&str]| {
        let key = who.key().context("has a key")?;
        gateway.command_line(key, line).await
    };
    let acquire = ["lock", "acquire", "demo/by-hand/cli", "--reason", "hotfix"];
    let bare = run(&breaker, &acquire).await?;
    let told = String::from_utf8(bare.stderr)?;
    assert!(told.contains("override-ticket-missing"), "{told}");
    let terms = ["--ticket", "INC-7", "--override-ttl", "10m", "--json"];
    let granted = run(&breaker, &[&acquire[..], &terms[..]].concat()).await?;
    assert!(granted.status.success(), "{granted:?}");
    let grant: Value = serde_json::from_slice(&granted.stdout)?;
    let left_ms = grant["hold_remaining_ms"].as_u64().context("a bound")?;
    assert!((1..=600_000).contains(&left_ms), "{grant}");

    let rows = admin
        .ledger("lock=demo/by-hand/cli&verdict=override")
        .await?;
    let cause = &rows.last().context("an override")?["event"]["cause"];
    assert_eq!(cause["request"]["ticket"], json!("INC-7"), "{cause}");
    let limits = &cause["decision"]["limits"];
    assert_eq!(limits["max_hold_ms"], json!(600_000), "{cause}");
    let list = run(&approver, &["review", "list"]).await?;
    let list = String::from_utf8(list.stdout)?;
    assert!(list.contains("INC-7") && list.contains("open"), "{list}");
    let reviews = approver.get("/v1/reviews").await?;
    let review = &reviews.body["reviews"][0];
    assert!(review["expires_at"].is_string(), "{review}");
    let id = review["id"].as_str().context("an id")?;
    let shown = run(&approver, &["review", "show", id]).await?;
    let shown = String::from_utf8(shown.stdout)?;
    assert!(shown.contains("override ends"), "{shown}");
    let events = admin.ledger("operation=governance").await?;
    let text = serde_json::to_string(&events)?;
    assert!(text.contains("ticket INC-7, until"), "{text}");
    Ok(())
}

/// Both uses of break-glass wait for somebody else to look at them.
async fn reviewed(gateway: &Gateway, breaker: &Api) -> Result<()> {
    let approver = gateway.principal("eve", "rules", &["approver"]).await?;
    let list = approver.get("/v1/reviews").await?;
    let reviews = list.body["reviews"].as_array().context("reviews")?;
    assert_eq!(reviews.len(), 2, "{list:?}");
    let first = &reviews[0];
    assert_eq!(
        (&first["state"], &first["subject"]),
        (&json!("open"), &json!("breaker"))
    );
    assert_eq!(first["reason"], json!("INC-7, the nightly is stuck"));
    let metrics = gateway.admin().get("/metrics").await?;
    assert!(
        metrics.text.contains("leasehold_reviews_open 2"),
        "{metrics:?}"
    );
    assert!(
        metrics.text.contains("leasehold_reviews_overdue 0"),
        "{metrics:?}"
    );
    // The same principal, lock and reason open no further one.
    let body = json!({ "ttl_ms": 10_000, "reason": "INC-7, the nightly is stuck" });
    let path = "/v1/namespaces/demo/locks/by-hand/denies:acquire";
    assert_eq!(breaker.post(path, &body).await?.status, 409);
    assert_eq!(
        approver.get("/v1/reviews").await?.body["reviews"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let path = format!("/v1/reviews/{}:close", first["id"].as_str().context("id")?);
    let note = json!({ "note": "the nightly had hung; CHG-9 mends it" });
    assert_eq!(breaker.post(&path, &note).await?.status, 403);
    assert_eq!(
        approver.post(&path, &json!({ "note": " " })).await?.status,
        422
    );
    let closed = approver.post(&path, &note).await?;
    assert_eq!(
        (closed.status, &closed.body["closed_by"]),
        (200, &json!("eve")),
        "{closed:?}"
    );
    assert_eq!(approver.post(&path, &note).await?.status, 409);
    let metrics = gateway.admin().get("/metrics").await?;
    assert!(
        metrics.text.contains("leasehold_reviews_open 1"),
        "{metrics:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_broken_policy_does_not_end_healthy_leases_where_its_binding_says_so() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(&admin).await?;
    let grant = admin.acquire("by-hand/a", 60_000).await?;
    let lease_id = grant.body["lease_id"].as_str().context("lease_id")?;
    let renew = async || admin.with_lease("by-hand/a", "renew", lease_id).await;

    assert_eq!(bind(&admin, "fails", "renew", json!({})).await?.status, 200);
    let refused = renew().await?;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "policy_error"),
        "{refused:?}"
    );
    let passing = json!({ "on_error_allow": ["renew"] });
    assert_eq!(
        bind(&admin, "fails", "renew", passing.clone())
            .await?
            .status,
        200
    );
    let renewed = renew().await?;
    assert_eq!(renewed.status, 200, "{renewed:?}");

    // A failure may be passed over; a no may not.
    assert_eq!(bind(&admin, "denies", "renew", passing).await?.status, 200);
    let denied = renew().await?;
    assert_eq!(
        (denied.status, denied.code()),
        (403, "denied"),
        "{denied:?}"
    );
    assert_eq!(denied.body["denial"]["message"], json!("by hand"));

    // What passes for renewals does not pass for others.
    let other = json!({ "on_error_allow": ["renew"] });
    assert_eq!(bind(&admin, "fails", "acquire", other).await?.status, 200);
    let acquire = admin.acquire("by-hand/b", 10_000).await?;
    assert_eq!(acquire.code(), "policy_error", "{acquire:?}");

    let typo = json!({ "on_error_allow": ["renwe"] });
    assert_eq!(bind(&admin, "fails", "renew", typo).await?.status, 422);
    let typo = json!({ "enforcement": "optional" });
    assert_eq!(bind(&admin, "fails", "renew", typo).await?.status, 422);
    let released = admin.with_lease("by-hand/a", "release", lease_id).await?;
    assert_eq!(released.status, 200, "giving back is always possible");
    Ok(())
}

#[tokio::test]
async fn a_bad_configuration_or_a_failing_check_is_refused_when_bound() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let text = Guest::default().wat();
    let checks = r#"(func (export "check") (param i32 i32) (result i32) (i32.const 2048))"#;
    let text = text.replace(
        checks,
        r#"(func (export "check") (param i32 i32) (result i32) (loop $l (br $l)) (i32.const 2048))"#,
    );
    let wasm = wat::parse_str(text)?;
    assert_eq!(
        admin.upload_policy("by-hand", "1.2.3", wasm).await?.status,
        201
    );
    let refused = bind(&admin, "by-hand", "acquire", json!({})).await?;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text.contains("`check` failed"), "{refused:?}");
    let missing = bind(&admin, "nobody", "acquire", json!({})).await?;
    assert_eq!(missing.status, 422, "{missing:?}");
    assert_eq!(admin.acquire("by-hand/a", 10_000).await?.status, 201);
    Ok(())
}
