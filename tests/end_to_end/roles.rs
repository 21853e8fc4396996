//! Who may do what besides using locks.

use anyhow::Context;
use anyhow::Result;
use leasehold_policy_guests::Guest;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

/// Something that needs a role, and the roles that may.
struct Deed {
    method: Method,
    path: &'static str,
    body: Value,
    may: &'static [&'static str],
}

fn deeds() -> Vec<Deed> {
    let key = json!({ "subject": "x" });
    let binding = json!({ "namespaces": ["demo"], "locks": ["by-hand/**"],
        "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    let reason = json!({ "reason": "INC-1" });
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let delete = Method::DELETE;
    let (nothing, empty) = (Value::Null, json!({}));
    let administrator: [(&Method, &'static str, &Value); 10] = [
        (&post, "/v1/policies/by-hand/versions/9.9.9:revive", &reason),
        (&post, "/v1/keys", &key),
        (&get, "/v1/keys", &nothing),
        (&delete, "/v1/keys/0000", &nothing),
        (&post, "/v1/keys/0000:rotate", &empty),
        (&put, "/v1/namespaces/new", &empty),
        (&delete, "/v1/namespaces/none", &nothing),
        (&put, "/v1/bindings/by-hand", &binding),
        (&delete, "/v1/bindings/none", &nothing),
        (
            &post,
            "/v1/policies/by-hand/versions/9.9.9:restore",
            &reason,
        ),
    ];
    let author: [(&Method, &'static str, &Value); 3] = [
        (&get, "/v1/bindings", &nothing),
        (
            &post,
            "/v1/policies/by-hand/versions/9.9.9:deprecate",
            &reason,
        ),
        (
            &post,
            "/v1/policies/by-hand/versions/9.9.9:withdraw",
            &reason,
        ),
    ];
    let reader: [(&Method, &'static str, &Value); 2] = [
        (&get, "/v1/incidents", &nothing),
        (&get, "/v1/incidents/none", &nothing),
    ];
    let auditor: [(&Method, &'static str, &Value); 3] = [
        (&get, "/v1/audit/events", &nothing),
        (&get, "/v1/audit/holders?lock=demo/a", &nothing),
        (&get, "/v1/audit/verify", &nothing),
    ];
    let operator: [(&Method, &'static str, &Value); 4] = [
        (&post, "/v1/policies/by-hand/versions/9.9.9:kill", &reason),
        (&post, "/v1/incidents/none:acknowledge", &empty),
        (&post, "/v1/namespaces/demo/locks/a:revoke", &reason),
        (&put, "/v1/namespaces/demo/locks/a", &empty),
    ];
    let groups: [(&[_], &'static [&'static str]); 5] = [
        (&reader, &["administrator", "operator", "auditor"]),
        (&administrator, &["administrator"]),
        (&author, &["administrator", "policy-author"]),
        (&auditor, &["administrator", "auditor"]),
        (&operator, &["administrator", "operator"]),
    ];
    let deeds = groups.into_iter().flat_map(|(rows, may)| {
        rows.iter().map(move |&(method, path, body)| Deed {
            method: method.clone(),
            path,
            body: body.clone(),
            may,
        })
    });
    let more = deeds_of_trust().into_iter().chain(deeds_of_evidence());
    deeds.chain(more).collect()
}

/// What people check without trusting the gateway.
fn deeds_of_evidence() -> [Deed; 5] {
    [
        "/v1/audit/log-key",
        "/v1/audit/checkpoint",
        "/v1/audit/proof?event=1",
        "/v1/audit/consistency?from_size=1",
        "/v1/audit/export",
    ]
    .map(|path| Deed {
        method: Method::GET,
        path,
        body: Value::Null,
        may: &["administrator", "auditor"],
    })
}

/// What concerns the keys that are trusted to sign policies.
fn deeds_of_trust() -> [Deed; 4] {
    let require = json!({ "required_signatures": 0, "reason": "SEC-1" });
    let key = json!({ "name": "k", "public_key": "none" });
    let revoke = json!({ "reason": "SEC-1" });
    let administrator = |method, path, body| Deed {
        method,
        path,
        body,
        may: &["administrator"],
    };
    [
        administrator(Method::PUT, "/v1/policy-trust", require),
        administrator(Method::POST, "/v1/policy-trust/keys", key),
        administrator(Method::POST, "/v1/policy-trust/keys/00:revoke", revoke),
        Deed {
            method: Method::GET,
            path: "/v1/policy-trust",
            body: Value::Null,
            may: &["administrator", "policy-author", "auditor"],
        },
    ]
}

#[tokio::test]
async fn each_deed_needs_its_role_and_no_other_opens_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let wasm = Guest::default().wasm();
    let author = gateway
        .principal("author", "team-a", &["policy-author"])
        .await?;
    let uploaded = author
        .upload_policy("by-hand", "1.2.3", wasm.clone())
        .await?;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let names = [
        "administrator",
        "operator",
        "policy-author",
        "auditor",
        "break-glass",
        "",
    ];
    for role in names {
        let roles: Vec<&str> = Some(role)
            .filter(|role| !role.is_empty())
            .into_iter()
            .collect();
        let subject = format!("only-{role}");
        let api = gateway.principal(&subject, "team-a", &roles).await?;
        for deed in deeds() {
            let what = format!("{role:?}: {} {}", deed.method, deed.path);
            let mut request = api.request(deed.method, deed.path);
            if !deed.body.is_null() {
                request = request.json(&deed.body);
            }
            let answer = api.send(request).await?;
            let forbidden = answer.code() == "forbidden";
            assert_eq!(!forbidden, deed.may.contains(&role), "{what}: {answer:?}");
            assert_eq!(forbidden, answer.status == 403, "{what}: {answer:?}");
        }
        let upload = api.upload_policy("by-hand", "1.2.3", wasm.clone()).await?;
        let may = ["administrator", "policy-author"].contains(&role);
        assert_eq!(upload.status == 201, may, "{role:?}: {upload:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_namespaces_team_declares_its_own_locks_and_no_others() -> Result<()> {
    let gateway = Gateway::start().await?;
    let body = json!({ "name": "pay", "team": "payments", "visible_to": ["*"],
        "default_decision": "allow" });
    assert_eq!(
        gateway.admin().post("/v1/namespaces", &body).await?.status,
        201
    );
    let own = gateway.service("own", "payments").await?;
    let other = gateway.service("other", "risk").await?;
    let declare = async |api: &Api, namespace: &str| {
        let path = format!("/v1/namespaces/{namespace}/locks/a");
        anyhow::Ok(api.put(&path, &json!({ "limit": 2 })).await?.status)
    };
    assert_eq!(declare(&own, "pay").await?, 200);
    assert_eq!(declare(&other, "pay").await?, 403);
    assert_eq!(declare(&own, "demo").await?, 403);
    Ok(())
}

#[tokio::test]
async fn every_change_of_what_governs_is_in_the_ledger_with_its_author() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    let made = admin
        .post(
            "/v1/keys",
            &json!({ "subject": "svc", "roles": ["auditor"] }),
        )
        .await?;
    let id = made.text_of("id")?.to_owned();
    admin
        .put("/v1/namespaces/pay", &json!({ "team": "payments" }))
        .await?;
    admin.delete(&format!("/v1/keys/{id}")).await?;
    admin.delete("/v1/namespaces/pay").await?;
    let rows = admin.ledger("operation=governance&subject=admin").await?;
    let told = |row: &Value| {
        let event = &row["event"];
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (text("collection"), text("id"))
    };
    let told: Vec<_> = rows.iter().map(told).collect();
    let of = |collection: &str, id: &str| (collection.to_owned(), id.to_owned());
    assert_eq!(
        told,
        [
            of("key", &id),
            of("namespace", "pay"),
            of("key", &id),
            // Which store the name belongs to, for when it is used again.
            of("place", "pay"),
            of("namespace", "pay")
        ]
    );
    for bad in [
        json!({ "subject": "", "roles": [] }),
        json!({ "subject": "x", "roles": ["root"] }),
        json!({ "subject": "x", "team": "No Team" }),
        json!({ "subject": "a\nb" }),
        json!({ "subject": "x", "description": "x".repeat(1_025) }),
    ] {
        assert_eq!(admin.post("/v1/keys", &bad).await?.status, 422, "{bad}");
    }
    assert_eq!(admin.delete("/v1/keys/none").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn the_command_line_tells_denied_from_wrong_and_from_unreachable() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let made = gateway
        .admin()
        .post("/v1/keys", &json!({ "subject": "svc" }))
        .await?;
    let key = made.text_of("key")?.to_owned();
    let held = gateway.admin().acquire("held", 60_000).await?;
    let lease_id = held.text_of("lease_id")?;
    for (key, arguments, code) in [
        (key.as_str(), &["audit", "query"][..], 77),
        (key.as_str(), &["key", "list"], 77),
        ("lh_no_key", &["lock", "get", "demo/a"], 77),
        (
            ADMIN_KEY,
            &["lock", "acquire", "demo/a", "--ttl", "1ms"],
            78,
        ),
        (ADMIN_KEY, &["lock", "acquire", "nowhere/a"], 78),
        (ADMIN_KEY, &["lock", "acquire", "demo"], 64),
        (ADMIN_KEY, &["lock", "steal", "demo/a"], 64),
        (key.as_str(), &["lock", "acquire", "demo/held"], 75),
        (
            key.as_str(),
            &["lock", "release", "demo/held", lease_id],
            76,
        ),
        (ADMIN_KEY, &["audit", "verify"], 0),
    ] {
        let output = gateway.command_line(key, arguments).await?;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(key), "{arguments:?}: {said}");
        if code > 64 {
            assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        }
    }
    gateway.kill().await.context("kill")?;
    let output = gateway
        .command_line(ADMIN_KEY, &["lock", "get", "demo/a"])
        .await?;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    Ok(())
}
