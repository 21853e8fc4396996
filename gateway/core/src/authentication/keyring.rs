//! The keys, in memory, and where they come from.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use async_trait::async_trait;
use leasehold_domain::Digest;
use leasehold_domain::Principal;
use leasehold_domain::Role;
use leasehold_domain::WallMillis;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::AuthFailure;
use super::Identity;
use super::KeyDocument;
use super::UtcDay;
use super::key;
use super::key_use::KeyUse;

/// The keys that are known. Governance keeps them as they are stored.
#[derive(Default)]
pub struct KeyRing {
    keys: RwLock<HashMap<Box<str>, Entry>>,
    /// Tells that keys have changed.
    changed: watch::Sender<()>,
}

struct Entry {
    digest: Digest,
    /// Whom it stands for; nobody any more if it was revoked.
    identity: Option<Identity>,
    /// When it expires; `None` if it never does.
    expires: Option<WallMillis>,
    last_use: KeyUse,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("KeyRing")
            .field("keys", &keys.len())
            .finish_non_exhaustive()
    }
}

/// The store of keys, which other gateways write to as well.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Puts into the ring what any gateway had stored before this was called. Anybody may cause
    /// this without being known, so the work is bounded however often it is asked for.
    ///
    /// # Errors
    /// [`AuthFailure::Unsure`]: the store does not say.
    async fn catch_up(&self) -> Result<(), AuthFailure>;
}

impl KeyRing {
    /// Puts keys into force, by their ids, and out of force those that are `None`. All of them change
    /// at once; other keys stay as they are. Revoked ones are known, and refused.
    pub fn update(&self, changes: impl IntoIterator<Item = (Box<str>, Option<KeyDocument>)>) {
        let changes = changes.into_iter();
        let changes: Vec<_> = changes
            .map(|(id, document)| (id, document.and_then(entry)))
            .collect();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        for (id, entry) in changes {
            let before = keys.remove(&id);
            let Some(mut entry) = entry else {
                continue;
            };
            if let Some(before) = before {
                entry.last_use = before.last_use;
            }
            keys.insert(id, entry);
        }
        drop(keys);
        self.changed.send_replace(());
    }

    /// Puts these keys into force, and all others out of it.
    #[cfg(test)]
    pub(crate) fn replace(&self, documents: Vec<KeyDocument>) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut changes: HashMap<Box<str>, _> = keys.keys().map(|id| (id.clone(), None)).collect();
        drop(keys);
        let documents = documents.into_iter();
        changes.extend(documents.map(|key| (key.id.as_str().into(), Some(key))));
        self.update(changes);
    }

    /// Returns what is known of each key.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> std::collections::BTreeMap<Box<str>, String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let shown = keys.iter().map(|(id, entry)| {
            let Entry {
                digest,
                identity,
                expires,
                last_use: _,
            } = entry;
            (id.clone(), format!("{digest} {identity:?} {expires:?}"))
        });
        shown.collect()
    }

    /// Follows the changes of the keys.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns the days of last uses, by the ids of the keys, that the store is not known to have.
    pub(crate) fn unrecorded_uses(&self) -> Vec<(Box<str>, UtcDay)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let all = keys.iter();
        all.filter_map(|(id, entry)| Some((id.clone(), entry.last_use.unrecorded()?)))
            .collect()
    }

    /// Records that the store has a use of that day, or of a later one.
    pub(crate) fn recorded_use(&self, id: &str, day: UtcDay) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = keys.get(id) {
            entry.last_use.recorded(day);
        }
    }

    /// Whose key this is; none if no key of this id is known, which another gateway may have made
    /// a moment ago. Notes the use of a key that is accepted. Allocates nothing; compares digests in
    /// constant time.
    ///
    /// # Errors
    /// It is no key, it was revoked, or it has expired by `now`. That it has expired is told only
    /// to a caller that knows its secret.
    pub fn authenticate(
        &self,
        text: &str,
        now: WallMillis,
    ) -> Result<Option<Identity>, AuthFailure> {
        let (id, secret) = key::split(text).ok_or(AuthFailure::Invalid)?;
        let shown = Digest::of(secret.as_bytes());
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = keys.get(id) else {
            return Ok(None);
        };
        match &entry.identity {
            Some(identity) if bool::from(entry.digest.0.ct_eq(&shown.0)) => {
                match key::has_expired(entry.expires, now) {
                    true => Err(AuthFailure::Expired),
                    false => {
                        entry.last_use.used(now);
                        Ok(Some(identity.clone()))
                    }
                }
            }
            _ => Err(AuthFailure::Invalid),
        }
    }
}

/// A document as it is looked up. One that was not written by us is passed over: it opens nothing.
fn entry(document: KeyDocument) -> Option<Entry> {
    let Ok(digest) = document.digest.parse() else {
        tracing::error!(key.id = %document.id, "authentication.key unreadable");
        return None;
    };
    // Made before such subjects were refused; known, and refused like a revoked one.
    let is_reserved = document.subject.is_reserved();
    if is_reserved {
        tracing::error!(key.id = %document.id, subject = %document.subject, "authentication.key has a reserved subject");
    }
    let principal = Principal {
        subject: document.subject,
        team: document.team,
        roles: document
            .roles
            .iter()
            .filter_map(|name| Role::from_name(name))
            .collect(),
        claims: BTreeMap::new(),
    };
    let identity = Identity {
        principal: Arc::new(principal),
        scope: document.scope.map(Arc::new),
    };
    Some(Entry {
        digest,
        identity: (document.revoked.is_none() && !is_reserved).then_some(identity),
        expires: document.expires,
        last_use: KeyUse::default(),
    })
}

#[cfg(test)]
mod tests {
    use leasehold_domain::RoleSet;

    use super::*;
    use crate::authentication::NewKey;

    const NOW: WallMillis = WallMillis(1_000);

    #[test]
    fn a_key_opens_until_it_is_revoked() {
        let roles = RoleSet::default().with(Role::Auditor);
        let key = NewKey::draw(
            "svc".parse().unwrap(),
            Some("pay".parse().unwrap()),
            roles,
            "",
            "",
        );
        let other = NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "");
        let ring = KeyRing::default();
        assert_eq!(ring.authenticate(&key.reveal(), NOW), Ok(None));

        ring.replace(vec![key.document.clone(), other.document]);
        let identity = ring.authenticate(&key.reveal(), NOW).unwrap().unwrap();
        let principal = identity.principal;
        assert_eq!(principal.subject.as_str(), "svc");
        assert!(principal.roles.has(Role::Auditor) && !principal.roles.has(Role::Administrator));
        let again = ring.authenticate(&key.reveal(), NOW).unwrap().unwrap();
        let again = again.principal;
        assert!(Arc::ptr_eq(&principal, &again), "one principal is shared");

        let mut flipped = key.reveal();
        let last = flipped.pop().unwrap();
        flipped.push(if last == '0' { '1' } else { '0' });
        assert_eq!(ring.authenticate(&flipped, NOW), Err(AuthFailure::Invalid));

        let revoked = KeyDocument {
            revoked: Some("2026-01-01T00:00:00Z".into()),
            ..key.document.clone()
        };
        ring.replace(vec![revoked]);
        assert_eq!(
            ring.authenticate(&key.reveal(), NOW),
            Err(AuthFailure::Invalid)
        );
    }

    #[test]
    fn a_key_opens_until_it_expires() {
        let key = NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "");
        let key = key.expiring(Some(500), NOW);
        let ring = KeyRing::default();
        ring.replace(vec![key.document.clone()]);
        let text = key.reveal();
        let last = WallMillis(NOW.0 + 499);
        assert!(ring.authenticate(&text, last).unwrap().is_some());
        let over = WallMillis(NOW.0 + 500);
        assert_eq!(ring.authenticate(&text, over), Err(AuthFailure::Expired));
        // Without the secret nothing is learnt of the key.
        let (id, secret) = key::split(&text).unwrap();
        let wrong = match secret.strip_prefix('0') {
            Some(rest) => format!("lh_{id}_1{rest}"),
            None => format!("lh_{id}_0{}", &secret[1..]),
        };
        assert_eq!(ring.authenticate(&wrong, over), Err(AuthFailure::Invalid));
        let revoked = KeyDocument {
            revoked: Some("2026-01-01T00:00:00Z".into()),
            ..key.document
        };
        ring.replace(vec![revoked]);
        assert_eq!(ring.authenticate(&text, over), Err(AuthFailure::Invalid));
    }
}
