//! Takes down what a run sees while it happens, in memory and as lines of a file.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::Result;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use serde::Deserialize;
use serde::Serialize;

use super::Call;
use super::Fault;
use super::History;
use super::Ledger;
use super::Recovery;
use super::Sight;

/// One line of a history's file.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Call(Call),
    Fault(Fault),
    Recovery(Recovery),
    LeaderChange,
    Exit(String),
    Ledger(Ledger),
    Sight(Sight),
}

/// Takes down a history while it happens, in memory and in a file.
#[derive(Debug)]
pub struct Recorder {
    clock: SystemClock,
    kept: Mutex<(History, BufWriter<File>)>,
}

impl Recorder {
    /// Begins a history in a new file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(file: &Path) -> Result<Self> {
        let file = File::create(file).with_context(|| file.display().to_string())?;
        Ok(Self {
            clock: SystemClock::new(),
            kept: Mutex::new((History::default(), BufWriter::new(file))),
        })
    }

    /// Microseconds since the history began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }

    /// A call has ended.
    pub fn call(&self, call: Call) {
        self.line(Line::Call(call));
    }

    /// A fault was healed.
    pub fn fault(&self, fault: Fault) {
        self.line(Line::Fault(fault));
    }

    /// A gateway has granted again, or has not in time.
    pub fn recovery(&self, recovery: Recovery) {
        self.line(Line::Recovery(recovery));
    }

    /// Another node leads.
    pub fn leader_change(&self) {
        self.line(Line::LeaderChange);
    }

    /// A process has ended although no fault asked for it.
    pub fn exit(&self, who: String) {
        self.line(Line::Exit(who));
    }

    /// A ledger was read.
    pub fn ledger(&self, ledger: Ledger) {
        self.line(Line::Ledger(ledger));
    }

    /// A watcher was shown something.
    pub fn sight(&self, sight: Sight) {
        self.line(Line::Sight(sight));
    }

    fn line(&self, line: Line) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (history, file) = &mut *kept;
        // The file is for people who look at a failed run; the checks use what is in memory.
        if let Ok(text) = serde_json::to_string(&line) {
            let _ = writeln!(file, "{text}");
        }
        history.add(line);
    }

    /// The history up to now; the file has it, too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn history(&self) -> Result<History> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.flush()?;
        Ok(kept.0.clone())
    }
}

impl History {
    fn add(&mut self, line: Line) {
        match line {
            Line::Call(call) => self.calls.push(call),
            Line::Fault(fault) => self.faults.push(fault),
            Line::Recovery(recovery) => self.recoveries.push(recovery),
            Line::LeaderChange => self.leader_changes += 1,
            Line::Exit(who) => self.exits.push(who),
            Line::Ledger(ledger) => self.ledgers.push(ledger),
            Line::Sight(sight) => self.sights.push(sight),
        }
    }

    /// Reads a history that was kept, to check it again.
    ///
    /// # Errors
    /// The file is not a history.
    pub fn read(file: &Path) -> Result<Self> {
        let mut history = Self::default();
        let lines = BufReader::new(File::open(file)?).lines();
        for (number, line) in lines.enumerate() {
            let line = serde_json::from_str(&line?);
            history.add(line.with_context(|| format!("line {}", number + 1))?);
        }
        Ok(history)
    }
}
