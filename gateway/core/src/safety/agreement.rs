//! Whether a store agrees, as far as one gateway can tell. Pure: time and evidence are passed in.
//!
//! A store has not agreed within its window if, for that long, nothing has proved that it does,
//! although something was tried. What proves it: a command that was carried out; a probe that was
//! answered. While a command is without success (it failed, or hangs), a read proves nothing,
//! because a store that can answer reads may be unable to write; then a probe goes through the
//! store's log as commands do.
//!
//! Time counts only while the gateway is awake: one look adds no more than [`Rules::step_max`]. So
//! a gateway that was frozen, and finds its last proof a minute old, asks before it judges.

use std::time::Duration;

use crate::config::SafeMode;

/// When a store counts as not agreeing, and when it does again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long nothing may prove that the store agrees.
    pub(crate) window: Duration,
    /// How long to wait for a proof before asking for one, and between two probes.
    pub(crate) probe_every: Duration,
    /// How many probes in a row must succeed before the store counts as working again.
    pub(crate) recover_probes: u32,
}

impl Rules {
    pub(crate) fn configured(config: &SafeMode) -> Self {
        Self {
            window: Duration::from_millis(config.window_ms),
            probe_every: Duration::from_millis(config.probe_every_ms),
            recover_probes: config.recover_probes,
        }
    }

    /// How often to look.
    pub(crate) fn look_every(&self) -> Duration {
        let most = Duration::from_millis(250);
        (self.window / 20).clamp(Duration::from_millis(10), most)
    }

    /// The most time that one look adds.
    fn step_max(&self) -> Duration {
        2 * self.look_every()
    }
}

/// How to ask the store whether it agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A linearizable read: costs no write.
    Read,
    /// A command that changes nothing, and goes the way of all commands.
    Write,
}

/// What commands have left behind, on the gateway's monotonic clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When the newest one began; none if there was none.
    pub(crate) begun: Option<Duration>,
    /// When the newest success came; none if there was none.
    pub(crate) good: Option<Duration>,
}

/// What is known of a store's agreement.
#[derive(Debug)]
pub(crate) struct Agreement {
    rules: Rules,
    looked: Duration,
    /// The newest proof.
    proven: Duration,
    /// Whether a proof has come that nobody has asked for yet.
    news: bool,
    /// The newest proof by a write; none if there was none.
    written: Option<Duration>,
    /// The newest command's begin; none if there was none.
    begun: Option<Duration>,
    /// For how long the gateway, awake, has seen no proof.
    silent: Duration,
    /// Whether a probe has been tried since the newest proof.
    probed: bool,
    probe: Next,
    /// How many probes in a row have succeeded in safe mode; none outside of it.
    good_in_a_row: Option<u32>,
}

/// The next probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// One is under way.
    Asked,
    /// Not before this much more awake time.
    Rests(Duration),
}

impl Agreement {
    /// A store that has just been opened, and so agrees.
    pub(crate) fn new(rules: Rules, now: Duration) -> Self {
        Self {
            rules,
            looked: now,
            proven: now,
            news: false,
            written: None,
            begun: None,
            silent: Duration::ZERO,
            probed: false,
            probe: Next::Rests(rules.probe_every),
            good_in_a_row: None,
        }
    }

    /// The same, in safe mode: the gateway was ended in it.
    pub(crate) fn resumed(rules: Rules, now: Duration) -> Self {
        Self {
            good_in_a_row: Some(0),
            probe: Next::Rests(Duration::ZERO),
            ..Self::new(rules, now)
        }
    }

    /// Counts time and evidence. Answers true at the moment at which safe mode begins.
    pub(crate) fn look(&mut self, now: Duration, seen: Seen) -> bool {
        let step = now.saturating_sub(self.looked).min(self.rules.step_max());
        self.looked = now;
        if let Next::Rests(rest) = self.probe {
            self.probe = Next::Rests(rest.saturating_sub(step));
        }
        self.begun = self.begun.max(seen.begun);
        self.written = self.written.max(seen.good);
        if let Some(good) = seen.good.filter(|good| *good > self.proven) {
            self.prove(good);
        }
        // A proof may have come since the last look, and then counts from there.
        self.silent = (self.silent + step).min(now.saturating_sub(self.proven));
        let begins = self.good_in_a_row.is_none()
            && self.silent >= self.rules.window
            && (self.probed || self.probe == Next::Asked || self.begun > Some(self.proven));
        if begins {
            self.good_in_a_row = Some(0);
        }
        begins
    }

    /// The probe that is due; the caller has to make it, and to tell [`Self::answered`].
    pub(crate) fn due(&mut self) -> Option<Probe> {
        let rested = self.probe == Next::Rests(Duration::ZERO);
        let doubted = self.silent >= self.rules.probe_every.min(self.rules.window / 2);
        if !rested || !(doubted || self.is_safe_mode()) {
            return None;
        }
        self.probe = Next::Asked;
        self.probed = true;
        Some(match self.is_safe_mode() || self.is_in_doubt() {
            true => Probe::Write,
            false => Probe::Read,
        })
    }

    /// A probe succeeded or failed; the next comes no sooner than after `rest`.
    pub(crate) fn answered(&mut self, now: Duration, probe: Probe, good: bool, rest: Duration) {
        self.probe = Next::Rests(rest);
        let Some(row) = self.good_in_a_row.as_mut() else {
            return self.answered_while_granting(now, probe, good);
        };
        *row = match (good, probe) {
            (true, Probe::Write) => row.saturating_add(1),
            // It was asked before safe mode began.
            (true, Probe::Read) => *row,
            (false, _) => 0,
        };
    }

    fn answered_while_granting(&mut self, now: Duration, probe: Probe, good: bool) {
        if !good {
            return;
        }
        if probe == Probe::Write {
            self.written = self.written.max(Some(now));
        }
        if !self.is_in_doubt() {
            self.prove(now);
        }
    }

    /// Whether a proof has come since this was last asked.
    pub(crate) fn newly_proven(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// In safe mode: whether the store works again.
    pub(crate) fn works(&self) -> bool {
        self.good_in_a_row
            .is_some_and(|row| row >= self.rules.recover_probes)
    }

    /// In safe mode: what should have worked has failed, so the row begins anew.
    pub(crate) fn failed(&mut self) {
        if let Some(row) = &mut self.good_in_a_row {
            *row = 0;
        }
    }

    /// Safe mode is over.
    pub(crate) fn end(&mut self, now: Duration) {
        self.good_in_a_row = None;
        self.written = Some(now);
        self.prove(now);
    }

    fn is_safe_mode(&self) -> bool {
        self.good_in_a_row.is_some()
    }

    /// Whether a command was begun after the newest write that is known to have succeeded.
    fn is_in_doubt(&self) -> bool {
        self.begun > self.written
    }

    fn prove(&mut self, at: Duration) {
        self.news = true;
        self.proven = self.proven.max(at);
        self.probed = false;
        self.silent = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests;
