//! Validated names. Each has one way in (`FromStr`), and serde goes through it too.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::limits;

/// Why a name was refused. The message is safe to show to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidName {
    /// Which kind of name: `lock name`, `namespace`…
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
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
            problem: "must be NAMESPACE/LOCK",
        })?;
        Ok(Self {
            namespace: namespace.parse()?,
            lock: lock.parse()?,
        })
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
    /// It is not a subject, or is one of the gateway's own.
    pub fn of_caller(text: &str) -> Result<Self, InvalidName> {
        let subject: Self = text.parse()?;
        match subject.is_reserved() {
            true => Err(InvalidName {
                what: "subject",
                problem: "must not begin with leasehold:, which the gateway itself uses",
            }),
            false => Ok(subject),
        }
    }
}

fn check_label(text: &str, bytes_max: usize) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err("must not be empty");
    }
    if bytes.len() > bytes_max {
        return Err("is too long");
    }
    if !bytes[0].is_ascii_lowercase() && !bytes[0].is_ascii_digit() {
        return Err("must begin with a-z or 0-9");
    }
    let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    if !bytes.iter().all(allowed) {
        return Err("may hold only a-z, 0-9 and -");
    }
    Ok(())
}

fn check_namespace(text: &str) -> Result<(), &'static str> {
    check_label(text, limits::NAMESPACE_NAME_BYTES_MAX)
}

fn check_store(text: &str) -> Result<(), &'static str> {
    check_label(text, limits::STORE_NAME_BYTES_MAX)
}

fn check_team(text: &str) -> Result<(), &'static str> {
    check_label(text, limits::TEAM_NAME_BYTES_MAX)
}

fn check_lock(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > limits::LOCK_NAME_BYTES_MAX {
        return Err("is too long");
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err("must not have an empty segment"),
            "." | ".." => return Err("must not have a segment . or .."),
            _ => {}
        }
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~@+=-/".contains(&b);
    if !text.bytes().all(allowed) {
        return Err("may hold only A-Z a-z 0-9 . _ ~ @ + = - and /");
    }
    Ok(())
}

fn check_subject(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > limits::SUBJECT_BYTES_MAX {
        return Err("is too long");
    }
    if text.trim() != text {
        return Err("must not begin or end with a space");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(())
}

fn check_request_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.len() > limits::REQUEST_ID_BYTES_MAX {
        return Err("is too long");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("may hold only visible ASCII characters");
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
