//! A control group for the command, where this user may make one: it holds what changed its user,
//! which could not be killed otherwise, and kills all of it in one write.

use std::path::Path;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// A control group of the second version below this process's own. Removed when dropped, if it is
/// empty.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one and lets `start` start its processes in it. Where that is not possible, `start`
    /// is called all the same, and the answer has no control group.
    pub(super) fn with<T>(start: impl FnOnce() -> T) -> (T, Option<Self>) {
        let Some((own, group)) = own().and_then(|own| Some((own.clone(), Self::enter(&own)?)))
        else {
            return (start(), None);
        };
        let started = start();
        // This process itself must not be killed with the others.
        let left = std::fs::write(own.join("cgroup.procs"), "0").is_ok();
        (started, left.then_some(group))
    }

    fn enter(own: &Path) -> Option<Self> {
        let path = path(own, std::process::id());
        std::fs::create_dir(&path).ok()?;
        let group = Self { path };
        std::fs::write(group.path.join("cgroup.procs"), "0").ok()?;
        Some(group)
    }

    /// The one that this enforcer has made, if it is still there.
    pub(super) fn of(enforcer: u32) -> Option<Self> {
        let path = path(&own()?, enforcer);
        path.is_dir().then_some(Self { path })
    }

    /// Kills all of it.
    pub(super) fn kill(&self) {
        if std::fs::write(self.path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Before Linux 5.14. A frozen group does not fork.
        let _ = std::fs::write(self.path.join("cgroup.freeze"), "1");
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = std::fs::write(self.path.join("cgroup.freeze"), "0");
    }

    /// The processes in it.
    pub(super) fn processes(&self) -> Vec<i32> {
        let list = std::fs::read_to_string(self.path.join("cgroup.procs"));
        let list = list.unwrap_or_default();
        list.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Whether a process is left in it or below it.
    pub(super) fn is_populated(&self) -> bool {
        let events = std::fs::read_to_string(self.path.join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that is not empty stays: whoever is in it is reported.
        let _ = std::fs::remove_dir(&self.path);
    }
}

fn path(own: &Path, enforcer: u32) -> PathBuf {
    own.join(format!("leasehold-run-{enforcer}"))
}

/// The directory of this process's own control group.
fn own() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    directory(&mounts, &groups).filter(|directory| directory.is_dir())
}

fn directory(mounts: &str, groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, unescape(fields.next()?));
        let below = match root {
            "/" => own,
            root => own.strip_prefix(root)?,
        };
        let is_whole = below.is_empty() || below.starts_with('/');
        // Outside of what this mount shows.
        let is_outside = below.split('/').any(|part| part == "..");
        (is_whole && !is_outside).then(|| Path::new(&point).join(below.trim_start_matches('/')))
    })
}

/// Spaces and the like are written as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain += &part[3..];
            }
            None => {
                plain.push('\\');
                plain += part;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_control_group_is_found_wherever_it_is_mounted() {
        let find = |mounts: &str, groups: &str| {
            directory(mounts, groups).map(|path| path.display().to_string())
        };
        let whole = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let own = "0::/user.slice/user-1000.slice\n";
        let expected = "/sys/fs/cgroup/user.slice/user-1000.slice";
        assert_eq!(find(whole, own).unwrap(), expected);

        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw";
        let own = "3:memory:/x\n0::/\n";
        assert_eq!(find(hybrid, own).unwrap(), "/sys/fs/cgroup/uni fied/");

        let part = "41 31 0:38 /docker/abc /sys/fs/cgroup ro shared:9 - cgroup2 cgroup rw";
        assert_eq!(find(part, "0::/docker/abc/x").unwrap(), "/sys/fs/cgroup/x");
        assert_eq!(find(part, "0::/docker/abcd"), None, "another group");
        assert_eq!(find(part, "0::/../x"), None);
        assert_eq!(find(whole, "3:memory:/x"), None, "only the first version");
    }
}
