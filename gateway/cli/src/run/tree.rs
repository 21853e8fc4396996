//! A process and all that descends from it, whatever group, session or terminal it has moved to.
//!
//! A process cannot leave its ancestor if that is a subreaper: orphans become its children. So the
//! tree is found by the parents' numbers alone. Processes are stopped before they are killed: one
//! that is stopped neither forks nor waits for its children, so the numbers below it stay theirs.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// How often the tree is looked through again for new members before those known are killed.
const ROUNDS_MAX: u32 = 64;

/// A living descendant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Member {
    pub(super) pid: i32,
    parent: i32,
    pub(super) group: i32,
    session: i32,
    /// Since when, in ticks: tells it from a later process of the same number.
    started: u64,
    name: String,
}

impl Member {
    /// What `/proc` says of a process; nothing if it is gone.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let name = head.split_once(" (")?.1.to_owned();
        let fields: Vec<&str> = fields.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        let dead = matches!(*fields.first()?, "Z" | "X") && threads(pid) <= 1;
        (!dead).then_some(Self {
            pid,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            started: fields.get(19)?.parse().ok()?,
            name,
        })
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        format!("{} ({})", self.pid, self.name)
    }

    fn send(&self, signal: Signal) -> Result<(), Errno> {
        kill(Pid::from_raw(self.pid), signal)
    }
}

/// A process whose first thread has ended, but not the others, looks like a zombie and is none.
fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Whether a shell, or another process with job control, looks after this process's group: whether
/// somebody could continue it if it stopped.
pub(super) fn has_job_control() -> bool {
    let Some(own) = Member::read(Pid::this().as_raw()) else {
        return false;
    };
    let mut parent = Member::read(own.parent);
    while let Some(process) = parent {
        if process.group != own.group {
            return process.session == own.session;
        }
        parent = Member::read(process.parent);
    }
    false
}

/// All descendants of this process that live, parents first.
pub(super) fn members() -> Vec<Member> {
    let listed = Path::new("/proc/thread-self/children").exists();
    let all = if listed { Vec::new() } else { everybody() };
    let mut members: Vec<Member> = Vec::new();
    let mut seen = HashSet::new();
    let mut parents = VecDeque::from([Pid::this().as_raw()]);
    while let Some(parent) = parents.pop_front() {
        let children = if listed {
            let children = children(parent).into_iter();
            children.filter_map(Member::read).collect()
        } else {
            let children = all.iter().filter(|process| process.parent == parent);
            children.cloned().collect::<Vec<_>>()
        };
        for child in children {
            if seen.insert(child.pid) {
                parents.push_back(child.pid);
                members.push(child);
            }
        }
    }
    members
}

/// The children of all threads of a process.
fn children(parent: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let lists = threads.filter_map(|thread| {
        let list = thread.ok()?.path().join("children");
        std::fs::read_to_string(list).ok()
    });
    let numbers = lists.flat_map(|list| {
        let numbers = list.split_whitespace().filter_map(|pid| pid.parse().ok());
        numbers.collect::<Vec<i32>>()
    });
    numbers.collect()
}

/// Every process, for kernels that do not list children.
fn everybody() -> Vec<Member> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(Member::read).collect()
}

/// Stops all descendants, looks for more until there are none, and kills them. What the kernel has
/// not ended yet, or may not be ended by this user, is found by the next [`members`].
pub(super) fn kill_all() {
    let mut stopped: HashSet<Member> = HashSet::new();
    for _ in 0..ROUNDS_MAX {
        let known = stopped.len();
        for member in members() {
            if !stopped.contains(&member) {
                let _ = member.send(Signal::SIGSTOP);
                stopped.insert(member);
            }
        }
        if stopped.len() == known {
            break;
        }
    }
    for member in &stopped {
        // Its parent is stopped or this process, so nobody else has its number.
        let _ = member.send(Signal::SIGKILL);
    }
}

/// Signals all descendants.
pub(super) fn signal_all(signals: &[Signal]) {
    signal(&members(), signals);
}

/// Signals all descendants outside of a process group.
pub(super) fn signal_others(group: Pid, signals: &[Signal]) {
    let mut others = members();
    others.retain(|member| member.group != group.as_raw());
    signal(&others, signals);
}

fn signal(members: &[Member], signals: &[Signal]) {
    for member in members {
        for signal in signals {
            let _ = member.send(*signal);
        }
    }
}

/// Collects a child that has ended, or that was stopped or continued; nothing if there is none such
/// now.
pub(super) fn reap() -> Option<WaitStatus> {
    let changes = WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
    match waitpid(None, Some(WaitPidFlag::WNOHANG | changes)) {
        Ok(WaitStatus::StillAlive) | Err(_) => None,
        Ok(status) => Some(status),
    }
}
