//! The file: one frame for each write, in order, on disk before it is carried out.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::Millis;
use leasehold_domain::Note;
use leasehold_domain::WallMillis;
use serde::Deserialize;
use serde::Serialize;

/// One write: what was asked, and when. The machine makes the same of it each time, so neither
/// records nor events are stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) now: Millis,
    pub(crate) wall: WallMillis,
    pub(crate) what: What,
}

/// What a write does. New kinds go to the end: their place is their number in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    Batch {
        commands: Vec<Command>,
        atomicity: Atomicity,
        notes: Vec<Note>,
    },
    Edits(Vec<Edit>),
    Blob(Arc<[u8]>),
    Tick,
}

/// Length and checksum of a frame's body.
const HEADER_BYTES: usize = 4 + 8;

/// The file that is appended to. Its lock keeps a second process away.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the file, or makes it, and answers what is in it. A last frame that was cut off by a
    /// crash was never answered: it goes.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut options = File::options();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((body, after)) = next_frame(rest)? {
            let entry = postcard::from_bytes(body);
            entries.push(entry.map_err(|error| damaged(&error.to_string()))?);
            rest = after;
        }
        file.set_len((bytes.len() - rest.len()) as u64)?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            // The file's name must outlive a crash, too.
            File::open(folder)?.sync_all()?;
        }
        Ok((Self { file }, entries))
    }

    /// Adds a write. When this answers, it is on disk. After an error nobody knows whether it is:
    /// the journal must not be used any more.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let body = postcard::to_allocvec(entry).map_err(|error| damaged(&error.to_string()))?;
        let length = u32::try_from(body.len()).map_err(|_| damaged("a write is too long"))?;
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&checksum(&body));
        frame.extend_from_slice(&body);
        self.file.write_all(&frame)?;
        self.file.sync_data()
    }
}

/// The first frame's body, and what follows; none if nothing whole is there.
fn next_frame(bytes: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Ok(None);
    };
    let (length, sum) = header.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
    let Some((body, after)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    match checksum(body) == sum {
        true => Ok(Some((body, after))),
        false if after.is_empty() => Ok(None),
        // What follows was answered, so this is no torn end.
        false => Err(damaged("a frame has another checksum")),
    }
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&Digest::of(body).0[..8]);
    sum
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, ticks: u64) {
        let (mut journal, _) = Journal::open(path).expect("it opens");
        for now in 0..ticks {
            let entry = Entry {
                now: Millis(now),
                wall: WallMillis(0),
                what: What::Tick,
            };
            journal.append(&entry).expect("it is written");
        }
    }

    #[test]
    fn a_torn_end_goes_and_what_was_answered_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        write(&path, 3);
        let whole = std::fs::read(&path).expect("it can be read");
        let two = whole.len() / 3 * 2;
        for torn in two + 1..whole.len() {
            std::fs::write(&path, &whole[..torn]).expect("it can be written");
            let (_, entries) = Journal::open(&path).expect("it opens");
            assert_eq!(entries.len(), 2, "cut at {torn}");
            let left = std::fs::metadata(&path).expect("it is there").len();
            assert_eq!(left, two as u64);
        }
    }

    #[test]
    fn damage_before_the_end_is_no_torn_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        write(&path, 3);
        let mut bytes = std::fs::read(&path).expect("it can be read");
        bytes[HEADER_BYTES] ^= 1;
        std::fs::write(&path, bytes).expect("it can be written");
        let refused = Journal::open(&path).map(|(_, entries)| entries.len());
        let kind = refused.expect_err("it is damaged").kind();
        assert_eq!(kind, io::ErrorKind::InvalidData);
    }
}
