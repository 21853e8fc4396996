//! Short histories for the tests of the checks: times in milliseconds, one lock `l`.

use crate::robustness::Answer;
use crate::robustness::Ask;
use crate::robustness::Call;
use crate::robustness::Done;
use crate::robustness::History;
use crate::robustness::Seen;

pub(super) fn history(calls: Vec<Call>) -> History {
    History {
        calls,
        ..History::default()
    }
}

fn call(key: &str, start: u64, end: u64, ask: Ask, answer: Answer) -> Call {
    Call {
        client: 0,
        gateway: 0,
        lock: "l".to_owned(),
        key: key.to_owned(),
        ask,
        start_us: start * 1_000,
        end_us: end * 1_000,
        answer,
    }
}

pub(super) fn seen(key: &str, token: u64) -> Option<Seen> {
    let key = key.to_owned();
    Some(Seen { key, token })
}

/// A grant for 1,000 ms.
pub(super) fn granted(key: &str, token: u64, start: u64, end: u64) -> Call {
    let done = Done::Granted {
        token,
        lasts_ms: 1_000,
        repeated: false,
    };
    call(key, start, end, acquire(0), Answer::Ok(done))
}

pub(super) fn repeated(key: &str, token: u64, start: u64, end: u64) -> Call {
    let done = Done::Granted {
        token,
        lasts_ms: 10,
        repeated: true,
    };
    call(key, start, end, acquire(0), Answer::Ok(done))
}

fn acquire(wait_ms: u64) -> Ask {
    Ask::Acquire {
        ttl_ms: 1_000,
        wait_ms,
    }
}

pub(super) fn lost_acquire(key: &str, start: u64, end: u64) -> Call {
    call(key, start, end, acquire(0), unknown())
}

/// A wait whose answer never came.
pub(super) fn lost_wait(key: &str, start: u64, end: u64) -> Call {
    call(key, start, end, acquire(500), unknown())
}

fn unknown() -> Answer {
    Answer::Unknown {
        why: "timeout".to_owned(),
    }
}

fn failed(code: &str, seen: Option<Seen>) -> Answer {
    Answer::Failed {
        code: code.to_owned(),
        seen,
    }
}

pub(super) fn busy(key: &str, holder: Option<Seen>, start: u64, end: u64) -> Call {
    call(key, start, end, acquire(0), failed("held", holder))
}

pub(super) fn waited_in_vain(key: &str, start: u64, end: u64) -> Call {
    call(key, start, end, acquire(500), failed("held", None))
}

/// Renewed for 1,000 ms.
pub(super) fn renewed(key: &str, token: u64, start: u64, end: u64) -> Call {
    let done = Done::Renewed {
        token,
        lasts_ms: 1_000,
    };
    let ask = Ask::Renew { ttl_ms: 1_000 };
    call(key, start, end, ask, Answer::Ok(done))
}

pub(super) fn too_late(key: &str, start: u64, end: u64) -> Call {
    let ask = Ask::Renew { ttl_ms: 1_000 };
    call(key, start, end, ask, failed("lease_ended", None))
}

pub(super) fn released(key: &str, start: u64, end: u64) -> Call {
    call(key, start, end, Ask::Release, Answer::Ok(Done::Released))
}

pub(super) fn lost_release(key: &str, start: u64, end: u64) -> Call {
    call(key, start, end, Ask::Release, unknown())
}

pub(super) fn validated(token: u64, current: bool, start: u64, end: u64) -> Call {
    let done = Answer::Ok(Done::Validated { current });
    call("", start, end, Ask::Validate { token }, done)
}

pub(super) fn viewed(holder: Option<Seen>, start: u64, end: u64) -> Call {
    let done = Answer::Ok(Done::Viewed { holder });
    call("", start, end, Ask::Read, done)
}
