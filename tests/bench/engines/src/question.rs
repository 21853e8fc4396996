//! The question that every engine answers, and the rule that every engine has in its own language.
//!
//! Eight areas belong to one team each. An acquire is allowed if the lock is in an area of the caller's
//! team and its time to live is 1 to 60 s.

/// Areas, and teams.
pub const AREAS: usize = 8;
/// Shortest time to live.
pub const TTL_MS_MIN: u64 = 1_000;
/// Longest time to live.
pub const TTL_MS_MAX: u64 = 60_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The lock, without its namespace.
    pub lock: String,
    /// Who asks.
    pub subject: String,
    /// The team of the subject.
    pub team: String,
    /// The wanted time to live.
    pub ttl_ms: u64,
    /// The labels of the request.
    pub labels: Vec<(String, String)>,
    /// Whether the rule allows it.
    pub is_allowed: bool,
}

/// Questions with all ways to an answer; the first is the one that is timed.
pub fn questions() -> Vec<Question> {
    let ask = |lock: &str, team: &str, ttl_ms, is_allowed| Question {
        lock: lock.to_owned(),
        subject: "svc-close".to_owned(),
        team: team.to_owned(),
        ttl_ms,
        labels: vec![
            ("ticket".to_owned(), "INC-4711".to_owned()),
            ("region".to_owned(), "eu-1".to_owned()),
        ],
        is_allowed,
    };
    vec![
        ask("area-7/ledger/close", "t7", 10_000, true),
        ask("area-0/a", "t0", TTL_MS_MIN, true),
        ask("area-0/a", "t0", TTL_MS_MAX, true),
        ask("area-0/a", "t7", 10_000, false),
        ask("area-7/a", "t7", TTL_MS_MIN - 1, false),
        ask("area-7/a", "t7", TTL_MS_MAX + 1, false),
        ask("elsewhere/a", "t7", 10_000, false),
    ]
}
