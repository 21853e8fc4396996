//! What the Raft log holds. The conversions are the Raft backend's.

#![expect(
    missing_docs,
    reason = "fields have the names of those that they are the forms of"
)]

use leasehold_domain as domain;

use crate::Formed;
use crate::Invalid;
use crate::command::Atomicity;
use crate::command::Command;
use crate::document::Edit;
use crate::document::EditOutcome;
use crate::event::Note;
use crate::form::form;
use crate::outcome::Outcome;

form! {
    /// A position in the log.
    pub struct LogId {
        0 term: u64,
        1 node: u64,
        2 index: u64,
    }
}

form! {
    /// A vote.
    pub struct Vote {
        0 term: u64,
        1 node: u64,
        2 committed: bool = default,
    }
}

form! {
    /// Who is in the group: joint configurations of voters, and all members.
    pub struct Membership<'a> {
        0 voters: Vec<Vec<u64>>,
        1 members: Vec<Member<'a>>,
    }
}

form! {
    /// A member of the group.
    pub struct Member<'a> {
        0 node: u64,
        1 address: &'a str = default,
    }
}

form! {
    /// Who is in the group, and the entry that says so.
    pub struct StoredMembership<'a> {
        0 log_id: Option<LogId>,
        1 membership: Membership<'a>,
    }
}

form! {
    /// An entry of the log.
    pub struct Entry<'a> {
        0 id: LogId,
        1 payload: Payload<'a>,
        2 level: Option<u16>,
    }
}

/// The level of an entry's bytes, also of an entry that this build cannot read.
#[must_use]
pub fn level_of(entry: &[u8]) -> Option<domain::FeatureLevel> {
    let mut decoder = minicbor::Decoder::new(entry);
    let fields = decoder.array().ok()??;
    decoder.skip().ok()?;
    decoder.skip().ok()?;
    let level = match fields {
        ..3 => None,
        _ => decoder.u16().map(Some).ok()?,
    };
    Formed::restore(level).ok()
}

form! {
    /// What an entry does.
    pub enum Payload<'a> {
        0 Blank,
        1 Normal { 0 proposal: Proposal<'a> },
        2 Membership { 0 membership: Membership<'a> },
    }
}

form! {
    /// All that one entry does to locks and documents, stamped by the leader.
    pub struct Proposal<'a> {
        0 now: u64,
        1 wall: u64,
        2 items: Vec<Item<'a>>,
    }
}

form! {
    /// One request of a proposal.
    pub enum Item<'a> {
        0 Batch {
            0 commands: Vec<Command<'a>> = default,
            1 atomicity: Atomicity,
            2 notes: Vec<Note<'a>> = default,
        },
        1 Edits { 0 edits: Vec<Edit<'a>> },
        2 RegisterBlob { 0 digest: [u8; 32] },
        3 Tick,
        4 SupportedLevel {
            0 node: u64,
            1 level: Option<u16>,
        },
        5 RaiseLevel {
            0 to: Option<u16>,
        },
    }
}

form! {
    /// What one item came to.
    pub enum Answer<'a> {
        0 Outcomes { 0 outcomes: Vec<Outcome<'a>> },
        1 Edited { 0 outcome: EditOutcome },
        2 BlobRegistered,
        3 Ticked,
        4 Level {
            0 level: Option<u16>,
            1 behind: Vec<u64> = default,
        },
    }
}

form! {
    /// A row of the ledger's position: up to where it has the events, and the chain there.
    pub struct LedgerPosition {
        0 cursor: u64,
        1 chain: [u8; 32],
    }
}

form! {
    /// A single number.
    pub struct Number {
        0 value: u64,
    }
}

form! {
    /// Whose folder it is.
    pub struct FolderOwner<'a> {
        0 name: &'a str,
    }
}

form! {
    /// A group's own random name.
    pub struct Group {
        0 id: [u8; 16],
    }
}

impl<'a> Formed<'a> for (domain::Cursor, domain::Digest) {
    type Form = LedgerPosition;

    fn form(&'a self) -> LedgerPosition {
        LedgerPosition {
            cursor: self.0.form(),
            chain: self.1.form(),
        }
    }

    fn restore(form: LedgerPosition) -> Result<Self, Invalid> {
        Ok((Formed::restore(form.cursor)?, Formed::restore(form.chain)?))
    }
}
