//! Whether the process may open as many files as the configuration's connections need.

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;

use leasehold_core::config::Config;
use leasehold_core::config::ConfigError;

/// Files that are not clients' connections: stores, ledgers, peers, other stores' connections.
const RESERVED: u64 = 256;

/// What was done so that the connections fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fitted {
    /// Nothing had to be done.
    Fits,
    /// The soft limit on open files has to be raised to this.
    Raise(u64),
    /// The hard limit is too low: only so many connections are accepted on each listener.
    Fewer {
        /// The hard limit.
        hard: u64,
        /// Connections of each listener.
        connections: usize,
    },
    /// Not even one connection fits.
    TooLow,
}

/// Decides what to do about a limit on open files.
fn fit(connections_max: usize, listeners: usize, soft: u64, hard: u64) -> Fitted {
    let listeners = listeners.max(1) as u64;
    let needed = (connections_max as u64)
        .saturating_mul(listeners)
        .saturating_add(RESERVED);
    if needed <= soft {
        return Fitted::Fits;
    }
    if needed <= hard {
        return Fitted::Raise(needed);
    }
    let connections = hard.saturating_sub(RESERVED) / listeners;
    match usize::try_from(connections) {
        Ok(0) | Err(_) => Fitted::TooLow,
        Ok(connections) => Fitted::Fewer { hard, connections },
    }
}

/// Raises the soft limit on open files if `limits.connections_max` needs it. Where the hard limit is
/// too low, warns and lowers `connections_max` to what fits, so that the gateway does not run out
/// of files while it serves.
///
/// # Errors
/// Not even one connection fits.
pub fn make_room(mut config: Config) -> Result<Config, ConfigError> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(config);
    };
    let listeners = 1 + usize::from(config.listen.admin_address.is_some());
    let asked = config.limits.connections_max;
    let raise = |to: u64| {
        if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, to, hard) {
            tracing::warn!(soft, wanted = to, %error, "limit on open files cannot be raised");
        }
    };
    match fit(asked, listeners, soft, hard) {
        Fitted::Fits => {}
        Fitted::Raise(needed) => raise(needed),
        Fitted::Fewer { hard, connections } => {
            raise(hard);
            tracing::warn!(
                limits.connections_max = asked,
                open_files_max = hard,
                connections,
                "limits.connections_max needs more open files than ulimit -n allows; accepting \
                 fewer connections"
            );
            config.limits.connections_max = connections;
        }
        Fitted::TooLow => {
            let problem = format!(
                "needs {RESERVED} open files and one for each connection, and ulimit -n allows \
                 {hard}; raise it"
            );
            return Err(ConfigError::at("limits.connections_max", problem));
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_the_limit_on_open_files() {
        let fewer = |hard, connections| Fitted::Fewer { hard, connections };
        for (connections, listeners, soft, hard, expected) in [
            (700, 1, 1_024, 1_024, Fitted::Fits),
            (10_000, 1, 1_024, 1_048_576, Fitted::Raise(10_256)),
            (10_000, 2, 1_024, 1_048_576, Fitted::Raise(20_256)),
            (10_000, 1, 1_024, 4_096, fewer(4_096, 3_840)),
            (10_000, 2, 1_024, 4_096, fewer(4_096, 1_920)),
            (1, 1, 256, 256, Fitted::TooLow),
            (10_000, 1, u64::MAX, u64::MAX, Fitted::Fits),
        ] {
            let fitted = fit(connections, listeners, soft, hard);
            assert_eq!(
                fitted, expected,
                "{connections} × {listeners}, {soft}/{hard}"
            );
        }
    }
}
