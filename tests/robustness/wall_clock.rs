//! The wall clock of processes that run, moved.
//!
//! Programs ask the kernel's code in their own memory (the vDSO) for the time. It is replaced there
//! by code that makes the system call and adds an offset to what is the wall clock's. Processes that
//! are made by these inherit it. Monotonic clocks stay true. `libfaketime` is no help: programs in Go
//! do not ask through the C library, and it must be there when a process starts.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// How long a process that was told to stand still may take to do so, where its code can be changed.
const STILL_WITHIN: Duration = Duration::from_secs(10);
/// What its memory map calls the kernel's code.
const KERNEL_CODE: &str = "[vdso]";

/// The code that adds an offset, with the offset's place in it.
struct Patch {
    symbol: &'static str,
    before: &'static [u8],
    after: &'static [u8],
}

/// For x86-64: `mov eax, NUMBER; syscall`, and if it is the wall clock, `mov rcx, OFFSET` and an
/// addition to the seconds.
const PATCHES: [Patch; 3] = [
    // clock_gettime(edi: clock, rsi: time): test edi, edi; jne out; …; add [rsi], rcx; out: ret
    Patch {
        symbol: "__vdso_clock_gettime",
        before: &[
            0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x0d, 0x48, 0xb9,
        ],
        after: &[0x48, 0x01, 0x0e, 0xc3],
    },
    // gettimeofday(rdi: time, rsi: zone): test rdi, rdi; je out; …; add [rdi], rcx; out: ret
    Patch {
        symbol: "__vdso_gettimeofday",
        before: &[
            0xb8, 0x60, 0, 0, 0, 0x0f, 0x05, 0x48, 0x85, 0xff, 0x74, 0x0d, 0x48, 0xb9,
        ],
        after: &[0x48, 0x01, 0x0f, 0xc3],
    },
    // time(rdi: time): …; add rax, rcx; test rdi, rdi; je out; mov [rdi], rax; out: ret
    Patch {
        symbol: "__vdso_time",
        before: &[0xb8, 0xc9, 0, 0, 0, 0x0f, 0x05, 0x48, 0xb9],
        after: &[
            0x48, 0x01, 0xc8, 0x48, 0x85, 0xff, 0x74, 0x03, 0x48, 0x89, 0x07, 0xc3,
        ],
    },
];

impl Patch {
    fn code(&self, ahead_s: i64) -> Vec<u8> {
        let mut code = self.before.to_vec();
        code.extend(ahead_s.to_le_bytes());
        code.extend(self.after);
        code
    }
}

/// Moves the wall clock of processes, which were told to stand still, to so many seconds from the
/// true one.
///
/// # Errors
/// One of them does not stand still, or its code is not as expected.
pub(crate) async fn set(processes: &[Pid], ahead_s: i64) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "wall clocks are moved on x86-64 only"
    );
    for process in processes {
        let folder = Path::new("/proc").join(process.to_string());
        let moved = tokio::time::timeout(STILL_WITHIN, set_of(*process, &folder, ahead_s)).await;
        let moved = moved.context("it does not stand still").flatten();
        // It may have ended before it could be stopped.
        if folder.join("exe").exists() {
            moved.with_context(|| format!("the wall clock of process {process}"))?;
        }
    }
    Ok(())
}

async fn set_of(pid: Pid, process: &Path, ahead_s: i64) -> Result<()> {
    let code = kernel_code(process)?;
    while !stands_outside(process, &code)? {
        // If it was stopped there, it must leave first.
        kill(pid, Signal::SIGCONT)?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        kill(pid, Signal::SIGSTOP)?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let memory = File::options()
        .read(true)
        .write(true)
        .open(process.join("mem"))?;
    let mut image = vec![0; usize::try_from(code.end - code.start)?];
    memory.read_exact_at(&mut image, code.start)?;
    for patch in &PATCHES {
        let symbol = find(&image, patch.symbol);
        let (at, size) = symbol.with_context(|| format!("no {}", patch.symbol))?;
        let new = patch.code(ahead_s);
        ensure!(new.len() <= size, "{} has only {size} bytes", patch.symbol);
        memory.write_all_at(&new, code.start + u64::try_from(at)?)?;
    }
    Ok(())
}

/// Where the kernel's code is in a process's memory.
fn kernel_code(process: &Path) -> Result<std::ops::Range<u64>> {
    let maps = std::fs::read_to_string(process.join("maps"))?;
    let line = maps.lines().find(|line| line.ends_with(KERNEL_CODE));
    let range = line.and_then(|line| line.split(' ').next()?.split_once('-'));
    let (start, end) = range.context("no code of the kernel's")?;
    Ok(u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?)
}

/// Whether all threads stand still, and none of them in this code, or called from it.
fn stands_outside(process: &Path, code: &std::ops::Range<u64>) -> Result<bool> {
    for thread in std::fs::read_dir(process.join("task"))? {
        let thread = thread?.path();
        let status = std::fs::read_to_string(thread.join("stat"))?;
        let state = status.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
        let call = std::fs::read_to_string(thread.join("syscall"))?;
        // The last word is where it goes on; there is none while it runs.
        let at = call.trim().rsplit(' ').next().unwrap_or_default();
        let at = at.strip_prefix("0x").map(|at| u64::from_str_radix(at, 16));
        match (state, at) {
            (Some("T"), Some(Ok(at))) if !code.contains(&at) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Where a function is in an ELF image, and its size in bytes.
fn find(image: &[u8], name: &str) -> Option<(usize, usize)> {
    let sections = number(image, 0x28, 8)?;
    let section = |at: usize| sections + at * 64;
    let dynamic = (0..number(image, 0x3c, 2)?).map(section).find(|at| {
        const DYNAMIC_SYMBOLS: usize = 11;
        number(image, at + 4, 4) == Some(DYNAMIC_SYMBOLS)
    })?;
    let names = number(image, section(number(image, dynamic + 40, 4)?) + 24, 8)?;
    let symbols = number(image, dynamic + 24, 8)?;
    let count = number(image, dynamic + 32, 8)? / 24;
    (0..count).map(|at| symbols + at * 24).find_map(|symbol| {
        let own = image.get(names + number(image, symbol, 4)?..)?;
        let named = own.strip_prefix(name.as_bytes())?.first() == Some(&0);
        named.then_some((
            number(image, symbol + 8, 8)?,
            number(image, symbol + 16, 8)?,
        ))
    })
}

/// A number of so many bytes at an offset.
fn number(image: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let bytes = image.get(at..at.checked_add(bytes)?)?;
    let whole = bytes.iter().rev();
    Some(whole.fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::io::Write;
    use std::process::Command;
    use std::process::Stdio;

    use super::*;

    /// Asks for its time, and for that of a process which it makes.
    const ASK: &str = "while read -r; do printf '%(%s)T ' -1; (printf '%(%s)T\n' -1); done";

    #[tokio::test]
    async fn a_process_and_those_that_it_makes_see_the_moved_clock() {
        let mut shell = Command::new("bash")
            .args(["-c", ASK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let pid = Pid::from_raw(i32::try_from(shell.id()).expect("an id"));
        let mut to = shell.stdin.take().expect("it is piped");
        let mut from = BufReader::new(shell.stdout.take().expect("it is piped"));
        let mut ask = move || {
            writeln!(to).expect("it reads");
            let mut line = String::new();
            from.read_line(&mut line).expect("it answers");
            let seen: Vec<i64> = line
                .split(' ')
                .map(|s| s.trim().parse().expect("seconds"))
                .collect();
            (seen[0], seen[1])
        };
        let before = ask();
        for ahead_s in [-7_200, 10_800, 0] {
            kill(pid, Signal::SIGSTOP).expect("it runs");
            set(&[pid], ahead_s).await.expect("its clock can be moved");
            kill(pid, Signal::SIGCONT).expect("it runs");
            let (own, child) = ask();
            let near = |seen: i64| (0..3_600).contains(&(seen - before.0 - ahead_s));
            assert!(
                near(own) && near(child),
                "{ahead_s}: {own} and {child}, at first {before:?}"
            );
        }
        shell.kill().expect("it runs");
        shell.wait().expect("it ended");
    }
}
