//! The enforcer, as `run` sees it: started, ordered, and listened to.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::FcntlArg;
use nix::fcntl::FdFlag;
use nix::fcntl::fcntl;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Receiver;
use tokio::net::unix::pipe::Sender;

use super::super::exit::Failed;
use super::super::exit::SYSTEM;
use super::cgroup::Cgroup;
use super::enforcer::ENFORCER;
use super::protocol::Lines;
use super::protocol::Order;
use super::protocol::Report;
use super::protocol::Start;
use super::protocol::line;

/// This program, also when its file has been replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A running enforcer.
#[derive(Debug)]
pub(super) struct Handle {
    enforcer: u32,
    orders: Sender,
    reports: Receiver,
    lines: Lines,
}

impl Handle {
    /// Starts an enforcer with this environment, and lets it start the command.
    pub(super) async fn start(
        start: Start,
        environment: &[(&str, Option<String>)],
    ) -> Result<Self, Failed> {
        let failed = |error: std::io::Error| {
            let message = format!("cannot start the process that ends the command: {error}");
            Failed::new(SYSTEM, message)
        };
        let (its_orders, orders) = std::io::pipe().map_err(failed)?;
        let (reports, its_reports) = std::io::pipe().map_err(failed)?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("leasehold").arg(ENFORCER).process_group(0);
        for end in [its_orders.as_fd(), its_reports.as_fd()] {
            let inherit = fcntl(end, FcntlArg::F_SETFD(FdFlag::empty()));
            inherit.map_err(|error: Errno| failed(error.into()))?;
            command.arg(end.as_raw_fd().to_string());
        }
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Collected with all other children.
        let enforcer = command.spawn().map_err(failed)?.id();
        drop((its_orders, its_reports));
        let mut handle = Self {
            enforcer,
            orders: Sender::from_owned_fd(OwnedFd::from(orders)).map_err(failed)?,
            reports: Receiver::from_owned_fd(OwnedFd::from(reports)).map_err(failed)?,
            lines: Lines::default(),
        };
        let start = line(&Order::Start(start));
        handle.orders.write_all(&start).await.map_err(failed)?;
        Ok(handle)
    }

    /// The command's control group, which an enforcer that was killed leaves behind.
    pub(super) fn cgroup(&self) -> Option<Cgroup> {
        Cgroup::of(self.enforcer)
    }

    /// Orders. If the enforcer is gone, or does not read, the reports show it.
    pub(super) fn order(&self, order: &Order) {
        let _ = self.orders.try_write(&line(order));
    }

    /// The next report; nothing if the enforcer is gone.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let mut bytes = [0; 4_096];
        loop {
            if let Some(report) = self.lines.next() {
                return Some(report);
            }
            match self.reports.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.lines.feed(&bytes[..length]),
            }
        }
    }
}
