//! Structured logs on standard error. Secrets do not reach them: their types do not print.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log. `filter` is a level, or directives such as `info,openraft=warn`.
///
/// # Errors
/// The filter cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}
