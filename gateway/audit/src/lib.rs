#![doc = include_str!("../README.md")]

mod archivist;
pub mod canonical;
pub mod carrier;
mod chain;
mod chunk;
pub mod continuity;
mod dimension;
mod error;
mod ledger;
mod segment;

pub use archivist::{ArchiveError, ArchivistOptions, archive};
pub use carrier::{CarrierOptions, CarrierStatus, CarryError, Elsewhere, carry, fill};
pub use chain::after;
pub use error::OpenError;
pub use ledger::{LedgerOptions, SqliteLedger};
