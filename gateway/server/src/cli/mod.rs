//! The command line: the gateway itself, and a client of it.

mod admin;
mod audit;
mod cluster;
mod connection;
mod exit;
mod incident;
mod lock;
mod output;
mod policy;
mod run;
mod serve;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use self::connection::Connection;

/// Locks for many teams: taken over HTTP, governed by policies, kept on record.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, args_conflicts_with_subcommands = true, after_help = exit::HELP)]
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
    /// Kills its process group when its standard input ends; for `run`.
    #[command(hide = true, name = run::group::KEEPER)]
    Keeper,
    /// Take, renew, release, show, declare, watch locks.
    Lock {
        #[command(subcommand)]
        command: lock::LockCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make, list and revoke API keys.
    Key {
        #[command(subcommand)]
        command: admin::KeyCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make, show, list and delete namespaces.
    Namespace {
        #[command(subcommand)]
        command: admin::NamespaceCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Upload, bind and list policies.
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
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
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Serve(serve)) => serve::run(serve),
        Some(Command::Run(run)) => exit::of(run::run(run)),
        Some(Command::Keeper) => exit::of(run::group::keep()),
        Some(Command::Lock {
            command,
            connection,
        }) => exit::of(lock::run(command, connection)),
        Some(Command::Key {
            command,
            connection,
        }) => exit::of(output::finish(admin::key(command, connection))),
        Some(Command::Namespace {
            command,
            connection,
        }) => exit::of(output::finish(admin::namespace(command, connection))),
        Some(Command::Policy {
            command,
            connection,
        }) => exit::of(output::finish(policy::run(command, connection))),
        Some(Command::Cluster {
            command,
            connection,
        }) => exit::of(output::finish(cluster::run(command, connection))),
        Some(Command::Incident {
            command,
            connection,
        }) => exit::of(output::finish(incident::run(command, connection))),
        Some(Command::Audit {
            command,
            connection,
        }) => exit::of(audit::run(command, connection)),
    }
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
