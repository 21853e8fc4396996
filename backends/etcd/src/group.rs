//! Which requests of a batch must stand or fall together.
//!
//! A transaction holds several groups, each with conditions of its own: a group whose condition
//! does not hold changes nothing, and the others do not notice. Requests that touch the same lock or
//! the same counter are in one group. What has lost against another gateway lately is an island, a
//! group by itself; all else is one group, so that it has its events in one key, or a few if it
//! touches too much for one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::LockRef;

use crate::item::Item;

/// Islands in one transaction at most.
const ISLANDS_MAX: usize = 16;
/// What one group compares one by one at most: etcd takes 128 operations, and the group's other
/// keys and the islands need their part.
const KEYS_COMPARED_MAX: usize = 100;
/// Groups at most that are not islands.
const MAIN_GROUPS_MAX: usize = 6;

/// What a request touches: its keys are compared, or put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    Lock(LockRef),
    /// A counter, by the number of its key.
    Counter(u16),
}

/// A request of a batch.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Its place in the batch.
    pub(crate) at: usize,
    pub(crate) item: &'a Item,
    pub(crate) touches: BTreeSet<Touched>,
}

/// A lock whose time has come, and what its tick touches.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) lock: LockRef,
    pub(crate) touches: BTreeSet<Touched>,
}

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

    fn add(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.ticks.extend(other.ticks);
        self.jobs.sort_unstable();
    }
}

/// Requests that touch the same, directly or by others.
#[derive(Debug, Default)]
struct Component {
    group: Group,
    touches: BTreeSet<Touched>,
}

/// Groups writing items; `near_cap` tells whether any of them may exceed a cap of its namespace,
/// `is_hot` what is contended.
pub(crate) fn group(
    jobs: &[Job<'_>],
    due: Vec<Due>,
    near_cap: bool,
    is_hot: impl Fn(&Touched) -> bool,
) -> Vec<Group> {
    let edits = jobs.iter().filter(|job| is_edit(job.item));
    let edited: usize = edits.map(|job| job.item.weight()).sum();
    let whole = near_cap || jobs.iter().any(|job| job.item.expects_usage());
    let (mut main, mut islands) = (Vec::new(), Vec::new());
    for component in components(jobs, due) {
        // A group in a transaction with edits of documents depends on them: a seat may have opened or
        // closed a namespace.
        match edited == 0 && component.touches.iter().any(&is_hot) {
            true => islands.push(component),
            false => main.push(component),
        }
    }
    let is_small = |island: &Component| island.touches.len() <= KEYS_COMPARED_MAX;
    let whole = whole || !islands.iter().all(is_small);
    match packed(&main, edited) {
        Some(main) if !whole => gathered(main, islands),
        _ => {
            let mut all = Group::default();
            let components = main.into_iter().chain(islands);
            components.for_each(|component| all.add(component.group));
            all.whole = true;
            vec![all]
        }
    }
}

/// Jobs and ticks that touch the same, joined.
fn components(jobs: &[Job<'_>], due: Vec<Due>) -> Vec<Component> {
    let asked: BTreeSet<&LockRef> = jobs.iter().flat_map(|job| job.item.locks()).collect();
    // A command ends and grants what is due of its lock, too.
    let due = due.into_iter().filter(|due| !asked.contains(&due.lock));
    let due: Vec<Due> = due.collect();
    let touches = jobs.iter().map(|job| &job.touches);
    let touches = touches.chain(due.iter().map(|due| &due.touches));
    let mut roots: Vec<usize> = (0..jobs.len() + due.len()).collect();
    let mut first: BTreeMap<&Touched, usize> = BTreeMap::new();
    for (at, touches) in touches.clone().enumerate() {
        for touched in touches {
            let other = *first.entry(touched).or_insert(at);
            join(&mut roots, other, at);
        }
    }
    let mut edits = (0..).zip(jobs).filter(|(_, job)| is_edit(job.item));
    if let Some((first, _)) = edits.next() {
        edits.for_each(|(at, _)| join(&mut roots, first, at));
    }
    let mut components: BTreeMap<usize, Component> = BTreeMap::new();
    for (at, touches) in touches.enumerate() {
        let component = components.entry(root(&roots, at)).or_default();
        component.touches.extend(touches.iter().cloned());
        match jobs.get(at) {
            Some(job) => component.group.jobs.push(job.at),
            None => {
                let lock = due.get(at - jobs.len()).map(|due| due.lock.clone());
                component.group.ticks.extend(lock);
            }
        }
    }
    components.into_values().collect()
}

/// The components in as few groups as will do; `None` if they touch too much for that. What depends
/// on edits is in one group with them.
fn packed(components: &[Component], edited: usize) -> Option<Vec<Group>> {
    let mut groups = vec![(Group::default(), edited)];
    for component in components {
        let more = component.touches.len();
        let last = groups.last()?.1;
        if last + more > KEYS_COMPARED_MAX {
            groups.push((Group::default(), 0));
        }
        let (group, keys) = groups.last_mut()?;
        *keys += more;
        group.add(Group {
            jobs: component.group.jobs.clone(),
            ticks: component.group.ticks.clone(),
            whole: false,
        });
    }
    let fits = groups.iter().all(|(_, keys)| *keys <= KEYS_COMPARED_MAX);
    let groups_max = if edited > 0 { 1 } else { MAIN_GROUPS_MAX };
    let fits = fits && groups.len() <= groups_max;
    fits.then(|| groups.into_iter().map(|(group, _)| group).collect())
}

fn is_edit(item: &Item) -> bool {
    matches!(item, Item::Edits(_))
}

/// The main groups and the islands; those that are too many are one.
fn gathered(main: Vec<Group>, islands: Vec<Component>) -> Vec<Group> {
    let mut groups = main;
    groups.retain(|group| !group.is_empty());
    let groups_max = groups.len() + ISLANDS_MAX;
    for island in islands {
        if groups.len() < groups_max {
            groups.push(island.group);
        } else if let Some(last) = groups.last_mut() {
            last.add(island.group);
        }
    }
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
        grouped_with(items, due, hot, &[])
    }

    /// The same, where the locks of these names have a lease with this counter.
    fn grouped_with(
        items: &[Item],
        due: &[&str],
        hot: &[&str],
        counters: &[(&str, u16)],
    ) -> Vec<(Vec<usize>, usize, bool)> {
        let touched = |lock: &LockRef| {
            let named = counters
                .iter()
                .filter(|(name, _)| self::lock(name) == *lock);
            let counters = named.map(|(_, counter)| Touched::Counter(*counter));
            let touched = counters.chain([Touched::Lock(lock.clone())]);
            touched.collect::<BTreeSet<_>>()
        };
        let jobs = items.iter().enumerate().map(|(at, item)| Job {
            at,
            item,
            touches: item.locks().flat_map(touched).collect(),
        });
        let jobs: Vec<_> = jobs.collect();
        let due = due.iter().map(|name| Due {
            lock: lock(name),
            touches: touched(&lock(name)),
        });
        let hot: Vec<_> = hot.iter().map(|name| Touched::Lock(lock(name))).collect();
        let groups = group(&jobs, due.collect(), false, |one| hot.contains(one));
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

    #[test]
    fn what_shares_a_counter_is_together() {
        let items = [item(&["a"]), item(&["b"]), item(&["c"]), item(&["d"])];
        let counters = [("a", 1), ("c", 1), ("x", 1), ("d", 2), ("y", 2)];
        assert_eq!(
            grouped_with(&items, &["x", "y", "z"], &["a", "y"], &counters),
            [
                (vec![1], 1, false),
                (vec![0, 2], 1, false),
                (vec![3], 1, false)
            ]
        );
    }

    #[test]
    fn what_is_too_much_for_one_group_is_in_several() {
        let items: Vec<Item> = (0..250).map(|n| item(&[&format!("l-{n}")])).collect();
        let groups = grouped(&items, &[], &[]);
        let jobs: Vec<_> = groups.iter().map(|(jobs, ..)| jobs.len()).collect();
        assert_eq!(jobs, [100, 100, 50]);
        assert!(groups.iter().all(|(_, _, whole)| !whole));
        let items: Vec<Item> = (0..601).map(|n| item(&[&format!("l-{n}")])).collect();
        assert_eq!(grouped(&items, &[], &[]), [((0..601).collect(), 0, true)]);
    }
}
