//! Tokens of an identity provider (JWT), from the provider's keys to the lock.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use jsonwebtoken::Algorithm;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An identity provider's Ed25519 key, made of one byte.
struct Provider {
    id: &'static str,
    key: EncodingKey,
}

impl Provider {
    fn new(id: &'static str, seed: u8) -> Self {
        // RFC 8410: the PKCS #8 frame of an Ed25519 seed.
        let mut der = vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        der.extend([seed; 32]);
        let key = EncodingKey::from_ed_der(&der);
        Self { id, key }
    }

    fn jwk(&self) -> Result<Value> {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA)?;
        jwk.common.key_id = Some(self.id.to_owned());
        Ok(serde_json::to_value(jwk)?)
    }

    fn jwks(&self) -> Result<String> {
        Ok(json!({ "keys": [self.jwk()?] }).to_string())
    }

    fn sign(&self, claims: &Value) -> Result<String> {
        let header = Header {
            kid: Some(self.id.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}

/// Seconds since 1970, from now.
fn seconds(from_now: i64) -> i64 {
    let now = std::process::Command::new("date").arg("+%s").output();
    let text = String::from_utf8(now.expect("date runs").stdout).expect("digits");
    text.trim().parse::<i64>().expect("digits") + from_now
}

fn claims() -> Value {
    json!({ "iss": "https://idp.example", "aud": "leasehold", "exp": seconds(600),
        "sub": "ada", "org": { "unit": "payments" }, "groups": ["auditor", "astronaut"] })
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// A gateway that takes the provider's tokens, and the folder of what its configuration names.
async fn trusting(keys: &str) -> Result<Gateway> {
    let config = format!(
        "[authentication.jwt]\nissuer = \"https://idp.example\"\naudience = \"leasehold\"\n\
         algorithms = [\"EdDSA\"]\nteam_claim = \"org.unit\"\nroles_claim = \"groups\"\n\
         leeway_s = 5\n{keys}\n"
    );
    Gateway::start_with(GatewayOptions {
        config,
        ..Default::default()
    })
    .await
}

/// Base64 without padding, as tokens have it.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (n, byte)| {
            word | u32::from(*byte) << (16 - 8 * n)
        });
        for n in 0..=chunk.len() {
            let index = (word >> (18 - 6 * n)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

#[tokio::test]
async fn a_token_is_a_principal_with_team_and_roles() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jwks.json");
    let provider = Provider::new("k1", 1);
    std::fs::write(&file, provider.jwks()?)?;
    let gateway = trusting(&format!("jwks_file = {file:?}")).await?;
    let ada = gateway.api(Some(&provider.sign(&claims())?));
    let grant = ada.acquire("a", 60_000).await?;
    assert_eq!(grant.status, 201, "{grant:?}");
    let view = ada.show("a").await?;
    assert_eq!(view.body["holders"][0]["subject"], json!("ada"), "{view:?}");
    assert_eq!(view.body["holders"][0]["team"], json!("payments"));
    let rows = ada.ledger("subject=ada&team=payments").await?;
    assert_eq!(rows.len(), 1, "its role lets it read: {rows:?}");
    let roles = &rows[0]["event"]["cause"]["principal"]["roles"];
    assert_eq!(*roles, json!(["auditor", "astronaut"]));

    // A new token of the same subject is the same principal; another's is not.
    let renewed = gateway.api(Some(&provider.sign(&with("jti", json!("2")))?));
    let lease_id = grant.text_of("lease_id")?;
    assert_eq!(
        renewed.with_lease("a", "renew", lease_id).await?.status,
        200
    );
    let eve = provider.sign(&with("sub", json!("eve")))?;
    let stolen = gateway
        .api(Some(&eve))
        .with_lease("a", "release", lease_id)
        .await?;
    assert_eq!(stolen.code(), "not_holder", "{stolen:?}");
    let plain = gateway.api(Some(&provider.sign(&without("groups"))?));
    assert_eq!(plain.get("/v1/audit/events").await?.code(), "forbidden");
    assert_eq!(plain.get("/v1/keys").await?.code(), "forbidden");
    assert_eq!(gateway.admin().acquire("key", 10_000).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_companys_own_role_means_what_policies_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jwks.json");
    let provider = Provider::new("k1", 1);
    std::fs::write(&file, provider.jwks()?)?;
    let gateway = trusting(&format!("jwks_file = {file:?}\nroles = [\"sre\"]")).await?;
    let admin = gateway.admin();
    let config = |role: &str| json!({ "transfer": { "roles": [role] } });
    let bind = |locks: &str, role: &str| {
        let policy = json!({
            "policy": "separation-of-duties",
            "version": "1.1.0",
            "config": config(role),
        });
        json!({ "namespaces": ["demo"], "locks": [locks], "policies": [policy] })
    };
    let malformed = admin
        .put("/v1/bindings/duties", &bind("deploy/**", " sre"))
        .await?;
    assert_eq!(malformed.code(), "invalid_request", "{malformed:?}");
    let bound = admin
        .put("/v1/bindings/duties", &bind("deploy/**", "Deployer (EU)"))
        .await?;
    assert_eq!(bound.status, 200, "{bound:?}");
    // Nobody has declared it, so it may be a misspelt one.
    let warned = &bound.body["undeclared_roles"];
    assert_eq!(*warned, json!(["Deployer (EU)"]), "{bound:?}");
    let declared = admin
        .put("/v1/bindings/other", &bind("other/**", "sre"))
        .await?;
    assert_eq!(declared.body["undeclared_roles"], json!(null));

    let groups = |groups: Value| provider.sign(&with("groups", groups));
    for (lock, groups, status) in [
        ("deploy/a", groups(json!(["Deployer (EU)", "x"]))?, 200),
        ("deploy/b", groups(json!(["Deployer (US)", "x"]))?, 403),
        ("deploy/c", provider.sign(&without("groups"))?, 403),
    ] {
        let ada = gateway.api(Some(&groups));
        let grant = ada.acquire(lock, 60_000).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        let transfer = json!({ "lease_id": grant.text_of("lease_id")?, "to": "bob" });
        let handed = ada.verb(lock, "transfer", &transfer).await?;
        assert_eq!(handed.status, status, "{lock}: {handed:?}");
        if status == 403 {
            assert_eq!(handed.body["denial"]["code"], json!("not-entitled"));
        }
    }
    // Who cannot be told from others is nobody.
    let odd = gateway.api(Some(&groups(json!([" Deployer (EU)"]))?));
    assert_eq!(odd.acquire("deploy/d", 60_000).await?.status, 401);
    Ok(())
}

/// Tokens that the provider did not sign as they are.
fn forgeries(provider: &Provider) -> Result<Vec<(&'static str, String)>> {
    let good = provider.sign(&claims())?;
    let mut parts = good.split('.');
    let (header, payload) = (
        parts.next().context("header")?,
        parts.next().context("payload")?,
    );
    let signature = parts.next().context("signature")?;
    let none = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let public = provider.jwk()?["x"].as_str().context("x")?.to_owned();
    let shared = |secret: &[u8]| {
        let header = Header {
            kid: Some("k1".to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret))
    };
    let admin = base64url(
        with("groups", json!(["administrator"]))
            .to_string()
            .as_bytes(),
    );
    let crit = base64url(br#"{"alg":"EdDSA","kid":"k1","crit":["exp"]}"#);
    Ok(vec![
        ("no signature", format!("{none}.{payload}.")),
        (
            "none, with a signature",
            format!("{none}.{payload}.{signature}"),
        ),
        ("a stripped signature", format!("{header}.{payload}.")),
        ("other claims", format!("{header}.{admin}.{signature}")),
        (
            "an unknown extension",
            format!("{crit}.{payload}.{signature}"),
        ),
        ("signed by the public key", shared(public.as_bytes())?),
        (
            "signed by the public set",
            shared(provider.jwks()?.as_bytes())?,
        ),
        ("another's key", Provider::new("k1", 2).sign(&claims())?),
        ("an unknown key", Provider::new("k9", 1).sign(&claims())?),
        ("two parts", format!("{header}.{payload}")),
        (
            "too long",
            format!("{header}.{payload}.{}", "x".repeat(9_000)),
        ),
    ])
}

/// Tokens with a good signature and claims that are not for us, not now, or nobody's.
fn strangers(provider: &Provider) -> Result<Vec<(&'static str, String)>> {
    let rows = [
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("two issuers", with("iss", json!(["https://idp.example"]))),
        ("no issuer", without("iss")),
        ("another audience", with("aud", json!("elsewhere"))),
        ("no audience", without("aud")),
        ("over", with("exp", json!(seconds(-60)))),
        ("without an end", without("exp")),
        ("an end that is no time", with("exp", json!("never"))),
        ("not yet", with("nbf", json!(seconds(600)))),
        ("nobody", without("sub")),
        ("an empty subject", with("sub", json!(""))),
        (
            "no team's name",
            with("org", json!({ "unit": "Pay ments" })),
        ),
    ];
    let sign = |(what, claims): (&'static str, Value)| anyhow::Ok((what, provider.sign(&claims)?));
    rows.into_iter().map(sign).collect()
}

#[tokio::test]
async fn forged_foreign_and_old_tokens_open_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jwks.json");
    let provider = Provider::new("k1", 1);
    std::fs::write(&file, provider.jwks()?)?;
    let gateway = trusting(&format!("jwks_file = {file:?}")).await?;
    let bad = forgeries(&provider)?.into_iter();
    for (what, token) in bad.chain(strangers(&provider)?) {
        let answer = gateway.api(Some(&token)).acquire("a", 10_000).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthenticated"),
            "{what}: {answer:?}"
        );
        assert!(answer.headers.contains_key("www-authenticate"), "{what}");
        assert!(!answer.text.contains(&token), "{what}: {answer:?}");
    }
    let view = gateway.admin().show("a").await?;
    assert_eq!(view.body["revision"], json!(0), "{view:?}");
    let late = provider.sign(&with("exp", json!(seconds(-2))))?;
    let answer = gateway.api(Some(&late)).acquire("a", 10_000).await?;
    assert_eq!(answer.status, 201, "within the leeway: {answer:?}");
    Ok(())
}

/// Serves a provider's keys, or hangs up while there are none.
async fn serve(listener: TcpListener, keys: watch::Receiver<Option<String>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request).await;
        let Some(keys) = keys.borrow().clone() else {
            continue;
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            keys.len()
        );
        let _ = stream.write_all(format!("{head}{keys}").as_bytes()).await;
    }
}

/// Takes as long as a gateway waits before it asks a provider again for a key that it does not
/// know.
#[tokio::test]
async fn a_provider_may_come_late_and_go_again() -> Result<()> {
    let provider = Provider::new("k1", 1);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (keys, served) = watch::channel(None);
    let serving = tokio::spawn(serve(listener, served));
    let gateway = trusting(&format!("jwks_url = \"http://{address}/keys\"")).await?;
    let ada = gateway.api(Some(&provider.sign(&claims())?));
    assert_eq!(ada.acquire("a", 10_000).await?.status, 401);
    let key = gateway.admin().acquire("key", 10_000).await?;
    assert_eq!(key.status, 201, "keys do not depend on the provider");

    keys.send_replace(Some(provider.jwks()?));
    let known = async {
        while ada.show("a").await?.status != 200 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), known).await??;
    keys.send_replace(None);
    assert_eq!(ada.acquire("a", 10_000).await?.status, 201);
    let unknown = Provider::new("k2", 2).sign(&claims())?;
    let answer = gateway.api(Some(&unknown)).show("a").await?;
    assert_eq!(answer.status, 401, "{answer:?}");
    let still = gateway.api(Some(&provider.sign(&with("jti", json!("2")))?));
    assert_eq!(still.show("a").await?.status, 200, "old keys stay in force");
    serving.abort();
    Ok(())
}
