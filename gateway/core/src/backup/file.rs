//! A backup's file, checked as a whole.

use std::fs::File;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

use leasehold_domain::Digest;

use super::BackupFileError;
use super::frame::FORMAT;
use super::frame::Frame;
use super::frame::FrameReader;
use super::frame::Head;

/// What a whole file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its head.
    pub head: Head,
    /// Its digest, in hex.
    pub sha256: String,
}

/// Reads a backup part by part.
pub(super) struct BackupReader<R> {
    frames: FrameReader<BufReader<R>>,
    pub(super) head: Head,
}

impl BackupReader<File> {
    /// Opens a file, which is read from its beginning each time.
    pub(super) fn open(path: &Path) -> Result<Self, BackupFileError> {
        // Looked at before it is opened: opening a pipe waits for a writer.
        match std::fs::metadata(path)?.is_file() {
            true => Self::new(File::open(path)?),
            false => Err(BackupFileError::NotRegular),
        }
    }
}

impl<R: Read> BackupReader<R> {
    fn new(from: R) -> Result<Self, BackupFileError> {
        let mut frames = FrameReader::new(BufReader::new(from))?;
        match frames.next()? {
            Frame::Head(head) if head.format == FORMAT => Ok(Self { frames, head }),
            Frame::Head(head) => Err(BackupFileError::Format(head.format)),
            _ => Err(BackupFileError::Damaged("it has no head".to_owned())),
        }
    }

    pub(super) fn next(&mut self) -> Result<Frame, BackupFileError> {
        self.frames.next()
    }
}

impl Contents {
    /// Reads the file to its end.
    ///
    /// # Errors
    /// It is no backup, or not whole: sizes, digest, and the hash chain of its events must fit.
    pub fn check(path: &Path) -> Result<Self, BackupFileError> {
        Self::of(BackupReader::open(path)?)
    }

    /// The same, of what is not a file.
    ///
    /// # Errors
    /// As for [`Self::check`].
    pub fn read(from: impl Read) -> Result<Self, BackupFileError> {
        Self::of(BackupReader::new(from)?)
    }

    fn of<R: Read>(mut reader: BackupReader<R>) -> Result<Self, BackupFileError> {
        let (mut state_bytes, mut events) = (0, 0);
        let mut chain = Digest([0; 32]);
        loop {
            match reader.next()? {
                Frame::State(piece) => state_bytes += piece.len() as u64,
                // The file's digest covers it.
                Frame::Blob(_) => {}
                Frame::Row(body) => {
                    events += 1;
                    chain = leasehold_audit::after(&chain, body.as_bytes());
                }
                Frame::Head(_) => {
                    return Err(BackupFileError::Damaged("it has two heads".to_owned()));
                }
                Frame::End(sha256) => {
                    let head = reader.head.clone();
                    if !reader.frames.is_at_end()? {
                        let detail = "something follows its end".to_owned();
                        return Err(BackupFileError::Damaged(detail));
                    }
                    if state_bytes != head.state_bytes || events != head.newest {
                        let detail = format!("{state_bytes} bytes of state, {events} events");
                        return Err(BackupFileError::Damaged(detail));
                    }
                    if chain.to_string() != head.chain {
                        let detail = "the hash chain of its events is another".to_owned();
                        return Err(BackupFileError::Damaged(detail));
                    }
                    return Ok(Self { head, sha256 });
                }
            }
        }
    }
}
