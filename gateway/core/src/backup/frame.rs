//! Frames: how a backup's parts follow each other.

use std::io;
use std::io::Read;

use leasehold_domain::limits::BLOB_BYTES_MAX;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use super::BackupFileError;

/// What a backup begins with.
const MAGIC: [u8; 16] = *b"leasehold-backup";
/// The format that this build writes and reads. In format 1, of builds before the first release, the
/// state held the blobs.
pub(super) const FORMAT: u32 = 2;
/// Bytes of one frame at most: a blob, or a row of the ledger.
const FRAME_BYTES_MAX: u32 = 16 * 1_024 * 1_024;
const _: () = assert!(FRAME_BYTES_MAX as usize >= BLOB_BYTES_MAX);
/// Bytes of one piece of the state.
pub(super) const PIECE_BYTES: usize = 1_024 * 1_024;

/// The first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of the file.
    pub(crate) format: u32,
    /// When it was taken, in milliseconds since 1970; for people, and to keep tokens growing.
    pub(crate) taken_unix_ms: u64,
    /// The last event that is in it; the first is 1.
    pub newest: u64,
    /// The store's revision.
    pub(crate) revision: u64,
    /// How long the state is.
    pub(crate) state_bytes: u64,
    /// The ledger's hash chain after its last event, in hex.
    pub(crate) chain: String,
}

/// The last frame.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    frames: u64,
    sha256: String,
}

/// One part of a backup.
#[derive(Debug)]
pub(super) enum Frame {
    Head(Head),
    State(Vec<u8>),
    Blob(Vec<u8>),
    Row(String),
    /// The digest of the whole, in hex.
    End(String),
}

const HEAD: u8 = b'H';
const STATE: u8 = b'S';
const BLOB: u8 = b'B';
const ROW: u8 = b'R';
const END: u8 = b'E';

/// Makes frames, in their order.
#[derive(Debug, Default)]
pub(super) struct FrameWriter {
    hash: Sha256,
    frames: u64,
}

impl FrameWriter {
    pub(super) fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        self.hash.update(MAGIC);
        bytes.extend(self.frame(HEAD, &serde_json::to_vec(head)?)?);
        Ok(bytes)
    }

    pub(super) fn state(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.frame(STATE, piece)
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.frame(BLOB, bytes)
    }

    pub(super) fn row(&mut self, body: &str) -> io::Result<Vec<u8>> {
        self.frame(ROW, body.as_bytes())
    }

    /// The last frame.
    pub(super) fn end(&mut self) -> io::Result<Vec<u8>> {
        let end = End {
            frames: self.frames,
            sha256: hex::encode(self.hash.clone().finalize()),
        };
        self.frame(END, &serde_json::to_vec(&end)?)
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(body.len()).ok();
        let length = length.filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a part is too large for a frame"))?;
        let mut bytes = Vec::with_capacity(5 + body.len());
        bytes.push(kind);
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        self.hash.update(&bytes);
        self.frames += 1;
        Ok(bytes)
    }
}

/// Reads frames, and checks that they are whole.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    from: R,
    hash: Sha256,
    frames: u64,
}

impl<R: Read> FrameReader<R> {
    /// Begins to read.
    pub(super) fn new(mut from: R) -> Result<Self, BackupFileError> {
        let mut magic = [0; MAGIC.len()];
        match from.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            Ok(()) => return Err(BackupFileError::Foreign),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(BackupFileError::Foreign);
            }
            Err(error) => return Err(error.into()),
        }
        let mut hash = Sha256::new();
        hash.update(magic);
        Ok(Self {
            from,
            hash,
            frames: 0,
        })
    }

    /// The next frame. After [`Frame::End`] there is none, and nothing else either.
    pub(super) fn next(&mut self) -> Result<Frame, BackupFileError> {
        let before = self.hash.clone();
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(self.damaged("is too long"));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.fill(&mut body)?;
        let frame = match kind {
            HEAD => Frame::Head(self.json(&body)?),
            STATE => Frame::State(body),
            BLOB => Frame::Blob(body),
            ROW => Frame::Row(String::from_utf8(body).map_err(|_| self.damaged("is no text"))?),
            END => self.end(&self.json(&body)?, &hex::encode(before.finalize()))?,
            _ => return Err(self.damaged("is of no known kind")),
        };
        self.frames += 1;
        Ok(frame)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupFileError> {
        match self.from.read_exact(bytes) {
            Ok(()) => {
                self.hash.update(&*bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(BackupFileError::CutOff(self.frames))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, body: &[u8]) -> Result<T, BackupFileError> {
        serde_json::from_slice(body).map_err(|error| self.damaged(&error.to_string()))
    }

    fn end(&self, end: &End, sha256: &str) -> Result<Frame, BackupFileError> {
        if end.frames != self.frames || end.sha256 != sha256 {
            return Err(self.damaged("its digest is not that of the bytes before it"));
        }
        Ok(Frame::End(end.sha256.clone()))
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> Result<bool, BackupFileError> {
        Ok(self.from.read(&mut [0])? == 0)
    }

    fn damaged(&self, what: &str) -> BackupFileError {
        BackupFileError::Damaged(format!("frame {}: {what}", self.frames))
    }
}
