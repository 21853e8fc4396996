//! The process that starts and ends the command, driven over its pipes as `run` drives it.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use serde_json::json;

use super::*;

/// A running enforcer.
struct Enforcer {
    process: Pid,
    orders: std::io::PipeWriter,
    reports: BufReader<std::io::PipeReader>,
}

impl Enforcer {
    /// Starts one, and a command that does nothing for ten minutes; its process is returned.
    fn start() -> Result<(Self, Pid)> {
        let (its_orders, orders) = std::io::pipe()?;
        let (reports, its_reports) = std::io::pipe()?;
        let process = std::process::Command::new(binary())
            .args(["enforcer", "0", "1"])
            .stdin(its_orders)
            .stdout(its_reports)
            .spawn()?;
        let mut enforcer = Self {
            process: Pid::from_raw(i32::try_from(process.id())?),
            orders,
            reports: BufReader::new(reports),
        };
        let words: Vec<&[u8]> = vec![b"sleep", b"600"];
        let ends = since_boot()? + Duration::from_hours(1);
        enforcer.order(&json!({ "start": {
            "words": words,
            "blocked": [],
            "ends_us": u64::try_from(ends.as_micros())?,
            "grace_ms": 1_000,
            "kill_ms": 100,
            "leftover_ms": 100,
        }}))?;
        let started = enforcer.report()?;
        let group = started["started"]["group"].as_i64().context("a group")?;
        Ok((enforcer, Pid::from_raw(i32::try_from(group)?)))
    }

    fn order(&mut self, order: &Value) -> Result<()> {
        Ok(writeln!(self.orders, "{order}")?)
    }

    fn report(&mut self) -> Result<Value> {
        if self.reports.buffer().is_empty() {
            let mut reports = [PollFd::new(
                self.reports.get_ref().as_fd(),
                PollFlags::POLLIN,
            )];
            let patience = PollTimeout::try_from(PATIENCE)?;
            let mut ready = Err(Errno::EINTR);
            // Other tests' children end meanwhile, and this process has a handler for that.
            while ready == Err(Errno::EINTR) {
                ready = poll(&mut reports, patience);
            }
            anyhow::ensure!(ready? == 1, "nothing is reported");
        }
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

fn since_boot() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().context("seconds")?.parse()?;
    Ok(Duration::from_secs_f64(seconds))
}

/// `run` answers each stop. An answer that is late must not undo the next stop: the person who has
/// pressed Ctrl-Z would see nothing happen.
#[test]
fn a_late_order_to_continue_does_not_undo_a_newer_stop() -> Result<()> {
    let (mut enforcer, command) = Enforcer::start()?;
    let stopped = |signal: Signal, stop: u64| {
        let signal = signal as i32;
        json!({ "stopped": { "signal": signal, "stop": stop } })
    };
    kill(command, Signal::SIGTTIN)?;
    assert_eq!(enforcer.report()?, stopped(Signal::SIGTTIN, 1));
    // Somebody else continues it, and it is stopped anew before the answer arrives. The enforcer
    // learns of both at once.
    kill(enforcer.process, Signal::SIGSTOP)?;
    kill(command, Signal::SIGCONT)?;
    kill(command, Signal::SIGTSTP)?;
    enforcer.order(&json!({ "continue": { "stop": 1 } }))?;
    kill(enforcer.process, Signal::SIGCONT)?;
    assert_eq!(enforcer.report()?, stopped(Signal::SIGTSTP, 2));
    // What is stopped is not stopped again, so this shows nothing, unless it was continued.
    enforcer.order(&json!({ "signal": { "number": Signal::SIGTSTP as i32 } }))?;
    enforcer.order(&json!({ "continue": { "stop": 2 } }))?;
    enforcer.order(&json!({ "signal": { "number": Signal::SIGTSTP as i32 } }))?;
    assert_eq!(enforcer.report()?, stopped(Signal::SIGTSTP, 3));
    enforcer.order(&json!({ "signal": { "number": Signal::SIGKILL as i32 } }))?;
    let ended = enforcer.report()?;
    assert_eq!(ended, json!({ "ended": { "status": { "signal": 9 } } }));
    assert_eq!(enforcer.report()?, json!("gone"));
    Ok(())
}
