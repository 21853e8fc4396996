//! API keys: `lh_ID_SECRET`. The id may be shown; of the secret only a digest is stored.

use std::fmt;

use leasehold_domain::Digest;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::WallMillis;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use super::identity::KeyScope;

/// Longest id of a key.
const ID_BYTES_MAX: usize = 32;
/// The secret is 256 bits in hex.
const SECRET_BYTES: usize = 64;

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    /// The part of the key that may be shown.
    pub id: String,
    /// SHA-256 of the secret part's text, 64 hex digits. The secret has 256 random bits, so no slow
    /// hash is needed.
    pub digest: String,
    /// Who it stands for.
    pub subject: Subject,
    /// Of which team.
    #[serde(default)]
    pub team: Option<TeamName>,
    /// Names of roles; an unknown one gives nothing.
    #[serde(default)]
    pub roles: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// When it was made, RFC 3339; empty if nobody said.
    #[serde(default)]
    pub created: String,
    /// When it was revoked, RFC 3339; it is refused since then.
    #[serde(default)]
    pub revoked: Option<String>,
    /// When it expires; it is refused from this millisecond on. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<WallMillis>,
    /// How long after its creation it was to expire when it was made. A rotation shortens the life
    /// of the old key, and gives this one to the new key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_ms: Option<u64>,
    /// The subject that created it; absent for keys of gateways that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Subject>,
    /// Where it is of use; absent for everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<KeyScope>,
}

impl KeyDocument {
    /// Returns why the key is refused at `now`; `None` if it is in force.
    pub(crate) fn refusal(&self, now: WallMillis) -> Option<&'static str> {
        if self.revoked.is_some() {
            Some("was revoked")
        } else if has_expired(self.expires, now) {
            Some("has expired")
        } else {
            // Created before such subjects were refused.
            let reserved = self.subject.is_reserved();
            reserved.then_some("has a reserved subject")
        }
    }

    /// Returns whether the key is in force at `now` and lets its owner administer keys.
    pub(crate) fn is_administrators(&self, now: WallMillis) -> bool {
        let administrator = Role::Administrator.as_str();
        let is_in_force = self.refusal(now).is_none() && self.scope.is_none();
        is_in_force && self.roles.iter().any(|role| role == administrator)
    }

    /// Returns whether the key lets its owner change what may lock what, approve such changes, or make
    /// keys that do. Its scope does not matter: it may be of use there.
    pub(crate) fn governs(&self) -> bool {
        let governing = [Role::Administrator, Role::PolicyAuthor, Role::Approver];
        let governing = governing.map(Role::as_str);
        self.roles.iter().any(|role| governing.contains(&&**role))
    }

    /// Draws the key that replaces this one: for the same subject with the same rights, and with
    /// the same lifetime, counted from `now`.
    pub(crate) fn draw_successor(&self, now: WallMillis, created_by: &Subject) -> NewKey {
        let created = crate::telemetry::rfc3339(now);
        let (subject, team) = (self.subject.clone(), self.team.clone());
        let roles = RoleSet::default();
        let mut key = NewKey::draw(subject, team, roles, &self.description, &created)
            .created_by(created_by)
            .expiring(self.lifetime_ms, now);
        // Also roles that this version does not know.
        key.document.roles.clone_from(&self.roles);
        key.document.scope.clone_from(&self.scope);
        key
    }

    /// Returns this key as it is once it was rotated: it expires at `until`, or earlier if it was
    /// to expire earlier.
    pub(crate) fn expiring_by(self, until: WallMillis) -> Self {
        let expires = self.expires.map_or(until, |expires| expires.min(until));
        Self {
            expires: Some(expires),
            ..self
        }
    }
}

/// Returns whether a key that expires at `expires` is refused at `now`.
pub(super) fn has_expired(expires: Option<WallMillis>, now: WallMillis) -> bool {
    expires.is_some_and(|expires| now >= expires)
}

/// A key that was not shown yet.
#[derive(Clone)]
pub struct NewKey {
    /// What is to be stored.
    pub document: KeyDocument,
    text: SecretString,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("document", &self.document)
            .finish_non_exhaustive()
    }
}

/// A text that is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be lh_ID_SECRET, the id 1 to 32 of a-z and 0-9, the secret 64 hexadecimal digits")]
pub struct InvalidKey;

impl NewKey {
    /// A key with a random id and secret. `created` is RFC 3339, for people.
    #[must_use]
    pub fn draw(
        subject: Subject,
        team: Option<TeamName>,
        roles: RoleSet,
        description: &str,
        created: &str,
    ) -> Self {
        let id = hex::encode(rand::random::<[u8; 8]>());
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let document = KeyDocument {
            digest: Digest::of(secret.as_bytes()).to_string(),
            subject,
            team,
            roles: roles.iter().map(|role| role.as_str().to_owned()).collect(),
            description: description.to_owned(),
            created: created.to_owned(),
            revoked: None,
            expires: None,
            lifetime_ms: None,
            created_by: None,
            scope: None,
            id: id.clone(),
        };
        Self {
            document,
            text: SecretString::from(format!("lh_{id}_{secret}")),
        }
    }

    /// A key that an operator made, with all roles but break-glass's reason.
    ///
    /// # Errors
    /// The text is no key.
    pub fn given(
        text: &SecretString,
        subject: &str,
        description: &str,
    ) -> Result<Self, InvalidKey> {
        let trimmed = text.expose_secret().trim();
        let (id, secret) = split(trimmed).ok_or(InvalidKey)?;
        let document = KeyDocument {
            id: id.to_owned(),
            digest: Digest::of(secret.as_bytes()).to_string(),
            subject: subject.parse().map_err(|_| InvalidKey)?,
            team: None,
            roles: Role::ALL.map(|role| role.as_str().to_owned()).to_vec(),
            description: description.to_owned(),
            created: String::new(),
            revoked: None,
            expires: None,
            lifetime_ms: None,
            created_by: None,
            scope: None,
        };
        Ok(Self {
            document,
            text: SecretString::from(trimmed),
        })
    }

    /// Lets it be of use there only.
    #[must_use]
    pub fn scoped(mut self, scope: Option<KeyScope>) -> Self {
        self.document.scope = scope;
        self
    }

    /// Records which subject created it.
    #[must_use]
    pub fn created_by(mut self, subject: &Subject) -> Self {
        self.document.created_by = Some(subject.clone());
        self
    }

    /// Lets it expire `lifetime_ms` after `now`; never if that is `None`.
    #[must_use]
    pub fn expiring(mut self, lifetime_ms: Option<u64>, now: WallMillis) -> Self {
        self.document.lifetime_ms = lifetime_ms;
        self.document.expires = lifetime_ms.map(|ms| WallMillis(now.0.saturating_add(ms)));
        self
    }

    /// The key itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.text.expose_secret().to_owned()
    }
}

/// The id and the secret of a key's text.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix("lh_")?.split_once('_')?;
    let id_fits = !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let secret_fits = secret.len() == SECRET_BYTES && secret.bytes().all(|b| b.is_ascii_hexdigit());
    (id_fits && secret_fits).then_some((id, secret))
}

#[cfg(test)]
mod tests;
