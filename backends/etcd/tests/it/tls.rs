//! Encrypted, and as a user that may do no more than it must.

use std::path::Path;
use std::sync::Arc;

use leasehold_backend_api::Backend;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_backend_etcd::EtcdConfig;
use leasehold_backend_etcd::OpenError;
use leasehold_domain::SystemClock;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use secrecy::SecretString;
use tempfile::TempDir;

use crate::asking::acquire;
use crate::asking::ask;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::take;
use crate::server::Etcd;
use crate::server::config;

async fn open(config: EtcdConfig) -> Result<Arc<EtcdBackend>, OpenError> {
    EtcdBackend::open(config, Arc::new(SystemClock::new())).await
}

/// An authority, and the files of what it has signed.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    write(folder, "ca.crt", &authority.pem());
    for name in ["server", "client"] {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &authority).expect("a certificate");
        write(folder, &format!("{name}.crt"), &signed.pem());
        write(folder, &format!("{name}.key"), &key.serialize_pem());
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

/// A member that shows a certificate and asks for one, a user with a role for its prefix, and the
/// files of both.
async fn secure() -> (TempDir, Arc<Etcd>, EtcdConfig) {
    let files = tempfile::tempdir().expect("a folder");
    certificates(files.path());
    let file = |name: &str| files.path().join(name);
    let flag = |name: &str, of: &str| format!("--{name}={}", file(of).display());
    let flags = vec![
        flag("cert-file", "server.crt"),
        flag("key-file", "server.key"),
        flag("trusted-ca-file", "ca.crt"),
        "--client-cert-auth".to_owned(),
    ];
    let show = vec![
        flag("cacert", "ca.crt"),
        flag("cert", "client.crt"),
        flag("key", "client.key"),
    ];
    let cluster = Etcd::start_secure(flags, show).await;
    let config = EtcdConfig {
        user: Some("gate".to_owned()),
        password: Some(SecretString::from("secret".to_owned())),
        tls_ca: Some(file("ca.crt")),
        tls_cert: Some(file("client.crt")),
        tls_key: Some(file("client.key")),
        ..config(&cluster)
    };
    cluster.control(&["user", "add", "root:boss"]);
    cluster.control(&["user", "grant-role", "root", "root"]);
    cluster.control(&["role", "add", "gate"]);
    let mut grant = vec!["role", "grant-permission", "gate", "--prefix=true"];
    grant.extend(["readwrite", &config.prefix]);
    cluster.control(&grant);
    cluster.control(&["user", "add", "gate:secret"]);
    cluster.control(&["user", "grant-role", "gate", "gate"]);
    cluster.control(&["auth", "enable"]);
    (files, cluster, config)
}

/// It works, also when the user's token is taken away.
#[test]
fn a_plain_user_over_tls_is_enough() {
    leasehold_conformance::run(async {
        let (_files, cluster, config) = secure().await;
        let store = open(config).await.expect("it opens");
        take(&store, "ann", "one", 60_000).await;
        // A change of the user takes its tokens away.
        cluster.control(&["--user=root:boss", "role", "add", "more"]);
        cluster.control(&["--user=root:boss", "user", "grant-role", "gate", "more"]);
        for n in 0..3 {
            let take = command("ann", &format!("after-{n}"), acquire(60_000));
            granted(ask(&store, take).await);
        }
        assert!(store.health().await.ready);
    });
}

/// Who comes without certificate, password or right does not get in, and a member that the given
/// authority does not vouch for is not spoken to.
#[test]
fn strangers_are_refused_on_both_sides() {
    leasehold_conformance::run(async {
        let (_files, _cluster, config) = secure().await;
        let others = tempfile::tempdir().expect("a folder");
        certificates(others.path());
        let wrong = [
            EtcdConfig {
                password: Some(SecretString::from("guess".to_owned())),
                ..config.clone()
            },
            EtcdConfig {
                user: None,
                password: None,
                ..config.clone()
            },
            EtcdConfig {
                tls_cert: None,
                tls_key: None,
                ..config.clone()
            },
            EtcdConfig {
                prefix: "/elsewhere/".to_owned(),
                ..config.clone()
            },
            EtcdConfig {
                tls_ca: Some(others.path().join("ca.crt")),
                ..config
            },
        ];
        for config in wrong {
            let refused = open(config).await;
            assert!(
                matches!(refused, Err(OpenError::Unavailable(_))),
                "{refused:?}"
            );
        }
    });
}

/// What a configuration must not ask for.
#[test]
fn a_careless_configuration_is_refused() {
    leasehold_conformance::run(async {
        let at = |url: &str| EtcdConfig::new(vec![url.to_owned()]);
        let careless = [
            EtcdConfig::new(Vec::new()),
            at("http://etcd.example:2379"),
            at("https://localhost:2379"),
            at("http://user:secret@localhost:2379"),
            at("ftp://localhost:2379"),
            at("nonsense"),
            EtcdConfig {
                user: Some("gate".to_owned()),
                ..at("http://localhost:2379")
            },
            EtcdConfig {
                tls_cert: Some("client.crt".into()),
                ..at("http://localhost:2379")
            },
            EtcdConfig {
                prefix: "/leasehold".to_owned(),
                ..at("http://localhost:2379")
            },
        ];
        for config in careless {
            let refused = open(config.clone()).await;
            assert!(
                matches!(refused, Err(OpenError::Config(_))),
                "{config:?}: {refused:?}"
            );
        }
    });
}
