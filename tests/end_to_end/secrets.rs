//! What must not be told: keys, tokens and lease ids in logs, ledger and files; and names that try
//! to write the log, or to fill the metrics.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

/// Every file below a folder.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => all.push(path),
        }
    }
    Ok(all)
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// The bytes of hexadecimal digits.
fn unhex(digits: &str) -> Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    pairs.map(byte).collect()
}

/// What a client shows to open something, and what is left of it when it is stored.
struct Shown {
    secrets: Vec<String>,
    lease_id: String,
}

/// Uses secrets in every way: good ones, bad ones, in wrong places.
async fn use_secrets(gateway: &Gateway) -> Result<Shown> {
    let admin = gateway.admin();
    let body = json!({ "subject": "svc", "team": "team-a", "roles": ["auditor"] });
    let made = admin.post("/v1/keys", &body).await?;
    let key = made.text_of("key")?.to_owned();
    let api = gateway.api(Some(&key));
    let grant = api.acquire("a", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?.to_owned();
    api.with_lease("a", "renew", &lease_id).await?;
    admin.with_lease("a", "renew", &lease_id).await?;
    api.with_lease("b", "release", &lease_id).await?;
    let listed = admin.get("/v1/keys").await?;
    assert!(!listed.text.contains(&key), "{listed:?}");
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5LXNlY3JldCJ9.c2lnbmF0dXJlLXNlY3JldA";
    gateway.api(Some(jwt)).acquire("a", 10_000).await?;
    let wrong = format!("{key}0");
    gateway.api(Some(&wrong)).acquire("a", 10_000).await?;
    admin
        .delete(&format!("/v1/keys/{}", made.text_of("id")?))
        .await?;
    assert_eq!(api.acquire("a", 10_000).await?.status, 401);
    let secret = |key: &str| key.rsplit('_').next().unwrap_or_default().to_owned();
    let secrets = vec![secret(&key), secret(ADMIN_KEY), jwt.to_owned()];
    Ok(Shown { secrets, lease_id })
}

#[tokio::test]
async fn no_secret_is_in_the_log_the_ledger_or_the_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut gateway = Gateway::start_with(GatewayOptions {
        config: "[telemetry]\nlevel = \"trace\"\n".to_owned(),
        log: Some(log.clone()),
        ..Default::default()
    })
    .await?;
    let Shown { secrets, lease_id } = use_secrets(&gateway).await?;
    let rows = gateway.admin().ledger("").await?;
    let ledger = Value::Array(rows).to_string();
    assert!(!ledger.contains(&lease_id), "a lease's id is its holder's");
    assert_eq!(gateway.terminate().await?, Some(0));

    let said = std::fs::read(&log)?;
    assert!(!said.is_empty(), "at this level it says something");
    assert!(
        !contains(&said, lease_id.as_bytes()),
        "a lease's id is in the log"
    );
    let mut read = 0;
    for file in files(gateway.data_dir())?.into_iter().chain([log]) {
        let bytes = std::fs::read(&file)?;
        read += bytes.len();
        for secret in &secrets {
            assert!(!ledger.contains(secret), "in the ledger");
            let in_plain = contains(&bytes, secret.as_bytes());
            assert!(!in_plain, "{secret} is in {}", file.display());
            let raw = unhex(secret).unwrap_or_default();
            let decoded = raw.len() > 8 && contains(&bytes, &raw);
            assert!(!decoded, "{secret}, decoded, is in {}", file.display());
        }
    }
    assert!(read > 10_000, "only {read} bytes were looked at");
    Ok(())
}

#[tokio::test]
async fn names_and_headers_write_no_lines_of_their_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut gateway = Gateway::start_with(GatewayOptions {
        config: "[telemetry]\nformat = \"json\"\nlevel = \"debug\"\n".to_owned(),
        log: Some(log.clone()),
        ..Default::default()
    })
    .await?;
    let api = gateway.admin();
    let forged = "{\"level\":\"ERROR\",\"forged\":true}";
    for text in [
        format!("a\n{forged}"),
        "\u{1b}[2J\u{7}".to_owned(),
        "\u{202e}".to_owned(),
    ] {
        let body = json!({ "ttl_ms": 10_000, "reason": text, "instance": text,
            "labels": { "note": text }, "request_id": text });
        api.verb("a", "acquire", &body).await?;
        let key = json!({ "subject": text, "description": text });
        api.post("/v1/keys", &key).await?;
        let revoke = json!({ "reason": text });
        api.verb("a", "revoke", &revoke).await?;
    }
    for path in [
        "/v1/namespaces/demo/locks/a%0A%7B%22forged%22%3Atrue%7D:acquire",
        "/%0Aforged",
    ] {
        let request = api.request(Method::POST, path).json(&json!({}));
        let request = request.header("user-agent", forged);
        api.send(request.header("x-request-id", forged)).await?;
    }
    assert_eq!(gateway.terminate().await?, Some(0));
    let said = std::fs::read_to_string(&log)?;
    for line in said.lines() {
        let entry: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        assert!(entry["forged"].is_null(), "{entry}");
        assert!(entry["level"].is_string(), "{entry}");
    }
    assert!(!said.contains('\u{1b}'), "terminals are not spoken to");
    Ok(())
}

/// The names of all series.
async fn series(gateway: &Gateway) -> Result<BTreeSet<String>> {
    let metrics = gateway.admin().get("/metrics").await?;
    let lines = metrics.text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.rsplit_once(' ').map(|(name, _)| name.to_owned());
    Ok(lines.filter_map(name).collect())
}

/// Everything that a client can make up, under names that it has not used before.
async fn make_up(gateway: &Gateway, round: usize) -> Result<()> {
    let admin = gateway.admin();
    for n in 0..20 {
        let name = format!("x{round}-{n}");
        let api = gateway
            .service(&format!("svc-{name}"), &format!("team-{name}"))
            .await?;
        let grant = api.acquire(&name, 60_000).await?;
        api.with_lease(&name, "release", grant.text_of("lease_id")?)
            .await?;
        api.verb(&name, &format!("verb-{name}"), &json!({})).await?;
        api.get(&format!("/{name}")).await?;
        admin.get(&format!("/v1/namespaces/{name}")).await?;
        admin
            .get(&format!("/v1/policies/{name}/versions/1.0.0"))
            .await?;
        gateway.api(Some(&name)).get("/v1/keys").await?;
        let method = Method::from_bytes(format!("X{round}N{n}").as_bytes())?;
        for path in ["/v1/keys", "/healthz", "/nowhere"] {
            api.send(api.request(method.clone(), path)).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn clients_cannot_fill_the_metrics_with_names() -> Result<()> {
    let gateway = Gateway::start().await?;
    make_up(&gateway, 0).await?;
    series(&gateway).await?;
    let before = series(&gateway).await?;
    make_up(&gateway, 1).await?;
    let after = series(&gateway).await?;
    let new: Vec<_> = after.difference(&before).collect();
    assert_eq!(new, Vec::<&String>::new());
    Ok(())
}

/// Stores, ledgers and backups hold lease secrets: other users of the machine must not read them.
#[tokio::test]
async fn what_a_gateway_writes_is_its_owners_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let options = GatewayOptions {
        data_dir: Some(data_dir.clone()),
        ..GatewayOptions::default()
    };
    let gateway = Gateway::start_cold(options).await?;
    gateway.admin().acquire("a", 60_000).await?;
    let mut written = files(&data_dir)?;
    written.push(data_dir);
    assert!(written.len() > 3, "{written:?}");
    for path in written {
        let mode = std::fs::metadata(&path)?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    Ok(())
}
