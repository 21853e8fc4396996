//! What this crate stores and sends, and its forms: also of openraft's types, which have no
//! conversions of their own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::FeatureLevel;
use leasehold_stored::Form;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::log;
use openraft::BasicNode;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;

use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::Payload;
use crate::entry::Proposal;
use crate::entry::Term;
use crate::entry::Vote;
use crate::identity::GroupId;

/// What is stored or sent as a whole.
pub(crate) trait Sent: Sized + 'static {
    /// Its form.
    type Form<'a>: Form<'a>;

    /// The form of the value.
    fn form(&self) -> Self::Form<'_>;

    /// The value of a form.
    fn restore(form: Self::Form<'_>) -> Result<Self, Invalid>;
}

/// Types whose form is a structure with one field.
macro_rules! one_field {
    ($($type:ty => $form:ident $(<$life:lifetime>)? { $field:ident };)*) => {$(
        impl Sent for $type {
            type Form<'a> = log::$form $(<$life>)?;

            fn form(&self) -> Self::Form<'_> {
                log::$form { $field: Formed::form(self) }
            }

            fn restore(form: Self::Form<'_>) -> Result<Self, Invalid> {
                Formed::restore(form.$field)
            }
        }
    )*};
}

one_field! {
    u64 => Number { value };
    String => FolderOwner<'a> { name };
    GroupId => Group { id };
}

impl Sent for (Cursor, Digest) {
    type Form<'a> = log::LedgerPosition;

    fn form(&self) -> log::LedgerPosition {
        Formed::form(self)
    }

    fn restore(form: log::LedgerPosition) -> Result<Self, Invalid> {
        Formed::restore(form)
    }
}

impl Sent for LogId {
    type Form<'a> = log::LogId;

    fn form(&self) -> log::LogId {
        log::LogId {
            term: self.leader_id.term,
            node: self.leader_id.node_id,
            index: self.index,
        }
    }

    fn restore(form: log::LogId) -> Result<Self, Invalid> {
        Ok(log_id(form))
    }
}

/// The position of a form.
pub(crate) fn log_id(form: log::LogId) -> LogId {
    let term = Term {
        term: form.term,
        node_id: form.node,
    };
    LogId::new(term, form.index)
}

impl Sent for Vote {
    type Form<'a> = log::Vote;

    fn form(&self) -> log::Vote {
        log::Vote {
            term: self.leader_id.term,
            node: self.leader_id.node_id,
            committed: self.committed,
        }
    }

    fn restore(form: log::Vote) -> Result<Self, Invalid> {
        Ok(vote(form))
    }
}

/// The vote of a form.
pub(crate) fn vote(form: log::Vote) -> Vote {
    match form.committed {
        true => Vote::new_committed(form.term, form.node),
        false => Vote::new(form.term, form.node),
    }
}

type Members = openraft::Membership<u64, BasicNode>;

fn members_form(members: &Members) -> log::Membership<'_> {
    let voters = members.get_joint_config().iter();
    let nodes = members.nodes().map(|(node, known)| log::Member {
        node: *node,
        address: &known.addr,
    });
    log::Membership {
        voters: voters.map(|set| set.iter().copied().collect()).collect(),
        members: nodes.collect(),
    }
}

fn members(form: log::Membership<'_>) -> Result<Members, Invalid> {
    if form.voters.is_empty() && form.members.is_empty() {
        // A node that knows no group yet. openraft makes no other membership without voters.
        return Ok(Members::default());
    }
    let voters = form.voters.into_iter().map(BTreeSet::from_iter);
    let nodes = form.members.into_iter();
    let nodes = nodes.map(|member| (member.node, BasicNode::new(member.address)));
    let made = Members::new(voters.collect(), nodes.collect::<BTreeMap<_, _>>());
    made.map_err(|error| Invalid::new(error.to_string()))
}

impl Sent for Membership {
    type Form<'a> = log::StoredMembership<'a>;

    fn form(&self) -> log::StoredMembership<'_> {
        log::StoredMembership {
            log_id: self.log_id().as_ref().map(LogId::form),
            membership: members_form(self.membership()),
        }
    }

    fn restore(form: log::StoredMembership<'_>) -> Result<Self, Invalid> {
        let members = members(form.membership)?;
        Ok(Self::new(form.log_id.map(log_id), members))
    }
}

fn proposal_form(proposal: &Proposal) -> log::Proposal<'_> {
    log::Proposal {
        now: proposal.now.form(),
        wall: proposal.wall.form(),
        items: proposal.items.form(),
    }
}

impl Sent for Entry {
    type Form<'a> = log::Entry<'a>;

    fn form(&self) -> log::Entry<'_> {
        let payload = match &self.payload {
            EntryPayload::Blank => log::Payload::Blank,
            EntryPayload::Normal(payload) => log::Payload::Normal {
                proposal: proposal_form(&payload.0),
            },
            EntryPayload::Membership(members) => log::Payload::Membership {
                membership: members_form(members),
            },
        };
        let level = match &self.payload {
            EntryPayload::Normal(payload) => payload.0.level,
            EntryPayload::Blank | EntryPayload::Membership(_) => FeatureLevel::FIRST,
        };
        log::Entry {
            id: self.log_id.form(),
            payload,
            level: level.form(),
        }
    }

    fn restore(form: log::Entry<'_>) -> Result<Self, Invalid> {
        let payload = match form.payload {
            log::Payload::Blank => EntryPayload::Blank,
            log::Payload::Normal { proposal } => {
                let proposal = Proposal {
                    level: Formed::restore(form.level)?,
                    now: Formed::restore(proposal.now)?,
                    wall: Formed::restore(proposal.wall)?,
                    items: Formed::restore(proposal.items)?,
                };
                EntryPayload::Normal(Payload(proposal.into()))
            }
            log::Payload::Membership { membership } => {
                EntryPayload::Membership(members(membership)?)
            }
        };
        Ok(Self::new(log_id(form.id), payload))
    }
}
