//! What people are told of policies, over HTTP and by the command line: why a binding is refused, what
//! a new version judges, who denied, why a policy failed, and what only advised.

use anyhow::Context;
use anyhow::Result;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

/// Uploads a policy of this name and version that judges these operations.
async fn upload(
    admin: &Api,
    name: &str,
    version: &str,
    operations: &[&str],
    guest: Guest,
) -> Result<()> {
    let guest = Guest {
        name: name.to_owned(),
        version: version.to_owned(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        ..guest
    };
    let stored = admin.upload_policy(name, version, guest.wasm()).await?;
    assert_eq!(stored.status, 201, "{stored:?}");
    Ok(())
}

/// A guest that denies with the code `no` and the message `by hand`.
fn denies() -> Guest {
    let at = TEXT as u32;
    Guest {
        answer: deny((at, 2), (at + 2, 7)),
        text: b"noby hand".to_vec(),
        ..Guest::default()
    }
}

/// A binding of one policy in namespace `demo`.
fn binding(policy: &str, version: &str, more: Value) -> Value {
    let mut bound = json!({ "policy": policy, "version": version });
    let mut binding = json!({ "namespaces": ["demo"], "locks": ["told/**"] });
    for (name, value) in more.as_object().into_iter().flatten() {
        let to = if ["enforcement", "config"].contains(&name.as_str()) {
            &mut bound
        } else {
            &mut binding
        };
        to[name] = value.clone();
    }
    binding["policies"] = json!([bound]);
    binding
}

#[tokio::test]
async fn a_rule_that_can_never_match_is_refused_and_a_changed_one_is_told() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(
        &admin,
        "rule",
        "1.0.0",
        &["acquire", "renew"],
        Guest::default(),
    )
    .await?;
    upload(&admin, "rule", "2.0.0", &["acquire"], Guest::default()).await?;
    let window = json!({ "name": "w", "from": "2020-01-01T00:00:00Z",
        "until": "2099-01-01T00:00:00Z", "locks": ["prod/{a,b}/**"] });
    let frozen = json!({ "config": { "windows": [window] } });
    for (bad, place) in [
        (
            binding("rule", "1.0.0", json!({ "locks": ["prod/{a,b}/**"] })),
            "locks[0]",
        ),
        (
            binding("rule", "1.0.0", json!({ "operations": ["release"] })),
            "operations[0]",
        ),
        (
            binding("rule", "2.0.0", json!({ "operations": ["renew"] })),
            "operations[0]",
        ),
        (
            binding("freeze-window", "1.1.0", frozen),
            "policies[0].config/windows/0/locks/0",
        ),
    ] {
        let answer = admin.put("/v1/bindings/told", &bad).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "invalid_request"),
            "{answer:?}"
        );
        let detail = answer.body["detail"].as_str().context("detail")?;
        assert!(detail.contains(place), "{place}: {detail}");
    }
    let first = admin
        .put("/v1/bindings/told", &binding("rule", "1.0.0", json!({})))
        .await?;
    assert_eq!(
        first.body["evaluated_operations"],
        json!(["acquire", "renew"]),
        "{first:?}"
    );
    let second = admin
        .put("/v1/bindings/told", &binding("rule", "2.0.0", json!({})))
        .await?;
    let change = json!([{ "policy": "rule", "from": ["1.0.0"], "to": ["2.0.0"],
        "newly_evaluated": [], "no_longer_evaluated": ["renew"] }]);
    assert_eq!(second.body["changes"], change, "{second:?}");
    Ok(())
}

#[tokio::test]
async fn a_denial_names_its_policy_code_and_decision_on_the_command_line() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(&admin, "denies", "1.0.0", &["acquire"], denies()).await?;
    upload(
        &admin,
        "traps",
        "1.0.0",
        &["acquire"],
        Guest::doing("(unreachable)"),
    )
    .await?;
    for (policy, code, failure) in [
        ("denies", "no", None),
        ("traps", "policy-error", Some("trap")),
    ] {
        let bound = admin
            .put("/v1/bindings/told", &binding(policy, "1.0.0", json!({})))
            .await?;
        assert_eq!(bound.status, 200, "{bound:?}");
        let asked = ["lock", "acquire", "demo/told/a", "--json"];
        let output = gateway.command_line(ADMIN_KEY, &asked).await?;
        assert_eq!(output.status.code(), Some(77), "{output:?}");
        let problem: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(problem["retryable"], json!(false), "{problem}");
        let denial = &problem["denial"];
        assert_eq!(
            (&denial["policy"], &denial["version"]),
            (&json!(policy), &json!("1.0.0"))
        );
        assert_eq!(
            (&denial["code"], &denial["binding"]),
            (&json!(code), &json!("told"))
        );
        assert_eq!(denial["failure"]["kind"].as_str(), failure, "{problem}");
        let decision = denial["decision_id"]
            .as_str()
            .context("the decision's id")?;
        let told = String::from_utf8(output.stderr)?;
        for part in [
            &format!("{policy}@1.0.0"),
            code,
            decision,
            failure.unwrap_or_default(),
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let rows = admin.ledger("lock=demo/told/a").await?;
        let recorded = rows.iter().any(|row| row.to_string().contains(decision));
        assert!(recorded, "{decision} is in no event");
    }
    Ok(())
}

/// The author of a policy need not be who met its failure.
#[tokio::test]
async fn the_author_of_a_policy_sees_why_it_failed_for_others() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let traps = Guest::doing("(unreachable)");
    upload(&admin, "traps", "1.0.0", &["acquire"], traps).await?;
    let bound = admin
        .put("/v1/bindings/told", &binding("traps", "1.0.0", json!({})))
        .await?;
    assert_eq!(bound.status, 200, "{bound:?}");
    let plain = gateway.service("plain", "team-a").await?;
    let failed = plain.acquire("told/a", 10_000).await?;
    assert_eq!(failed.code(), "policy_error", "{failed:?}");
    assert_eq!(failed.body["denial"]["failure"], json!({ "kind": "trap" }));
    let author = gateway
        .principal("author", "team-a", &["policy-author"])
        .await?;
    let version = author.get("/v1/policies/traps/versions/1.0.0").await?;
    let failures = version.body["failures"].as_array().context("failures")?;
    assert_eq!(failures.len(), 1, "{version:?}");
    assert_eq!(failures[0]["lock"], json!("demo/told/a"), "{version:?}");
    let detail = failures[0]["detail"].as_str().context("detail")?;
    assert!(detail.contains("unreachable"), "{detail}");
    let version = plain.get("/v1/policies/traps/versions/1.0.0").await?;
    assert_eq!(
        (version.status, &version.body["failures"]),
        (200, &Value::Null)
    );
    // Its author learns nothing of namespaces that are hidden from it.
    let hidden = json!({ "team": "team-z", "default_decision": "deny" });
    let hidden = admin.put("/v1/namespaces/demo", &hidden).await?;
    assert_eq!(hidden.status, 200, "{hidden:?}");
    let version = author.get("/v1/policies/traps/versions/1.0.0").await?;
    assert_eq!(
        (version.status, &version.body["failures"]),
        (200, &Value::Null)
    );
    let output = gateway
        .command_line(ADMIN_KEY, &["policy", "show", "traps@1.0.0"])
        .await?;
    let shown = String::from_utf8(output.stdout)?;
    assert!(shown.contains("trap: trapped"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn advice_is_found_by_its_verdict_and_is_no_part_of_the_rule() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    upload(&admin, "denies", "1.0.0", &["acquire"], denies()).await?;
    let advisory = binding("denies", "1.0.0", json!({ "enforcement": "advisory" }));
    assert_eq!(admin.put("/v1/bindings/told", &advisory).await?.status, 200);
    assert_eq!(admin.acquire("told/a", 60_000).await?.status, 201);
    let found = admin.ledger("verdict=advisory_denied").await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(admin.ledger("verdict=deny").await?.len(), 0);
    assert_eq!(admin.ledger("verdict=advisory_error").await?.len(), 0);
    let holders = admin.get("/v1/audit/holders?lock=demo/told/a").await?;
    let rule = &holders.body["holders"][0]["rule"];
    let names = |list: &Value| {
        let rows = list.as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| row["policy"].to_string())
            .collect::<Vec<_>>()
    };
    assert!(
        !names(&rule["policies"]).contains(&"\"denies\"".to_owned()),
        "{rule}"
    );
    assert_eq!(names(&rule["advice"]), ["\"denies\""], "{rule}");
    let asked = ["audit", "holders", "--lock", "demo/told/a"];
    let output = gateway.command_line(ADMIN_KEY, &asked).await?;
    let shown = String::from_utf8(output.stdout)?;
    assert!(
        shown.contains("decided nothing: denies@1.0.0:deny"),
        "{shown}"
    );
    let metrics = admin.get("/metrics").await?;
    let counted = r#"enforcement="advisory",policy="denies",verdict="deny",version="1.0.0"} 1"#;
    assert!(metrics.text.contains(counted), "{}", metrics.text);
    Ok(())
}

#[tokio::test]
async fn a_namespace_in_use_is_deleted_by_force_only() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let open = json!({ "name": "used", "default_decision": "allow" });
    assert_eq!(admin.post("/v1/namespaces", &open).await?.status, 201);
    let body = json!({ "ttl_ms": 60_000 });
    let taken = admin
        .post("/v1/namespaces/used/locks/a:acquire", &body)
        .await?;
    assert_eq!(taken.status, 201, "{taken:?}");
    let mut bound = binding("quota", "2.0.1", json!({}));
    bound["namespaces"] = json!(["used"]);
    assert_eq!(admin.put("/v1/bindings/told", &bound).await?.status, 200);
    let refused = admin.delete("/v1/namespaces/used").await?;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "conflict"),
        "{refused:?}"
    );
    let used = json!({ "leases": 1, "waiters": 0, "bindings": ["told"], "more": false });
    assert_eq!(refused.body["in_use"], used, "{refused:?}");
    let asked = ["namespace", "delete", "used"];
    let output = gateway.command_line(ADMIN_KEY, &asked).await?;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let forced = ["namespace", "delete", "used", "--force"];
    let output = gateway.command_line(ADMIN_KEY, &forced).await?;
    assert!(output.status.success(), "{output:?}");
    // The binding can be written again as it is.
    assert_eq!(admin.put("/v1/bindings/told", &bound).await?.status, 200);
    Ok(())
}
