//! Exit codes, and errors in one line.

use std::process::ExitCode;

use leasehold_client::Error;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::error::Problem;

/// What `--help` says of them. The README has the same.
pub(super) const HELP: &str = "\
Exit codes:
  0      done; run: the command ended well
  2      apply --dry-run: there are differences
  64     the command line or the configuration is wrong
  65     audit verify: the ledger, or the file, is not what was written; backup, restore: no
         whole backup;
         policy check, test, bench, explain, embed: the module would be refused, a test case
         failed, or one needs more fuel than before; policy verify: too few trusted keys
         signed it
  69     the gateway cannot be reached or cannot serve now, safe mode included; serve: it
         cannot start
  70     serve: the store has stopped, after an I/O error or a failure of its own
  71     the operating system refused
  75     not now, ask again later: held by somebody else, the queue is full, too many requests
  76     the lease is over or another's, the token is not current; run: the lock was lost
  77     denied: by a policy, for want of one, by a policy that failed, for a missing role or key
  78     the gateway refused the request as wrong
  other  run: the command's own code, or 128 + its signal";

/// A failure to be shown, and its code.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) code: u8,
    pub(super) message: String,
    /// What the gateway answered, for programs.
    pub(super) problem: Option<Box<Problem>>,
}

pub(super) const DIFFERENT: u8 = 2;
pub(super) const USAGE: u8 = 64;
pub(super) const TAMPERED: u8 = 65;
pub(super) const REJECTED: u8 = 65;
pub(super) const UNAVAILABLE: u8 = 69;
pub(super) const SYSTEM: u8 = 71;
pub(super) const NOT_NOW: u8 = 75;
pub(super) const LOST: u8 = 76;
pub(super) const DENIED: u8 = 77;
pub(super) const REFUSED: u8 = 78;

impl Failed {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            problem: None,
        }
    }

    /// The same failure with one more thing to say.
    pub(super) fn add(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Usage(_) => USAGE,
            Error::Problem(problem) => code_of(problem.code),
            Error::Unknown {
                retryable: true, ..
            } => NOT_NOW,
            Error::Unknown { .. } => REFUSED,
            _ => UNAVAILABLE,
        };
        let failed = Self {
            problem: error.problem().cloned().map(Box::new),
            ..Self::new(code, error.to_string())
        };
        match error.may_have_taken_effect() {
            true => failed.add("it may have taken effect"),
            false => failed,
        }
    }
}

/// No wildcard: who adds a wire code decides here what scripts are told.
fn code_of(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::Held
        | ErrorCode::QueueFull
        | ErrorCode::NamespaceFull
        | ErrorCode::RateLimited
        | ErrorCode::RequestTimeout => NOT_NOW,
        ErrorCode::LeaseLost | ErrorCode::LeaseEnded | ErrorCode::NotHolder => LOST,
        ErrorCode::Denied
        | ErrorCode::PolicyError
        | ErrorCode::NoPolicyBound
        | ErrorCode::Forbidden
        | ErrorCode::Unauthenticated => DENIED,
        ErrorCode::BadJson
        | ErrorCode::BadRequest
        | ErrorCode::NotFound
        | ErrorCode::NamespaceNotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::Conflict
        | ErrorCode::RequestIdTooOld
        | ErrorCode::CursorBeyondEnd
        | ErrorCode::PreconditionFailed
        | ErrorCode::BodyTooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::InvalidRequest
        | ErrorCode::LastAdministrator
        | ErrorCode::PolicyVersionInUse
        | ErrorCode::ApprovalRequired
        | ErrorCode::PolicyVersionUnusable => REFUSED,
        ErrorCode::Internal
        | ErrorCode::Overloaded
        | ErrorCode::Unavailable
        | ErrorCode::SafeMode
        | ErrorCode::Fenced => UNAVAILABLE,
    }
}

/// Shows what clap has to say: help on standard output, mistakes on standard error.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to be done if the terminal is gone.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../README.md");

    #[test]
    fn every_code_is_in_the_help_and_in_the_readme() {
        let table: Vec<&str> = README
            .lines()
            .skip_while(|line| *line != "| exit code | means |")
            .take_while(|line| line.starts_with('|'))
            .collect();
        let ours = [
            DIFFERENT,
            USAGE,
            TAMPERED,
            UNAVAILABLE,
            SYSTEM,
            NOT_NOW,
            LOST,
            DENIED,
            REFUSED,
        ];
        for code in ours {
            assert!(HELP.contains(&format!("\n  {code}     ")), "{code}");
            let row = format!("| {code} |");
            assert!(table.iter().any(|line| line.starts_with(&row)), "{code}");
        }
        for code in ErrorCode::ALL {
            let shown = code_of(code).to_string();
            assert!(HELP.contains(&format!("\n  {shown} ")), "{code:?}");
        }
    }

    #[test]
    fn what_may_succeed_later_is_told_from_what_will_not() {
        let unknown = |retryable| Error::Unknown {
            code: "tide_is_out".to_owned(),
            detail: "come back".to_owned(),
            retryable,
            may_have_taken_effect: false,
            retry_after_ms: None,
        };
        assert_eq!(Failed::from(unknown(true)).code, NOT_NOW);
        assert_eq!(Failed::from(unknown(false)).code, REFUSED);
        for code in ErrorCode::ALL {
            let later = [NOT_NOW, UNAVAILABLE].contains(&code_of(code));
            // A policy that failed may not fail again, but it is a denial to who runs a script.
            let expected = code.is_retryable() && code != ErrorCode::PolicyError;
            assert_eq!(later, expected, "{code:?}");
        }
    }
}
