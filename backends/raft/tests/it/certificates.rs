//! An authority of a test's own, and certificates by it.

use std::path::Path;

use leasehold_backend_raft::PeerSecurity;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;

/// Writes an authority, and a node's certificate for loopback, into `folder`.
pub(super) fn write(folder: &Path) -> PeerSecurity {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let node = CertificateParams::new(names).expect("parameters");
    let node = node.signed_by(&key, &authority).expect("a certificate");
    let security = PeerSecurity::MutualTls {
        certificate: folder.join("node.crt"),
        key: folder.join("node.key"),
        authority: folder.join("authority.crt"),
    };
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).expect("a file");
    };
    write("node.crt", node.pem());
    write("node.key", key.serialize_pem());
    write("authority.crt", authority.pem());
    security
}
