#![doc = include_str!("../README.md")]

mod backend;
mod backup;
mod cluster;
mod documents;
pub mod durable_file;
mod error;
mod history;
mod ledger;
mod poison;
mod writes;

pub use backend::{Backend, Batch, Freshness, Health, ImportLimit};
pub use backup::{Backup, BlobSource, Picture};
pub use cluster::{Cluster, ClusterView, MemberView, Steering};
pub use documents::Documents;
pub use error::{BackendError, Effect, ErrorKind};
pub use history::{HistoryStart, NewHistory, StartedHistory, StoreHistory};
pub use ledger::{
    HeldUnder, Hold, Holders, Ledger, LedgerArchive, LedgerHead, LedgerPage, LedgerPeers,
    LedgerQuery, LedgerRow,
};
pub use poison::{PanicGuard, Poison};
pub use writes::Writes;
