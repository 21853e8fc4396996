//! Policies are signed, pushed, deprecated and withdrawn; the real binary, with keys of OpenSSL.

use std::process::Command;
use std::process::Output;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_policy_guests::Guest;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// How long a change may take until another gateway has it.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// How long anything else may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a module `by-hand@VERSION` and keys.
struct Desk(TempDir);

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn module(&self, version: &str) -> Result<String> {
        let path = self.path(&format!("{version}.wasm"));
        let guest = Guest {
            version: version.to_owned(),
            ..Guest::default()
        };
        std::fs::write(&path, guest.wasm())?;
        Ok(path)
    }

    /// A pair of keys as OpenSSL makes them.
    fn openssl_key(&self, name: &str) -> Result<(String, String)> {
        let (private, public) = (self.path(name), self.path(&format!("{name}.pub")));
        for arguments in [
            &["genpkey", "-algorithm", "ed25519", "-out", &private][..],
            &["pkey", "-in", &private, "-pubout", "-out", &public],
        ] {
            let made = Command::new("openssl").args(arguments).output()?;
            ensure!(made.status.success(), "{made:?}");
        }
        Ok((private, public))
    }

    /// A pair of keys as the command line makes them.
    fn own_key(&self, name: &str) -> Result<(String, String)> {
        let private = self.path(&format!("{name}.pem"));
        let made = offline(&["policy", "keygen", "--output", &private])?;
        ensure!(made.status.success(), "{made:?}");
        let again = offline(&["policy", "keygen", "--output", &private])?;
        ensure!(again.status.code() == Some(71), "{again:?}");
        Ok((private, self.path(&format!("{name}.pub.pem"))))
    }
}

/// Runs the command line without a gateway.
fn offline(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_remove("LEASEHOLD_URL")
        .env_remove("LEASEHOLD_KEY");
    Ok(command.output()?)
}

fn sign(module: &str, key: &str, more: &[&str]) -> Result<String> {
    let signed = offline(&[&["policy", "sign", module, "--key", key], more].concat())?;
    ensure!(signed.status.success(), "{signed:?}");
    Ok(String::from_utf8(signed.stdout)?)
}

/// Runs the command line as an administrator; returns what it printed.
async fn admin(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Runs it, and returns what it complains of; `code` is its exit code.
async fn refused(gateway: &Gateway, arguments: &[&str], code: i32) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(done.status.code() == Some(code), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stderr)?)
}

const VERSION: &str = "/v1/policies/by-hand/versions/1.2.3";

#[tokio::test]
async fn a_module_is_signed_by_two_and_pushed() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let desk = Desk::new()?;
    let module = desk.module("1.2.3")?;
    let (alice, alice_pub) = desk.openssl_key("alice.pem")?;
    let (bob, bob_pub) = desk.own_key("bob")?;
    for (key, name) in [(&alice_pub, "alice"), (&bob_pub, "bob")] {
        admin(&gateway, &["policy", "trust", "add", key, "--name", name]).await?;
    }
    // A private key is not sent.
    let secret = ["policy", "trust", "add", &alice, "--name", "oops"];
    let said = refused(&gateway, &secret, 64).await?;
    ensure!(said.contains("it is a private key"), "{said}");
    let two = ["policy", "trust", "require", "2", "--reason", "SEC-9"];
    ensure!(admin(&gateway, &two).await?.contains("by 2 distinct"));

    let push = ["policy", "push", &module];
    let said = refused(&gateway, &push, 78).await?;
    ensure!(said.contains("by-hand@1.2.3 cannot be pushed"), "{said}");
    let file = format!("{module}.sig.json");
    let said = sign(&module, &alice, &["--source", "https://git.example/p"])?;
    ensure!(said.contains("1 signature"), "{said}");
    let signed = ["policy", "push", &module, "--signature", &file];
    let said = refused(&gateway, &signed, 78).await?;
    ensure!(said.contains("has 1, by alice"), "{said}");
    let verify = [
        "policy",
        "verify",
        &module,
        "--signature",
        &file,
        "--trusted",
    ];
    let both = [&verify[..], &[&alice_pub, &bob_pub, "--required", "2"]].concat();
    let not_yet = offline(&both)?;
    ensure!(not_yet.status.code() == Some(65), "{not_yet:?}");
    let said = sign(&module, &bob, &["--not-after", "90d"])?;
    ensure!(said.contains("2 signatures"), "{said}");
    let verified = offline(&both)?;
    ensure!(verified.status.success(), "{verified:?}");

    let dry = [&signed[..], &["--dry-run"]].concat();
    ensure!(admin(&gateway, &dry).await?.contains("nothing was written"));
    ensure!(gateway.admin().get(VERSION).await?.status == 404);
    let said = admin(&gateway, &signed).await?;
    for part in ["by alice, source https://git.example/p", "by bob, until 20"] {
        ensure!(said.contains(part), "{part}: {said}");
    }
    gateway.terminate().await?;
    gateway.restart().await?;
    let said = admin(&gateway, &["policy", "trust", "list"]).await?;
    ensure!(said.contains("by 2 distinct trusted keys"), "{said}");
    ensure!(said.contains(" alice, added "), "{said}");
    let listed = admin(&gateway, &["policy", "list"]).await?;
    ensure!(listed.contains("alice,bob"), "{listed}");
    ensure!(listed.contains("stock"), "{listed}");
    in_the_ledger(&gateway).await
}

/// Who trusted whom, who was refused what, and who signed is in the ledger.
async fn in_the_ledger(gateway: &Gateway) -> Result<()> {
    let rows = gateway.admin().ledger("operation=governance").await?;
    let told: Vec<String> = rows.iter().map(Value::to_string).collect();
    for part in [
        "(alice) is trusted",
        "2 signatures required, 0 before: SEC-9",
        "refused: PUT /v1/policies/by-hand/versions/1.2.3: policy by-hand@1.2.3 cannot be pushed",
        "policy by-hand@1.2.3, signed by alice (key ",
    ] {
        let found = told.iter().any(|row| row.contains(part));
        ensure!(found, "{part}: {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_signature_of_the_module_is_refused() -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = Desk::new()?;
    let (module, other) = (desk.module("1.2.3")?, desk.module("1.2.4")?);
    let (key, public) = desk.openssl_key("key.pem")?;
    admin(
        &gateway,
        &["policy", "trust", "add", &public, "--name", "k"],
    )
    .await?;
    sign(&other, &key, &[])?;
    let wrong = format!("{other}.sig.json");
    let push = ["policy", "push", &module, "--signature", &wrong];
    let said = refused(&gateway, &push, 78).await?;
    ensure!(said.contains("version: it is about 1.2.4"), "{said}");
    // By hand: header by header.
    let put = async |header: &str| {
        let api = gateway.admin();
        let request = api.request(reqwest::Method::PUT, VERSION);
        let request = request
            .header("content-type", "application/wasm")
            .header("leasehold-policy-signatures", header)
            .body(std::fs::read(&module)?);
        let answer = api.send(request).await?;
        ensure!(answer.status == 422, "{answer:?}");
        Ok::<_, anyhow::Error>(answer.text_of("detail")?.to_owned())
    };
    for (header, part) in [
        ("no base64!", "is not base64"),
        ("e30=", "format"),
        ("W10=", "object"),
        (&*"A".repeat(12_000), "not valid JSON"),
    ] {
        let said = put(header).await?;
        ensure!(said.contains("leasehold-policy-signatures: "), "{said}");
        ensure!(said.contains(part), "{part}: {said}");
    }
    // A tampered file: the statement says that it never expires.
    sign(&module, &key, &["--not-after", "1h"])?;
    let file = format!("{module}.sig.json");
    let mut tampered: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let endless = desk.path("endless.json");
    sign(&module, &key, &["--output", &endless])?;
    let longer: Value = serde_json::from_slice(&std::fs::read(&endless)?)?;
    let statement = longer["signatures"][0]["statement"].clone();
    tampered["signatures"][0]["statement"] = statement;
    std::fs::write(&file, tampered.to_string())?;
    let push = ["policy", "push", &module, "--signature", &file];
    let said = refused(&gateway, &push, 78).await?;
    ensure!(said.contains("did not sign this statement"), "{said}");
    // A dry run of a query that is none.
    let odd = format!("{VERSION}?dry_run=perhaps");
    let request = gateway.admin().request(reqwest::Method::PUT, &odd);
    let request = request.header("content-type", "application/wasm");
    let odd = gateway.admin().send(request.body("x")).await?;
    ensure!(odd.status == 422, "{odd:?}");
    Ok(())
}

/// Waits until a gauge has a value.
async fn gauge(gateway: &Gateway, line: &str) -> Result<()> {
    let found = async {
        loop {
            let metrics = gateway.admin().get("/metrics").await?.text;
            if metrics.lines().any(|row| row == line) {
                return Ok::<_, anyhow::Error>(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .with_context(|| line.to_owned())?
}

#[tokio::test]
async fn an_expired_version_raises_an_alert_and_goes_on() -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = Desk::new()?;
    let module = desk.module("1.2.3")?;
    let (key, public) = desk.openssl_key("key.pem")?;
    admin(
        &gateway,
        &["policy", "trust", "add", &public, "--name", "k"],
    )
    .await?;
    let file = format!("{module}.sig.json");
    let expired = "leasehold_policy_versions_unusable{reason=\"expired\"}";
    // As long as a push and a bind take here, and a second.
    let body = json!({ "namespaces": ["demo"], "locks": ["short/**"],
        "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    let mut seconds = 2;
    loop {
        sign(&module, &key, &["--not-after", &format!("{seconds}s")])?;
        let pushed = ["policy", "push", &module, "--signature", &file];
        let pushed = gateway.command_line(ADMIN_KEY, &pushed).await?;
        let bound = gateway.admin().put("/v1/bindings/short", &body).await?;
        if pushed.status.success() && bound.status == 200 {
            break;
        }
        // The machine was too slow.
        seconds *= 2;
        ensure!(seconds < 100, "{pushed:?} {bound:?}");
    }
    gauge(&gateway, &format!("{expired} 1")).await?;
    let body = json!({ "ttl_ms": 60_000 });
    let granted = gateway.admin().verb("short/a", "acquire", &body).await?;
    ensure!(granted.status == 201, "{granted:?}");
    let shown = admin(&gateway, &["policy", "show", "by-hand@1.2.3"]).await?;
    ensure!(
        shown.contains("for anything new: its signatures expired at"),
        "{shown}"
    );
    ensure!(shown.contains("binding short"), "{shown}");
    let resolved = admin(&gateway, &["policy", "resolve", "demo/short/a"]).await?;
    ensure!(resolved.contains("its signatures expired at"), "{resolved}");
    let binding = gateway.admin().get("/v1/bindings/short").await?;
    let warning = binding.body["warnings"][0].as_str().unwrap_or_default();
    ensure!(warning.contains("expired"), "{binding:?}");
    // Signed again it is no alert any more.
    sign(&module, &key, &["--not-after", "1d"])?;
    admin(&gateway, &["policy", "push", &module, "--signature", &file]).await?;
    gauge(&gateway, &format!("{expired} 0")).await
}

#[tokio::test]
async fn a_withdrawn_version_says_what_it_still_judges() -> Result<()> {
    let gateway = Gateway::start().await?;
    let desk = Desk::new()?;
    let (module, next) = (desk.module("1.2.3")?, desk.module("1.2.4")?);
    // The word of earlier versions.
    admin(&gateway, &["policy", "upload", &module]).await?;
    let body = json!({ "namespaces": ["demo"], "locks": ["w/**"],
        "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    ensure!(gateway.admin().put("/v1/bindings/w", &body).await?.status == 200);
    let pushed = admin(&gateway, &["policy", "push", &next]).await?;
    ensure!(pushed.contains("binding w, which names 1.2.3"), "{pushed}");
    let mark = |verb: &'static str| ["policy", verb, "by-hand@1.2.3", "--reason", "CVE-1"];
    admin(&gateway, &mark("deprecate")).await?;
    let bound = gateway.admin().put("/v1/bindings/w", &body).await?;
    ensure!(bound.text.contains("was deprecated by admin"), "{bound:?}");
    let held = gateway.admin().acquire("w/x", 60_000).await?;
    ensure!(held.status == 201, "{held:?}");
    let withdrawn = admin(&gateway, &mark("withdraw")).await?;
    ensure!(withdrawn.contains("in use by"), "{withdrawn}");
    let leases = "1 granted or renewed under it: demo/w/x";
    ensure!(withdrawn.contains(leases), "{withdrawn}");
    ensure!(withdrawn.contains("binding w"), "{withdrawn}");
    let mut other = body.clone();
    other["locks"] = json!(["v/**"]);
    let refused = gateway.admin().put("/v1/bindings/v", &other).await?;
    ensure!(refused.status == 409, "{refused:?}");
    ensure!(refused.code() == "policy_version_unusable", "{refused:?}");
    ensure!(refused.body["effect"] == "none", "{refused:?}");
    ensure!(refused.body["retryable"] == false, "{refused:?}");
    gauge(
        &gateway,
        "leasehold_policy_versions_unusable{reason=\"withdrawn\"} 1",
    )
    .await?;
    // An author can withdraw; only an administrator takes it back.
    let author = gateway
        .principal("eve", "rules", &["policy-author"])
        .await?;
    let reason = json!({ "reason": "it was a false alarm" });
    let restore = format!("{VERSION}:restore");
    ensure!(author.post(&restore, &reason).await?.code() == "forbidden");
    ensure!(
        author
            .post(&format!("{VERSION}:retire"), &reason)
            .await?
            .status
            == 404
    );
    ensure!(author.post(VERSION, &reason).await?.status == 405);
    ensure!(author.get(&restore).await?.status == 405);
    ensure!(gateway.admin().post(&restore, &reason).await?.status == 200);
    ensure!(gateway.admin().put("/v1/bindings/v", &other).await?.status == 200);
    let service = gateway.service("svc", "payments").await?;
    let shown = service.get(VERSION).await?;
    ensure!(
        shown.status == 200 && shown.body["in_use"].is_null(),
        "{shown:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gateway_of_a_cluster_trusts_the_same_keys() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    let [first, second, ..] = &*gateways else {
        anyhow::bail!("no second gateway")
    };
    let desk = Desk::new()?;
    let module = desk.module("1.2.3")?;
    let (key, public) = desk.openssl_key("key.pem")?;
    admin(first, &["policy", "trust", "add", &public, "--name", "k"]).await?;
    admin(
        first,
        &["policy", "trust", "require", "1", "--reason", "SEC-9"],
    )
    .await?;
    let heard = async {
        let trust = second.admin().get("/v1/policy-trust").await?;
        ensure!(trust.body["keys"][0]["name"] == "k", "{trust:?}");
        ensure!(trust.body["required_signatures"] == 1, "{trust:?}");
        Ok(())
    };
    tokio::time::timeout(HEARD_WITHIN, heard).await??;
    let unsigned = refused(second, &["policy", "push", &module], 78).await?;
    ensure!(unsigned.contains("by 1 trusted key"), "{unsigned}");
    sign(&module, &key, &[])?;
    let file = format!("{module}.sig.json");
    let push = ["policy", "push", &module, "--signature", &file];
    admin(second, &push).await?;
    let body = json!({ "namespaces": ["demo"], "locks": ["c/**"],
        "policies": [{ "policy": "by-hand", "version": "1.2.3" }] });
    ensure!(first.admin().put("/v1/bindings/c", &body).await?.status == 200);
    let id = second.admin().get("/v1/policy-trust").await?;
    let id = id.body["keys"][0]["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let path = format!("/v1/policy-trust/keys/{id}:revoke");
    let why = json!({ "reason": "leaked" });
    let last = second.admin().post(&path, &why).await?;
    ensure!(last.status == 409, "{last:?}");
    let why = json!({ "reason": "leaked", "force": true });
    ensure!(second.admin().post(&path, &why).await?.status == 200);
    let signatures = "leasehold_policy_versions_unusable{reason=\"signatures\"} 1";
    gauge(first, signatures).await?;
    let mut other = body;
    other["locks"] = json!(["d/**"]);
    let bound = first.admin().put("/v1/bindings/d", &other).await?;
    ensure!(bound.code() == "policy_version_unusable", "{bound:?}");
    Ok(())
}
