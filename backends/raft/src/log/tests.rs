//! openraft's own suite on the store, and what a damaged journal does.

use std::fs::File;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use leasehold_backend_api::Levels;
use openraft::RaftLogReader;
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use openraft::storage::RaftLogStorageExt;
use openraft::testing::log::StoreBuilder;
use openraft::testing::log::Suite;
use tempfile::TempDir;

use super::disk::Change;
use super::journal;
use super::keeping::Owner;
use super::keeping::Unowned;
use super::store::LogStore;
use crate::OpenError;
use crate::RaftConfig;
use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::Term;
use crate::entry::TypeConfig;
use crate::folder::FolderLock;
use crate::identity::FOUNDER;
use crate::machine::Machine;
use crate::open::Stored;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let config = RaftConfig::new(folder.path().to_owned());
        let stored = tokio::task::spawn_blocking(move || Stored::read(&config));
        let stored = stored.await.unwrap().unwrap();
        let machine = Machine {
            applied: stored.applied,
            snapshots: std::sync::Arc::new(stored.file),
            levels: Levels::of_build(),
        };
        Ok((folder, stored.log, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_accepts_the_store() {
    Suite::test_all(Builder).await.unwrap();
}

/// A log that holds `batches` batches of two values each.
fn log_of(batches: u8) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..batches {
        let put = |index| Change::Put {
            index,
            bytes: vec![n; 5_000],
        };
        let index = u64::from(n) * 2;
        store.put(vec![put(index), put(index + 1)]);
    }
    folder
}

fn open(folder: &Path) -> Result<LogStore, OpenError> {
    let (lock, _) = FolderLock::take(folder)?;
    let owner = Owner {
        cluster_id: "test".to_owned(),
        levels: Levels::of_build(),
        unowned: Unowned::Founds,
    };
    LogStore::open(&folder.join("log"), &owner, lock)
}

fn journal_of(folder: &TempDir) -> PathBuf {
    let mut journals = journal::journals(&folder.path().join("log")).unwrap();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

/// Where the batches of a journal begin, and where the last one ends.
fn batches(journal: &Path) -> Vec<usize> {
    let bytes = std::fs::read(journal).unwrap();
    let mut begins = vec![0];
    while let Some(batch) = journal::Batch::read(&bytes[begins[begins.len() - 1]..]) {
        begins.push(begins[begins.len() - 1] + batch.bytes);
    }
    begins
}

fn overwrite(journal: &Path, at: usize, bytes: &[u8]) {
    let mut file = File::options().write(true).open(journal).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Guards the format: a fjall that writes its journal otherwise must not be taken for damage.
#[test]
fn we_read_what_fjall_writes() {
    let folder = log_of(3);
    let begins = batches(&journal_of(&folder));
    // The claim, and three batches of two values.
    assert_eq!(begins.len(), 5);
    let bytes = std::fs::read(journal_of(&folder)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(begins[4], end, "nothing is left over");
    let last = journal::Batch::read(&bytes[begins[3]..]).unwrap();
    assert_eq!(last.last_entry, Some(5));
}

/// However much of the last batch reached the disk, and in whatever order, the node starts with
/// the batches before it.
#[test]
fn a_torn_tail_is_cut_off() {
    /// Where zeros stand instead of the last batch, and how many, by where it begins and ends.
    type Tear = fn(usize, usize) -> (usize, usize);
    let tears: [Tear; 5] = [
        |_, end| (end - 1, 1),
        |begin, end| (begin + 1, end - begin - 1),
        // Later pages reached the disk and earlier ones did not.
        |begin, _| (begin, 4_096),
        |begin, _| (begin, 1),
        |begin, _| (begin + 4_096, 4_096),
    ];
    for tear in tears {
        let folder = log_of(3);
        let journal = journal_of(&folder);
        let begins = batches(&journal);
        let (at, length) = tear(begins[3], begins[4]);
        overwrite(&journal, at, &vec![0; length]);
        let store = open(folder.path());
        // The values are no log entries, so the scan stops at the first.
        let Err(OpenError::Corrupt(detail)) = store else {
            panic!("{store:?}");
        };
        assert!(detail.contains("entry 0"), "{detail}");
        assert_eq!(batches(&journal), begins[..4], "{at} {length}");
    }
}

/// A byte that changed in front of other batches is damage, wherever it is.
#[test]
fn a_damaged_middle_is_refused_and_left_as_it_is() {
    let folder = log_of(3);
    let journal = journal_of(&folder);
    let begins = batches(&journal);
    let whole = std::fs::read(&journal).unwrap();
    for at in (begins[2]..begins[3])
        .step_by(311)
        .chain([begins[2], begins[3] - 1])
    {
        overwrite(&journal, at, &[whole[at] ^ 0x55]);
        let damaged = std::fs::read(&journal).unwrap();
        let Err(OpenError::Corrupt(detail)) = journal::mend(journal.parent().unwrap()) else {
            panic!("byte {at} was not noticed");
        };
        assert!(detail.contains("after entry 1,"), "{detail}");
        assert_eq!(std::fs::read(&journal).unwrap(), damaged);
        overwrite(&journal, at, &whole[at..=at]);
    }
    journal::mend(journal.parent().unwrap()).unwrap();
    assert_eq!(std::fs::read(&journal).unwrap(), whole);
}

fn id(index: u64) -> LogId {
    let term = Term {
        term: 1,
        node_id: FOUNDER,
    };
    LogId::new(term, index)
}

/// Purging thousands of entries in one commit stalled the only writer for 55 to 60 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_entries_are_hidden_at_once_and_removed_over_later_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let opened = move || {
        let path = path.clone();
        tokio::task::spawn_blocking(move || open(&path).unwrap())
    };
    let mut store = opened().await.unwrap();
    let entries = (0..1_000).map(|index| Entry::new_blank(id(index)));
    store.blocking_append(entries).await.unwrap();
    store.purge(id(899)).await.unwrap();
    let first_kept = |entries: Vec<Entry>| entries[0].log_id.index;
    let mut reader = store.get_log_reader().await;
    assert_eq!(
        first_kept(reader.try_get_log_entries(..).await.unwrap()),
        900
    );
    let left = store.stored();
    assert!(left > 500, "one commit removed {} entries", 1_000 - left);
    drop((store, reader));

    // The next process goes on removing them, also when nothing else is purged.
    let mut store = opened().await.unwrap();
    for index in 1_000..1_004 {
        let entry = Entry::new_blank(id(index));
        store.blocking_append([entry]).await.unwrap();
    }
    assert_eq!(store.stored(), 104);
    let mut reader = store.get_log_reader().await;
    assert_eq!(
        first_kept(reader.try_get_log_entries(..).await.unwrap()),
        900
    );
}
