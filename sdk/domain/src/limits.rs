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
/// Longest ticket of a use of break-glass.
pub const TICKET_BYTES_MAX: usize = 256;
/// Shortest time for which a denial is passed by break-glass: 1 second.
pub const OVERRIDE_TTL_MS_MIN: u64 = 1_000;
/// Longest time for which a denial is passed by break-glass: 24 hours.
pub const OVERRIDE_TTL_MS_MAX: u64 = 86_400_000;
/// Time for which a denial is passed by break-glass if the request names none: 1 hour.
pub const OVERRIDE_TTL_MS_DEFAULT: u64 = 3_600_000;
/// Longest `value` that a holder publishes with its lease.
pub const VALUE_BYTES_MAX: usize = 4_096;
/// Most namespaces, and most teams, in the scope of a key.
pub const KEY_SCOPE_NAMES_MAX: usize = 100;
/// Most teams that a namespace names to be seen by.
pub const VISIBLE_TO_TEAMS_MAX: usize = 100;
/// Greatest cap of a namespace, so that JSON numbers keep it.
pub const NAMESPACE_CAP_MAX: u64 = (1 << 53) - 1;
/// Most labels on a lease.
pub const LABELS_MAX: usize = 16;
/// Longest label key.
pub const LABEL_KEY_BYTES_MAX: usize = 63;
/// Longest label value.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Longest description of a lock or namespace.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Longest name of a role in a token.
pub const ROLE_NAME_BYTES_MAX: usize = 128;
/// Most roles in one token. A token with more is refused: leaving one out could change a verdict.
pub const ROLES_PER_TOKEN_MAX: usize = 256;
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
/// How many acquires whose leases have ended a store remembers, for the same time, to recognise
/// their late duplicates. Beyond that the oldest are forgotten.
pub const ENDED_REQUESTS_MAX: usize = 1_000_000;
/// The age from which on an acquire's `request_id`, if it is a version 7 UUID, is refused unless
/// its lease or its place in the queue stands. Not more than [`ENDED_LEASE_MEMORY_MS`].
pub const REQUEST_ID_AGE_MS_MAX: u64 = 60_000;

/// How many denials of requests about other principals' leases one principal may cause at once to
/// be written by one gateway: further ones are refused as too many, until
/// [`NOT_HOLDER_RECORD_EVERY_MS`] have passed for each.
pub const NOT_HOLDER_RECORDS_BURST: u32 = 100;
/// The time after which one principal may cause one more such denial to be written.
pub const NOT_HOLDER_RECORD_EVERY_MS: u64 = 1_000;
/// How many principals a gateway counts such denials of at once.
pub const NOT_HOLDER_PRINCIPALS_MAX: usize = 10_000;

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
/// Largest rest of a request's body that is read after its request was refused, so that the
/// connection can serve another request; if there is more, the answer says `connection: close`.
pub const UNREAD_BODY_BYTES_MAX: u64 = 64 * 1_024;
/// Longest wait for that rest.
pub const UNREAD_BODY_WAIT_MS_MAX: u64 = 100;
/// Most bytes that are discarded while a connection is closed on a client that still sends.
pub const LINGER_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Largest blob (module, configuration of a policy) that a store takes.
pub const BLOB_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Most bytes of a blob in one message between members of a cluster: heartbeats go between two.
pub const BLOB_PART_BYTES_MAX: usize = 512 * 1_024;
/// Largest message between members of a cluster.
pub const PEER_MESSAGE_BYTES_MAX: usize = 32 * 1_024 * 1_024;
const _: () = assert!(BLOB_PART_BYTES_MAX < PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(MODULE_BYTES_MAX <= BLOB_BYTES_MAX);
const _: () = assert!(POLICY_CONFIG_BYTES_MAX <= BLOB_BYTES_MAX);
/// Largest policy module.
pub const MODULE_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Most functions in one policy module, imported ones included. The compiler spends some 6 KiB of
/// memory on each, however short it is.
pub const MODULE_FUNCTIONS_MAX: usize = 20_000;
/// Largest body of one function in a policy module: the compiler's time and memory for one function
/// grow faster than its length.
pub const MODULE_FUNCTION_BYTES_MAX: usize = 256 * 1_024;
/// Most local variables of all functions in one policy module.
pub const MODULE_LOCALS_MAX: usize = 200_000;
/// Most work that one policy module may make for the compiler, in units of about a microsecond, as
/// the policy host estimates it from the instructions before it compiles anything. A JavaScript engine
/// makes 2 to 3.2 million.
pub const MODULE_WORK_MAX: usize = 4_000_000;
/// The same for one function.
pub const MODULE_FUNCTION_WORK_MAX: usize = 500_000;
/// How deep blocks may be nested in a function of a policy module.
pub const MODULE_BLOCK_DEPTH_MAX: usize = 2_000;
/// Most types in one policy module, those inside other types included.
pub const MODULE_TYPES_MAX: usize = 10_000;
/// How deep types may be nested in one another in a policy module.
pub const MODULE_TYPE_DEPTH_MAX: usize = 32;
/// Largest type section of a component; its types are read by recursion.
pub const MODULE_TYPE_SECTION_BYTES_MAX: usize = 64 * 1_024;
/// Most imports and exports of all parts of one policy module.
pub const MODULE_NAMES_MAX: usize = 20_000;
/// Most globals in one policy module.
pub const MODULE_GLOBALS_MAX: usize = 10_000;
/// Most tables in one policy module.
pub const MODULE_TABLES_MAX: usize = 64;
/// Most elements that one table of a policy module may have at its start.
pub const MODULE_TABLE_ELEMENTS_MAX: usize = 10_000;
/// Most elements in all element segments of one policy module.
pub const MODULE_ELEMENTS_MAX: usize = 100_000;
/// Most linear memories in one policy module. All of an instance's memories together may have as many
/// bytes as one could.
pub const MODULE_MEMORIES_MAX: usize = 4;
/// Most data segments in one policy module.
pub const MODULE_DATA_SEGMENTS_MAX: usize = 10_000;
/// Most core modules and components that one policy module may consist of.
pub const MODULE_PARTS_MAX: usize = 64;
/// How deep components may be nested in one another.
pub const MODULE_PART_DEPTH_MAX: usize = 8;
/// Most instances, core and component, that one policy module may make, groups of exports included.
pub const MODULE_INSTANCES_MAX: usize = 256;
/// Most core modules that one policy module may instantiate.
pub const MODULE_CORE_INSTANCES_MAX: usize = 64;
/// How often one policy module may instantiate one component in it. Components that instantiate one
/// another twice each would double the whole with every level.
pub const MODULE_INSTANTIATIONS_OF_ONE_COMPONENT_MAX: usize = 1;
/// Most aliases in one policy module.
pub const MODULE_ALIASES_MAX: usize = 10_000;
/// Most functions that one policy module may lift or lower between core and component.
pub const MODULE_CANONICAL_FUNCTIONS_MAX: usize = 1_000;
/// Most custom sections in one policy module.
pub const MODULE_CUSTOM_SECTIONS_MAX: usize = 1_000;
/// Most uploads of policy modules that wait on one gateway until the compiler is free; further ones
/// are told to ask again.
pub const UPLOADS_WAITING_MAX: usize = 4;
/// Longest statement that is signed about a policy version.
pub const POLICY_STATEMENT_BYTES_MAX: usize = 2_048;
/// Longest `source` in such a statement.
pub const POLICY_SOURCE_BYTES_MAX: usize = 512;
/// Largest file of signatures.
pub const POLICY_SIGNATURE_FILE_BYTES_MAX: usize = 32 * 1_024;
/// Most signatures that one push brings, and most that are kept of one version.
pub const POLICY_SIGNATURES_MAX: usize = 16;
/// Most signatures that a gateway can require of a version.
pub const POLICY_SIGNATURES_REQUIRED_MAX: u32 = 8;
/// Most keys that are trusted to sign policies, the revoked ones included; beyond that the key that
/// was revoked first is forgotten.
pub const TRUSTED_KEYS_MAX: usize = 256;
/// Longest name of such a key.
pub const TRUSTED_KEY_NAME_BYTES_MAX: usize = 128;
/// Longest PEM text of such a key.
pub const TRUSTED_KEY_PEM_BYTES_MAX: usize = 1_024;
/// Most bindings whose configurations one push checks against the new version.
pub const PUSH_BINDINGS_MAX: usize = 100;
/// How often a gateway checks at the latest whether a policy version in use has expired.
pub const POLICY_EXPIRY_CHECK_EVERY_MS: u64 = 5_000;
/// Largest document (namespace, binding, key…).
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1_024;
/// Largest configuration of a policy in a binding.
pub const POLICY_CONFIG_BYTES_MAX: usize = 64 * 1_024;
/// Longest reason that is given for a change of a binding or a namespace.
pub const REVISION_REASON_BYTES_MAX: usize = 1_024;
/// Most revisions of one binding or namespace that are shown; the ledger keeps the number and the
/// digest of each.
pub const REVISIONS_MAX: usize = 50;
/// Most deleted bindings, and most deleted namespaces, whose revisions are kept; those of the one that
/// was deleted first make room.
pub const HISTORIES_DELETED_MAX: usize = 100;
/// How far back the preview of a change of a binding looks if it is not said: 7 days.
pub const PREVIEW_SINCE_MS_DEFAULT: u64 = 604_800_000;
/// Most locks that such a preview looks at, a page of a namespace's locks more at most.
pub const PREVIEW_LOCKS_MAX: usize = 10_000;
/// Most locks that it names.
pub const PREVIEW_LOCKS_SHOWN_MAX: usize = 20;
/// Most policies that one decision may run.
pub const POLICIES_PER_DECISION_MAX: usize = 16;
/// Most counters that one verdict may carry.
pub const COUNTERS_PER_VERDICT_MAX: usize = 8;
/// Most counters that all verdicts of one decision may carry together.
pub const COUNTERS_PER_DECISION_MAX: usize = 16;
/// Longest name of a counter: some prefix and a subject.
pub const COUNTER_NAME_BYTES_MAX: usize = 384;
/// Fuel that the policies of one request may spend on the runtime's threads, about 0.3 ms. An
/// evaluation that needs more continues on a separate thread.
pub const BRIEF_EVALUATION_FUEL_MAX: u64 = 500_000;
/// The same bound for time, for policies that take long and spend little fuel; in steps of 10 ms.
pub const BRIEF_EVALUATION_MS_MAX: u64 = 10;
/// Longest wait of a request for a separate thread.
pub const SLOW_EVALUATION_WAIT_MS_MAX: u64 = 2_000;
/// Longest wait of a question to the ledger for what was answered before it.
pub const LEDGER_WAIT_MS_MAX: u64 = 1_000;
/// Least time between two questions of a gateway to its store whether it knows all namespaces,
/// bindings and keys: whoever names unknown ones, and however often, makes it ask no sooner.
pub const CATCH_UP_EVERY_MS: u64 = 100;
/// Longest that a request waits for the answer to that question.
pub const CATCH_UP_WAIT_MS_MAX: u64 = 2_000;
/// How often a gateway asks its store whether it knows the newest namespaces, bindings and keys,
/// whatever the stream of changes yields. A revoked key is refused within twice that.
pub const CONFIRM_EVERY_MS: u64 = 1_000;
/// Most requests with a key that this gateway does not know that wait for it at once; further ones
/// are told to ask again, so that strangers cannot fill the gateway with requests that wait.
pub const STRANGERS_WAITING_MAX: usize = 1_024;
/// Token buckets of one rate limit. Two clients share one with a probability of one in this many.
pub const RATE_BUCKETS: usize = 65_536;
/// Most events of one store that are kept for watches, and that a watch may be behind before it is
/// ended; it resumes by its last event.
pub const WATCH_BACKLOG_EVENTS_MAX: usize = 4_096;
/// Denials of administrative requests that are written one by one for each caller and route within
/// a window; further ones are counted.
pub const ADMIN_DENIALS_PER_WINDOW_MAX: u32 = 10;
/// Length of that window.
pub const ADMIN_DENIAL_WINDOW_MS: u64 = 60_000;
/// Most such windows at once; beyond them callers share one for each route.
pub const ADMIN_DENIAL_WINDOWS_MAX: usize = 10_000;
/// Longest path that the record of such a denial shows.
pub const ADMIN_DENIAL_PATH_BYTES_MAX: usize = 256;
/// How often a watch, or a request that waits, checks that its key or token is still valid; a
/// revocation that is heard of is acted on at once.
pub const CREDENTIAL_CHECK_EVERY_MS: u64 = 1_000;
/// How often a gateway writes on which day keys were last used, where that has changed. A gateway
/// that is killed loses what it has not written.
pub const KEY_USES_WRITTEN_EVERY_MS: u64 = 60_000;
/// Most keys whose use is recorded in one write.
pub const KEY_USES_PER_WRITE_MAX: usize = 64;
/// Shortest life of an API key that expires.
pub const KEY_LIFETIME_MS_MIN: u64 = 1_000;
/// Longest life of an API key that expires: 3,650 days.
pub const KEY_LIFETIME_MS_MAX: u64 = 315_360_000_000;
/// Longest time for which a rotated key stays in force beside its successor: 30 days.
pub const KEY_OVERLAP_MS_MAX: u64 = 2_592_000_000;
/// That time if the request names none: one day.
pub const KEY_OVERLAP_MS_DEFAULT: u64 = 86_400_000;
/// Most backups that are taken from one gateway at a time: each holds a copy of the store in memory.
pub const BACKUPS_AT_ONCE_MAX: usize = 1;
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
/// Most locks that are looked at to count the leases under a policy version.
pub const POLICY_LEASES_ROWS_MAX: usize = 100_000;
/// Longest time for which they are looked at.
pub const POLICY_LEASES_WAIT_MS_MAX: u64 = 2_000;
/// Most locks of such leases that are named.
pub const POLICY_LEASES_LOCKS_SHOWN_MAX: usize = 20;
/// Most failures of one policy version that a gateway remembers for its author.
pub const FAILURES_PER_POLICY_VERSION_MAX: usize = 16;
/// Most policy versions whose failures a gateway remembers.
pub const POLICY_VERSIONS_WITH_FAILURES_MAX: usize = 64;
/// Longest policy message or code that is kept.
pub const VERDICT_MESSAGE_BYTES_MAX: usize = 1_024;
/// Most steps of a rollout.
pub const ROLLOUT_STEPS_MAX: usize = 16;
/// Most patterns of locks, teams and subjects, each, that a rollout names as targets.
pub const ROLLOUT_TARGETS_MAX: usize = 64;
/// Longest reason that is given for a change of a rollout.
pub const ROLLOUT_REASON_BYTES_MAX: usize = 1_024;
/// Most changes that a rollout's document keeps; the ledger has all.
pub const ROLLOUT_CHANGES_MAX: usize = 32;
/// Longest time that a step of a rollout takes at the least: 90 days.
pub const ROLLOUT_STEP_MS_MAX: u64 = 7_776_000_000;
/// How long after its grant a lease is renewed under the version that granted it, while a rollout
/// chooses between that version and another: one day.
pub const ROLLOUT_STICKY_MS_MAX: u64 = 86_400_000;
/// Most people that must approve a change.
pub const APPROVALS_REQUIRED_MAX: u32 = 16;
/// How long a change waits for approval, in milliseconds.
pub const APPROVAL_LIFE_MS: u64 = 604_800_000;
/// Most requests for approval that are kept. Closed ones are forgotten beyond it; the ledger has all.
pub const APPROVALS_MAX: usize = 1_000;
/// Longest reason of an approval, in bytes.
pub const APPROVAL_REASON_BYTES_MAX: usize = 1_024;
/// When a review falls due, in milliseconds after it was opened.
pub const REVIEW_DUE_MS: u64 = 86_400_000;
/// Most reviews that are kept. Closed ones are forgotten beyond it; the ledger has all.
pub const REVIEWS_MAX: usize = 1_000;
/// Longest note of a closed review, in bytes.
pub const REVIEW_NOTE_BYTES_MAX: usize = 1_024;
/// Most requests that wait for a candidate's verdict in a gateway; further ones are counted as shed.
pub const SHADOW_QUEUE_MAX: usize = 1_024;
/// Most holders and waiters, together, in the views of locks that those requests hold.
pub const SHADOW_HOLDERS_MAX: usize = 100_000;
/// Most pairs of subject and lock that a gateway tells apart in one window of a rollout.
pub const ROLLOUT_PAIRS_MAX: usize = 16_384;
/// Newest differences between a candidate and the current version that a gateway keeps of each
/// rollout.
pub const ROLLOUT_DIFFERENCES_MAX: usize = 64;
/// Difference between the wall clocks of two gateways that is an incident.
pub const CLOCK_DIFFERENCE_MS_MAX: u64 = 2_000;
/// Most rows of a batch of differences that the ledger gets at the end of a window.
pub const ROLLOUT_BATCH_ROWS_MAX: usize = 16;
/// Most teams and locks, together, that a gateway tells apart among the differences of one window.
pub const ROLLOUT_BATCH_GROUPS_MAX: usize = 1_024;
/// Most batches of differences that wait for the ledger.
pub const ROLLOUT_BATCHES_WAITING_MAX: usize = 64;
/// Newest windows of a rollout's step that a gateway keeps and reports.
pub const ROLLOUT_WINDOWS_KEPT_MAX: usize = 8;
/// Most open rollouts that the report of one gateway tells of.
pub const ROLLOUT_REPORT_ROLLOUTS_MAX: usize = 128;
/// How soon after a report a gateway makes the next one at the earliest, unless its steps have changed.
pub const ROLLOUT_REPORT_PAUSE_MS: u64 = 2_000;
/// How soon after a report a gateway makes the next one at the latest, while a rollout is open.
pub const ROLLOUT_REPORT_EVERY_MS: u64 = 30_000;
/// The same while no rollout is open.
pub const ROLLOUT_REPORT_IDLE_EVERY_MS: u64 = 60_000;
/// How long after its last report a gateway counts as silent.
pub const ROLLOUT_REPORT_SILENT_MS: u64 = 90_000;
/// How long after a window it is judged without the gateways that have not reported it.
pub const ROLLOUT_REPORT_GRACE_MS: u64 = 10_000;
/// How long `advance` waits until all gateways run the step.
pub const ROLLOUT_REACH_WAIT_MS_MAX: u64 = 3_000;
/// Longest time that one request to a witness may take, in milliseconds.
pub const WITNESS_REQUEST_MS_MAX: u64 = 5_000;
/// Largest answer of a witness.
pub const WITNESS_ANSWER_BYTES_MAX: usize = 65_536;
/// Most witnesses of a gateway.
pub const WITNESSES_MAX: usize = 8;
/// Most keys that sign the checkpoints of a gateway's ledgers.
pub const LOG_KEYS_MAX: usize = 8;
/// Longest key of a flag that a rollout names.
pub const FLAG_KEY_BYTES_MAX: usize = 256;
/// Largest answer of a flag service.
pub const FLAG_ANSWER_BYTES_MAX: usize = 1_048_576;
/// Longest value, variant, reason and entity tag that are kept of an answer of a flag service.
pub const FLAG_TEXT_BYTES_MAX: usize = 256;
/// Longest pause that a flag service may ask for with `Retry-After`.
pub const FLAG_RETRY_AFTER_MS_MAX: u64 = 600_000;
/// Shortest window of a rollout's guardrails.
pub const ROLLOUT_WINDOW_MS_MIN: u64 = 1_000;
/// Longest window of a rollout's guardrails: one day.
pub const ROLLOUT_WINDOW_MS_MAX: u64 = 86_400_000;
/// Coarsest time that a policy may declare its verdicts to depend on: a day.
pub const POLICY_NOW_GRANULARITY_MS_MAX: u64 = 86_400_000;
/// Most sampled decisions that wait for the self-check.
pub const SELF_CHECK_SAMPLES_MAX: usize = 64;
/// For how long the self-check looks for a sampled decision in the ledger.
pub const SELF_CHECK_SAMPLE_AGE_MS_MAX: u64 = 60_000;
/// Longest time between two decisions that the self-check samples: an hour.
pub const SELF_CHECK_INTERVAL_MS_MAX: u64 = 3_600_000;
/// Most events that one request replays; the answer says where the next begins.
pub const REPLAY_EVENTS_MAX: usize = 10_000;
/// Time after which a request replays no further page of events.
pub const REPLAY_MS_MAX: u64 = 2_000;
/// Most events that a replay reads and judges at a time.
pub const REPLAY_PAGE_ROWS_MAX: usize = 500;
/// Most differences that the answer to a replay lists.
pub const REPLAY_DIFFERENCES_MAX: usize = 100;
/// Most pairs of team and lock that the answer to a replay tells apart.
pub const REPLAY_GROUPS_MAX: usize = 1_000;
