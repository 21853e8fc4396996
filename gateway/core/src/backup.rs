//! Backups: a store and its ledger in one file, and a data folder made anew from it.
//!
//! The file names no store's way of keeping things. It is a sequence of frames, each a kind (one
//! byte), a length (four, little end first) and so many bytes, after sixteen bytes that say what
//! the file is:
//!
//! | kind | how often | holds |
//! |---|---|---|
//! | `H` | once, first | JSON: format, time, position, sizes, the ledger's hash chain |
//! | `S` | as needed | the lock machine's state, in pieces |
//! | `B` | once for each blob | its bytes: a module, or the configuration of a policy |
//! | `R` | once for each event | one row of the ledger: its canonical bytes |
//! | `E` | once, last | JSON: how many frames there were, SHA-256 of all bytes before |
//!
//! A file that does not end with a fitting `E` is no backup; it is read to its end before anything
//! is made of it. It holds the secrets of leases and the digests of keys: keep it as such.

mod error;
mod file;
mod frame;
mod restore;
mod take;

pub use self::error::BackupFileError;
pub use self::file::Contents;
pub use self::restore::restore;
pub use self::take::Backups;
pub use self::take::Taking;
