//! Processes that end with the test.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process; killed with the value, if it still runs.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it; what it says is added to `log`.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("a log file");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log);
        Self(spawn(command))
    }

    /// Stops it and what it has started, as a machine that hangs: connections stay open, and nobody
    /// answers. [`Self::thaw`] lets it go on.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let own = [self.0.id().to_string()];
        check(&kill(name, own.into_iter().chain(self.children())));
    }

    /// The processes that it has started, and that run.
    fn children(&self) -> Vec<String> {
        let own = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        // There is no such file when it has ended.
        let children = children.unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// Ends it at once, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// A process that is killed cannot tell its own children to go, and of PostgreSQL's not each
    /// notices; none does that is frozen.
    fn end(&mut self) {
        let children = self.children();
        let _ = self.0.kill();
        let _ = self.0.wait();
        if !children.is_empty() {
            // Mostly they are gone already, which is an error to `kill`.
            let _ = kill("KILL", children.into_iter());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn kill(signal: &str, processes: impl Iterator<Item = String>) -> Output {
    let mut command = Command::new("kill");
    let sent = command.args(["-s", signal]).args(processes).output();
    sent.expect("kill runs")
}

/// Starts a process from a thread that lives as long as this one does: a process is told to end
/// with the *thread* that started it, and a test's threads end before those who share its server.
fn spawn(command: Command) -> Child {
    static STARTER: LazyLock<mpsc::Sender<(Command, mpsc::Sender<Child>)>> = LazyLock::new(|| {
        let (commands, asked) = mpsc::channel::<(Command, mpsc::Sender<Child>)>();
        std::thread::spawn(move || {
            for (mut command, reply) in asked {
                let child = command.spawn().expect("the process starts");
                let _ = reply.send(child);
            }
        });
        commands
    });
    let (reply, started) = mpsc::channel();
    STARTER.send((command, reply)).expect("the starter lives");
    started.recv().expect("the process starts")
}

/// A program of the newest PostgreSQL that is installed.
#[must_use]
pub fn postgres_program(name: &str) -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
    {
        let path = entry.expect("a folder can be listed").path();
        let version = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let program = path.join("bin").join(name);
        if let (Some(version), true) = (version, program.is_file()) {
            found.push((version, program));
        }
    }
    let newest = found.into_iter().max().map(|(_, program)| program);
    newest.unwrap_or_else(|| {
        panic!(
            "{name} is not under /usr/lib/postgresql: install PostgreSQL 14 or newer \
             (apt-get install postgresql); these tests run on real servers"
        )
    })
}

/// A command of the user `postgres` if this is root, who may not run a server.
#[must_use]
pub fn as_postgres(program: &Path) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        // Nothing is left behind when a run of tests is killed.
        .args(["--pdeathsig=KILL", "--"])
        .arg(program)
        .current_dir("/");
    command
}

/// A folder in which another user may make files.
#[must_use]
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("a folder can be opened");
    folder
}

/// A port that is free now.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A command that ended well; anything else is a panic with its last words.
pub fn check(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Waits for a condition, for as long as a busy machine may need.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(done.is_ok(), "{what}: not within {PATIENCE:?}");
}
