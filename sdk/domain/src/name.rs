//! Validated names. Each has one way in (`FromStr`), and serde goes through it too.

use std::borrow::Borrow;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::limits;
use crate::text;

/// Why a name was refused. The message is safe to show to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidName {
    /// Which kind of name: `lock name`, `namespace`…
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: Cow<'static, str>,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // Equality, order and hash of the name are those of its text.
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                match $check(text) {
                    Ok(()) => Ok(Self(Arc::from(text))),
                    Err(problem) => Err(InvalidName { what: $what, problem }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A tenant's space of locks: 1 to 63 of `a-z 0-9 -`, beginning with a letter or digit.
    NamespaceName, "namespace", check_namespace
);
name!(
    /// A lock inside a namespace: segments of `A-Z a-z 0-9 . _ ~ @ + = -`, parted by `/`.
    /// No segment is empty, `.` or `..`, and no colon, which introduces a verb in the API.
    LockName, "lock name", check_lock
);
name!(
    /// A store of a gateway: same alphabet as a namespace.
    StoreName, "store", check_store
);
name!(
    /// A team: same alphabet as a namespace.
    TeamName, "team", check_team
);
name!(
    /// A role that a token carries, the gateway's or a custom one: 1 to 128 bytes of printable text
    /// without spaces at the ends.
    RoleName, "role", check_role
);
name!(
    /// Who a principal is: 1 to 256 bytes of printable text without spaces at the ends.
    Subject, "subject", check_subject
);
name!(
    /// A caller's idempotency key: 1 to 128 visible ASCII characters.
    RequestId, "request_id", check_request_id
);

impl StoreName {
    /// The store that every gateway has, and that keeps governance too.
    pub const HOME: &'static str = "home";

    /// The name of the store that every gateway has.
    #[must_use]
    pub fn home() -> Self {
        Self(Arc::from(Self::HOME))
    }

    /// Whether it is the one that every gateway has.
    #[must_use]
    pub fn is_home(&self) -> bool {
        &*self.0 == Self::HOME
    }
}

/// A lock in its namespace, the key of everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockRef {
    /// The tenant.
    pub namespace: NamespaceName,
    /// The lock's name in it.
    pub lock: LockName,
}

impl LockRef {
    /// Joins checked parts.
    #[must_use]
    pub fn new(namespace: NamespaceName, lock: LockName) -> Self {
        Self { namespace, lock }
    }
}

impl fmt::Display for LockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.lock)
    }
}

impl fmt::Debug for LockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for LockRef {
    type Err = InvalidName;

    /// Reads `namespace/lock/name`; the first slash ends the namespace.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (namespace, lock) = text.split_once('/').ok_or(InvalidName {
            what: "lock",
            problem: "must be NAMESPACE/LOCK".into(),
        })?;
        Ok(Self {
            namespace: namespace.parse()?,
            lock: lock.parse()?,
        })
    }
}

impl RoleName {
    /// Reads the name of a role from a token or a configuration.
    ///
    /// # Errors
    /// It is not a role's name, or could be mistaken for another one (see [`text::check_name`]).
    pub fn of_caller(name: &str) -> Result<Self, InvalidName> {
        let role: Self = name.parse()?;
        let problem = text::check_name(name).err().map(Cow::Borrowed);
        match problem {
            Some(problem) => Err(InvalidName {
                what: "role",
                problem,
            }),
            None => Ok(role),
        }
    }
}

impl Subject {
    /// What the subjects of the gateway's own work begin with in the ledger. No caller may have one.
    pub const RESERVED_PREFIX: &str = "leasehold:";

    /// Whether this is a subject of the gateway's own, in whatever case it is written.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let prefix = self.as_str().get(..Self::RESERVED_PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(Self::RESERVED_PREFIX))
    }

    /// Reads the subject of a caller, or of somebody that a caller names.
    ///
    /// # Errors
    /// It is not a subject, could be mistaken for another one (see [`text::check_name`]), or is
    /// one of the gateway's own. Older records may hold names that are refused here.
    pub fn of_caller(name: &str) -> Result<Self, InvalidName> {
        let subject: Self = name.parse()?;
        text::check_name(name).map_err(|problem| InvalidName {
            what: "subject",
            problem: problem.into(),
        })?;
        match subject.is_reserved() {
            true => Err(InvalidName {
                what: "subject",
                problem: "must not begin with leasehold:, which the gateway itself uses".into(),
            }),
            false => Ok(subject),
        }
    }
}

type Checked = Result<(), Cow<'static, str>>;

fn check_length(text: &str, bytes_max: usize) -> Checked {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.len() > bytes_max {
        let length = text.len();
        return Err(format!("must be 1 to {bytes_max} bytes, not {length}").into());
    }
    Ok(())
}

fn check_label(text: &str, bytes_max: usize) -> Checked {
    check_length(text, bytes_max)?;
    let bytes = text.as_bytes();
    if !bytes[0].is_ascii_lowercase() && !bytes[0].is_ascii_digit() {
        return Err("must begin with a-z or 0-9".into());
    }
    let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    if !bytes.iter().all(allowed) {
        return Err("may hold only a-z, 0-9 and -".into());
    }
    Ok(())
}

fn check_namespace(text: &str) -> Checked {
    check_label(text, limits::NAMESPACE_NAME_BYTES_MAX)
}

fn check_store(text: &str) -> Checked {
    check_label(text, limits::STORE_NAME_BYTES_MAX)
}

fn check_team(text: &str) -> Checked {
    check_label(text, limits::TEAM_NAME_BYTES_MAX)
}

fn check_lock(text: &str) -> Checked {
    check_length(text, limits::LOCK_NAME_BYTES_MAX)?;
    for segment in text.split('/') {
        match segment {
            "" => return Err("must not have an empty segment".into()),
            "." | ".." => return Err("must not have a segment . or ..".into()),
            _ => {}
        }
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~@+=-/".contains(&b);
    if !text.bytes().all(allowed) {
        return Err("may hold only A-Z a-z 0-9 . _ ~ @ + = - and /".into());
    }
    Ok(())
}

/// What every recorded subject satisfies; a new one must satisfy [`Subject::of_caller`].
fn check_subject(text: &str) -> Checked {
    check_printable(text, limits::SUBJECT_BYTES_MAX)
}

fn check_role(text: &str) -> Checked {
    check_printable(text, limits::ROLE_NAME_BYTES_MAX)
}

fn check_printable(text: &str, bytes_max: usize) -> Checked {
    check_length(text, bytes_max)?;
    if text.trim() != text {
        return Err("must not begin or end with a space".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".into());
    }
    Ok(())
}

fn check_request_id(text: &str) -> Checked {
    check_length(text, limits::REQUEST_ID_BYTES_MAX)?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("may hold only visible ASCII characters".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_names_that_try_to_escape_are_refused() {
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a:acquire",
            "a b",
            "a\0",
            "ä",
            "a?b",
            "a%2Fb",
        ] {
            assert!(bad.parse::<LockName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "ledger/close", "v1.2_x~y@z+q=1-", "..a", "a/..b"] {
            assert_eq!(good.parse::<LockName>().unwrap().as_str(), good);
        }
        assert!(
            "x".repeat(limits::LOCK_NAME_BYTES_MAX)
                .parse::<LockName>()
                .is_ok()
        );
        assert!(
            "x".repeat(limits::LOCK_NAME_BYTES_MAX + 1)
                .parse::<LockName>()
                .is_err()
        );
    }

    #[test]
    fn lengths_are_told() {
        let error = "x".repeat(600).parse::<LockName>().unwrap_err();
        let message = "lock name must be 1 to 512 bytes, not 600";
        assert_eq!(error.to_string(), message);
        let error = "x".repeat(64).parse::<NamespaceName>().unwrap_err();
        assert!(error.to_string().contains("63"), "{error}");
        let error = "x".repeat(257).parse::<Subject>().unwrap_err();
        assert!(error.to_string().contains("256"), "{error}");
    }

    #[test]
    fn a_new_subject_is_read_more_strictly_than_a_recorded_one() {
        let hidden = "adm\u{200b}in";
        assert!(hidden.parse::<Subject>().is_ok(), "older records have it");
        assert!(Subject::of_caller(hidden).is_err());
        assert_eq!(Subject::of_caller("café").unwrap().as_str(), "café");
    }

    #[test]
    fn serde_goes_through_the_same_check() {
        assert!(serde_json::from_str::<NamespaceName>("\"demo\"").is_ok());
        assert!(serde_json::from_str::<NamespaceName>("\"De/mo\"").is_err());
        let lock: LockRef = "demo/a/b".parse().unwrap();
        assert_eq!(
            (lock.namespace.as_str(), lock.lock.as_str()),
            ("demo", "a/b")
        );
    }

    #[test]
    fn the_gateways_own_subjects_are_nobody_elses() {
        for own in ["leasehold:", "leasehold:restore", "Leasehold:Gateway:a"] {
            assert!(own.parse::<Subject>().unwrap().is_reserved(), "{own}");
            assert!(Subject::of_caller(own).is_err(), "{own}");
        }
        for good in ["leasehold", "leaseholders:a", "svc:leasehold:", "é"] {
            assert!(Subject::of_caller(good).is_ok(), "{good}");
        }
    }
}
