//! Who owns some locks.

use leasehold_policy_sdk::LockPattern;
use leasehold_policy_sdk::LockPatterns;
use leasehold_policy_sdk::NamePattern;
use leasehold_policy_sdk::Principal;
use leasehold_policy_sdk::TextPattern;
use serde::Deserialize;

/// One claim; see `schema.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claim {
    pub(crate) locks: LockPatterns,
    pub(crate) except: LockPatterns,
    pub(crate) teams: Vec<TextPattern>,
    pub(crate) subjects: Vec<NamePattern>,
}

/// What a segment of a lock's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Team,
    Subject,
}

/// How a claim covers a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered<'a> {
    /// The pattern that covers it.
    pub(crate) pattern: &'a str,
    /// Whom the lock's name names as its owner.
    named: Option<(Placeholder, &'a str)>,
}

const PLACEHOLDERS: [(&str, Placeholder); 2] = [
    ("{team}", Placeholder::Team),
    ("{subject}", Placeholder::Subject),
];

impl Claim {
    /// How it covers the lock, if it does. The first of its patterns that does so counts.
    pub(crate) fn covers<'a>(&'a self, lock: &'a str) -> Option<Covered<'a>> {
        let mut patterns = self.locks.iter();
        let covered = patterns.find_map(|pattern| covered(pattern, lock))?;
        (!self.except.matches(lock)).then_some(covered)
    }

    /// Whether the principal owns the locks so covered.
    pub(crate) fn admits(&self, covered: Covered<'_>, principal: &Principal) -> bool {
        let team = principal.team.as_deref();
        let by_name = match covered.named {
            Some((Placeholder::Team, name)) => team == Some(name),
            Some((Placeholder::Subject, name)) => principal.subject == name,
            None => false,
        };
        by_name
            || team.is_some_and(|team| self.teams.iter().any(|owner| owner.matches(team)))
            || self
                .subjects
                .iter()
                .any(|owner| owner.matches(&principal.subject))
    }

    /// The owners, in words.
    pub(crate) fn owners(&self, covered: Covered<'_>) -> String {
        let named = match covered.named {
            Some((Placeholder::Team, name)) => Some(format!("team {name}")),
            Some((Placeholder::Subject, name)) => Some(name.to_owned()),
            None => None,
        };
        let teams = self.teams.iter().map(TextPattern::as_str);
        let subjects = self.subjects.iter().map(NamePattern::as_str);
        let named = named.iter().map(String::as_str);
        let all: Vec<&str> = named.chain(teams).chain(subjects).collect();
        if all.is_empty() {
            "nobody".to_owned()
        } else {
            all.join(", ")
        }
    }

    /// Whether it can be.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.locks.iter().try_for_each(check_placeholder)?;
        self.locks.check()?;
        self.except.check()?;
        if let Some(pattern) = self.except.iter().find(|p| p.as_str().contains('{')) {
            let pattern = pattern.as_str();
            return Err(format!("{pattern:?}: an exception has no placeholder"));
        }
        self.teams.iter().try_for_each(TextPattern::check)?;
        self.subjects.iter().try_for_each(NamePattern::check)
    }
}

/// How a pattern covers a lock, if it does.
fn covered<'a>(pattern: &'a LockPattern, lock: &'a str) -> Option<Covered<'a>> {
    let text = pattern.as_str();
    // No lock has a brace in its name, so without a placeholder it is a plain pattern.
    if !text.as_bytes().contains(&b'{') {
        let covered = Covered {
            pattern: text,
            named: None,
        };
        return pattern.matches(lock).then_some(covered);
    }
    let (before, placeholder, after) = placeholder(text)?;
    // No `**` stands before it, so segment meets segment.
    let mut parts = lock.split('/');
    for segment in before.split_terminator('/') {
        let segment = LockPattern::new(segment);
        if !parts.next().is_some_and(|part| segment.matches(part)) {
            return None;
        }
    }
    let name = parts.next()?;
    let rest = lock.split_at_checked(lock.len() - remaining(&parts))?.1;
    let matches = match after.strip_prefix('/') {
        Some(after) if rest.is_empty() => after.split('/').all(|segment| segment == "**"),
        Some(after) => LockPattern::new(after).matches(rest),
        None => rest.is_empty(),
    };
    matches.then_some(Covered {
        pattern: text,
        named: Some((placeholder, name)),
    })
}

/// What stands before the placeholder, what it is, and what stands behind it.
fn placeholder(text: &str) -> Option<(&str, Placeholder, &str)> {
    PLACEHOLDERS.iter().find_map(|(name, placeholder)| {
        let (before, after) = text.split_once(name)?;
        Some((before, *placeholder, after))
    })
}

/// How many bytes of a name are left.
fn remaining(parts: &std::str::Split<'_, char>) -> usize {
    parts
        .clone()
        .map(|part| part.len() + 1)
        .sum::<usize>()
        .saturating_sub(1)
}

/// A placeholder is a whole segment, there is one of them, and no `**` stands before it: else it
/// could stand for several segments of one name.
fn check_placeholder(pattern: &LockPattern) -> Result<(), String> {
    let text = pattern.as_str();
    if !text.contains(['{', '}']) {
        return Ok(());
    }
    let told = |problem| Err(format!("lock pattern {text:?}: {problem}"));
    let Some((before, _, after)) = placeholder(text) else {
        return told("the placeholders are {team} and {subject}");
    };
    if before.contains(['{', '}']) || after.contains(['{', '}']) {
        return told("there can be one placeholder");
    }
    let is_segment = before.is_empty() || before.ends_with('/');
    if !is_segment || !(after.is_empty() || after.starts_with('/')) {
        return told("a placeholder must be a segment of its own");
    }
    if before.split('/').any(|segment| segment == "**") {
        return told("no ** may stand before a placeholder");
    }
    Ok(())
}
