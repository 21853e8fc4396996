//! Policies that loop, trap, eat memory and lie, in the whole gateway: refused when uploaded, or
//! an error of the policy that is told apart from a denial, and nobody else suffers.

use anyhow::Context;
use anyhow::Result;
use leasehold_domain::Digest;
use leasehold_domain::limits::MODULE_BYTES_MAX;
use leasehold_policy_guests::Guest;
use leasehold_policy_guests::TEXT;
use leasehold_policy_guests::allow;
use leasehold_policy_guests::deny;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![id];
    leb128(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// A component of 4 MB whose core module has a million empty functions: seconds for any reader,
/// and 40 s and 6 GB for the compiler.
fn a_million_functions() -> Vec<u8> {
    let count = 1_000_000;
    let (mut functions, mut code) = (Vec::new(), Vec::new());
    leb128(&mut functions, count);
    functions.resize(functions.len() + count, 0);
    leb128(&mut code, count);
    code.extend([2, 0, 0x0b].repeat(count));
    let types = section(1, &[1, 0x60, 0, 0]);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        types,
        section(3, &functions),
        section(10, &code),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

/// A component of 15 KB whose types are nested five thousand times, as deep as the reader's stack.
fn deeply_nested_types() -> Vec<u8> {
    let body = [&[1][..], &[0x42, 1, 1].repeat(5_000), &[0x42, 0]].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(7, &body)].concat()
}

/// Two components, one of which calls the other with a string.
const TWO_COMPONENTS: &str = include_str!("../../policies/host/tests/corpus/two-memories.wat");

/// Modules that must not get in, and a word of the reason that is given.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let guest = |change: &dyn Fn(&mut Guest)| {
        let mut guest = Guest::default();
        change(&mut guest);
        guest.wasm()
    };
    let wat = |text: &str| wat::parse_str(text).expect("it parses");
    let whole = Guest::default().wasm();
    let wasi = r#"(import "wasi:clocks/monotonic-clock@0.2.0"
        (instance (export "now" (func (result u64)))))"#;
    let looping = "(func $s (loop $l (br $l))) (start $s)";
    let trapping = Guest::default().wat().replace(
        r#"(func (export "describe") (result i32) (i32.const 1024))"#,
        r#"(func (export "describe") (result i32) (unreachable))"#,
    );
    vec![
        ("nothing", Vec::new(), "component"),
        ("a core module", wat("(module)"), "core module"),
        (
            "half a component",
            whole[..whole.len() / 2].to_vec(),
            "compile",
        ),
        ("another world", wat("(component)"), "world"),
        ("a million functions", a_million_functions(), "functions"),
        ("types in types", deeply_nested_types(), "in one another"),
        (
            "five memories",
            guest(&|g| g.more = "(memory 1)".repeat(4)),
            "memories",
        ),
        (
            "two components with a memory each",
            wat(TWO_COMPONENTS),
            "not of the world",
        ),
        (
            "one that wants WASI",
            guest(&|g| g.outside = wasi.to_owned()),
            "no WASI",
        ),
        (
            "one that never starts",
            guest(&|g| g.more = looping.to_owned()),
            "fuel",
        ),
        ("one that traps at once", wat(&trapping), "trapped"),
        (
            "one with 4 GiB of memory",
            guest(&|g| g.pages = 65_535),
            "memory",
        ),
        (
            "one that lies about itself",
            guest(&|g| g.version = "newest".to_owned()),
            "version",
        ),
        (
            "one with a schema that is none",
            guest(&|g| g.schema = "7".to_owned()),
            "schema",
        ),
        (
            "one of another name",
            guest(&|g| g.name = "other".to_owned()),
            "other@1.2.3",
        ),
    ]
}

#[tokio::test]
async fn a_module_that_cannot_be_a_policy_is_refused_with_the_reason() -> Result<()> {
    let gateway = Gateway::start().await?;
    let author = gateway
        .principal("author", "team-a", &["policy-author"])
        .await?;
    let before = author.get("/v1/policies").await?;
    for (what, wasm, reason) in refused() {
        let answer = author
            .upload_policy("by-hand", "1.2.3", wasm.clone())
            .await?;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "invalid_request"),
            "{what}: {answer:?}"
        );
        assert_eq!(answer.body["effect"], json!("none"), "{what}: {answer:?}");
        assert!(answer.text.contains(reason), "{what}: {answer:?}");
        if what != "one of another name" {
            let digest = Digest::of(&wasm).to_string();
            assert!(answer.text.contains(&digest), "{what}: {answer:?}");
        }
    }
    let huge = vec![0; MODULE_BYTES_MAX + 1];
    let answer = author.upload_policy("by-hand", "1.2.3", huge).await?;
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));
    assert_eq!(author.get("/v1/policies").await?.text, before.text);

    let good = Guest::default().wasm();
    let stored = author.upload_policy("by-hand", "1.2.3", good).await?;
    assert_eq!(stored.status, 201, "the name is still free: {stored:?}");
    let other = Guest::doing("(nop)").wasm();
    let changed = author.upload_policy("by-hand", "1.2.3", other).await?;
    assert_eq!((changed.status, changed.code()), (409, "conflict"));
    assert_eq!(author.acquire("a", 10_000).await?.status, 201);
    Ok(())
}

/// Guests that load, and then fail when they are asked; and a word of what the ledger says.
fn failing() -> Vec<(&'static str, Guest, &'static str)> {
    let text = TEXT as u32;
    let grow = "(loop $l (drop (memory.grow (i32.const 16))) (br $l))";
    let chatter = format!("(loop $l (call $trace (i32.const {TEXT}) (i32.const 8000)) (br $l))");
    let answering = |answer| Guest {
        answer,
        text: b"\xff\xfe\xfdcode".to_vec(),
        ..Guest::default()
    };
    vec![
        ("loop", Guest::doing("(loop $l (br $l))"), "fuel"),
        ("trap", Guest::doing("(unreachable)"), "trapped"),
        (
            "recursion",
            Guest {
                more: "(func $r (call $r) (call $r))".to_owned(),
                ..Guest::doing("(call $r)")
            },
            "stack",
        ),
        ("memory", Guest::doing(grow), "memory"),
        ("chatter", Guest::doing(&chatter), "fuel"),
        (
            "no-text",
            answering(deny((text + 3, 4), (text, 3))),
            "invalid",
        ),
        (
            "outside",
            answering(deny((text + 3, 4), (u32::MAX - 8, 4))),
            "invalid",
        ),
        (
            "oversized",
            answering(deny((text + 3, 4), (text, 150_000))),
            "too large",
        ),
        ("no-ttl", answering(allow(Some(0), None)), "invalid"),
    ]
}

async fn bind(api: &Api, name: &str, locks: &str, policy: Value) -> Result<Answer> {
    let body = json!({ "namespaces": ["demo"], "locks": [locks], "policies": [policy] });
    api.put(&format!("/v1/bindings/{name}"), &body).await
}

/// Uploads each failing guest under its own name, and binds it to the locks below that name.
async fn spread(admin: &Api) -> Result<()> {
    for (name, guest, _) in failing() {
        let wasm = Guest {
            name: name.to_owned(),
            ..guest
        }
        .wasm();
        let stored = admin.upload_policy(name, "1.2.3", wasm).await?;
        assert_eq!(stored.status, 201, "{name}: {stored:?}");
        let policy = json!({ "policy": name, "version": "1.2.3" });
        let bound = bind(admin, name, &format!("{name}/**"), policy).await?;
        assert_eq!(bound.status, 200, "{name}: {bound:?}");
    }
    Ok(())
}

async fn each_is_a_policy_error(gateway: &Gateway) -> Result<()> {
    let api = gateway.admin();
    for (name, _, _) in failing() {
        let answer = api.acquire(&format!("{name}/a"), 10_000).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "policy_error"),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.body["denial"]["kind"], json!("policy_error"));
        assert_eq!(answer.body["denial"]["policy"], json!(name), "{answer:?}");
        // Each of these fails in the same way again.
        assert_eq!(answer.body["retryable"], json!(false), "{answer:?}");
        assert_eq!(answer.body["effect"], json!("none"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_that_fails_is_neither_a_denial_nor_the_want_of_one() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let admin = gateway.admin();
    spread(&admin).await?;
    each_is_a_policy_error(&gateway).await?;
    for (name, _, told) in failing() {
        let query = format!("lock=demo/{name}/a&verdict=policy_error");
        let rows = admin.ledger(&query).await?;
        assert_eq!(rows.len(), 1, "{name}: {rows:?}");
        let verdict = verdict_of(&rows[0], name)?;
        assert_eq!(verdict["answer"], json!("error"), "{name}: {verdict}");
        assert_eq!(verdict["passed"], json!(false), "{name}: {verdict}");
        assert!(verdict["fuel"].as_u64() > Some(0), "{name}: {verdict}");
        let message = verdict["message"].as_str().context("message")?;
        assert!(message.contains(told), "{name}: {message}");
    }
    let denied = admin.ledger("verdict=denied").await?;
    assert_eq!(denied, Vec::<Value>::new(), "no policy denied anything");
    let metrics = admin.get("/metrics").await?;
    let counted = format!(
        "leasehold_denials_total{{kind=\"policy_error\"}} {}",
        failing().len()
    );
    assert!(metrics.text.contains(&counted), "{}", metrics.text);

    // The same modules are loaded again, and harm the start as little.
    gateway.kill().await?;
    gateway.restart().await?;
    each_is_a_policy_error(&gateway).await?;
    assert_eq!(gateway.admin().acquire("fine", 10_000).await?.status, 201);
    Ok(())
}

/// What a policy answered, in an event of the ledger.
fn verdict_of<'a>(row: &'a Value, policy: &str) -> Result<&'a Value> {
    let verdicts = row["event"]["cause"]["decision"]["verdicts"].as_array();
    let mut verdicts = verdicts.context("verdicts")?.iter();
    verdicts
        .find(|verdict| verdict["policy"] == policy)
        .context("the policy's verdict")
}

#[tokio::test]
async fn who_asks_for_other_locks_is_served_beside_endless_policies() -> Result<()> {
    // So much fuel that only the guard in real time ends a loop.
    let config = "[policy]\nfuel = 10000000000\ndeadline_ms = 20\n".to_owned();
    let gateway = Gateway::start_with(GatewayOptions {
        config,
        ..Default::default()
    })
    .await?;
    let admin = gateway.admin();
    let wasm = Guest::doing("(loop $l (br $l))").wasm();
    assert_eq!(
        admin.upload_policy("by-hand", "1.2.3", wasm).await?.status,
        201
    );
    let policy = json!({ "policy": "by-hand", "version": "1.2.3" });
    assert_eq!(bind(&admin, "bad", "bad/**", policy).await?.status, 200);

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let hammer = |n: usize| {
        let (api, stopped) = (gateway.admin(), stopped.clone());
        tokio::spawn(async move {
            let mut asked = 0_u64;
            while !*stopped.borrow() || asked < 3 {
                let answer = api.acquire(&format!("bad/{n}"), 10_000).await?;
                assert_eq!(answer.code(), "policy_error", "{answer:?}");
                asked += 1;
            }
            anyhow::Ok(asked)
        })
    };
    let hammers: Vec<_> = (0..6).map(hammer).collect();
    for n in 0..20 {
        let grant = admin.acquire(&format!("good/{n}"), 60_000).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        assert_eq!(admin.get("/readyz").await?.status, 200);
    }
    stop.send_replace(true);
    let mut asked = 0;
    for hammer in hammers {
        asked += hammer.await??;
    }
    let rows = admin.ledger("verdict=policy_error&policy=by-hand").await?;
    assert_eq!(rows.len() as u64, asked, "each is in the ledger");
    assert!(rows[0].to_string().contains("ran longer than 20 ms"));
    Ok(())
}
