#![doc = include_str!("../README.md")]

mod backend;
mod backup;
mod cluster;
mod documents;
pub mod durable_file;
mod error;
mod history;
mod ledger;
mod level;
mod poison;
mod shared_level;
mod writes;

pub use backend::{Backend, Batch, Freshness, Health, ImportLimit};
pub use backup::{Backup, BlobSource, Picture};
pub use cluster::{Cluster, ClusterView, MemberView, Steering};
pub use documents::Documents;
pub use error::{BackendError, Effect, ErrorKind};
pub use history::{HistoryStart, NewHistory, StartedHistory, StoreHistory};
pub use ledger::{
    HeldUnder, Hold, Holders, Ledger, LedgerArchive, LedgerHead, LedgerPage, LedgerPeers,
    LedgerQuery, LedgerRow, TreeHead, TreeQuestion,
};
pub use level::{Levels, UnsupportedLevel};
pub use poison::{PanicGuard, Poison};
pub use shared_level::{found_level, level_edit};
pub use writes::Writes;
