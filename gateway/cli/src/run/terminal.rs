//! The controlling terminal, and which process group it talks to.
//!
//! The command has a process group of its own. It gets the terminal only from who has it: a `run`
//! in the background never takes it. Behind a pipe, the program at the other end (a pager, say) may
//! need the terminal first; then the command gets it when it asks for it.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use nix::unistd::getpgrp;
use nix::unistd::tcgetpgrp;
use nix::unistd::tcsetpgrp;

/// The controlling terminal. SIGTTOU must be blocked or ignored.
#[derive(Debug)]
pub(super) struct Terminal {
    file: File,
    /// Whether the command's group was given it, and it was not taken back.
    is_given: bool,
}

impl Terminal {
    /// The controlling terminal, if this process has one. It need not be one of the standard
    /// streams.
    pub(super) fn open() -> Option<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true);
        let options = options.custom_flags(OFlag::O_NOCTTY.bits());
        let file = options.open("/dev/tty").ok()?;
        Some(Self {
            file,
            is_given: false,
        })
    }

    /// Whether it talks to this group.
    pub(super) fn is_of(&self, group: Pid) -> bool {
        tcgetpgrp(&self.file) == Ok(group)
    }

    pub(super) fn is_given(&self) -> bool {
        self.is_given
    }

    /// Gives it to the command's group, if this process's group has it; whether it did.
    pub(super) fn give(&mut self, group: Pid) -> bool {
        let gives = self.is_of(getpgrp()) && tcsetpgrp(&self.file, group).is_ok();
        self.is_given |= gives;
        gives
    }

    /// Takes it back from the command, unless somebody else has it by now; whether it did.
    pub(super) fn take_back(&mut self, group: Pid) -> bool {
        if !std::mem::replace(&mut self.is_given, false) {
            return false;
        }
        let is_command_s = |current: Pid| {
            // A group that the command made, and that ended with it, has no members.
            current == group || killpg(current, None) == Err(Errno::ESRCH)
        };
        tcgetpgrp(&self.file).is_ok_and(is_command_s) && tcsetpgrp(&self.file, getpgrp()).is_ok()
    }
}

/// Whether one of the standard streams is a pipe: then another program of the same pipeline may
/// need the terminal.
pub(super) fn is_in_pipeline() -> bool {
    (0..3).any(|fd| {
        std::fs::metadata(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|stream| stream.file_type().is_fifo())
    })
}
