//! Exit codes, and errors in one line.
//!
//! | code | means |
//! |---|---|
//! | 0 | done; `run`: the child ended well |
//! | 64 | the command line or configuration is wrong |
//! | 69 | the gateway cannot be reached or cannot serve |
//! | 71 | the operating system refused |
//! | 75 | the lock is held by somebody else, or was not obtained in time |
//! | 76 | the lock was lost; `run`: the child was ended |
//! | 77 | denied: by a policy, a missing role, or a wrong key |
//! | 78 | the gateway refused the request as wrong |
//! | other | `run`: the child's own code, or 128 + its signal |

use std::process::ExitCode;

use leasehold_client::Error;
use leasehold_wire::v1::error::ErrorCode;

/// A failure to be shown, and its code.
#[derive(Debug)]
pub(super) struct Failed {
    code: u8,
    message: String,
}

pub(super) const USAGE: u8 = 64;
pub(super) const UNAVAILABLE: u8 = 69;
pub(super) const SYSTEM: u8 = 71;
pub(super) const HELD: u8 = 75;
pub(super) const LOST: u8 = 76;
pub(super) const DENIED: u8 = 77;
pub(super) const REFUSED: u8 = 78;

impl Failed {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Usage(_) => USAGE,
            Error::Problem(problem) => match problem.code {
                ErrorCode::Held => HELD,
                ErrorCode::LeaseLost | ErrorCode::LeaseEnded | ErrorCode::NotHolder => LOST,
                ErrorCode::Denied
                | ErrorCode::PolicyError
                | ErrorCode::NoPolicyBound
                | ErrorCode::Forbidden
                | ErrorCode::Unauthenticated => DENIED,
                code if code.status() >= 500 => UNAVAILABLE,
                _ => REFUSED,
            },
            _ => UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

/// Shows what clap has to say: help on standard output, mistakes on standard error.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to be done if the terminal is gone.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

/// Shows a failure, and answers its code.
#[expect(clippy::print_stderr, reason = "the command line talks to people")]
pub(super) fn of(result: Result<u8, Failed>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            eprintln!("leasehold: {}", failed.message);
            ExitCode::from(failed.code)
        }
    }
}
