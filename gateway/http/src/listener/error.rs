//! Why a listener cannot be opened.

use std::net::SocketAddr;

/// Why a listener cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {problem}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        problem: String,
    },
    /// Certificate or key cannot be used.
    #[error("{file}: {problem}")]
    Tls {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}
