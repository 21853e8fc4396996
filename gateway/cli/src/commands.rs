//! The command line: the gateway itself, and a client of it.

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use leasehold_backend_raft::PlantedBug;
use nix::sys::stat::Mode;
use nix::sys::stat::umask;

use super::apply;
use super::approval;
use super::audit;
use super::backup;
use super::cluster;
use super::connection::Connection;
use super::exit;
use super::incident;
use super::key;
use super::lock;
use super::namespace;
use super::output;
use super::policy;
use super::review;
use super::rollout;
use super::run;
use super::serve;
use super::store;

/// What `--version` says. A build that can have planted bugs says so, and names them: nobody should
/// run it unawares, and a test that needs one can ask before it begins.
const VERSION: &str = match PlantedBug::CAN_BE {
    false => env!("CARGO_PKG_VERSION"),
    true => concat!(
        env!("CARGO_PKG_VERSION"),
        " planted-bugs: skip-fsync blind-grant token-reset local-answer"
    ),
};

/// Locks for many teams: taken over HTTP, governed by policies, kept on record.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version = VERSION, args_conflicts_with_subcommands = true, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway (also without a command).
    Serve(serve::ServeArguments),
    /// Run a command under a lock; it is gone before the lock can be another's.
    Run(run::RunArguments),
    /// Ends a command in time; for `run`.
    #[command(hide = true, name = run::enforcer::ENFORCER)]
    Enforcer(run::enforcer::EnforcerArguments),
    /// Take, renew, release, show, declare, watch locks.
    Lock {
        #[command(subcommand)]
        command: lock::LockCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make, list, rotate and revoke API keys.
    Key {
        #[command(subcommand)]
        command: key::KeyCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make, show, list and delete namespaces.
    Namespace {
        #[command(subcommand)]
        command: namespace::NamespaceCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Check, test and sign policies; push, bind and list them.
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Replace a version of a policy by another in steps, and roll it back.
    Rollout {
        #[command(subcommand)]
        command: rollout::RolloutCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Bring namespaces, policies and bindings to the state that the files of a directory declare. Shows
    /// the difference first.
    Apply {
        #[command(flatten)]
        arguments: apply::ApplyArguments,
        #[command(flatten)]
        connection: Connection,
    },
    /// Approve changes of others, and say how many people must.
    Approval {
        #[command(subcommand)]
        command: approval::ApprovalCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Look at what somebody did alone: passed a denial by break-glass, or recovered a key.
    Review {
        #[command(subcommand)]
        command: review::ReviewCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Form a cluster of gateways, show and change it.
    Cluster {
        #[command(subcommand)]
        command: cluster::ClusterCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// List, show and acknowledge incidents: times in which a store granted nothing.
    Incident {
        #[command(subcommand)]
        command: incident::IncidentCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Put locks, governance and ledger into one file; of the gateway that is asked, or of a
    /// stopped one's folder.
    Backup(backup::BackupArguments),
    /// Make a data folder of a backup, for a new group whose tokens are above all earlier ones.
    Restore(backup::RestoreArguments),
    /// Accept a store that is older than its gateway remembers.
    Store {
        #[command(subcommand)]
        command: store::StoreCommand,
    },
    /// Ask the ledger.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Runs the command line of this process.
#[must_use]
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    if !matches!(
        arguments.command,
        Some(Command::Run(_) | Command::Enforcer(_) | Command::Policy { .. })
    ) {
        // Stores, ledgers and backups hold lease secrets. A command under `run` has its caller's
        // mask, and so have the files of a policy's author.
        umask(Mode::from_bits_truncate(0o077));
    }
    match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Serve(serve)) => serve::run(serve),
        Some(Command::Run(run)) => output::end(false, run::run(run)),
        Some(Command::Enforcer(enforcer)) => output::end(false, run::enforcer::enforce(&enforcer)),
        Some(Command::Lock {
            command,
            connection,
        }) => answer(connection, |to| lock::run(command, to)),
        Some(Command::Key {
            command,
            connection,
        }) => answer(connection, |to| output::finish(key::run(command, to))),
        Some(Command::Namespace {
            command,
            connection,
        }) => answer(connection, |to| output::finish(namespace::run(command, to))),
        Some(Command::Policy {
            command,
            connection,
        }) => answer(connection, |to| policy::run(command, to)),
        Some(Command::Rollout {
            command,
            connection,
        }) => answer(connection, |to| output::finish(rollout::run(command, to))),
        Some(Command::Apply {
            arguments,
            connection,
        }) => answer(connection, |to| apply::run(&arguments, to)),
        Some(Command::Approval {
            command,
            connection,
        }) => answer(connection, |to| output::finish(approval::run(command, to))),
        Some(Command::Review {
            command,
            connection,
        }) => answer(connection, |to| output::finish(review::run(command, to))),
        Some(Command::Cluster {
            command,
            connection,
        }) => answer(connection, |to| output::finish(cluster::run(command, to))),
        Some(Command::Incident {
            command,
            connection,
        }) => answer(connection, |to| output::finish(incident::run(command, to))),
        Some(Command::Backup(backup)) => output::end(false, backup::backup(backup)),
        Some(Command::Restore(restore)) => {
            output::end(false, output::finish(backup::restore(restore)))
        }
        Some(Command::Store { command }) => output::end(false, output::finish(store::run(command))),
        Some(Command::Audit {
            command,
            connection,
        }) => answer(connection, |to| audit::run(command, to)),
    }
}

/// Asks a gateway, and shows a failure the way that was asked for.
fn answer(
    connection: Connection,
    run: impl FnOnce(Connection) -> Result<u8, exit::Failed>,
) -> ExitCode {
    let json = connection.json;
    output::end(json, run(connection))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_version_names_the_bugs_that_can_be_planted() {
        for bug in PlantedBug::ALL {
            assert_eq!(VERSION.contains(bug.name()), PlantedBug::CAN_BE, "{bug:?}");
        }
    }

    #[test]
    fn serve_is_the_default() {
        let parse = |words: &[&str]| Arguments::try_parse_from(words);
        let plain = parse(&["leasehold", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(plain.command.is_none());
        let run = parse(&[
            "leasehold",
            "run",
            "--lock",
            "demo/a",
            "--",
            "sh",
            "-c",
            "x",
        ])
        .unwrap();
        assert!(matches!(run.command, Some(Command::Run(_))));
        assert!(
            parse(&["leasehold", "run", "--lock", "demo/a"]).is_err(),
            "a command is needed"
        );
    }
}
