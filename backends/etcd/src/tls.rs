//! TLS by rustls: the members' certificates are always checked.

use std::path::Path;

use tonic::transport::Certificate;
use tonic::transport::ClientTlsConfig;
use tonic::transport::Identity;

use crate::EtcdConfig;
use crate::OpenError;

/// What the configuration says of encryption; none if there is to be none.
pub(crate) fn of(config: &EtcdConfig) -> Result<Option<ClientTlsConfig>, OpenError> {
    let identity = match (&config.tls_cert, &config.tls_key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(Identity::from_pem(read(cert)?, read(key)?)),
        _ => {
            let problem = "tls_cert and tls_key belong together";
            return Err(OpenError::Config(problem.to_owned()));
        }
    };
    let Some(authorities) = &config.tls_ca else {
        return match identity {
            None => Ok(None),
            Some(_) => Err(OpenError::Config("tls_cert needs tls_ca".to_owned())),
        };
    };
    // Trusts these authorities, and nobody else.
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(authorities)?));
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    let read = std::fs::read(path);
    read.map_err(|error| OpenError::Config(format!("{}: {error}", path.display())))
}
