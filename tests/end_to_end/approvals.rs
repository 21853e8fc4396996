//! A second person approves what may lock what: by command line and HTTP, over a restart, with every
//! step in the ledger.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::deny;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

fn guest(version: &str, denies: bool) -> Guest {
    let at = TEXT as u32;
    let allows = Guest {
        name: "by-hand".to_owned(),
        version: version.to_owned(),
        ..Guest::default()
    };
    match denies {
        false => allows,
        true => Guest {
            answer: deny((at, 2), (at + 2, 7)),
            text: b"noby hand".to_vec(),
            ..allows
        },
    }
}

/// The people: all keys were created by the first administrator.
struct People {
    ann: Api,
    bob: Api,
    author: Api,
}

async fn people(gateway: &Gateway) -> Result<People> {
    let person =
        async |subject: &str, roles: &[&str]| gateway.principal(subject, "rules", roles).await;
    Ok(People {
        ann: person("ann", &["administrator"]).await?,
        bob: person("bob", &["approver"]).await?,
        author: person("au", &["policy-author", "approver"]).await?,
    })
}

async fn prepare(gateway: &Gateway, people: &People) -> Result<()> {
    for guest in [guest("1.0.0", false), guest("2.0.0", true)] {
        let wasm = guest.wasm();
        let uploading = people
            .author
            .upload_policy(&guest.name, &guest.version, wasm);
        ensure!(uploading.await?.status == 201, "{}", guest.version);
    }
    let body = json!({ "namespaces": ["demo"], "locks": ["roll/**"],
        "policies": [{ "policy": "by-hand", "version": "1.0.0" }] });
    let bound = people.ann.put("/v1/bindings/roll", &body).await?;
    ensure!(bound.status < 300, "{bound:?}");
    let service = gateway.service("svc", "payments").await?;
    for n in 0..8 {
        let lock = format!("roll/{n}");
        let minute = json!({ "ttl_ms": 60_000 });
        let granted = service.verb(&lock, "acquire", &minute).await?;
        ensure!(granted.status == 201, "{granted:?}");
    }
    Ok(())
}

/// Runs a command line that must succeed.
async fn command(gateway: &Gateway, who: &Api, arguments: &[&str]) -> Result<String> {
    let key = who.key().context("has a key")?;
    let done = gateway.command_line(key, arguments).await?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Runs a command line that needs approval. Returns the id of the request.
async fn held_up(gateway: &Gateway, who: &Api, arguments: &[&str]) -> Result<String> {
    let key = who.key().context("has a key")?;
    let done = gateway.command_line(key, arguments).await?;
    let told = String::from_utf8(done.stderr)?;
    ensure!(done.status.code() == Some(78), "{told}");
    let id = told
        .split("approval approve ")
        .nth(1)
        .context(told.clone())?;
    Ok(id.chars().take(64).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_approved_by_a_second_person_and_an_edit_makes_it_void() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let people = people(&gateway).await?;
    prepare(&gateway, &people).await?;
    let People { ann, bob, author } = &people;
    // Whoever made everybody's keys cannot be checked by them.
    let required = json!({ "required": 1 });
    let root = gateway.admin().put("/v1/approval-rule", &required).await?;
    ensure!(root.status == 409, "{root:?}");
    let set = command(&gateway, ann, &["approval", "rule", "--required", "1"]).await?;
    ensure!(set.contains("au, bob"), "{set}");

    let start = [
        "rollout",
        "start",
        "strict",
        "--binding",
        "roll",
        "--candidate",
        "by-hand@2.0.0",
    ];
    let steps = ["--step", "shadow", "--step", "50%", "--step", "full"];
    command(&gateway, ann, &[&start[..], &steps[..]].concat()).await?;
    let advance = ["rollout", "advance", "strict", "--force"];
    let bare = held_up(&gateway, ann, &advance).await?;
    // With the report of a replay, it is another change.
    let replay = ["policy", "replay", "by-hand@2.0.0", "--json"];
    let report: Value = serde_json::from_str(&command(&gateway, author, &replay).await?)?;
    ensure!(report["prevented_holds"] == 8, "{report}");
    let digest = report["digest"].as_str().context("a digest")?;
    let edit = ["rollout", "edit", "strict", "--replay-report", digest];
    command(&gateway, ann, &edit).await?;
    let reported = held_up(&gateway, ann, &advance).await?;
    ensure!(reported != bare);

    refused(&people, &reported).await?;
    let approve = ["approval", "approve", &reported, "--reason", "week 49"];
    let approved = command(&gateway, bob, &approve).await?;
    ensure!(
        approved.contains("1 of 1") && approved.contains(digest),
        "{approved}"
    );

    // Everything is there after a restart.
    gateway.kill().await?;
    gateway.restart().await?;
    let advanced = command(&gateway, ann, &advance).await?;
    ensure!(advanced.contains("canary 50%"), "{advanced}");
    let targets = ["rollout", "edit", "strict", "--target-team", "payments"];
    let wider = held_up(&gateway, ann, &targets).await?;
    ensure!(wider != reported);
    let full = command(&gateway, ann, &advance).await?;
    ensure!(
        full.contains("full"),
        "the plan was approved as far as that: {full}"
    );
    let back = command(&gateway, ann, &["rollout", "rollback", "strict"]).await?;
    ensure!(back.contains("rolled-back"), "{back}");
    recorded(&gateway, &reported).await
}

/// Checks that neither who asked for a change, nor who uploaded its module, nor anybody without the
/// role approves it.
async fn refused(people: &People, id: &str) -> Result<()> {
    let People { ann, author, .. } = people;
    let path = format!("/v1/approvals/{id}:approve");
    for (who, why) in [
        (ann, "this needs role approver"),
        (author, "uploaded themselves"),
    ] {
        let refused = who.post(&path, &json!({})).await?;
        ensure!(
            refused.status == 403 && refused.text.contains(why),
            "{refused:?}"
        );
    }
    Ok(())
}

/// Checks that the ledger has each step of an approval.
async fn recorded(gateway: &Gateway, id: &str) -> Result<()> {
    let events = gateway
        .admin()
        .get("/v1/audit/events?operation=governance&limit=1000")
        .await?;
    let short = events.text.clone();
    for step in ["requested", "given", "used: approved by bob"] {
        ensure!(
            short.contains(&format!("approval {id} {step}")),
            "{step}: {short}"
        );
    }
    for step in ["approvals required: 0 -> 1", "plan edited", "week 49"] {
        ensure!(short.contains(step), "{step}: {short}");
    }
    let denied = gateway
        .admin()
        .get("/v1/audit/events?verdict=role&limit=1000")
        .await?;
    ensure!(denied.text.contains("uploaded themselves"), "{denied:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_and_the_rule_itself_are_guarded() -> Result<()> {
    let gateway = Gateway::start().await?;
    let people = people(&gateway).await?;
    prepare(&gateway, &people).await?;
    let People { ann, bob, author } = &people;
    let too_many = rule(ann, 3).await?;
    ensure!(
        too_many.status == 409 && too_many.text.contains("au, bob"),
        "{too_many:?}"
    );
    let beyond = rule(ann, 17).await?;
    ensure!(beyond.status == 422, "{beyond:?}");
    ensure!(rule(bob, 1).await?.status == 403);
    ensure!(rule(ann, 1).await?.status == 200);

    stock_is_bound(ann, bob).await?;
    let unbound = ann.delete("/v1/bindings/roll").await?;
    ensure!(
        unbound.status == 409 && unbound.code() == "approval_required",
        "{unbound:?}"
    );
    let list = author.get("/v1/approvals").await?;
    let open = &list.body["approvals"][0];
    ensure!(
        open["state"] == "open" && open["subject"].is_null(),
        "{list:?}"
    );
    let path = format!("/v1/approvals/{}", open["id"].as_str().unwrap_or_default());
    let shown = bob.get(&path).await?;
    ensure!(
        shown.body["subject"]["before"]["name"] == "roll",
        "{shown:?}"
    );
    ensure!(shown.body["subject"]["after"].is_null(), "{shown:?}");
    let unknown = bob.post(&format!("{path}:explode"), &json!({})).await?;
    ensure!(
        unknown.status == 404 || unknown.status == 403,
        "{unknown:?}"
    );
    let approved = author.post(&format!("{path}:approve"), &json!({})).await?;
    ensure!(approved.body["counted"] == 1, "{approved:?}");
    ensure!(ann.delete("/v1/bindings/roll").await?.status == 200);
    let late = bob.post(&format!("{path}:approve"), &json!({})).await?;
    ensure!(
        late.status == 409 && late.text.contains("is used"),
        "{late:?}"
    );
    let missing = format!("/v1/approvals/{}", "0".repeat(64));
    ensure!(bob.get(&missing).await?.status == 404);

    guarded(ann).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_govern_and_keys_that_sign_are_guarded() -> Result<()> {
    let gateway = Gateway::start().await?;
    let People { ann, bob, author } = people(&gateway).await?;
    command(&gateway, &ann, &["approval", "rule", "--required", "1"]).await?;
    // Whoever lacks an approver makes a second key, or takes that of another by rotation.
    let create = ["key", "create", "sock", "--role", "approver", "--json"];
    let created = held_up(&gateway, &ann, &create).await?;
    let keys = ann.get("/v1/keys").await?;
    let mut keys = keys.body["keys"].as_array().into_iter().flatten();
    let of_bob = keys.find(|key| key["subject"] == "bob");
    let of_bob = of_bob.and_then(|key| key["id"].as_str());
    let rotate = ["key", "rotate", of_bob.context("a key")?];
    held_up(&gateway, &ann, &rotate).await?;
    command(&gateway, &ann, &["key", "create", "svc"]).await?;
    let shown = command(&gateway, &bob, &["approval", "show", &created]).await?;
    ensure!(
        shown.contains("key for sock with roles approver"),
        "{shown}"
    );
    command(&gateway, &bob, &["approval", "approve", &created]).await?;
    let made: Value = serde_json::from_str(&command(&gateway, &ann, &create).await?)?;
    let key = made["key"].as_str().context("a key")?;
    let sock = gateway.api(Some(key));

    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (private, public) = (file("author.pem"), file("author.pub.pem"));
    let keygen = ["policy", "keygen", "--output", &private];
    command(&gateway, &author, &keygen).await?;
    let trust = ["policy", "trust", "add", &public, "--name", "au"];
    let trusted = held_up(&gateway, &ann, &trust).await?;
    // The key that was approved is an approver's, but not for those who made it.
    let approve = format!("/v1/approvals/{trusted}:approve");
    let own = sock.post(&approve, &json!({})).await?;
    ensure!(own.status == 403, "{own:?}");
    command(&gateway, &bob, &["approval", "approve", &trusted]).await?;
    command(&gateway, &ann, &trust).await?;
    let events = gateway.admin().ledger("operation=governance").await?;
    let events = serde_json::to_string(&events)?;
    for id in [created, trusted] {
        let used = format!("approval {id} used: approved by bob");
        ensure!(events.contains(&used), "{events}");
    }
    Ok(())
}

async fn rule(who: &Api, required: u32) -> Result<Answer> {
    let body = json!({ "required": required });
    who.put("/v1/approval-rule", &body).await
}

async fn stock_is_bound(ann: &Api, bob: &Api) -> Result<()> {
    // What the gateway itself uploaded has no uploader who could approve.
    let stock = json!({ "namespaces": ["demo"], "locks": ["jobs/**"],
        "policies": [{ "policy": "separation-of-duties", "version": "1.1.0" }] });
    let bound = ann.put("/v1/bindings/stock", &stock).await?;
    ensure!(bound.code() == "approval_required", "{bound:?}");
    let list = bob.get("/v1/approvals").await?;
    let id = list.body["approvals"][0]["id"].as_str().context("an id")?;
    let path = format!("/v1/approvals/{id}:approve");
    let approved = bob.post(&path, &json!({})).await?;
    ensure!(approved.body["counted"] == 1, "{approved:?}");
    let bound = ann.put("/v1/bindings/stock", &stock).await?;
    ensure!(bound.status < 300, "{bound:?}");
    Ok(())
}

/// Checks that nobody takes the rule away alone.
async fn guarded(ann: &Api) -> Result<()> {
    // Of two who are needed neither may go, and the rule is not lowered by one alone.
    ensure!(rule(ann, 2).await?.status == 200);
    let keys = ann.get("/v1/keys").await?;
    for subject in ["au", "bob"] {
        let mut keys = keys.body["keys"].as_array().into_iter().flatten();
        let id = keys.find(|key| key["subject"] == subject);
        let id = id.and_then(|key| key["id"].as_str()).context("a key")?;
        let kept = ann.delete(&format!("/v1/keys/{id}?force=true")).await?;
        ensure!(kept.status == 409, "{kept:?}");
    }
    let lowered = rule(ann, 0).await?;
    ensure!(lowered.code() == "approval_required", "{lowered:?}");
    Ok(())
}
