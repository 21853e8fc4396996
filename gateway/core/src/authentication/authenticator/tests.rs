use std::path::Path;

use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use leasehold_domain::ManualClock;
use leasehold_domain::Principal;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLE_NAME_BYTES_MAX;
use leasehold_domain::limits::ROLES_PER_TOKEN_MAX;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::authentication::NewKey;
use crate::config::Config;
use crate::config::Jwt;

const NOW_S: u64 = 1_800_000_000;

/// An identity provider's Ed25519 key, made of one byte.
struct Signer {
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    fn new(id: &'static str, seed: u8) -> Self {
        // RFC 8410: the PKCS #8 frame of an Ed25519 seed.
        let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
        der.extend([seed; 32]);
        Self {
            id,
            key: EncodingKey::from_ed_der(&der),
        }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.id.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "aud": ["other", "leasehold"], "exp": NOW_S + 60, "nbf": NOW_S,
        "sub": "ada", "team": "payments", "roles": ["auditor", "astronaut"], "site": "basel", "level": 3,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn settings(keys: &str) -> Jwt {
    let text = format!(
        "[authentication.jwt]\nissuer = \"https://idp.example\"\naudience = \"leasehold\"\n{keys}"
    );
    let config = Config::parse(&text).unwrap();
    config.check().unwrap();
    config.authentication.jwt.unwrap()
}

fn write_keys(file: &Path, signers: &[&Signer]) {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    std::fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
}

/// A ring that nobody else writes to.
#[derive(Debug)]
struct NoStore;

#[async_trait]
impl KeySource for NoStore {
    async fn catch_up(&self) -> Result<(), AuthFailure> {
        Ok(())
    }
}

struct Door {
    authenticator: Authenticator,
    clock: Arc<ManualClock>,
    ring: Arc<KeyRing>,
}

impl Door {
    async fn new(jwt: Option<Jwt>) -> Self {
        let clock = Arc::new(ManualClock::new(WallMillis(NOW_S * 1_000)));
        let ring = Arc::new(KeyRing::default());
        let config = Authentication {
            api_keys: true,
            jwt,
        };
        let keys = (ring.clone(), Arc::new(NoStore) as Arc<dyn KeySource>);
        let authenticator = Authenticator::new(&config, keys, clock.clone());
        let authenticator = authenticator.await.unwrap();
        Self {
            authenticator,
            clock,
            ring,
        }
    }

    async fn open(&self, token: &str) -> Result<Arc<Principal>, AuthFailure> {
        let identity = self.authenticator.authenticate(token).await?;
        Ok(identity.principal)
    }
}

#[tokio::test]
async fn a_key_becomes_a_principal() {
    let door = Door::new(None).await;
    let key = NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "");
    door.ring.replace(vec![key.document.clone()]);
    let text = key.reveal();
    assert_eq!(door.open(&text).await.unwrap().subject.as_str(), "svc");
    assert_eq!(door.open("").await, Err(AuthFailure::Missing));
    for bad in [format!("{text} x"), "a.b.c".to_owned()] {
        assert_eq!(door.open(&bad).await, Err(AuthFailure::Invalid), "{bad}");
    }
}

#[tokio::test]
async fn a_key_that_expires_is_refused_and_ends_what_was_begun_with_it() {
    let door = Door::new(None).await;
    let key = NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "");
    let key = key.expiring(Some(5_000), door.clock.wall());
    door.ring.replace(vec![key.document.clone()]);
    let text = key.reveal();
    assert!(door.open(&text).await.is_ok());
    assert!(!door.authenticator.has_unknown_key(&text));
    let mut ended = Box::pin(door.authenticator.ended(&text));
    assert!(futures_util::poll!(&mut ended).is_pending());
    door.clock.advance(5_000);
    assert_eq!(door.open(&text).await, Err(AuthFailure::Expired));
    assert!(door.authenticator.has_unknown_key(&text));
    let within = std::time::Duration::from_secs(30);
    tokio::time::timeout(within, ended).await.unwrap();
}

#[tokio::test]
async fn a_token_becomes_a_principal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let signer = Signer::new("k1", 1);
    write_keys(&file, &[&signer, &Signer::new("k2", 2)]);
    let door = Door::new(Some(settings(&format!("jwks_file = {file:?}")))).await;

    let token = signer.sign(&claims());
    let principal = door.open(&token).await.unwrap();
    assert_eq!(
        (
            principal.subject.as_str(),
            principal.team.as_ref().unwrap().as_str()
        ),
        ("ada", "payments")
    );
    // Of these, the gateway knows one; policies see both.
    let roles = &principal.roles;
    assert_eq!(roles.iter().collect::<Vec<_>>(), [Role::Auditor]);
    assert_eq!(roles.names().collect::<Vec<_>>(), ["auditor", "astronaut"]);
    assert_eq!(
        (
            principal.claims["site"].as_str(),
            principal.claims["level"].as_str()
        ),
        ("basel", "3")
    );
    assert!(!principal.claims.contains_key("exp"));
    assert!(
        Arc::ptr_eq(&principal, &door.open(&token).await.unwrap()),
        "remembered"
    );

    door.clock.advance(89_000);
    assert!(door.open(&token).await.is_ok(), "30 s of leeway");
    door.clock.advance(1_000);
    assert_eq!(
        door.open(&token).await,
        Err(AuthFailure::Expired),
        "remembered, and still ends"
    );
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let signer = Signer::new("k1", 1);
    write_keys(&file, &[&signer]);
    let door = Door::new(Some(settings(&format!("jwks_file = {file:?}")))).await;
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        (
            "iss",
            json!(["https://idp.example", "https://evil.example"]),
        ),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("nbf", json!(NOW_S + 31)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("team", json!("Not A Team")),
        ("team", json!(["a"])),
    ] {
        let token = signer.sign(&with(claims(), name, value.clone()));
        assert_eq!(
            door.open(&token).await,
            Err(AuthFailure::Invalid),
            "{name} = {value}"
        );
    }
    let late = signer.sign(&with(claims(), "exp", json!(NOW_S - 30)));
    assert_eq!(door.open(&late).await, Err(AuthFailure::Expired));
    let without_team = signer.sign(&with(claims(), "team", Value::Null));
    assert_eq!(door.open(&without_team).await.unwrap().team, None);

    // Another's key under our key's id; no signature; a signature by our *public* key as a secret.
    let forged = Signer {
        id: "k1",
        ..Signer::new("k1", 9)
    }
    .sign(&claims());
    let good = signer.sign(&claims());
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let public = signer.jwk()["x"].as_str().unwrap().to_owned();
    let header = Header {
        kid: Some("k1".to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    let secret = EncodingKey::from_secret(public.as_bytes());
    let confused = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    for bad in [
        forged,
        format!("{unsigned}."),
        unsigned.to_owned(),
        confused,
        none,
        "x".repeat(9_000),
    ] {
        assert_eq!(door.open(&bad).await, Err(AuthFailure::Invalid), "{bad}");
    }
}

#[tokio::test]
async fn roles_may_be_nested_or_one_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let signer = Signer::new("k1", 1);
    write_keys(&file, &[&signer]);
    let more = format!("jwks_file = {file:?}\nroles_claim = \"access.roles\"");
    let door = Door::new(Some(settings(&more))).await;
    let token = signer.sign(&with(
        claims(),
        "access",
        json!({ "roles": "operator  auditor" }),
    ));
    let roles = door.open(&token).await.unwrap().roles.clone();
    assert_eq!(roles, [Role::Operator, Role::Auditor].into_iter().collect());
}

#[tokio::test]
async fn a_token_whose_roles_cannot_be_kept_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let signer = Signer::new("k1", 1);
    write_keys(&file, &[&signer]);
    let door = Door::new(Some(settings(&format!("jwks_file = {file:?}")))).await;
    let many = |count: usize| (0..count).map(|n| format!("r{n}")).collect::<Vec<_>>();
    for (roles, is_taken) in [
        (json!(["Domain Admins", "Aufgabe.Schreiben", "rôle"]), true),
        (json!(many(ROLES_PER_TOKEN_MAX)), true),
        (json!(null), true),
        (json!(many(ROLES_PER_TOKEN_MAX + 1)), false),
        (json!([" padded"]), false),
        (json!([""]), false),
        (json!(["bell\u{7}"]), false),
        // What looks like another name: "admin" with an invisible letter, and a split accent.
        (json!(["ad\u{200b}min"]), false),
        (json!(["ro\u{302}le"]), false),
        (json!(["x".repeat(ROLE_NAME_BYTES_MAX + 1)]), false),
        (json!([7]), false),
        (json!({ "admin": true }), false),
    ] {
        let token = signer.sign(&with(claims(), "roles", roles.clone()));
        assert_eq!(door.open(&token).await.is_ok(), is_taken, "{roles}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    for text in [None, Some("nonsense"), Some("{}")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let jwt = Some(settings(&format!("jwks_file = {file:?}")));
        let config = Authentication {
            api_keys: true,
            jwt,
        };
        let clock = Arc::new(ManualClock::default());
        let error = Authenticator::new(&config, (Arc::default(), Arc::new(NoStore)), clock)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("jwks.json"), "{error}");
    }
}

/// Serves what is in the file as HTTP, and nothing (a closed connection) while there is no file.
async fn provider(file: std::path::PathBuf) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = socket.accept().await {
            if file.with_file_name("silence").exists() {
                silent.push(stream);
                continue;
            }
            let Ok(body) = std::fs::read_to_string(&file) else {
                continue;
            };
            let mut head = [0; 2_048];
            let _ = stream.read(&mut head).await;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn keys_by_url_are_read_again_when_one_is_unknown_and_kept_when_they_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let url = provider(file.clone()).await;
    let (old, new) = (Signer::new("k1", 1), Signer::new("k2", 2));
    // The provider is down at the start: that is no error, but nobody comes in.
    let door = Door::new(Some(settings(&format!("jwks_url = {url:?}")))).await;
    assert_eq!(
        door.open(&old.sign(&claims())).await,
        Err(AuthFailure::Invalid)
    );
    write_keys(&file, &[&old]);
    assert_eq!(
        door.open(&old.sign(&claims())).await,
        Err(AuthFailure::Invalid),
        "not asked again so soon"
    );
    door.clock.advance(10_000);
    assert!(door.open(&old.sign(&claims())).await.is_ok());

    std::fs::remove_file(&file).unwrap();
    door.clock.advance(10_000);
    assert_eq!(
        door.open(&new.sign(&claims())).await,
        Err(AuthFailure::Invalid)
    );
    assert!(
        door.open(&old.sign(&claims())).await.is_ok(),
        "old keys stay in force"
    );

    write_keys(&file, &[&new]);
    door.clock.advance(10_000);
    assert!(door.open(&new.sign(&claims())).await.is_ok());
    let token = old.sign(&claims());
    assert_eq!(
        door.open(&token).await,
        Err(AuthFailure::Invalid),
        "a withdrawn key opens nothing, remembered or not"
    );
}

#[tokio::test]
async fn unknown_key_ids_wait_in_bounded_number_and_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let known = Signer::new("k1", 1);
    let silence = folder.path().join("silence");
    write_keys(&file, &[&known]);
    let url = provider(file).await;
    let door = Door::new(Some(settings(&format!("jwks_url = {url:?}")))).await;
    let good = known.sign(&claims());
    assert!(door.open(&good).await.is_ok());
    // From now on the provider accepts connections and answers nothing.
    std::fs::write(&silence, "").unwrap();
    let most = leasehold_domain::limits::STRANGERS_WAITING_MAX;
    let token = Signer::new("unknown", 2).sign(&claims());
    door.clock.advance(10_000);
    let mut waiting: Vec<_> = (0..most).map(|_| Box::pin(door.open(&token))).collect();
    for stranger in &mut waiting {
        assert!(futures_util::poll!(stranger).is_pending());
    }
    assert!(
        door.open(&good).await.is_ok(),
        "known ones are served meanwhile"
    );
    let one_more = tokio::time::timeout(std::time::Duration::from_secs(1), door.open(&token));
    assert_eq!(one_more.await, Ok(Err(AuthFailure::Unsure)));
    // Those who wait are told in time that it is not known.
    let told = waiting.pop().unwrap().await;
    assert_eq!(told, Err(AuthFailure::Unsure));
}
