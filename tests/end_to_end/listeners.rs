//! Where the gateway listens: administration apart, TLS, and starts that must fail clearly.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::Wire;
use leasehold_tests::binary;
use serde_json::json;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);

async fn with_config(config: String) -> Result<Gateway> {
    Gateway::start_with(GatewayOptions {
        config,
        ..Default::default()
    })
    .await
}

#[tokio::test]
async fn administration_on_a_listener_of_its_own_is_only_there() -> Result<()> {
    let gateway = with_config("[listen]\nadmin_address = \"127.0.0.1:0\"\n".to_owned()).await?;
    let data = gateway.admin();
    let admin = data.at(gateway.admin_url().context("administration on …")?);
    assert_ne!(gateway.url(), gateway.admin_url().unwrap_or_default());
    for path in [
        "/v1/keys",
        "/v1/namespaces",
        "/v1/policies",
        "/v1/bindings",
        "/v1/audit/events",
        "/v1/audit/verify",
        "/v1/audit/log-key",
        "/v1/audit/checkpoint",
        "/v1/audit/proof?event=1",
        "/v1/audit/export",
        "/metrics",
    ] {
        assert_eq!(admin.get(path).await?.status, 200, "{path}");
        let hidden = data.get(path).await?;
        assert_eq!((hidden.status, hidden.code()), (404, "not_found"), "{path}");
    }
    let key = json!({ "subject": "svc", "team": "team-a" });
    assert_eq!(data.post("/v1/keys", &key).await?.status, 404);
    let made = admin.post("/v1/keys", &key).await?;
    let service = gateway.api(Some(made.text_of("key")?));
    assert_eq!(service.acquire("a", 10_000).await?.status, 201);
    let there = admin.acquire("b", 10_000).await?;
    assert_eq!((there.status, there.code()), (404, "not_found"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(admin.get(path).await?.status, 200, "{path}");
        assert_eq!(data.get(path).await?.status, 200, "{path}");
    }
    Ok(())
}

/// The certificate and key for `localhost` that the listener's own tests use.
fn certificate() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/http/src/listener/tests")
}

fn tls(cert: &Path, key: &Path) -> String {
    format!("[listen.tls]\ncert = {cert:?}\nkey = {key:?}\n")
}

#[tokio::test]
async fn tls_serves_those_who_trust_its_certificate_and_nobody_in_plain() -> Result<()> {
    let (cert, key) = (
        certificate().join("localhost.crt"),
        certificate().join("localhost.key"),
    );
    let config = format!(
        "[listen]\nadmin_address = \"127.0.0.1:0\"\n{}",
        tls(&cert, &key)
    );
    let gateway = with_config(config).await?;
    let root = reqwest::Certificate::from_pem(&std::fs::read(&cert)?)?;
    // The harness's client installs the process's TLS provider.
    let plain = gateway.admin();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()?;
    let ask = async |url: &str, path: &str| {
        let url = url.replace("127.0.0.1", "localhost");
        assert!(url.starts_with("https://"), "{url}");
        let request = http.get(format!("{url}{path}")).bearer_auth(ADMIN_KEY);
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    let admin_url = gateway.admin_url().context("administration on …")?;
    assert_eq!(
        ask(gateway.url(), "/v1/namespaces/demo/locks/a").await?,
        200
    );
    assert_eq!(ask(admin_url, "/v1/keys").await?, 200);

    assert!(plain.get("/healthz").await.is_err(), "an unknown issuer");
    let in_plain: Api = plain.at(&gateway.url().replace("https", "http"));
    assert!(in_plain.get("/healthz").await.is_err());
    Ok(())
}

/// Starts the gateway where it must not start, and answers its exit code and what it said.
async fn refused(
    config: String,
    environment: Vec<(&'static str, String)>,
) -> Result<(i32, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("leasehold.toml");
    std::fs::write(&file, config)?;
    let ended = Command::new(binary())
        .args(["serve", "--config"])
        .arg(&file)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ended)
        .await
        .context("it starts")??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code().context("it was killed")?, said))
}

#[tokio::test]
async fn a_start_that_cannot_serve_fails_with_the_reason() -> Result<()> {
    let folder = certificate();
    let (cert, key) = (folder.join("localhost.crt"), folder.join("localhost.key"));
    let free = "[listen]\naddress = \"127.0.0.1:0\"\n";
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let absent = folder.join("absent.key");
    let jwt = "[authentication.jwt]\nissuer = \"i\"\naudience = \"a\"";
    // What the file has besides a free address, the exit code, and a word of the reason.
    for (config, code, names) in [
        ("tls.cert = \"x.crt\"".to_owned(), 64, "key"),
        (tls(&cert, &absent), 69, "absent.key"),
        (tls(&cert, &cert), 69, "localhost.crt"),
        (tls(&key, &key), 69, "localhost.key"),
        (
            "admin_address = \"0.0.0.0:0\"".to_owned(),
            64,
            "insecure_without_tls",
        ),
        (format!("admin_address = \"{taken}\""), 69, taken.as_str()),
        (
            "[authentication]\napi_keys = false".to_owned(),
            64,
            "api_keys",
        ),
        (
            "[limits]\nbody_bytes_max = 1000000000".to_owned(),
            64,
            "body_bytes_max",
        ),
        (
            format!("{jwt}\njwks_file = \"/absent/jwks.json\""),
            69,
            "jwks.json",
        ),
    ] {
        let what = config.clone();
        let config = format!("{free}{config}\n");
        let (ended, said) = refused(config, Vec::new()).await?;
        assert_eq!(ended, code, "{what}: {said}");
        assert!(said.contains(names), "{what}: {said}");
        assert!(!said.contains("PRIVATE"), "{what}: {said}");
        if code == 64 {
            assert_eq!(said.lines().count(), 1, "{what}: {said}");
        }
    }
    for bad in ["lh_short", "lh_boot_0123456789abcdef", "hunter2"] {
        let environment = vec![("LEASEHOLD_ADMIN_KEY", bad.to_owned())];
        let (ended, said) = refused(free.to_owned(), environment).await?;
        assert_eq!(ended, 64, "{bad:?}: {said}");
        assert!(!said.contains(bad), "{bad:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wanted_stranger_is_let_in_by_name() -> Result<()> {
    let config = "[listen]\ninsecure_without_tls = true\nadmin_address = \"0.0.0.0:0\"\n";
    let gateway = with_config(config.to_owned()).await?;
    let url = gateway.admin_url().context("administration on …")?;
    let api = gateway.admin().at(&url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(api.get("/v1/keys").await?.status, 200);
    // There is no anonymous access, wherever it listens.
    let nobody = gateway.api(None).at(&url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(nobody.get("/v1/keys").await?.status, 401);
    let mut wire = Wire::to(&gateway).await?;
    wire.send("GET /v1/namespaces/demo/locks/a HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    wire.until("unauthenticated").await?;
    Ok(())
}
