//! Whom a node talks to: mutual TLS by rustls, or, asked for by name, nothing on loopback.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;

use crate::OpenError;

/// How peers know each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerSecurity {
    /// Both sides show a certificate of the group's own authority. PEM files.
    MutualTls {
        /// The certificate chain, the node's own first; it names the node's peer address.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
        /// The authority's certificates. Whoever has one of theirs is a peer.
        authority: PathBuf,
    },
    /// Nothing is encrypted and everybody is believed: between processes of one machine only.
    PlaintextOnLoopback,
}

/// The same, ready for use.
#[derive(Clone)]
pub(crate) enum Security {
    Tls {
        connector: TlsConnector,
        acceptor: TlsAcceptor,
    },
    Plaintext,
}

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Security {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or does not fit.
    pub(crate) fn load(asked: &PeerSecurity) -> Result<Self, OpenError> {
        let PeerSecurity::MutualTls {
            certificate,
            key,
            authority,
        } = asked
        else {
            return Ok(Self::Plaintext);
        };
        let chain = certificates(certificate)?;
        let private = || PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error));
        let mut roots = RootCertStore::empty();
        for root in certificates(authority)? {
            let added = roots.add(root);
            added.map_err(|error| refuse(authority, error.to_string()))?;
        }
        let (roots, provider) = (
            Arc::new(roots),
            Arc::new(rustls::crypto::ring::default_provider()),
        );
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| refuse(authority, error.to_string()))?;
        let unfit = |error: rustls::Error| refuse(certificate, error.to_string());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unfit)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), private()?)
            .map_err(unfit)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unfit)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private()?)
            .map_err(unfit)?;
        Ok(Self::Tls {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }

    /// Whether it may be used at this address.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), OpenError> {
        match self {
            Self::Tls { .. } => Ok(()),
            Self::Plaintext if address.ip().is_loopback() => Ok(()),
            Self::Plaintext => Err(OpenError::Peers(format!(
                "{address} is beyond loopback: peers need mutual TLS there"
            ))),
        }
    }

    /// Greets the peer that was dialled at `address` (`host:port`).
    pub(super) async fn connect(
        &self,
        tcp: TcpStream,
        address: &str,
    ) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tls { connector, .. } => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                Ok(Box::new(connector.connect(name, tcp).await?))
            }
            Self::Plaintext => Ok(Box::new(tcp)),
        }
    }

    /// Greets a peer that has dialled.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tls { acceptor, .. } => Ok(Box::new(acceptor.accept(tcp).await?)),
            Self::Plaintext => Ok(Box::new(tcp)),
        }
    }
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tls { .. } => "Tls",
            Self::Plaintext => "Plaintext",
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(file, &error))?;
    match found.is_empty() {
        true => Err(refuse(file, "holds no certificate".to_owned())),
        false => Ok(found),
    }
}

fn bad(file: &Path, error: &pem::Error) -> OpenError {
    refuse(
        file,
        match error {
            pem::Error::Io(error) => error.to_string(),
            pem::Error::NoItemsFound => "holds no PEM section of the expected kind".to_owned(),
            // Others may quote the file's bytes.
            _ => "is not valid PEM".to_owned(),
        },
    )
}

fn refuse(file: &Path, problem: String) -> OpenError {
    OpenError::Peers(format!("{}: {problem}", file.display()))
}
