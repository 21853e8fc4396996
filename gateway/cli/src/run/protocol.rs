//! What `run` and its enforcer tell each other: JSON, one object on a line, over two pipes.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `run` orders. If the pipe closes before the command has ended, `run` itself is gone.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Starts the command. The first order, and the only one of its kind.
    Start(Start),
    /// A renewal was confirmed: work must have stopped by this time since boot, which counts
    /// suspension.
    Lease { ends_us: u64 },
    /// The lock must be given back by this time: the command is asked to end.
    Drain { ends_us: u64 },
    /// A signal for the command's process group.
    Signal { number: i32 },
    /// Continues the command after this stop, unless it was continued since, or stopped again: a
    /// person's Ctrl-Z must not be undone by the answer to an earlier stop.
    Continue { stop: u64 },
    /// Kills everything at once.
    Kill,
}

/// What to run, and the time limits of its end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    /// The program and its arguments. They are not on the enforcer's own command line, so that who
    /// looks for them there to kill the command leaves the enforcer alive.
    pub(super) words: Vec<Vec<u8>>,
    /// The signals that were blocked when `run` was started.
    pub(super) blocked: Vec<i32>,
    /// As in [`Order::Lease`].
    pub(super) ends_us: u64,
    /// From SIGTERM to SIGKILL when the lease runs out.
    pub(super) grace_ms: u64,
    /// From SIGKILL to the end of the lease.
    pub(super) kill_ms: u64,
    /// From SIGTERM to SIGKILL for what the command leaves behind.
    pub(super) leftover_ms: u64,
}

/// What the enforcer reports.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The command runs, and leads this process group.
    Started { group: i32 },
    /// The command cannot be started.
    Refused { message: String },
    /// The command was stopped by this signal. Its stops are counted from 1.
    Stopped { signal: i32, stop: u64 },
    /// The lease runs out: the command is asked to end.
    Late,
    /// The command itself has ended.
    Ended { status: Status },
    /// These processes are still there some time after SIGKILL.
    Remaining { processes: Vec<String> },
    /// Nothing is left of the command and of what it started.
    Gone,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A line of the protocol.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(message).unwrap_or_else(|error| unreachable!("plain data: {error}"));
    line.push(b'\n');
    line
}

/// Cuts what arrives into messages.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message. One that cannot be read is passed over: both sides are one program.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        while let Some(length) = self.0.iter().position(|byte| *byte == b'\n') {
            let rest = self.0.split_off(length + 1);
            let line = std::mem::replace(&mut self.0, rest);
            if let Ok(message) = serde_json::from_slice(&line) {
                return Some(message);
            }
        }
        None
    }
}

/// A time since boot as it is sent.
pub(super) fn micros(since_boot: Duration) -> u64 {
    u64::try_from(since_boot.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let orders = [
            Order::Lease { ends_us: 7 },
            Order::Signal { number: 15 },
            Order::Kill,
        ];
        let bytes: Vec<u8> = orders.iter().flat_map(line).collect();
        for size in 1..bytes.len() {
            let mut lines = Lines::default();
            let mut heard = Vec::new();
            for chunk in bytes.chunks(size) {
                lines.feed(chunk);
                heard.extend(std::iter::from_fn(|| lines.next::<Order>()));
            }
            assert_eq!(heard, orders, "chunks of {size}");
        }
    }
}
