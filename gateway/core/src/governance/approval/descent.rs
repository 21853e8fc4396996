//! Which subjects descend from which: whoever creates a key for a subject can act as that subject.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Role;
use leasehold_domain::WallMillis;

use crate::authentication::KeyDocument;
use crate::governance::Stored;

/// The creators of the keys of each subject. Revoked keys count, too: their creators knew them.
#[derive(Debug, Default)]
pub(in crate::governance) struct Descent<'k> {
    creators: BTreeMap<&'k str, BTreeSet<&'k str>>,
}

impl<'k> Descent<'k> {
    pub(in crate::governance) fn of(keys: &'k [Stored<KeyDocument>]) -> Self {
        let mut descent = Self::default();
        for Stored { document: key, .. } in keys {
            if let Some(creator) = &key.created_by {
                let creators = descent.creators.entry(key.subject.as_str()).or_default();
                creators.insert(creator.as_str());
            }
        }
        descent
    }

    /// Returns whether `subject` is one of `others`, or descends from one of them.
    pub(in crate::governance) fn is_or_descends(
        &self,
        subject: &str,
        others: &BTreeSet<&str>,
    ) -> bool {
        others.contains(subject) || self.descends(subject, others)
    }

    /// Returns whether a creator of a key of `subject`, or a creator of a key of that creator, and so
    /// on, is one of `others`. A subject does not descend from itself.
    pub(super) fn descends(&self, subject: &str, others: &BTreeSet<&str>) -> bool {
        let mut seen = BTreeSet::from([subject]);
        let mut waiting = vec![subject];
        while let Some(next) = waiting.pop() {
            for creator in self.creators.get(next).into_iter().flatten() {
                if *creator != subject && others.contains(creator) {
                    return true;
                }
                if seen.insert(creator) {
                    waiting.push(creator);
                }
            }
        }
        false
    }
}

/// Returns the keys, one for each subject, of the most people who could approve a change of `author`
/// together: not the author, none that descends from the author, and none from whom another descends,
/// because of two such only one would count. Without an author, those who could approve a stranger's.
pub(super) fn possible_approvers<'k>(
    keys: &'k [Stored<KeyDocument>],
    author: Option<&str>,
    now: WallMillis,
) -> Vec<&'k Stored<KeyDocument>> {
    let descent = Descent::of(keys);
    let authors: BTreeSet<&str> = author.into_iter().collect();
    let approves = |key: &&Stored<KeyDocument>| {
        let key = &key.document;
        let has_role = key.roles.iter().any(|role| role == Role::Approver.as_str());
        has_role && key.scope.is_none() && key.refusal(now).is_none()
    };
    let mut of_subject = BTreeMap::new();
    for key in keys.iter().filter(approves) {
        let subject = key.document.subject.as_str();
        if !descent.is_or_descends(subject, &authors) {
            of_subject.insert(subject, key);
        }
    }
    let subjects: Vec<&str> = of_subject.keys().copied().collect();
    let is_ancestor = |subject: &str| {
        let one = BTreeSet::from([subject]);
        let mut others = subjects.iter().filter(|other| **other != subject);
        others.any(|other| descent.descends(other, &one))
    };
    let ancestors: BTreeSet<&str> = subjects
        .iter()
        .copied()
        .filter(|s| is_ancestor(s))
        .collect();
    of_subject.retain(|subject, _| !ancestors.contains(subject));
    of_subject.into_values().collect()
}

#[cfg(test)]
mod tests {
    use leasehold_domain::RoleSet;

    use super::*;
    use crate::authentication::NewKey;

    /// Keys of approvers: the subject, and who created the key.
    fn keys(all: &[(&str, &str)]) -> Vec<Stored<KeyDocument>> {
        let key = |(subject, creator): &(&str, &str)| {
            let roles = RoleSet::from_iter([Role::Approver]);
            let key = NewKey::draw(subject.parse().unwrap(), None, roles, "", "");
            let document = key.created_by(&creator.parse().unwrap()).document;
            Stored {
                document,
                revision: 1,
            }
        };
        all.iter().map(key).collect()
    }

    fn possible(keys: &[Stored<KeyDocument>], author: &str) -> Vec<String> {
        let possible = possible_approvers(keys, Some(author), WallMillis(0)).into_iter();
        possible
            .map(|key| key.document.subject.to_string())
            .collect()
    }

    #[test]
    fn descent_is_found_over_several_keys_and_through_circles() {
        let keys = keys(&[("b", "a"), ("c", "b"), ("a", "c"), ("d", "root")]);
        let descent = Descent::of(&keys);
        let of = |subject, other| descent.descends(subject, &BTreeSet::from([other]));
        assert!(of("c", "a") && of("b", "c") && of("a", "b"));
        assert!(!of("a", "a"), "not from itself");
        assert!(!of("d", "a") && of("d", "root") && !of("root", "d"));
    }

    #[test]
    fn those_who_can_approve_together_are_counted_once_each() {
        let keys = keys(&[
            ("root", "leasehold:start"),
            ("ann", "root"),
            ("bob", "root"),
            ("bob", "root"),
            ("eve", "ann"),
        ]);
        // Root does not count beside those who descend from it, and Ann not beside Eve.
        assert_eq!(possible(&keys, "zoe"), ["bob", "eve"]);
        assert_eq!(possible(&keys, "ann"), ["bob"]);
        assert_eq!(possible(&keys, "bob"), ["eve"]);
        assert_eq!(possible(&keys, "root"), [""; 0]);
    }

    #[test]
    fn a_key_without_force_approves_nothing() {
        let mut keys = keys(&[("ann", "x"), ("bob", "x"), ("eve", "x")]);
        keys[0].document.revoked = Some("yesterday".to_owned());
        keys[1].document.expires = Some(WallMillis(5));
        keys[2].document.roles.clear();
        let possible = |now| possible_approvers(&keys, None, WallMillis(now)).len();
        assert_eq!((possible(4), possible(5)), (1, 0));
    }
}
