//! Which gateway, and as whom.

use clap::Args;
use leasehold_client::Client;
use leasehold_client::Key;

use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::USAGE;

/// The gateway of a first start.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7878";

/// Which gateway, as whom, and how answers look.
#[derive(Args)]
pub(super) struct Connection {
    /// The gateway; or several in front of the same stores, separated by commas, which are tried
    /// in turn.
    #[arg(
        long,
        env = "LEASEHOLD_URL",
        default_value = DEFAULT_SERVER,
        global = true
    )]
    server: String,
    /// The API key. Better given by the environment: command lines are seen by others.
    #[arg(long, env = "LEASEHOLD_KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// A file that holds the API key.
    #[arg(long, env = "LEASEHOLD_KEY_FILE", global = true)]
    key_file: Option<String>,
    /// Answers as JSON, for programs.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The client.
    pub(super) fn client(&self) -> Result<Client, Failed> {
        // A variable that is empty counts as one that is not set.
        let key = self.key.as_ref().filter(|key| !key.trim().is_empty());
        let file = self.key_file.as_ref();
        let file = file.filter(|file| !file.trim().is_empty());
        let key = match (key, file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|error| Failed::new(USAGE, format!("{file}: {error}")))?,
            (None, None) => {
                let message = "no key: set LEASEHOLD_KEY, or give --key-file";
                return Err(Failed::new(USAGE, message));
            }
        };
        let server = match self.server.trim() {
            "" => DEFAULT_SERVER,
            server => server,
        };
        Ok(Client::new(server, Key::from(key))?)
    }
}

/// Runs a client's work to its end, on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failed::new(SYSTEM, error.to_string()))?
        .block_on(work)
}

/// `namespace/lock`.
pub(super) fn split(lock: &str) -> Result<(&str, &str), Failed> {
    lock.split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
        .ok_or_else(|| Failed::new(USAGE, format!("{lock}: must be NAMESPACE/LOCK")))
}

/// Parses a duration such as `500ms`, `30s`, `5m`, `2h`, `90d`; returns milliseconds. A day has 24
/// hours.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("must be a number with ms, s, m, h or d".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "must be a number with ms, s, m, h or d")?;
    number
        .checked_mul(scale)
        .ok_or_else(|| format!("must be at most {} ms", u64::MAX))
}

/// `key=value`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration_ms("30s"), Ok(30_000));
        assert_eq!(duration_ms("250ms"), Ok(250));
        assert_eq!(duration_ms("2h"), Ok(7_200_000));
        assert_eq!(duration_ms("90d"), Ok(7_776_000_000));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5w",
            "99999999999999999999h",
            "9999999999999999h",
        ] {
            assert!(duration_ms(bad).is_err(), "{bad:?}");
        }
    }
}
