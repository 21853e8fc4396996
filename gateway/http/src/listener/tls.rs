//! TLS by rustls, from PEM files.

use std::path::Path;
use std::sync::Arc;

use leasehold_core::config::Tls;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

use super::ListenError;

/// What takes handshakes with this certificate and key.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ListenError> {
    let certificates = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(&tls.cert, describe(&error)))?;
    if certificates.is_empty() {
        return Err(refuse(&tls.cert, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| refuse(&tls.key, describe(&error)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| {
            refuse(
                &tls.key,
                format!("does not go with {}: {error}", tls.cert.display()),
            )
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "holds no PEM section of the expected kind".to_owned(),
        // Others may quote the file's bytes.
        _ => "is not valid PEM".to_owned(),
    }
}

fn refuse(file: &Path, problem: impl Into<String>) -> ListenError {
    ListenError::Tls {
        file: file.display().to_string(),
        problem: problem.into(),
    }
}
