//! The judgement on stores that work, fail, hang, and on gateways that freeze; then whatever else.

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    window: Duration::from_millis(5_000),
    probe_every: Duration::from_millis(1_000),
    recover_probes: 3,
};
const REST: Duration = RULES.probe_every;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How a store answers probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Works,
    /// Reads are answered, and nothing can be written.
    ReadsOnly,
    Fails,
    Hangs,
}

/// A gateway's judgement, and the store that it is of.
struct Watched {
    agreement: Agreement,
    now: Duration,
    seen: Seen,
    asked: Option<Probe>,
    asks: Vec<Probe>,
}

impl Watched {
    fn new() -> Self {
        let now = ms(7);
        Self {
            agreement: Agreement::new(RULES, now),
            now,
            seen: Seen::default(),
            asked: None,
            asks: Vec::new(),
        }
    }

    /// One look, `step` later; a probe that is due is made, and one that was made is answered.
    fn step(&mut self, step: Duration, store: Store) -> bool {
        self.now += step;
        if let Some(probe) = self.asked {
            let good = match (store, probe) {
                (Store::Hangs, _) => None,
                (Store::Works, _) | (Store::ReadsOnly, Probe::Read) => Some(true),
                (Store::Fails, _) | (Store::ReadsOnly, Probe::Write) => Some(false),
            };
            if let Some(good) = good {
                self.asked = None;
                self.agreement.answered(self.now, probe, good, REST);
            }
        }
        let begins = self.agreement.look(self.now, self.seen);
        if let Some(probe) = self.agreement.due() {
            assert_eq!(self.asked, None, "one probe at a time");
            self.asked = Some(probe);
            self.asks.push(probe);
        }
        begins
    }

    /// For so long; if safe mode began, how long after the newest proof.
    fn pass(&mut self, long: Duration, store: Store) -> Option<Duration> {
        let until = self.now + long;
        let mut began = None;
        while self.now < until {
            if self.step(RULES.look_every(), store) {
                assert_eq!(began, None, "it begins once");
                began = Some(self.now - self.agreement.proven);
            }
        }
        began
    }
}

/// No earlier than the window, and no later than two looks after it.
fn in_time(began: Option<Duration>) -> bool {
    began.is_some_and(|began| {
        began >= RULES.window && began <= RULES.window + 2 * RULES.look_every()
    })
}

#[test]
fn an_idle_store_is_asked_by_reads() {
    let mut watched = Watched::new();
    assert_eq!(watched.pass(ms(60_000), Store::Works), None);
    assert!(watched.asks.iter().all(|probe| *probe == Probe::Read));
    let asks = watched.asks.len();
    assert!((25..=60).contains(&asks), "{asks} in a minute");
}

#[test]
fn a_store_that_commands_prove_is_not_asked() {
    let mut watched = Watched::new();
    for _ in 0..1_000 {
        watched.seen.begun = Some(watched.now + ms(40));
        watched.seen.good = Some(watched.now + ms(50));
        assert!(!watched.step(ms(100), Store::Hangs));
    }
    assert_eq!(watched.asks, []);
}

#[test]
fn one_command_that_hangs_is_outvoted_by_probes_that_write() {
    let mut watched = Watched::new();
    watched.pass(ms(3_000), Store::Works);
    watched.seen.begun = Some(watched.now);
    assert_eq!(watched.pass(ms(60_000), Store::Works), None);
    assert!(watched.asks.contains(&Probe::Write), "{:?}", watched.asks);
    // Once a write went through, reads are enough again.
    assert_eq!(watched.asks.last(), Some(&Probe::Read));
}

#[test]
fn a_store_that_fails_or_hangs_stops_granting_within_its_window() {
    for store in [Store::Fails, Store::Hangs] {
        let mut watched = Watched::new();
        watched.pass(ms(20_000), Store::Works);
        let began = watched.pass(ms(60_000), store);
        assert!(in_time(began), "{store:?}: {began:?}");
    }
}

#[test]
fn a_store_that_only_reads_stops_granting_once_a_command_is_without_success() {
    let mut watched = Watched::new();
    assert_eq!(watched.pass(ms(20_000), Store::ReadsOnly), None);
    watched.seen.begun = Some(watched.now + ms(1));
    let began = watched.pass(ms(60_000), Store::ReadsOnly);
    assert!(in_time(began), "{began:?}");
}

#[test]
fn a_gateway_that_was_frozen_asks_before_it_judges() {
    let mut watched = Watched::new();
    watched.pass(ms(1_500), Store::Works);
    assert!(!watched.step(ms(600_000), Store::Works));
    assert_eq!(watched.pass(ms(60_000), Store::Works), None);
}

#[test]
fn it_ends_after_a_row_of_good_probes_and_not_before() {
    let mut watched = Watched::new();
    assert!(watched.pass(ms(20_000), Store::Fails).is_some());
    assert!(!watched.agreement.works());
    for good in [true, true, false, true, true, true] {
        assert!(!watched.agreement.works());
        watched
            .agreement
            .answered(watched.now, Probe::Write, good, REST);
    }
    assert!(watched.agreement.works());
    // What tells the ledger of it can fail, too.
    watched.agreement.failed();
    assert!(!watched.agreement.works());
    watched.pass(ms(20_000), Store::Works);
    assert!(watched.agreement.works());
    watched.agreement.end(watched.now);
    assert_eq!(watched.pass(ms(60_000), Store::Works), None);
    assert!(in_time(watched.pass(ms(60_000), Store::Hangs)));
}

#[test]
fn a_gateway_that_was_ended_in_safe_mode_begins_in_it() {
    let mut agreement = Agreement::resumed(RULES, ms(5));
    assert!(!agreement.works());
    assert_eq!(agreement.due(), Some(Probe::Write), "it asks at once");
    for n in 1..=RULES.recover_probes {
        agreement.answered(ms(u64::from(n)), Probe::Write, true, REST);
        assert_eq!(agreement.works(), n == RULES.recover_probes);
    }
}

/// A step of some history.
#[derive(Debug, Clone)]
struct Happens {
    after_ms: u64,
    store: Store,
    /// A command begins now.
    begins: bool,
    /// The newest command succeeds now.
    succeeds: bool,
}

fn history() -> impl Strategy<Value = Vec<Happens>> {
    let store = prop_oneof![
        Just(Store::Works),
        Just(Store::ReadsOnly),
        Just(Store::Fails),
        Just(Store::Hangs)
    ];
    // Mostly looks in time, at times a gateway that was frozen.
    let after = prop_oneof![20 => 1_u64..=250, 1 => 250_u64..60_000];
    let happens = (
        after,
        store,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    );
    let happens = happens.prop_map(|(after_ms, store, begins, succeeds)| Happens {
        after_ms,
        store,
        begins,
        succeeds,
    });
    prop::collection::vec(happens, 1..600)
}

proptest! {
    /// Whatever happens: safe mode begins only if for a window nothing has proved agreement and
    /// something was tried; a command that succeeded is always a proof.
    #[test]
    fn it_begins_only_for_cause(history in history()) {
        let mut watched = Watched::new();
        let (mut begun, mut proven) = (None, watched.now);
        for happens in history {
            let at = watched.now + ms(happens.after_ms);
            if happens.begins {
                begun = Some(at);
                watched.seen.begun = begun;
            }
            if happens.succeeds && begun.is_some() {
                watched.seen.good = Some(at);
                proven = at;
            }
            let asked = watched.asked;
            let safe = watched.agreement.is_safe_mode();
            let began = watched.step(ms(happens.after_ms), happens.store);
            let answered = asked.is_some() && watched.asked != asked;
            if asked == Some(Probe::Write) && happens.store == Store::Works && answered {
                proven = watched.now;
            }
            if began {
                prop_assert!(!safe);
                prop_assert!(watched.now - proven >= RULES.window);
                prop_assert!(watched.asked.is_some() || !watched.asks.is_empty()
                    || begun > Some(proven));
                break;
            }
        }
    }

    /// From any history on: a store that answers nothing more stops granting, in time.
    #[test]
    fn it_begins_in_time(history in history(), hangs in any::<bool>()) {
        let mut watched = Watched::new();
        for happens in history {
            if happens.begins {
                watched.seen.begun = Some(watched.now + ms(happens.after_ms));
            }
            watched.step(ms(happens.after_ms), happens.store);
            if watched.agreement.is_safe_mode() {
                return Ok(());
            }
        }
        let store = if hangs { Store::Hangs } else { Store::Fails };
        let latest = RULES.window + 2 * RULES.look_every();
        prop_assert!(watched.pass(latest, store).is_some());
    }

    /// From any history on: a store that works grants, or may do so again after its probes. It may
    /// still go into safe mode first, if the window ends before the probe that proves it.
    #[test]
    fn it_recovers(history in history()) {
        let mut watched = Watched::new();
        for happens in history {
            watched.step(ms(happens.after_ms), happens.store);
        }
        watched.pass(RULES.window * 3, Store::Works);
        prop_assert!(!watched.agreement.is_safe_mode() || watched.agreement.works());
    }
}
