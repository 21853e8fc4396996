//! Every limit on input, in one place, with its unit in the name.
//!
//! A limit here is part of the product's contract: the HTTP API answers 422 (or 413, 429)
//! when one is passed, and loses nothing.

/// Longest namespace name.
pub const NAMESPACE_NAME_BYTES_MAX: usize = 63;
/// Longest lock name.
pub const LOCK_NAME_BYTES_MAX: usize = 512;
/// Longest name of a store.
pub const STORE_NAME_BYTES_MAX: usize = 63;
/// Most stores of one gateway besides its home store.
pub const EXTRA_STORES_MAX: usize = 32;
/// Longest subject of a principal.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Longest team name.
pub const TEAM_NAME_BYTES_MAX: usize = 63;
/// Longest request id (idempotency key).
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Longest `instance` of a holder.
pub const INSTANCE_BYTES_MAX: usize = 256;
/// Longest `reason`.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Longest `value` that a holder publishes with its lease.
pub const VALUE_BYTES_MAX: usize = 4_096;
/// Most labels on a lease.
pub const LABELS_MAX: usize = 16;
/// Longest label key.
pub const LABEL_KEY_BYTES_MAX: usize = 63;
/// Longest label value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Longest description of a lock or namespace.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Most claims kept of a principal.
pub const CLAIMS_MAX: usize = 32;
/// Longest claim value kept.
pub const CLAIM_VALUE_BYTES_MAX: usize = 1_024;

/// Shortest lease. At least four Raft ticks, and longer than an election.
pub const TTL_MS_MIN: u64 = 1_000;
/// Longest lease: one day.
pub const TTL_MS_MAX: u64 = 86_400_000;
/// Longest long-poll window of a waiting acquire.
pub const WAIT_MS_MAX: u64 = 60_000;
/// How long a waiter outlives its long-poll window, so that a client can ask again in its place.
pub const WAITER_SLACK_MS: u64 = 2_000;
/// Longest drain of a graceful revoke or a transfer.
pub const GRACE_MS_MAX: u64 = 3_600_000;
/// Longest cooldown after an expiry, or after a release that asks for one.
pub const COOLDOWN_MS_MAX: u64 = 600_000;
/// Most permits of a shared lock.
pub const PERMITS_MAX: u32 = 10_000;
/// Most waiters in one lock's queue.
pub const WAITERS_PER_LOCK_MAX: usize = 4_096;
/// Most acquires of one `request_id` that are told apart while they hang on one waiter or lease;
/// if there were more, none of them can give it back.
pub const CLAIMS_PER_LEASE_MAX: usize = 8;
/// Most locks in one multi-lock acquire.
pub const LOCKS_PER_BATCH_MAX: usize = 64;
/// Most leases in one batch renewal.
pub const LEASES_PER_RENEWAL_MAX: usize = 1_000;

/// How long a record remembers a lease that ended, to answer 410 and repeated releases.
pub const ENDED_LEASE_MEMORY_MS: u64 = 60_000;
/// How many ended leases a record remembers.
pub const ENDED_LEASES_PER_LOCK_MAX: usize = 8;

/// Tokens that one write may make for one lock; floors are multiples of this.
pub const TOKENS_PER_WRITE: u64 = 1_024;
/// Tokens stay below this, so that JSON numbers keep them.
pub const TOKEN_MAX: u64 = 1 << 53;

/// Most rows in one page of a list or an audit query.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Most events that a watch is told from the ledger when it resumes; if there are more, it goes on
/// from now.
pub const WATCH_REPLAY_EVENTS_MAX: usize = 100_000;
/// Largest request body, except for uploads of modules.
pub const BODY_BYTES_MAX: usize = 256 * 1_024;
/// Largest policy module.
pub const MODULE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Largest document (namespace, binding, key…).
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1_024;
/// Largest configuration of a policy in a binding.
pub const POLICY_CONFIG_BYTES_MAX: usize = 64 * 1_024;
/// Most policies that one decision may run.
pub const POLICIES_PER_DECISION_MAX: usize = 16;
/// Longest wait of a question to the ledger for what was answered before it.
pub const LEDGER_WAIT_MS_MAX: u64 = 1_000;
/// Least time between two questions of a gateway to its store whether it knows all namespaces,
/// bindings and keys: whoever names unknown ones, and however often, makes it ask no sooner.
pub const CATCH_UP_EVERY_MS: u64 = 100;
/// Longest that a request waits for the answer to that question.
pub const CATCH_UP_WAIT_MS_MAX: u64 = 2_000;
/// Most requests with a key that this gateway does not know that wait for it at once; further ones
/// are told to ask again, so that strangers cannot fill the gateway with requests that wait.
pub const STRANGERS_WAITING_MAX: usize = 1_024;
/// Most policies × versions with labels of their own in metrics; later ones count as `other`.
pub const POLICY_LABEL_SETS_MAX: usize = 256;
/// Most incidents that one gateway keeps; the oldest that have ended make room.
pub const INCIDENTS_MAX: usize = 256;
/// Longest note with which an incident is acknowledged.
pub const INCIDENT_NOTE_BYTES_MAX: usize = 1_024;
/// Longest that a request whose decision is tied to the caller's usage, or to the lock, waits for
/// others of this gateway that change the same; then it goes on beside them.
pub const TURN_WAIT_MS_MAX: u64 = 2_000;
/// How long after its grant a lease may be renewed and transferred where no policy judges that, in a
/// namespace that denies by default.
pub const UNJUDGED_LEASE_MS_MAX: u64 = 86_400_000;
/// Most locks that are looked at to say how much a namespace is in use that is to be deleted.
pub const NAMESPACE_COUNT_ROWS_MAX: usize = 100_000;
/// Most failures of one policy version that a gateway remembers for its author.
pub const FAILURES_PER_POLICY_VERSION_MAX: usize = 16;
/// Most policy versions whose failures a gateway remembers.
pub const POLICY_VERSIONS_WITH_FAILURES_MAX: usize = 64;
/// Longest policy message or code that is kept.
pub const VERDICT_MESSAGE_BYTES_MAX: usize = 1_024;
