//! The standing of a policy version: whether it may be pushed, bound and promoted now.
//!
//! It depends on the signatures of the version, the keys that are trusted, the marks of the version,
//! and the time. [`assess`] computes it from the documents; [`Governance::usable`] is the one check
//! before a version is put to new use. What judges already goes on, whatever its standing, unless it is
//! killed.

mod problem;

use std::collections::BTreeMap;

use leasehold_domain::Digest;
use leasehold_domain::WallMillis;
use leasehold_policy_host::stock;

pub use self::problem::StandingProblem;

use super::Governance;
use super::Stored;
use super::document::MarkDocument;
use super::document::PolicyDocument;
use super::document::STANDINGS;
use super::document::StandingDocument;
use super::document::TRUST;
use super::document::TRUST_ID;
use super::document::TrustDocument;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::signing::KeyId;
use crate::signing::PolicySignature;
use crate::signing::Statement;
use crate::signing::VerifyingKey;

/// The standing of a version at one moment.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether it is a stock policy, which needs no signature.
    pub is_stock: bool,
    /// Its signatures, oldest first.
    pub signatures: Vec<AssessedSignature>,
    /// The mark that advises against it.
    pub deprecated: Option<MarkDocument>,
    /// The mark that forbids it for anything new.
    pub withdrawn: Option<MarkDocument>,
    /// The mark with which it fails wherever it would judge.
    pub killed: Option<MarkDocument>,
    /// Why it may not be pushed, bound and promoted now.
    pub problem: Option<StandingProblem>,
    /// After which moment its signatures do not suffice any more; `None` if they always do, or never.
    pub expires: Option<WallMillis>,
    /// The next moment at which its standing may differ because of the time alone.
    pub(super) changes_at: Option<WallMillis>,
}

/// A signature, and whether it counts.
#[derive(Debug, Clone)]
pub struct AssessedSignature {
    /// The id of its key.
    pub key: KeyId,
    /// The name of the key, if it is trusted or was.
    pub key_name: Option<String>,
    /// What was signed.
    pub statement: Statement,
    /// The subject that pushed it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
    /// Whether it counts.
    pub state: SignatureState,
}

/// Whether a signature counts, and if not why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureState {
    /// It counts.
    Counts,
    /// Its statement is not in force yet.
    NotYetValid,
    /// Its statement is not in force any more.
    Expired,
    /// Its key was revoked.
    KeyRevoked,
    /// Its key is not trusted.
    KeyNotTrusted,
    /// The key did not sign this, or the statement is about something else.
    Invalid,
}

impl SignatureState {
    /// Returns the state's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::KeyRevoked => "key-revoked",
            Self::KeyNotTrusted => "key-not-trusted",
            Self::Invalid => "invalid",
        }
    }
}

impl Standing {
    /// Returns what people should know of a version that they put to use, or that is in use.
    #[must_use]
    pub fn warnings(&self, id: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        match &self.problem {
            Some(problem @ StandingProblem::Killed(_)) => {
                warnings.push(format!("{id} fails wherever it is bound: {problem}"));
            }
            Some(problem) => warnings.push(format!(
                "{id} cannot be put to new use, and goes on where it is bound: {problem}"
            )),
            None => {}
        }
        if let Some(MarkDocument { by, at, reason }) = &self.deprecated {
            warnings.push(format!("{id} was deprecated by {by} at {at}: {reason}"));
        }
        warnings
    }
}

/// The times at which the signatures of one key are in force.
#[derive(Debug, Default)]
struct KeyTimes {
    name: String,
    counts: bool,
    /// The last moment of the latest statement; `None` while it has none.
    until: Option<WallMillis>,
    /// The first moment of the earliest statement that is to come.
    from: Option<WallMillis>,
}

/// Computes the standing of a version.
#[must_use]
pub(super) fn assess(
    version: &PolicyDocument,
    standing: &StandingDocument,
    trust: &TrustDocument,
    now: WallMillis,
) -> Standing {
    let is_stock = standing.stock || is_stock(version);
    let schema = version.schema_digest();
    let signatures: Vec<AssessedSignature> = standing
        .signatures
        .iter()
        .filter_map(|stored| {
            // The store has only what a gateway has read before.
            let signature = PolicySignature::read(&stored.encoded()).ok()?;
            let state = state_of(version, &schema, &signature, trust, now);
            let key = trust.key(&stored.key);
            Some(AssessedSignature {
                key: signature.key,
                key_name: key.map(|key| key.name.clone()),
                statement: signature.statement,
                added_by: stored.added_by.clone(),
                added_at: stored.added_at.clone(),
                state,
            })
        })
        .collect();
    let mut assessed = Standing {
        is_stock,
        signatures,
        deprecated: standing.deprecated.clone(),
        withdrawn: standing.withdrawn.clone(),
        killed: standing.killed.clone(),
        ..Standing::default()
    };
    if !is_stock {
        by_signatures(&mut assessed, trust, now);
    }
    if let Some(mark) = &standing.withdrawn {
        assessed.problem = Some(StandingProblem::Withdrawn(mark.clone()));
    }
    if let Some(mark) = &standing.killed {
        assessed.problem = Some(StandingProblem::Killed(mark.clone()));
    }
    assessed
}

fn is_stock(version: &PolicyDocument) -> bool {
    let digest = version.digest.parse::<Digest>();
    digest.is_ok_and(|digest| stock::is_stock(&digest))
}

fn state_of(
    version: &PolicyDocument,
    schema: &Digest,
    signature: &PolicySignature,
    trust: &TrustDocument,
    now: WallMillis,
) -> SignatureState {
    let Some(key) = trust.key(&signature.key.to_string()) else {
        return SignatureState::KeyNotTrusted;
    };
    let public = VerifyingKey::from_pem(&key.public_key);
    let is_by = public.is_ok_and(|public| signature.is_by(&public));
    let statement = &signature.statement;
    if !is_by || mismatch(version, schema, statement).is_some() {
        return SignatureState::Invalid;
    }
    if key.revoked.is_some() {
        return SignatureState::KeyRevoked;
    }
    match (statement.not_before, statement.not_after) {
        (_, Some(until)) if now > until => SignatureState::Expired,
        (Some(from), _) if now < from => SignatureState::NotYetValid,
        _ => SignatureState::Counts,
    }
}

/// Returns how a statement is about something else than a version; `None` if it is about it.
pub(super) fn mismatch(
    version: &PolicyDocument,
    schema: &Digest,
    statement: &Statement,
) -> Option<String> {
    let PolicyDocument {
        policy,
        version,
        digest,
        ..
    } = version;
    let (module, stated) = (statement.module.to_string(), statement.schema.to_string());
    let rows = [
        ("policy", &statement.policy, policy),
        ("version", &statement.version, version),
        ("module-sha256", &module, digest),
        ("schema-sha256", &stated, &schema.to_string()),
    ];
    let differs = rows.into_iter().find(|(_, stated, is)| stated != is);
    differs.map(|(name, stated, is)| format!("{name}: it is about {stated}, and this is {is}"))
}

/// Counts the keys. Where none is required, a version that was signed must not be used beyond the time
/// that its signers stated, also those whose keys were revoked since.
fn by_signatures(standing: &mut Standing, trust: &TrustDocument, now: WallMillis) {
    let all_count = trust.required == 0;
    let mut keys: BTreeMap<KeyId, KeyTimes> = BTreeMap::new();
    let mut others = BTreeMap::new();
    for signature in &standing.signatures {
        let name = named(signature);
        let in_force = match signature.state {
            SignatureState::Counts => true,
            SignatureState::KeyRevoked if all_count => {
                let statement = &signature.statement;
                statement.not_before.is_none_or(|from| now >= from)
                    && statement.not_after.is_none_or(|until| now <= until)
            }
            SignatureState::Expired | SignatureState::NotYetValid => false,
            state => {
                others.insert(signature.key, format!("{name} ({})", state.as_str()));
                continue;
            }
        };
        let times = keys.entry(signature.key).or_default();
        times.name = name;
        times.counts |= in_force;
        let statement = &signature.statement;
        let until = statement.not_after.unwrap_or(WallMillis(u64::MAX));
        times.until = times.until.max(Some(until));
        if let Some(from) = statement.not_before.filter(|from| *from > now) {
            times.from = Some(times.from.map_or(from, |earlier| earlier.min(from)));
        }
    }
    let required = match (trust.required, standing.signatures.is_empty()) {
        (0, true) => return,
        // All are of keys that are not known any more, or not valid.
        (0, false) if keys.is_empty() => return,
        (required, _) => usize::try_from(required).unwrap_or(usize::MAX).max(1),
    };
    standing.changes_at = next_change(&keys, now);
    let counted: Vec<&KeyTimes> = keys.values().filter(|key| key.counts).collect();
    if counted.len() >= required {
        standing.expires = nth_latest(counted.iter().filter_map(|key| key.until), required);
        return;
    }
    let past = keys.values().filter(|key| key.counts || key.from.is_none());
    let past: Vec<WallMillis> = past.filter_map(|key| key.until).collect();
    standing.problem = Some(if past.len() >= required {
        let at = nth_latest(past.into_iter(), required).unwrap_or(now);
        StandingProblem::Expired { at }
    } else if keys.len() >= required {
        let from = keys.values().filter_map(|key| key.from).max();
        let from = from.unwrap_or(now);
        StandingProblem::NotYetValid { from }
    } else {
        for (key, times) in keys.iter().filter(|(_, times)| !times.counts) {
            let why = match times.from {
                Some(_) => SignatureState::NotYetValid,
                None => SignatureState::Expired,
            };
            others.insert(*key, format!("{} ({})", times.name, why.as_str()));
        }
        StandingProblem::Signatures {
            required,
            counted: counted.iter().map(|key| key.name.clone()).collect(),
            others: others.into_values().collect(),
        }
    });
}

fn named(signature: &AssessedSignature) -> String {
    match &signature.key_name {
        Some(name) => format!("{name} ({})", signature.key.short()),
        None => format!("key {}", signature.key.short()),
    }
}

/// Returns the `nth` latest of some moments, counted from 1; `None` if that is never.
fn nth_latest(moments: impl Iterator<Item = WallMillis>, nth: usize) -> Option<WallMillis> {
    let mut moments: Vec<WallMillis> = moments.collect();
    moments.sort_unstable();
    let nth = moments.len().checked_sub(nth)?;
    Some(moments[nth]).filter(|moment| moment.0 < u64::MAX)
}

fn next_change(keys: &BTreeMap<KeyId, KeyTimes>, now: WallMillis) -> Option<WallMillis> {
    // A statement is in force in its last millisecond, too.
    let ends = keys.values().filter_map(|key| key.until);
    let ends = ends.map(|until| WallMillis(until.0.saturating_add(1)));
    let begins = keys.values().filter_map(|key| key.from);
    let all = ends.chain(begins);
    all.filter(|moment| *moment > now && moment.0 < u64::MAX)
        .min()
}

impl Governance {
    /// Checks that a version may be put to new use now: pushed, bound or promoted. `deed` says which,
    /// for the message.
    ///
    /// # Errors
    /// `policy_version_unusable`: it was killed or withdrawn, or too few trusted keys signed it, or the time of
    /// their statements is not now. Or the store cannot be read.
    pub(super) async fn usable(
        &self,
        version: &PolicyDocument,
        deed: &str,
    ) -> Result<Standing, Failure> {
        let standing = self.standing(version).await?;
        match &standing.problem {
            None => Ok(standing),
            Some(problem) => Err(unusable(version, deed, problem)),
        }
    }

    /// Returns the standing of a version, as the store has it now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn standing(&self, version: &PolicyDocument) -> Result<Standing, Failure> {
        let trust = self.trust().await?.document;
        let id = PolicyDocument::id(&version.policy, &version.version);
        let document = self.standing_document(&id).await?;
        let document = document.map(|stored| stored.document).unwrap_or_default();
        Ok(assess(version, &document, &trust, self.clock.wall()))
    }

    /// Returns all versions with their standings, by id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn policies_with_standing(
        &self,
    ) -> Result<Vec<(Stored<PolicyDocument>, Standing)>, Failure> {
        let trust = self.trust().await?.document;
        let rows = self.all(STANDINGS).await?;
        let parsed = rows.iter().map(|row| {
            let document = serde_json::from_slice(&row.body);
            let unreadable = |error| Failure::internal(format!("{STANDINGS} {}: {error}", row.id));
            Ok((row.id.to_string(), document.map_err(unreadable)?))
        });
        let documents: BTreeMap<String, StandingDocument> =
            parsed.collect::<Result<_, Failure>>()?;
        let (now, unmarked) = (self.clock.wall(), StandingDocument::default());
        let versions = self.policies().await?.into_iter();
        let assessed = versions.map(|stored| {
            let PolicyDocument {
                policy, version, ..
            } = &stored.document;
            let document = documents.get(&PolicyDocument::id(policy, version));
            let document = document.unwrap_or(&unmarked);
            let standing = assess(&stored.document, document, &trust, now);
            (stored, standing)
        });
        Ok(assessed.collect())
    }

    /// Returns the signatures and marks of a version; `None` if there are none.
    pub(super) async fn standing_document(
        &self,
        id: &str,
    ) -> Result<Option<Stored<StandingDocument>>, Failure> {
        self.find_document(STANDINGS, id).await
    }

    /// Returns the trusted keys; the revision is 0 if there never was one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn trust(&self) -> Result<Stored<TrustDocument>, Failure> {
        let found = self.find_document(TRUST, TRUST_ID).await?;
        Ok(found.unwrap_or_else(|| Stored {
            document: TrustDocument::default(),
            revision: 0,
        }))
    }
}

/// The refusal of a version.
pub(super) fn unusable(version: &PolicyDocument, deed: &str, problem: &StandingProblem) -> Failure {
    let id = PolicyDocument::id(&version.policy, &version.version);
    let message = format!("policy {id} cannot be {deed}: {problem}");
    Failure::new(FailureKind::PolicyVersionUnusable, message)
}

#[cfg(test)]
mod tests;
