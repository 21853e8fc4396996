//! Exports in JSON Lines that stand alone: consecutive events of a log, and what leads from them to
//! a signed checkpoint.
//!
//! The first line is the [`ExportHeader`]. Then each event has a line: its canonical bytes. After
//! the events of each block of 256 places in the log, and after the last, a line has their leaf
//! hashes: by it an event that was changed is found in its block. The hash over all leaves and the
//! header's subtrees is the checkpoint's root, or the export is not of this log.

use std::io::BufRead;

use leasehold_domain::Digest;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::checkpoint::TrustedKeys;
use crate::checkpoint::Verified;
use crate::edge::Edge;
use crate::edge::subtrees;
use crate::node::leaf_hash;
use crate::proof::decode;
use crate::proof::encode;
use crate::tree::TILE_HASHES;

/// What [`ExportHeader::form`] says.
pub const EXPORT: &str = "leasehold-export/1";

/// A longer line is none of ours: an event has at most some MiB.
const LINE_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// [`EXPORT`].
    pub form: String,
    /// The signed checkpoint that the export leads to.
    pub checkpoint: String,
    /// The place of the first event in the log, from 0.
    pub first: u64,
    /// Its cursor.
    pub cursor: u64,
    /// How many events there are.
    pub events: u64,
    /// The hashes of the whole subtrees that all before the first event consists of.
    pub before: Vec<String>,
    /// The same of all after the last one.
    pub after: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaves {
    leaves: Vec<String>,
}

impl ExportHeader {
    /// The header of an export of `events` events from the place `first` on, whose first event has
    /// this cursor, with the hashes of the [`subtrees`] before and after them in the tree of a signed
    /// checkpoint.
    #[must_use]
    pub fn new(
        (first, cursor, events): (u64, u64, u64),
        (before, after): (&[Digest], &[Digest]),
        checkpoint: String,
    ) -> Self {
        Self {
            form: EXPORT.to_owned(),
            checkpoint,
            first,
            cursor,
            events,
            before: encode(before),
            after: encode(after),
        }
    }

    /// Returns the line, with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        line(self)
    }
}

/// Returns the line of the leaf hashes of a block, with its end.
#[must_use]
pub fn leaves_line(leaves: &[Digest]) -> String {
    line(&Leaves {
        leaves: encode(leaves),
    })
}

/// Returns whether a line with leaf hashes follows the event at this place.
#[must_use]
pub fn ends_block(index: u64) -> bool {
    (index + 1).is_multiple_of(TILE_HASHES as u64)
}

fn line(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

/// What an earlier checkpoint has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// There was none.
    Nothing,
    /// The log has grown from it.
    Grown,
    /// The export has not all events from there on, so it cannot tell.
    NotCovered,
}

/// What was found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// The checkpoint.
    pub verified: Verified,
    /// The cursors of the first and the last event; none of an export without events.
    pub cursors: Option<(u64, u64)>,
    /// Whether it is all that the log had at the checkpoint.
    pub is_whole: bool,
    /// What the earlier checkpoint has shown.
    pub compared: Compared,
}

/// An export is not what the log had.
#[derive(Debug, Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A line is none of an export.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// Its checkpoint cannot be trusted.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// An event is not the one that was recorded.
    #[error("line {line}, event {cursor}: {problem}")]
    Event {
        /// From 1.
        line: u64,
        /// Which event should be there.
        cursor: u64,
        /// What is wrong.
        problem: String,
    },
    /// The events and their hashes fit each other, and not the checkpoint.
    #[error(
        "the events do not lead to the root of the checkpoint: events and hashes were both changed, \
         or they are of another history"
    )]
    OtherRoot,
    /// The earlier checkpoint is of another log.
    #[error("the earlier checkpoint is of the log {earlier}, and this export of {export}")]
    OtherLog {
        /// The origin of the earlier one.
        earlier: String,
        /// The origin of the export's.
        export: String,
    },
    /// The log is shorter than it was.
    #[error(
        "the log was rolled back or cut short: it had {earlier} events at the earlier checkpoint, \
         and has {size} at this one"
    )]
    RolledBack {
        /// The size at the earlier checkpoint.
        earlier: u64,
        /// The size at this one.
        size: u64,
    },
    /// The log has another history than it had.
    #[error(
        "the log was rewritten: its first {size} events had another root at the earlier checkpoint"
    )]
    Rewritten {
        /// The size of the earlier checkpoint.
        size: u64,
    },
}

/// Verifies an export. The keys, and an earlier checkpoint if there is one, come from whoever asks,
/// never from the file.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_export(
    file: &mut dyn BufRead,
    keys: &TrustedKeys,
    earlier: Option<&Verified>,
) -> Result<ExportReport, ExportError> {
    let mut lines = Lines { file, number: 0 };
    let first = lines.next()?.unwrap_or_default();
    let header: ExportHeader = parse(&first, lines.number)?;
    let verified = keys.open(&header.checkpoint)?;
    let wrong = |problem| ExportError::Line { line: 1, problem };
    if header.form != EXPORT {
        return Err(wrong("an export of another form"));
    }
    let size = verified.checkpoint.size;
    let end = header.first.checked_add(header.events);
    let end = end
        .filter(|end| *end <= size)
        .ok_or(wrong("more events than the checkpoint has"))?;
    if let Some(earlier) = earlier {
        before_reading(earlier, &verified)?;
    }
    let mut walk = Walk {
        edge: Edge::default(),
        block: Vec::new(),
        earlier: earlier.map(|earlier| (earlier.checkpoint.size, earlier.checkpoint.root)),
        compared: match earlier {
            Some(_) => Compared::NotCovered,
            None => Compared::Nothing,
        },
    };
    walk.subtrees(0, header.first, &header.before)
        .ok_or(wrong("the hashes before the first event are not as many"))?;
    walk.compare()?;
    for at in 0..header.events {
        let cursor = header.cursor.saturating_add(at);
        let line = lines.next()?.unwrap_or_default();
        walk.event(&line, cursor, lines.number)?;
        if ends_block(header.first + at) || at + 1 == header.events {
            let leaves: Leaves = lines.next()?.map_or_else(
                || parse("", lines.number + 1),
                |line| parse(&line, lines.number),
            )?;
            walk.close_block(&leaves, cursor, lines.number)?;
        }
    }
    if lines.next()?.is_some() {
        let problem = "there are more events than its first line says";
        let line = lines.number;
        return Err(ExportError::Line { line, problem });
    }
    walk.subtrees(end, size, &header.after)
        .ok_or(wrong("the hashes after the last event are not as many"))?;
    walk.compare()?;
    if walk.edge.root() != verified.checkpoint.root {
        return Err(ExportError::OtherRoot);
    }
    let last = header.cursor.saturating_add(header.events);
    Ok(ExportReport {
        is_whole: header.events == size,
        cursors: (header.events > 0).then(|| (header.cursor, last - 1)),
        compared: walk.compared,
        verified,
    })
}

/// What the sizes alone tell of an earlier checkpoint.
pub(crate) fn before_reading(earlier: &Verified, now: &Verified) -> Result<(), ExportError> {
    let (earlier, now) = (&earlier.checkpoint, &now.checkpoint);
    if now.origin != earlier.origin {
        return Err(ExportError::OtherLog {
            earlier: earlier.origin.clone(),
            export: now.origin.clone(),
        });
    }
    if now.size < earlier.size {
        return Err(ExportError::RolledBack {
            earlier: earlier.size,
            size: now.size,
        });
    }
    Ok(())
}

/// A line as it would be written; any other way of writing it is refused.
fn parse<T: Serialize + for<'t> Deserialize<'t>>(
    text: &str,
    number: u64,
) -> Result<T, ExportError> {
    let wrong = |problem| ExportError::Line {
        line: number,
        problem,
    };
    let value: T = serde_json::from_str(text).map_err(|_| {
        wrong("it is not what an export has in this place, or the file ends too early")
    })?;
    match line(&value).strip_suffix('\n') == Some(text) {
        true => Ok(value),
        false => Err(wrong("it is written in another way than an export is")),
    }
}

struct Lines<'f> {
    file: &'f mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<String>, ExportError> {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut *self.file, LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = line.strip_suffix(b"\n").map(<[u8]>::to_vec);
        let text = text.and_then(|text| String::from_utf8(text).ok());
        text.map(Some).ok_or(ExportError::Line {
            line: self.number,
            problem: "it has no end, or is not UTF-8",
        })
    }
}

/// The tree so far.
struct Walk {
    edge: Edge,
    /// The leaves since the last line of leaf hashes.
    block: Vec<Digest>,
    /// Size and root of the earlier checkpoint.
    earlier: Option<(u64, Digest)>,
    compared: Compared,
}

impl Walk {
    /// Adds whole subtrees; nothing if there are not as many.
    fn subtrees(&mut self, from: u64, to: u64, hashes: &[String]) -> Option<()> {
        let hashes = decode(hashes)?;
        let mut hashes = hashes.into_iter();
        for (level, _) in subtrees(from, to) {
            self.edge.append(level, hashes.next()?).ok()?;
        }
        hashes.next().is_none().then_some(())
    }

    fn event(&mut self, text: &str, cursor: u64, line: u64) -> Result<(), ExportError> {
        #[derive(Deserialize)]
        struct Place {
            cursor: u64,
        }
        let wrong = |problem| ExportError::Event {
            line,
            cursor,
            problem,
        };
        match serde_json::from_str::<Place>(text) {
            Ok(place) if place.cursor == cursor => {}
            Ok(place) => {
                let problem = format!("event {} stands in its place", place.cursor);
                return Err(wrong(problem));
            }
            Err(_) => return Err(wrong("something else stands in its place".to_owned())),
        }
        let leaf = leaf_hash(text.as_bytes());
        self.block.push(leaf);
        self.edge.push(leaf, |_, _| {});
        self.compare()
    }

    fn close_block(&mut self, stored: &Leaves, last: u64, line: u64) -> Result<(), ExportError> {
        let wrong = |problem| ExportError::Line { line, problem };
        let stored = decode(&stored.leaves).ok_or(wrong("a hash is none"))?;
        if stored.len() != self.block.len() {
            return Err(wrong("there are not as many hashes as events"));
        }
        let mut both = self.block.iter().zip(&stored);
        if let Some(at) = both.position(|(computed, stored)| computed != stored) {
            let from_last = (stored.len() - at) as u64;
            return Err(ExportError::Event {
                line: line - from_last,
                cursor: last + 1 - from_last,
                problem: "it was changed: its bytes have another hash".to_owned(),
            });
        }
        self.block.clear();
        Ok(())
    }

    /// Compares with the earlier checkpoint, if the tree has its size now.
    fn compare(&mut self) -> Result<(), ExportError> {
        let now = self.earlier.filter(|(size, _)| *size == self.edge.size());
        match now {
            Some((size, root)) if root != self.edge.root() => Err(ExportError::Rewritten { size }),
            Some(_) => {
                self.compared = Compared::Grown;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
