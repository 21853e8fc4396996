//! Which requests of a batch must stand or fall together.
//!
//! A transaction holds several groups, each with conditions of its own: a group whose condition
//! does not hold changes nothing, and the others do not notice. Requests that touch the same lock
//! are in one group. What has lost against another gateway lately is an island, a group by itself;
//! all else is one group, so that it has its events in one key.

use std::collections::BTreeMap;

use leasehold_domain::LockRef;

use crate::item::Item;

/// Islands in one transaction at most.
const ISLANDS_MAX: usize = 16;
/// Locks and documents of one group that are compared one by one at most: etcd takes 128 operations, and the
/// group's other keys and the islands need their part.
const KEYS_COMPARED_MAX: usize = 100;

/// Requests that stand or fall together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// By their place in the batch, in order.
    pub(crate) jobs: Vec<usize>,
    /// Locks whose time has come, and that no request is about.
    pub(crate) ticks: Vec<LockRef>,
    /// Whether it stands only if nothing at all was written meanwhile: it depends on more than the
    /// locks that it touches, or on too many to compare.
    pub(crate) whole: bool,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.ticks.is_empty()
    }
}

/// Groups writing items; `near_cap` tells whether any of them may exceed a cap of its namespace,
/// `is_hot` which locks are contended.
pub(crate) fn group(
    items: &[(usize, &Item)],
    due: Vec<LockRef>,
    near_cap: bool,
    is_hot: impl Fn(&LockRef) -> bool,
) -> Vec<Group> {
    let (first, roots) = joined(items);
    let due: Vec<LockRef> = due.into_iter().filter(|l| !first.contains_key(l)).collect();
    let edits = items.iter().filter(|(_, item)| is_edit(item));
    let edited: usize = edits.map(|(_, item)| item.weight()).sum();
    let whole = near_cap
        || items.iter().any(|(_, item)| item.expects_usage())
        || first.len() + due.len() + edited > KEYS_COMPARED_MAX;
    if whole {
        return vec![Group {
            jobs: items.iter().map(|(job, _)| *job).collect(),
            ticks: due,
            whole,
        }];
    }
    // What is worked out beside an edit stands on it: a seat may have opened or closed a namespace.
    let is_hot = |lock: &LockRef| edited == 0 && is_hot(lock);
    let hot = first.iter().filter(|(lock, _)| is_hot(lock));
    let hot: Vec<usize> = hot.map(|(_, at)| root(&roots, *at)).collect();
    let mut main = Group::default();
    let mut islands: BTreeMap<usize, Group> = BTreeMap::new();
    for (at, (job, _)) in items.iter().enumerate() {
        let root = root(&roots, at);
        match hot.contains(&root) {
            true => islands.entry(root).or_default().jobs.push(*job),
            false => main.jobs.push(*job),
        }
    }
    let (alone, others) = due.into_iter().partition(|lock| is_hot(lock));
    main.ticks = others;
    gathered(main, islands.into_values().collect(), alone)
}

/// Which items touch the same: the first that touches each lock, and for each item one before it
/// that it is joined with, or itself.
fn joined<'a>(items: &[(usize, &'a Item)]) -> (BTreeMap<&'a LockRef, usize>, Vec<usize>) {
    let mut first = BTreeMap::new();
    let mut first_edit = None;
    let mut roots: Vec<usize> = (0..items.len()).collect();
    for (at, (_, item)) in items.iter().enumerate() {
        for lock in item.locks() {
            let other = *first.entry(lock).or_insert(at);
            join(&mut roots, other, at);
        }
        if is_edit(item) {
            let other = *first_edit.get_or_insert(at);
            join(&mut roots, other, at);
        }
    }
    (first, roots)
}

fn is_edit(item: &Item) -> bool {
    matches!(item, Item::Edits(_))
}

/// The main group and the islands; those that are too many are one.
fn gathered(main: Group, islands: Vec<Group>, alone: Vec<LockRef>) -> Vec<Group> {
    let mut groups = vec![main];
    let alone = alone.into_iter().map(|lock| Group {
        ticks: vec![lock],
        ..Group::default()
    });
    for island in islands.into_iter().chain(alone) {
        match groups.get_mut(ISLANDS_MAX) {
            None => groups.push(island),
            Some(last) => {
                last.jobs.extend(island.jobs);
                last.ticks.extend(island.ticks);
                last.jobs.sort_unstable();
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The first of those that one is joined with.
fn root(roots: &[usize], mut at: usize) -> usize {
    while let Some(up) = roots.get(at).filter(|up| **up != at) {
        at = *up;
    }
    at
}

fn join(roots: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(roots, one), root(roots, other));
    if let Some(up) = roots.get_mut(one.max(other)) {
        *up = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use leasehold_backend_api::Batch;
    use std::sync::Arc;

    use leasehold_domain::Action;
    use leasehold_domain::Change;
    use leasehold_domain::Command;
    use leasehold_domain::Edit;
    use leasehold_domain::Precondition;
    use leasehold_domain::Principal;
    use leasehold_domain::RoleSet;

    use super::*;

    fn lock(name: &str) -> LockRef {
        format!("demo/{name}").parse().unwrap()
    }

    fn item(names: &[&str]) -> Item {
        let command = |name: &&str| Command {
            lock: lock(name),
            action: Action::Tick,
            cause: None,
            expect: None,
        };
        Item::Batch(Batch {
            commands: names.iter().map(command).collect(),
            ..Batch::default()
        })
    }

    fn edit() -> Edit {
        let principal = Principal {
            subject: "ops".parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        };
        Edit {
            collection: "seats".into(),
            id: "demo".into(),
            body: None,
            precondition: Precondition::Any,
            change: Some(Change {
                request_id: "edit".parse().unwrap(),
                principal: Arc::new(principal),
                collection: "seats".into(),
                id: "demo".into(),
                digest: None,
                summary: "".into(),
            }),
        }
    }

    fn grouped(items: &[Item], due: &[&str], hot: &[&str]) -> Vec<(Vec<usize>, usize, bool)> {
        let items: Vec<_> = items.iter().enumerate().collect();
        let due = due.iter().map(|name| lock(name)).collect();
        let groups = group(&items, due, false, |one| {
            hot.iter().any(|name| lock(name) == *one)
        });
        let told = groups.into_iter().map(|g| (g.jobs, g.ticks.len(), g.whole));
        told.collect()
    }

    #[test]
    fn what_shares_a_lock_is_together_and_what_is_contended_is_apart() {
        let items = [
            item(&["a"]),
            item(&["b", "c"]),
            item(&["d"]),
            item(&["c", "e"]),
            Item::Edits(Vec::new()),
            item(&[]),
            item(&["e"]),
            Item::Edits(Vec::new()),
        ];
        assert_eq!(
            grouped(&items, &["a", "x"], &[]),
            [(vec![0, 1, 2, 3, 4, 5, 6, 7], 1, false)]
        );
        assert_eq!(
            grouped(&items, &["x", "y"], &["b", "y"]),
            [
                (vec![0, 2, 4, 5, 7], 1, false),
                (vec![1, 3, 6], 0, false),
                (vec![], 1, false)
            ]
        );
        let mut edited = Vec::from(items);
        edited.push(Item::Edits(vec![edit()]));
        assert_eq!(
            grouped(&edited, &["x"], &["b", "x"]),
            [((0..9).collect(), 1, false)],
            "nothing is apart from a change of documents"
        );
        let names: Vec<String> = (0..101).map(|n| format!("l-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(grouped(&[item(&names)], &[], &[]), [(vec![0], 0, true)]);
        let many: Vec<Item> = names.iter().map(|name| item(&[name])).take(40).collect();
        let groups = grouped(&many, &[], &names);
        assert_eq!(groups.len(), ISLANDS_MAX);
    }
}
