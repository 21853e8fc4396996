//! What a compliance officer asks the ledger, over HTTP and by the command line.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

/// Two teams take and lose locks, and one of them meets a freeze.
async fn history(gateway: &Gateway) -> Result<String> {
    let admin = gateway.admin();
    let alice = gateway.service("alice", "team-a").await?;
    let bob = gateway.service("bob", "team-b").await?;
    let list = admin.get("/v1/policies").await?;
    let rows = list.body["policies"].as_array().context("policies")?;
    let row = rows.iter().find(|row| row["policy"] == "freeze-window");
    let version = row.context("the stock policy")?["version"].as_str();
    let version = version.context("version")?.to_owned();
    let freeze = json!({ "namespaces": ["demo"], "locks": ["deploy/**"],
        "operations": ["acquire"], "policies": [{ "policy": "freeze-window", "version": version,
        "config": { "windows": [{ "name": "year-end", "from": "2020-01-01T00:00:00Z",
            "until": "2099-01-01T00:00:00Z", "message": "ask ops" }] } }] });
    let bound = admin.put("/v1/bindings/year-end", &freeze).await?;
    assert_eq!(bound.status, 200, "{bound:?}");
    for api in [&alice, &bob] {
        for lock in ["ledger/close", "deploy/prod"] {
            let grant = api.acquire(lock, 60_000).await?;
            if grant.status == 201 {
                let lease_id = grant.text_of("lease_id")?;
                api.with_lease(lock, "release", lease_id).await?;
            }
        }
    }
    assert_eq!(alice.acquire("short", 1_000).await?.status, 201);
    admin.until("short", |view| view["state"] == "free").await?;
    let namespace = json!({ "name": "other", "default_decision": "deny" });
    assert_eq!(admin.post("/v1/namespaces", &namespace).await?.status, 201);
    let path = "/v1/namespaces/other/locks/a:acquire";
    let unbound = bob.post(path, &json!({ "ttl_ms": 10_000 })).await?;
    assert_eq!(unbound.code(), "no_policy_bound");
    Ok(version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_found_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    for n in 0..20 {
        let lock = format!("at-once/{n}");
        assert_eq!(admin.acquire(&lock, 60_000).await?.status, 201);
        let events = format!("/v1/audit/events?lock=demo/{lock}");
        let found = admin.get(&events).await?;
        assert_eq!(
            found.body["events"].as_array().map(Vec::len),
            Some(1),
            "{found:?}"
        );
        let holders = format!("/v1/audit/holders?lock=demo/{lock}");
        let found = admin.get(&holders).await?;
        assert_eq!(
            found.body["holders"].as_array().map(Vec::len),
            Some(1),
            "{found:?}"
        );
    }
    Ok(())
}

fn text<'a>(row: &'a Value, pointer: &str) -> &'a str {
    row.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether somebody stands in an event: as the one who asked, or as an owner.
fn has_party(row: &Value, key: &str, name: &str) -> bool {
    let transitions = row["event"]["transitions"].as_array();
    let mut owners = transitions.into_iter().flatten().map(|t| &t["owner"][key]);
    text(row, &format!("/event/cause/principal/{key}")) == name
        || text(row, &format!("/event/principal/{key}")) == name
        || owners.any(|owner| owner == name)
}

fn operation(row: &Value) -> &str {
    match text(row, "/event/cause/request/operation") {
        "" if row["event"]["kind"] == "governance" => "governance",
        "" => "expire",
        operation => operation,
    }
}

/// A question, and what a reader of the whole ledger answers.
type Question = (String, Box<dyn Fn(&Value) -> bool>);

fn questions(version: &str) -> Vec<Question> {
    let policy = |row: &Value| {
        let verdicts = row["event"]["cause"]["decision"]["verdicts"].as_array();
        let mut verdicts = verdicts.into_iter().flatten();
        verdicts.any(|verdict| verdict["policy"] == "freeze-window")
    };
    let effect = |row: &Value| text(row, "/event/cause/decision/effect/type").to_owned();
    let kind = |row: &Value| text(row, "/event/cause/decision/effect/kind").to_owned();
    let lock = |row: &Value| text(row, "/event/lock").to_owned();
    vec![
        (String::new(), Box::new(|_| true)),
        (
            "lock=demo/ledger/close".to_owned(),
            Box::new(move |row| lock(row) == "demo/ledger/close"),
        ),
        (
            "namespace=other".to_owned(),
            Box::new(move |row| {
                lock(row).starts_with("other/") || text(row, "/event/id") == "other"
            }),
        ),
        (
            "subject=alice".to_owned(),
            Box::new(|row| has_party(row, "subject", "alice")),
        ),
        (
            "team=team-b".to_owned(),
            Box::new(|row| has_party(row, "team", "team-b")),
        ),
        (
            "operation=release".to_owned(),
            Box::new(|row| operation(row) == "release"),
        ),
        (
            "operation=expire".to_owned(),
            Box::new(|row| operation(row) == "expire"),
        ),
        (
            "operation=governance".to_owned(),
            Box::new(|row| operation(row) == "governance"),
        ),
        (
            "verdict=deny".to_owned(),
            Box::new(move |row| effect(row) == "deny"),
        ),
        (
            "verdict=no_policy_bound".to_owned(),
            Box::new(move |row| kind(row) == "no_policy_bound"),
        ),
        (format!("policy=freeze-window@{version}"), Box::new(policy)),
        (
            "policy=freeze-window&verdict=denied&subject=bob&lock=demo/deploy/prod".to_owned(),
            Box::new(move |row| kind(row) == "denied" && has_party(row, "subject", "bob")),
        ),
    ]
}

#[tokio::test]
async fn every_filter_finds_what_a_reader_of_the_whole_finds() -> Result<()> {
    let gateway = Gateway::start().await?;
    let version = history(&gateway).await?;
    let auditor = gateway.principal("auditor", "audit", &["auditor"]).await?;
    let all = auditor.ledger("").await?;
    for (query, expected) in questions(&version) {
        let expected: Vec<_> = all.iter().filter(|row| expected(row)).cloned().collect();
        assert!(!expected.is_empty(), "{query}: the history has none");
        assert_eq!(auditor.ledger(&query).await?, expected, "{query}");
        let page = format!("/v1/audit/events?limit=1000&descending=true&{query}");
        let backwards = auditor.get(&page).await?;
        let backwards = backwards.body["events"].as_array().context("events")?;
        assert!(backwards.iter().rev().eq(&expected), "{query}, backwards");
    }
    let middle = text(&all[all.len() / 2], "/event/time");
    let before = auditor.ledger(&format!("until={middle}")).await?;
    let after = auditor.ledger(&format!("from={middle}")).await?;
    assert_eq!(
        [before.clone(), after].concat(),
        all,
        "nothing twice or lost"
    );
    assert!(before.iter().all(|row| text(row, "/event/time") < middle));
    Ok(())
}

#[tokio::test]
async fn pages_add_up_and_say_how_far_they_are_complete() -> Result<()> {
    let gateway = Gateway::start().await?;
    history(&gateway).await?;
    let admin = gateway.admin();
    let all = admin.ledger("").await?;
    for direction in ["", "&descending=true"] {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/audit/events?limit=7{direction}{after}");
            let page = admin.get(&path).await?;
            let events = page.body["events"].as_array().context("events")?;
            assert!(events.len() <= 7, "{page:?}");
            rows.extend(events.iter().cloned());
            let complete_to = page.body["complete_to"].as_u64();
            assert!(complete_to >= all.last().and_then(|row| row["cursor"].as_u64()));
            match page.body["next_cursor"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        if !direction.is_empty() {
            rows.reverse();
        }
        assert_eq!(rows, all, "{direction}");
    }
    // Asked at once, the ledger has the newest event or says that it is not complete so far.
    for n in 0..20 {
        let lock = format!("fresh/{n}");
        assert_eq!(admin.acquire(&lock, 60_000).await?.status, 201);
        let path = format!("/v1/audit/events?lock=demo/{lock}");
        let page = admin.get(&path).await?;
        let complete_to = page.body["complete_to"].as_u64().context("complete_to")?;
        let later = admin.ledger(&format!("lock=demo/{lock}")).await?;
        let cursor = later[0]["cursor"].as_u64().context("cursor")?;
        let found = page.body["events"].as_array().context("events")?.len();
        assert_eq!(found == 1, complete_to >= cursor, "{page:?}, {cursor}");
    }
    Ok(())
}

#[tokio::test]
async fn questions_that_could_never_find_anything_are_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    for bad in [
        "operation=aquire",
        "verdict=denyed",
        "lock=close",
        "lock=demo//close",
        "namespace=De%20mo",
        "team=Team",
        "subject=",
        "from=yesterday",
        "until=2026-13-01T00:00:00Z",
        "limit=0",
        "limit=1001",
        "after=-1",
        "colour=red",
    ] {
        let answer = admin.get(&format!("/v1/audit/events?{bad}")).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "invalid_request"),
            "{bad}: {answer:?}"
        );
        let field = bad.split('=').next().unwrap_or_default();
        assert!(answer.text.contains(field), "{bad}: {answer:?}");
    }
    for bad in [
        "",
        "lock=close",
        "lock=demo/a&at=noon",
        "lock=demo/a&when=now",
    ] {
        let answer = admin.get(&format!("/v1/audit/holders?{bad}")).await?;
        assert_eq!(answer.status, 422, "{bad}: {answer:?}");
    }
    Ok(())
}

async fn holder_at(api: &Api, at: &str) -> Result<Vec<String>> {
    let path = format!("/v1/audit/holders?lock=demo/ledger/close&at={at}");
    let answer = api.get(&path).await?;
    let rows = answer.body["holders"].as_array().context("holders")?;
    let subjects = rows.iter().map(|row| text(row, "/subject").to_owned());
    Ok(subjects.collect())
}

#[tokio::test]
async fn who_held_it_then_is_told_by_http_and_by_the_command_line() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    for subject in ["alice", "bob"] {
        let api = gateway.service(subject, "team-a").await?;
        let grant = api.acquire("ledger/close", 60_000).await?;
        // Times are told in milliseconds; let one pass within the hold, and one after it.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        api.with_lease("ledger/close", "release", grant.text_of("lease_id")?)
            .await?;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let rows = admin.ledger("lock=demo/ledger/close").await?;
    let times: Vec<&str> = rows.iter().map(|row| text(row, "/event/time")).collect();
    assert_eq!(holder_at(&admin, times[0]).await?, ["alice"]);
    assert_eq!(holder_at(&admin, times[1]).await?, Vec::<String>::new());
    assert_eq!(holder_at(&admin, times[2]).await?, ["bob"]);
    assert_eq!(holder_at(&admin, times[3]).await?, Vec::<String>::new());
    let before = "2020-01-01T00:00:00Z";
    assert_eq!(holder_at(&admin, before).await?, Vec::<String>::new());

    let arguments = [
        "audit",
        "holders",
        "--lock",
        "demo/ledger/close",
        "--at",
        times[2],
        "--json",
    ];
    let output = gateway.command_line(ADMIN_KEY, &arguments).await?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(shown["holders"][0]["subject"], json!("bob"), "{shown}");
    assert_eq!(shown["holders"][0]["until"], json!(times[3]), "{shown}");
    let arguments = [
        "audit",
        "query",
        "--lock",
        "demo/ledger/close",
        "--operation",
        "release",
        "--json",
    ];
    let output = gateway.command_line(ADMIN_KEY, &arguments).await?;
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    let found = shown["events"].as_array().context("events")?;
    let expected = admin
        .ledger("lock=demo/ledger/close&operation=release")
        .await?;
    assert_eq!(*found, expected);
    let changes = ["audit", "query", "--operation", "governance"];
    let output = gateway.command_line(ADMIN_KEY, &changes).await?;
    let table = String::from_utf8(output.stdout)?;
    let row = table.lines().find(|row| row.contains("namespace demo"));
    let row = row.context("the change of demo")?;
    assert!(row.contains("leasehold:first-start"), "who: {table}");
    let output = gateway
        .command_line(ADMIN_KEY, &["audit", "verify"])
        .await?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let wrong = ["audit", "holders", "--lock", "demo/a", "--at", "noon"];
    let output = gateway.command_line(ADMIN_KEY, &wrong).await?;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_page_after_the_newest_event_says_where_the_ledger_ends() -> Result<()> {
    let gateway = Gateway::start_with(GatewayOptions {
        config: "[stores.extra]\nbackend = \"memory\"\n".to_owned(),
        ..Default::default()
    })
    .await?;
    let api = gateway.admin();
    api.acquire("a", 60_000).await?;
    let page = api
        .get("/v1/audit/events?store=home&descending=true&limit=1")
        .await?;
    let newest = page.body["complete_to"].as_u64().context("complete_to")?;
    let at_end = api
        .get(&format!("/v1/audit/events?store=home&after={newest}"))
        .await?;
    assert_eq!(
        (at_end.status, &at_end.body["events"]),
        (200, &json!([])),
        "{at_end:?}"
    );
    let beyond = newest + 1_000;
    for query in [
        format!("store=home&after={beyond}"),
        format!("store=home&after={}", u64::MAX),
        format!("store=home&after={beyond}&descending=true"),
        format!("namespace=demo&after={beyond}"),
        format!("namespace=demo&cursors=home:{beyond}"),
        format!("cursors=home:{beyond},extra:0"),
        format!("cursors=home:1,extra:{beyond}"),
    ] {
        let answer = api.get(&format!("/v1/audit/events?{query}")).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (410, "cursor_beyond_end"),
            "{query}: {answer:?}"
        );
        let places = answer.body["newest_cursors"]
            .as_str()
            .context("newest_cursors")?;
        assert!(
            places.contains(&format!("home:{newest}")),
            "{query}: {answer:?}"
        );
        if !query.starts_with("cursors") {
            assert_eq!(
                answer.body["newest_cursor"],
                json!(newest),
                "{query}: {answer:?}"
            );
        }
        // Where it ends, the next page can begin.
        let next = api
            .get(&format!("/v1/audit/events?cursors={places}"))
            .await?;
        assert_eq!(next.status, 200, "{query}: {next:?}");
    }
    Ok(())
}
