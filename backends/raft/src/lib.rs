#![doc = include_str!("../README.md")]

mod archive;
mod backend;
mod backup;
mod batcher;
mod blobs;
mod clock;
mod config;
mod documents;
mod entry;
mod error;
mod folder;
mod form;
mod group;
mod identity;
mod ledger_peers;
mod level;
mod log;
mod machine;
mod network;
mod open;
mod outbox;
mod peer;
mod peer_server;
mod reads;
mod record;
mod restore;
mod seat;
#[cfg(test)]
mod simulation;
mod snapshot;
mod tasks;
mod trim;

pub use backend::RaftBackend;
pub use backup::StoppedBlobs;
pub use backup::StoppedStore;
pub use blobs::BlobFiles;
pub use blobs::BlobWriteError;
pub use config::PeersConfig;
pub use config::RaftConfig;
pub use error::OpenError;
pub use leasehold_machine::PlantedBug;
pub use peer::PeerSecurity;
pub use restore::Restore;
pub use restore::Restored;
pub use restore::create;
pub use restore::entries_ahead;
