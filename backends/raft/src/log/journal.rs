//! Tells a torn tail from a corrupt middle, before fjall opens its journals.
//!
//! fjall cuts a journal at the first thing that it cannot read, and refuses to open it if only a
//! checksum is wrong. Neither is right for a log that has answered: a damaged batch in front of
//! others must never be cut off with them, and a batch that a power cut has left half written
//! must not keep the node from starting. Which of the two it is can be told: each batch is synced
//! before the next is written, so only the very last one can be torn.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use xxhash_rust::xxh3::Xxh3;

use crate::OpenError;

const TRAILER: [u8; 4] = *b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// More than one commit is ever large. What is longer is no torn batch, and is not touched.
const TORN_BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// Cuts off the batch that was being written when the machine stopped, if there is one.
///
/// # Errors
/// [`OpenError::Corrupt`] if anything else is damaged; then nothing is changed.
pub(super) fn mend(folder: &Path) -> Result<(), OpenError> {
    let journals = journals(folder)?;
    let Some((newest, sealed)) = journals.split_last() else {
        return Ok(());
    };
    for journal in sealed {
        if let Some(damage) = Damage::find(&std::fs::read(journal)?) {
            return Err(damage.into_error(journal));
        }
    }
    let bytes = std::fs::read(newest)?;
    let Some(damage) = Damage::find(&bytes) else {
        return Ok(());
    };
    if damage.others_follow || damage.bytes > TORN_BYTES_MAX {
        return Err(damage.into_error(newest));
    }
    tracing::warn!(bytes = damage.bytes, "log.tail was torn; cut off");
    let file = File::options().write(true).open(newest)?;
    file.set_len(damage.at as u64)?;
    Ok(file.sync_all()?)
}

/// The journals in the order in which they were written.
pub(super) fn journals(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut found = Vec::new();
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            let number: u64 = number.ok_or_else(|| {
                OpenError::Corrupt(format!("log: {} is no journal's name", path.display()))
            })?;
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The first thing in a journal that is no batch.
#[derive(Debug, PartialEq, Eq)]
struct Damage {
    /// Where it begins.
    at: usize,
    /// How long it may be: to the last byte that is not zero.
    bytes: usize,
    /// The last log entry before it.
    after: Option<u64>,
    /// Whether a whole batch stands behind it.
    others_follow: bool,
}

impl Damage {
    fn find(journal: &[u8]) -> Option<Self> {
        let (mut at, mut after) = (0, None);
        while let Some(batch) = Batch::read(&journal[at..]) {
            at += batch.bytes;
            after = batch.last_entry.or(after);
        }
        // A journal is allocated in advance: zeros behind the last batch are not written yet.
        let written = written(journal);
        if written <= at {
            return None;
        }
        let mut behind = (at + 1..written).filter(|from| journal[*from] == START);
        Some(Self {
            at,
            bytes: written - at,
            after,
            others_follow: behind.any(|from| Batch::read(&journal[from..]).is_some()),
        })
    }

    fn into_error(self, journal: &Path) -> OpenError {
        let after = match self.after {
            Some(index) => format!("entry {index}"),
            None => "its beginning".to_owned(),
        };
        OpenError::Corrupt(format!(
            "log: {} is damaged at byte {}, after {after}, and not only at its end",
            journal.display(),
            self.at
        ))
    }
}

/// How many bytes there are without the zeros at the end.
fn written(journal: &[u8]) -> usize {
    /// Compared at once, because most of a journal is zeros.
    const PAGE: usize = 4_096;
    let mut end = journal.len();
    while end > PAGE && journal[end - PAGE..end] == [0; PAGE] {
        end -= PAGE;
    }
    let last = journal[..end].iter().rposition(|byte| *byte != 0);
    last.map_or(0, |last| last + 1)
}

/// One batch that is whole.
pub(super) struct Batch {
    pub(super) bytes: usize,
    /// The last key of eight bytes that was set: a log index.
    pub(super) last_entry: Option<u64>,
}

impl Batch {
    /// Reads the batch that `bytes` begin with, if it is whole and its checksum fits.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take::<1>(&mut rest)? != [START] {
            return None;
        }
        let items = u32::from_le_bytes(take(&mut rest)?);
        take::<8>(&mut rest)?;
        let (mut checksum, mut last_entry) = (Xxh3::new(), None);
        for _ in 0..items {
            let begin = rest;
            last_entry = read_item(&mut rest)?.or(last_entry);
            checksum.update(&begin[..begin.len() - rest.len()]);
        }
        if take::<1>(&mut rest)? != [END] {
            return None;
        }
        let whole =
            take(&mut rest)? == checksum.digest().to_le_bytes() && take(&mut rest)? == TRAILER;
        whole.then_some(Self {
            bytes: bytes.len() - rest.len(),
            last_entry,
        })
    }
}

/// Passes over one item, and answers its key if that is a log index.
fn read_item(rest: &mut &[u8]) -> Option<Option<u64>> {
    match take::<1>(rest)? {
        [ITEM] => {}
        [CLEAR] => {
            take::<8>(rest)?;
            return Some(None);
        }
        _ => return None,
    }
    let [value_type, compression] = take(rest)?;
    take::<8>(rest)?;
    let key_bytes = usize::from(u16::from_le_bytes(take(rest)?));
    take::<4>(rest)?;
    let value_bytes = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let (key, after_key) = rest.split_at_checked(key_bytes)?;
    let (_, after_value) = after_key.split_at_checked(value_bytes)?;
    *rest = after_value;
    // Our build of fjall never compresses.
    if compression != 0 {
        return None;
    }
    let index = <[u8; 8]>::try_from(key).ok().map(u64::from_be_bytes);
    Some(index.filter(|_| value_type == 0))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}
