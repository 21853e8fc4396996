//! What a log entry holds, and openraft's type parameters.

use std::fmt;
use std::sync::Arc;

use leasehold_domain::Atomicity;
use leasehold_domain::Command;
use leasehold_domain::Digest;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_domain::Note;
use leasehold_domain::Outcome;
use leasehold_domain::WallMillis;
use leasehold_stored::formed;
use leasehold_stored::log as form;
use openraft::BasicNode;
use openraft::RaftTypeConfig;
use openraft::alias::LeaderIdOf;
use openraft::alias::OneshotReceiverOf;
use openraft::alias::PayloadOf;
use openraft::alias::VoteOf;
use openraft::alias::WriteResponderOf;
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;

openraft::declare_raft_types!(
    /// openraft's type parameters.
    pub(crate) TypeConfig:
        D = Payload,
        R = Vec<Answer>,
        NodeId = u64,
        Node = BasicNode,
);

/// The same type parameters on any runtime: the real one, or a simulated one.
pub(crate) trait Types:
    RaftTypeConfig<
        D = Payload,
        R = Vec<Answer>,
        NodeId = u64,
        Node = BasicNode,
        Term = u64,
        LeaderId = LeaderIdOf<TypeConfig>,
        Vote = VoteOf<TypeConfig>,
        Payload = PayloadOf<TypeConfig>,
        Entry = Entry,
    >
{
    /// Who is told what a proposal came to, and where that is heard.
    fn responder() -> (WriteResponderOf<Self>, Answering<Self>);
}

impl Types for TypeConfig {
    fn responder() -> (WriteResponderOf<Self>, Answering<Self>) {
        ProgressResponder::complete_only()
    }
}

/// Where it is heard what a proposal came to.
pub(crate) type Answering<C> = OneshotReceiverOf<C, ClientWriteResult<C>>;

/// A log entry as openraft has it.
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
/// A position in the log.
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// A term, and who leads in it.
pub(crate) type Term = openraft::alias::CommittedLeaderIdOf<TypeConfig>;
/// A vote.
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
/// The members of the group.
pub(crate) type Membership = openraft::alias::StoredMembershipOf<TypeConfig>;

/// What one entry does. Behind an `Arc`, because the log reader hands out clones.
#[derive(Debug, Clone)]
pub(crate) struct Payload(pub(crate) Arc<Proposal>);

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items at {}", self.0.items.len(), self.0.now.0)
    }
}

/// All that one entry does, stamped by the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// By whose rules it is applied.
    pub(crate) level: FeatureLevel,
    /// The leader's logical time. No replica reads a clock.
    pub(crate) now: Millis,
    /// Wall-clock time, for people.
    pub(crate) wall: WallMillis,
    /// What to do, in order.
    pub(crate) items: Vec<Item>,
}

/// One request of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A batch of commands and notes.
    Batch {
        /// The commands.
        commands: Vec<Command>,
        /// Whether one failure stops them all.
        atomicity: Atomicity,
        /// What to record besides.
        notes: Vec<Note>,
    },
    /// Changes of governance documents: all or none.
    Edits(Vec<Edit>),
    /// Records that there is a blob. Its bytes are durable on a majority of the voters by then, and in no
    /// entry.
    RegisterBlob {
        /// Its digest.
        digest: Digest,
    },
    /// Expire and grant what is due.
    Tick,
    /// A member reports the highest feature level that its build supports.
    SupportedLevel {
        /// Which member.
        node: u64,
        /// The level.
        level: FeatureLevel,
    },
    /// Raises the feature level of the group, if all members support it.
    RaiseLevel {
        /// The level.
        to: FeatureLevel,
    },
}

impl Item {
    /// How many commands it counts for.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Batch {
                commands, notes, ..
            } => commands.len() + notes.len(),
            Self::Edits(edits) => edits.len(),
            Self::RegisterBlob { .. }
            | Self::Tick
            | Self::SupportedLevel { .. }
            | Self::RaiseLevel { .. } => 1,
        }
    }
}

/// What one item came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Of a batch.
    Outcomes(Vec<Outcome>),
    /// Of edits.
    Edited(EditOutcome),
    /// Of the registration of a blob.
    BlobRegistered,
    /// Of a tick.
    Ticked,
    /// Of what concerns the level.
    Level {
        /// The group's level now.
        level: FeatureLevel,
        /// Members that do not support the requested level.
        behind: Vec<u64>,
    },
}

formed!(enum Item => form::Item<'a> {
    Batch { commands, atomicity, notes }, Edits(edits), RegisterBlob { digest }, Tick,
    SupportedLevel { node, level }, RaiseLevel { to },
});
formed!(enum Answer => form::Answer<'a> {
    Outcomes(outcomes), Edited(outcome), BlobRegistered, Ticked, Level { level, behind },
});
