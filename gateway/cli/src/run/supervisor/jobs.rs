//! Signals to `run`, and job control: who has the terminal, who stops with whom.

use std::time::Duration;

use leasehold_client::Moment;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::getpgrp;

use super::super::protocol::Order;
use super::super::signals::Caught;
use super::super::signals::stop_alone;
use super::super::signals::stop_group;
use super::super::tree;
use super::Supervisor;

/// Two signals in a shorter time count as one: `timeout` and service managers send pairs.
const SECOND_SIGNAL_AFTER: Duration = Duration::from_millis(100);
/// The terminal goes back and forth between two programs that both want it no faster than this.
const TERMINAL_KEPT: Duration = Duration::from_millis(200);

impl Supervisor<'_> {
    pub(super) fn caught(&mut self, caught: Caught) {
        let number = caught.signal as i32;
        match caught.signal {
            Signal::SIGTSTP if self.outcome.status.is_none() => {
                // The command stops, or not; `run` does as it does.
                self.handle.order(&Order::Signal { number });
            }
            Signal::SIGTSTP => {
                if tree::has_job_control() {
                    stop_alone();
                }
            }
            Signal::SIGTTIN | Signal::SIGTTOU => self.asked_for_terminal(),
            _ => self.handle.order(&Order::Signal { number }),
        }
        let is_key = caught.is_of_terminal && caught.signal != Signal::SIGHUP;
        if !caught.ends() || is_key {
            return;
        }
        match self.asked_at {
            None => {
                self.asked_at = Some(Moment::now());
                self.grace_over = Some(Box::pin(tokio::time::sleep(self.grace)));
            }
            Some(at) if at.elapsed() >= SECOND_SIGNAL_AFTER => self.handle.order(&Order::Kill),
            Some(_) => {}
        }
    }

    /// The command was stopped: it needs the terminal, or the person has pressed Ctrl-Z.
    pub(super) fn stopped(&mut self, signal: Signal, stop: u64) {
        let (Some(terminal), Some(group)) = (&mut self.terminal, self.group) else {
            // Nobody could continue both; an operator who has stopped the command continues it.
            return;
        };
        let go_on = Order::Continue { stop };
        let needs_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        // It may have got the terminal since it was stopped.
        if needs_terminal && (terminal.give(group) || terminal.is_of(group)) {
            return self.handle.order(&go_on);
        }
        if !tree::has_job_control() {
            // The kernel does not let these stop a group that nobody could continue.
            if signal != Signal::SIGSTOP {
                self.handle.order(&go_on);
            }
            return;
        }
        let was_given = terminal.is_given();
        terminal.take_back(group);
        match signal {
            // Who has stopped the command alone has not stopped the rest of its pipeline.
            Signal::SIGSTOP => stop_alone(),
            // The shell may have given the terminal to this job meanwhile.
            _ if needs_terminal => stop_group(signal, || !terminal.is_of(getpgrp())),
            // The key stops the whole pipeline, and not only the program that has the terminal.
            _ if was_given => stop_group(signal, || true),
            // The signal was not the terminal's to the command: the rest of the pipeline has had it
            // from the terminal already, or was not meant.
            _ => stop_alone(),
        }
        if was_given || needs_terminal {
            terminal.give(group);
        }
        self.handle.order(&go_on);
    }

    /// Another program of the pipeline has been stopped because the command has the terminal.
    fn asked_for_terminal(&mut self) {
        if let (Some(terminal), Some(group)) = (&mut self.terminal, self.group)
            && terminal.take_back(group)
        {
            std::thread::sleep(TERMINAL_KEPT);
            let _ = killpg(getpgrp(), Signal::SIGCONT);
        }
    }
}
