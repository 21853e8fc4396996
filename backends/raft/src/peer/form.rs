//! What peers say to each other, and its forms.

use leasehold_backend_api::ClusterView;
use leasehold_backend_api::MemberView;
use leasehold_backend_api::Steering;
use leasehold_domain::Digest;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Millis;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::peer as form;
use openraft::SnapshotMeta;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::SnapshotResponse;
use openraft::raft::TransferLeaderRequest;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;

use super::memory::Acknowledged;
use super::message::Chunk;
use super::message::Request;
use super::message::Response;
use crate::entry::Entry;
use crate::entry::LogId;
use crate::entry::Membership;
use crate::entry::TypeConfig;
use crate::form::Sent;
use crate::form::log_id;
use crate::form::vote;

fn ballot_form(ballot: &VoteRequest<TypeConfig>) -> form::Ballot {
    form::Ballot {
        vote: ballot.vote.form(),
        last: ballot.last_log_id.as_ref().map(LogId::form),
        transfer: ballot.leadership_transfer,
    }
}

fn ballot(form: form::Ballot) -> VoteRequest<TypeConfig> {
    VoteRequest {
        vote: vote(form.vote),
        last_log_id: form.last.map(log_id),
        leadership_transfer: form.transfer,
    }
}

fn chunk_form(chunk: &Chunk) -> form::Chunk<'_> {
    form::Chunk {
        vote: chunk.vote.form(),
        last: chunk.meta.last_log_id.as_ref().map(LogId::form),
        membership: chunk.meta.last_membership.form(),
        total: chunk.total,
        offset: chunk.offset,
        bytes: &chunk.bytes,
    }
}

fn chunk(form: form::Chunk<'_>) -> Result<Chunk, Invalid> {
    Ok(Chunk {
        vote: vote(form.vote),
        meta: SnapshotMeta {
            last_log_id: form.last.map(log_id),
            last_membership: Membership::restore(form.membership)?,
        },
        total: form.total,
        offset: form.offset,
        bytes: form.bytes.to_vec(),
    })
}

fn steering_form(steering: &Steering) -> form::Steering<'_> {
    match steering {
        Steering::Init => form::Steering::Init,
        Steering::Join { address } => form::Steering::Join { address },
        Steering::Leave { node } => form::Steering::Leave { node: *node },
        Steering::Replace { node, address } => form::Steering::Replace {
            node: *node,
            address,
        },
        Steering::TransferLeader { to } => form::Steering::TransferLeader { to: *to },
        Steering::RaiseLevel { to } => form::Steering::RaiseLevel {
            to: to.map(|to| to.0),
        },
    }
}

fn steering(form: form::Steering<'_>) -> Steering {
    match form {
        form::Steering::Init => Steering::Init,
        form::Steering::Join { address } => Steering::Join {
            address: address.to_owned(),
        },
        form::Steering::Leave { node } => Steering::Leave { node },
        form::Steering::Replace { node, address } => Steering::Replace {
            node,
            address: address.to_owned(),
        },
        form::Steering::TransferLeader { to } => Steering::TransferLeader { to },
        form::Steering::RaiseLevel { to } => Steering::RaiseLevel {
            to: to.map(FeatureLevel),
        },
    }
}

fn view_form(view: &ClusterView) -> form::ClusterView<'_> {
    let ClusterView {
        group,
        node,
        leader,
        term,
        applied,
        members,
        level,
    } = view;
    let members = members.iter().map(|member| form::MemberView {
        node: member.node,
        address: &member.address,
        voter: member.voter,
        replicated: member.replicated,
        supported_level: member.supported_level.form(),
    });
    form::ClusterView {
        group: group.as_deref(),
        node: *node,
        leader: *leader,
        term: *term,
        applied: *applied,
        members: members.collect(),
        level: level.form(),
    }
}

fn view(form: form::ClusterView<'_>) -> Result<ClusterView, Invalid> {
    let members = form.members.into_iter().map(|member| {
        Ok(MemberView {
            node: member.node,
            address: member.address.to_owned(),
            voter: member.voter,
            replicated: member.replicated,
            supported_level: Formed::restore(member.supported_level)?,
        })
    });
    Ok(ClusterView {
        group: form.group.map(str::to_owned),
        node: form.node,
        leader: form.leader,
        term: form.term,
        applied: form.applied,
        members: members.collect::<Result<_, Invalid>>()?,
        level: Formed::restore(form.level)?,
    })
}

impl Sent for Request {
    type Form<'a> = form::Request<'a>;

    fn form(&self) -> form::Request<'_> {
        match self {
            Self::Append(append) => form::Request::Append {
                vote: append.vote.form(),
                previous: append.prev_log_id.as_ref().map(LogId::form),
                entries: append.entries.iter().map(Entry::form).collect(),
                commit: append.leader_commit.as_ref().map(LogId::form),
            },
            Self::Vote(vote) => form::Request::Vote {
                ballot: ballot_form(vote),
            },
            Self::PreVote(vote) => form::Request::PreVote {
                ballot: ballot_form(vote),
            },
            Self::Snapshot(chunk) => form::Request::Snapshot {
                chunk: chunk_form(chunk),
            },
            Self::Transfer(transfer) => form::Request::Transfer {
                from: transfer.from_leader().form(),
                to: *transfer.to_node_id(),
                last: transfer.last_log_id().map(LogId::form),
            },
            Self::Forward(items) => form::Request::Forward {
                items: items.form(),
            },
            Self::ReadIndex => form::Request::ReadIndex,
            Self::Adopt { group, level } => form::Request::Adopt {
                group: Formed::form(group),
                level: level.form(),
            },
            Self::Ledger(after) => form::Request::Ledger { after: after.0 },
            Self::Steer(asked) => form::Request::Steer {
                steering: steering_form(asked),
            },
            Self::Recall => form::Request::Recall,
            Self::SupportedLevel => form::Request::SupportedLevel,
            Self::KeepBlob(digest) => form::Request::KeepBlob { digest: digest.0 },
            Self::ReadBlob { digest, offset } => form::Request::ReadBlob {
                digest: digest.0,
                offset: *offset,
            },
            Self::MissingBlobs => form::Request::MissingBlobs,
        }
    }

    fn restore(form: form::Request<'_>) -> Result<Self, Invalid> {
        Ok(match form {
            form::Request::Append {
                vote: leader,
                previous,
                entries,
                commit,
            } => {
                let entries = entries.into_iter().map(Entry::restore);
                Self::Append(AppendEntriesRequest {
                    vote: vote(leader),
                    prev_log_id: previous.map(log_id),
                    entries: entries.collect::<Result<_, _>>()?,
                    leader_commit: commit.map(log_id),
                })
            }
            form::Request::Vote { ballot: asked } => Self::Vote(ballot(asked)),
            form::Request::PreVote { ballot: asked } => Self::PreVote(ballot(asked)),
            form::Request::Snapshot { chunk: piece } => Self::Snapshot(chunk(piece)?),
            form::Request::Transfer { from, to, last } => {
                let last = last.map(log_id);
                Self::Transfer(TransferLeaderRequest::new(vote(from), to, last))
            }
            form::Request::Forward { items } => Self::Forward(Formed::restore(items)?),
            form::Request::ReadIndex => Self::ReadIndex,
            form::Request::Adopt { group, level } => Self::Adopt {
                group: Formed::restore(group)?,
                level: Formed::restore(level)?,
            },
            form::Request::Ledger { after } => Self::Ledger(Formed::restore(after)?),
            form::Request::Steer { steering: asked } => Self::Steer(steering(asked)),
            form::Request::Recall => Self::Recall,
            form::Request::SupportedLevel => Self::SupportedLevel,
            form::Request::KeepBlob { digest } => Self::KeepBlob(Digest(digest)),
            form::Request::ReadBlob { digest, offset } => Self::ReadBlob {
                digest: Digest(digest),
                offset,
            },
            form::Request::MissingBlobs => Self::MissingBlobs,
        })
    }
}

fn appended_form(appended: &AppendEntriesResponse<TypeConfig>) -> form::Appended {
    match appended {
        AppendEntriesResponse::Success => form::Appended::Success,
        AppendEntriesResponse::PartialSuccess(last) => form::Appended::PartialSuccess {
            last: last.as_ref().map(LogId::form),
        },
        AppendEntriesResponse::Conflict => form::Appended::Conflict,
        AppendEntriesResponse::HigherVote(vote) => form::Appended::HigherVote { vote: vote.form() },
    }
}

fn appended(form: form::Appended) -> AppendEntriesResponse<TypeConfig> {
    match form {
        form::Appended::Success => AppendEntriesResponse::Success,
        form::Appended::PartialSuccess { last } => {
            AppendEntriesResponse::PartialSuccess(last.map(log_id))
        }
        form::Appended::Conflict => AppendEntriesResponse::Conflict,
        form::Appended::HigherVote { vote: higher } => {
            AppendEntriesResponse::HigherVote(vote(higher))
        }
    }
}

impl Sent for Response {
    type Form<'a> = form::Response<'a>;

    fn form(&self) -> form::Response<'_> {
        match self {
            Self::Append(answer) => form::Response::Append {
                appended: appended_form(answer),
            },
            Self::Vote(answer) => form::Response::Vote {
                vote: answer.vote.form(),
                granted: answer.vote_granted,
                last: answer.last_log_id.as_ref().map(LogId::form),
            },
            Self::Snapshot(answer) => form::Response::Snapshot {
                vote: answer.as_ref().map(|answer| answer.vote.form()),
            },
            Self::Transfer(refused) => form::Response::Transfer {
                refused: refused.as_deref(),
            },
            Self::Forwarded { answers, index } => form::Response::Forwarded {
                answers: answers.form(),
                index: *index,
            },
            Self::ReadIndex { index, now } => form::Response::ReadIndex {
                index: *index,
                now: now.0,
            },
            Self::Adopted(node) => form::Response::Adopted { node: *node },
            Self::Ledger(rows) => form::Response::Ledger { rows: rows.form() },
            Self::Steered(Ok(view)) => form::Response::Steered {
                view: view_form(view),
            },
            Self::Steered(Err(refusal)) => form::Response::Unsteered {
                refusal: refusal.form(),
            },
            Self::NotLeader => form::Response::NotLeader,
            Self::Failed(reason) => form::Response::Failed { reason },
            Self::SupportedLevel(level) => form::Response::SupportedLevel {
                level: level.form(),
            },
            Self::BlobKept { is_kept } => form::Response::BlobKept { is_kept: *is_kept },
            Self::BlobPart { total, bytes } => form::Response::BlobPart {
                total: *total,
                bytes,
            },
            Self::NoBlob => form::Response::NoBlob,
            Self::MissingBlobs { applied, missing } => form::Response::MissingBlobs {
                applied: *applied,
                missing: *missing,
            },
            Self::Recalled(known) => form::Response::Recalled {
                acknowledged: known.as_ref().map(|known| form::Acknowledged {
                    term: known.term,
                    last: known.last.as_ref().map(LogId::form),
                }),
            },
        }
    }

    fn restore(form: form::Response<'_>) -> Result<Self, Invalid> {
        Ok(match form {
            form::Response::Append { appended: answer } => Self::Append(appended(answer)),
            form::Response::Vote {
                vote: theirs,
                granted,
                last,
            } => Self::Vote(VoteResponse {
                vote: vote(theirs),
                vote_granted: granted,
                last_log_id: last.map(log_id),
            }),
            form::Response::Snapshot { vote: theirs } => {
                Self::Snapshot(theirs.map(|theirs| SnapshotResponse::new(vote(theirs))))
            }
            form::Response::Transfer { refused } => Self::Transfer(Formed::restore(refused)?),
            form::Response::Forwarded { answers, index } => Self::Forwarded {
                answers: Formed::restore(answers)?,
                index,
            },
            form::Response::ReadIndex { index, now } => Self::ReadIndex {
                index,
                now: Millis(now),
            },
            form::Response::Adopted { node } => Self::Adopted(node),
            form::Response::Ledger { rows } => Self::Ledger(Formed::restore(rows)?),
            form::Response::Steered { view: shown } => Self::Steered(Ok(view(shown)?)),
            form::Response::Unsteered { refusal } => Self::Steered(Err(Formed::restore(refusal)?)),
            form::Response::NotLeader => Self::NotLeader,
            form::Response::Failed { reason } => Self::Failed(reason.to_owned()),
            form::Response::SupportedLevel { level } => {
                Self::SupportedLevel(Formed::restore(level)?)
            }
            form::Response::BlobKept { is_kept } => Self::BlobKept { is_kept },
            form::Response::BlobPart { total, bytes } => Self::BlobPart {
                total,
                bytes: bytes.to_vec(),
            },
            form::Response::NoBlob => Self::NoBlob,
            form::Response::MissingBlobs { applied, missing } => {
                Self::MissingBlobs { applied, missing }
            }
            form::Response::Recalled { acknowledged } => {
                Self::Recalled(acknowledged.map(|known| Acknowledged {
                    term: known.term,
                    last: known.last.map(log_id),
                }))
            }
        })
    }
}
