//! All forms, with their fields and variants.

use leasehold_stored::cause;
use leasehold_stored::command;
use leasehold_stored::document;
use leasehold_stored::event;
use leasehold_stored::lock;
use leasehold_stored::log;
use leasehold_stored::outcome;
use leasehold_stored::peer;
use leasehold_stored::record;
use leasehold_stored::snapshot;
use leasehold_stored::store;
use leasehold_stored::transition;

use crate::sample::Sample;
use crate::sample::begin;
use crate::sample::samples;

samples! {
    structure lock::LockRef<'static> { namespace, lock }
    choice lock::Mode { Exclusive, Shared { permits } }
    structure lock::Usage { subject_leases, team_leases }
    structure lock::LockSettings<'static> { limit, cooldown_ms, description }
    structure lock::LeasePolicies<'static> { versions, was_renewed }
    structure lock::JudgingVersion<'static> { policy, version, granted, renewed }
    structure cause::Cause<'static> { request_id, received, principal, request, decision }
    structure cause::Principal<'static> { subject, team, roles, claims }
    structure cause::Roles<'static> { known, custom }
    structure cause::Request<'static> {
        operation, lock, mode, ttl_ms, wait_ms, grace_ms, instance, labels, reason, value,
        successor, lease, override_terms,
    }
    structure cause::OverrideTerms<'static> { ticket, ttl_ms }
    choice cause::Operation { Acquire, Renew, Release, Revoke, Transfer, CancelWait, Configure }
    structure cause::Decision<'static> {
        id, effect, facts, verdicts, limits, bindings_revision, rule,
    }
    choice cause::Effect<'static> { Allow, Override { reason }, Deny { denial } }
    structure cause::Denial<'static> { kind, policy, code, message, retry_after_ms }
    choice cause::DenialKind { Policy, PolicyError, NoPolicyBound, Role, NotHolder }
    structure cause::Facts<'static> { now, lock, usage }
    structure cause::PolicyVerdict<'static> {
        binding, policy, version, module, config, enforcement, answer, fuel, rollout,
    }
    structure cause::RolloutChoice<'static> {
        rollout, stage, variant, bucket, bucket_function, flag_share,
    }
    choice cause::Enforcement { Advisory, Mandatory, Overridable }
    choice cause::PolicyAnswer<'static> {
        Allow { limits }, Deny { code, message, retry_after_ms }, Error { message, passed },
    }
    structure lock::CounterKey<'static> { policy, name }
    structure lock::Counter<'static> { key, maximum, code }
    structure lock::CounterFull<'static> { key, maximum, present, code }
    structure cause::PolicyLimits<'static> { max_ttl_ms, max_hold_ms, counters }
    structure cause::PolicyCounter<'static> { name, maximum, code }
    structure command::Command<'static> { lock, action, cause, expect }
    structure command::Expectation<'static> { revision, usage, caps, counters }
    structure command::Caps { locks, waiters, reached }
    choice command::Action<'static> {
        Acquire { lease_id, mode, ttl_ms, wait_ms, max_hold_ms }, Renew { lease_id, ttl_ms,
        max_hold_ms, record }, Release { lease_id }, Revoke { target, grace_ms }, Transfer {
        lease_id, to, grace_ms }, CancelWait { lease_id }, Tick, Configure { settings }, Export,
        Import { era, record }, Evict { era }, ReleaseWithCooldown { lease_id, cooldown_ms },
        AcquireOnce { lease_id, mode, ttl_ms, wait_ms, max_hold_ms },
    }
    choice command::RevokeTarget<'static> { All, Lease { handle }, Subject { subject } }
    choice command::Atomicity { Each, AllOrNothing }
    structure document::Document<'static> { collection, id, revision, body }
    choice document::Precondition { Any, Absent, Revision { revision } }
    structure document::Edit<'static> { collection, id, body, precondition, change }
    choice document::EditOutcome { Done { revision }, Conflict { index, current } }
    structure event::Event<'static> { cursor, now, wall, kind, level }
    choice event::EventKind<'static> {
        Lock { lock, cause, transitions }, Denied { cause }, Governance { change },
    }
    structure event::Change<'static> { request_id, principal, collection, id, digest, summary }
    choice event::Note<'static> { Denied { cause }, Governance { change } }
    choice outcome::Outcome<'static> {
        Granted { grant }, Queued { lease_id, position, holders, wait_remaining_ms }, Held {
        holders, waiters, cooldown_remaining_ms, reserved_for }, Renewed { grant }, Draining {
        grant }, Released, LeaseLost { cause }, NotHolder, Revoked { leases }, Transferring {
        drain_remaining_ms }, Cancelled, Configured, Ticked, Rejected { rejection }, Stale,
        NotAttempted, Moved, Exported { record, token_floor }, Imported, Evicted, CounterFull { full },
    }
    choice outcome::Rejection {
        QueueFull, TooManyPermits, RequestIdReused, Impossible, RequestIdTooOld,
        CapReached { reached },
    }
    structure outcome::CapReached { cap, most, present }
    choice outcome::Cap { Locks, Waiters, LedgerBytes }
    structure outcome::Grant<'static> {
        lease_id, token, mode, ttl_ms, remaining_ms, hold_remaining_ms, state, repeated, waited,
    }
    choice outcome::LeaseState<'static> { Active, Draining { remaining_ms, cause } }
    choice outcome::DrainCause<'static> { Revoked { by }, Transfer { to } }
    choice outcome::EndCause {
        Released, Expired, HeldTooLong, Revoked, Transferred, GivenBack, Unknown, Moved,
    }
    structure outcome::Owner<'static> { subject, team, instance, labels, value, reason }
    structure outcome::HolderView<'static> {
        handle, owner, mode, token, since, remaining_ms, state, policies,
    }
    structure outcome::WaiterView<'static> { handle, owner, mode, since }
    structure outcome::LockView<'static> {
        lock, revision, settings, holders, queue, cooldown_remaining_ms, reserved_for,
        reserved_ms, last_token, stale_ms,
    }
    choice transition::Transition<'static> {
        Granted { handle, owner, mode, token, ttl_ms, waited_ms, request_id }, Queued { handle,
        owner, mode, position }, Renewed { handle, token, ttl_ms }, Draining { handle, owner,
        remaining_ms, cause }, Ended { handle, owner, mode, token, cause, since, held_ms,
        late_ms, renewals }, WaitEnded { handle, owner, expired, refused }, CoolingDown { remaining_ms },
        Reserved { to, remaining_ms }, Configured { settings },
    }
    structure transition::Renewals { count, first, last }
    structure record::Record<'static> {
        clock, revision, last_token, holders, rest, policies,
    }
    structure record::Rest<'static> { queue, cooldown_until, reservations, ended, settings, claims }
    structure record::Reservation<'static> { to, until }
    structure record::Lease<'static> {
        lease_id, request_id, party, mode, token, since, granted, deadline, ttl_ms, hold_until,
        drain, renewals, waited, rule, policies, counters,
    }
    structure record::Party<'static> { subject, team, details }
    structure record::Details<'static> { instance, labels, value, reason }
    structure record::EndedLease<'static> { lease_id, subject, at, cause }
    structure record::Waiter<'static> {
        lease_id, request_id, party, mode, ttl_ms, max_hold_ms, since, queued, deadline, claims,
        rule, policies, counters,
    }
    structure record::Claims { standing, uncounted }
    structure record::Claim { drawn, until }
    structure record::LeaseClaims { lease_id, claims }
    structure record::RecordChange<'static> { head, base, gone, put }
    structure record::PutWaiter<'static> { place, waiter }
    structure record::EndedRequest { key, at, cause }
    structure record::Exported<'static> { at, record }
    structure log::LogId { term, node, index }
    structure log::Vote { term, node, committed }
    structure log::Membership<'static> { voters, members }
    structure log::Member<'static> { node, address }
    structure log::StoredMembership<'static> { log_id, membership }
    structure log::Entry<'static> { id, payload, level }
    choice log::Payload<'static> { Blank, Normal { proposal }, Membership { membership } }
    structure log::Proposal<'static> { now, wall, items }
    choice log::Item<'static> {
        Batch { commands, atomicity, notes }, Edits { edits }, RegisterBlob { digest }, Tick,
        SupportedLevel { node, level }, RaiseLevel { to },
    }
    choice log::Answer<'static> {
        Outcomes { outcomes }, Edited { outcome }, BlobRegistered, Ticked, Level { level, behind },
    }
    structure log::LedgerPosition { cursor, chain }
    structure log::Number { value }
    structure log::FolderOwner<'static> { name }
    structure log::Group { id }
    structure peer::Hello<'static> { greeting, group, from, to }
    choice peer::Reply<'static> { Welcome { node, group }, Refused { reason } }
    choice peer::Request<'static> {
        Append { vote, previous, entries, commit }, Vote { ballot }, PreVote { ballot },
        Snapshot { chunk }, Transfer { from, to, last }, Forward { items }, ReadIndex, Adopt {
        group, level }, Ledger { after }, Steer { steering }, Recall, SupportedLevel,
        KeepBlob { digest }, ReadBlob { digest, offset }, MissingBlobs,
    }
    structure peer::Ballot { vote, last, transfer }
    structure peer::Chunk<'static> { vote, last, membership, total, offset, bytes }
    choice peer::Steering<'static> {
        Init, Join { address }, Leave { node }, Replace { node, address }, TransferLeader { to
        }, RaiseLevel { to },
    }
    choice peer::Response<'static> {
        Append { appended }, Vote { vote, granted, last }, Snapshot { vote }, Transfer { refused
        }, Forwarded { answers, index }, ReadIndex { index, now }, Adopted { node }, Ledger {
        rows }, Steered { view }, Unsteered { refusal }, NotLeader, Failed { reason }, Recalled
        { acknowledged }, SupportedLevel { level }, BlobKept { is_kept }, BlobPart { total, bytes },
        NoBlob, MissingBlobs { applied, missing },
    }
    choice peer::Appended { Success, PartialSuccess { last }, Conflict, HigherVote { vote } }
    choice peer::Answered<'static> { Done { answer }, Refused { refusal }, NotLeader }
    structure peer::Row<'static> { cursor, body, chain }
    structure peer::Refusal<'static> { kind, unknown, detail }
    choice peer::RefusalKind {
        Unavailable, Overloaded, Deadline, Contended, Invalid, Trimmed, Corrupt, Closed,
    }
    structure peer::ClusterView<'static> {
        group, node, leader, term, applied, members, level,
    }
    structure peer::MemberView<'static> { node, address, voter, replicated, supported_level }
    structure peer::Acknowledged { term, last }
    structure snapshot::Piece<'static> { head, state, events, blobs }
    structure snapshot::Head<'static> { last_applied, membership, trimmed, supported_levels }
    structure snapshot::MemberLevel { node, level }
    structure snapshot::StatePiece<'static> {
        head, locks, documents, ended, policies,
    }
    structure snapshot::StateHead { now, newest, documents_revision, level }
    structure snapshot::Lock<'static> { namespace, name, record, policies }
    structure store::Changes<'static> { locks, ended, documents }
    structure store::DocumentName<'static> { collection, id }
    structure store::LockChange<'static> { lock, change }
    structure store::LedgerLine<'static> { body, chain }
    structure store::Base { cursor, now }
    structure store::HistoryMark { revisions_added, id }
}
