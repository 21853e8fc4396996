//! What is approved, and what it is made of: the digests of modules and configurations, the plan, the
//! stage that may be reached, and the replay report.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use leasehold_domain::Digest;
use serde_json::Value;
use serde_json::json;

use super::Proposal;
use crate::authentication::KeyDocument;
use crate::failure::Failure;
use crate::governance::Governance;
use crate::governance::checking::Versions;
use crate::governance::document::BINDINGS;
use crate::governance::document::BindingDocument;
use crate::governance::document::KEYS;
use crate::governance::document::NAMESPACES;
use crate::governance::document::NamespaceDocument;
use crate::governance::document::PolicyDocument;
use crate::governance::document::ROLLOUTS;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutVersion;
use crate::governance::document::TRUST;
use crate::governance::document::TRUST_ID;

/// Returns what is to be approved before a binding is created, replaced (`before`) or deleted
/// (`after` is `None`). It holds the binding before, too: once somebody else has changed the binding,
/// approvals no longer count.
pub(in crate::governance) fn of_binding(
    name: &str,
    (before, after): (Option<&BindingDocument>, Option<&BindingDocument>),
    versions: &Versions,
    summary: &str,
) -> Proposal {
    let names = |binding: &BindingDocument, id: &str| {
        let mut policies = binding.policies.iter();
        policies.any(|one| PolicyDocument::id(&one.policy, &one.version) == *id)
    };
    let is_new = |id: &str| !before.is_some_and(|before| names(before, id));
    let new = versions.iter().filter(|(id, _)| is_new(id));
    let uploaders = new.map(|(_, version)| version.document.uploaded_by.clone());
    let digest = |(id, version): (&String, &crate::governance::Stored<PolicyDocument>)| {
        (id.clone(), version.document.digest.clone())
    };
    let modules: BTreeMap<String, String> = versions.iter().map(digest).collect();
    Proposal {
        kind: BINDINGS,
        name: name.to_owned(),
        summary: summary.to_owned(),
        subject: json!({ "before": before, "after": after, "modules": modules }),
        uploaders: uploaders.filter(|by| !by.is_empty()).collect(),
        lasts: false,
    }
}

/// Returns what is to be approved before a namespace allows what no policy decides.
pub(in crate::governance) fn of_namespace(document: &NamespaceDocument) -> Proposal {
    let name = document.name.to_string();
    Proposal {
        kind: NAMESPACES,
        summary: format!("namespace {name} allows what no policy decides"),
        subject: json!({ "default_decision": document.default_decision, "team": document.team }),
        uploaders: BTreeSet::new(),
        lasts: false,
        name,
    }
}

/// Returns what is to be approved before a key with a governing role is created. Id and secret are left
/// out: they are drawn anew each time.
pub(in crate::governance) fn of_key(key: &KeyDocument) -> Proposal {
    let (subject, roles) = (&key.subject, key.roles.join(", "));
    Proposal {
        kind: KEYS,
        name: subject.to_string(),
        summary: format!("key for {subject} with roles {roles}"),
        subject: json!({ "created": rights(key) }),
        uploaders: BTreeSet::new(),
        lasts: false,
    }
}

/// Returns what is to be approved before somebody else than its owner rotates a key with a governing
/// role: the caller who rotates a key gets the secret of its successor.
pub(in crate::governance) fn of_rotation(key: &KeyDocument) -> Proposal {
    let (id, subject, roles) = (&key.id, &key.subject, key.roles.join(", "));
    Proposal {
        kind: KEYS,
        name: id.clone(),
        summary: format!("key {id} of {subject} with roles {roles} rotated"),
        subject: json!({ "rotated": id, "created": rights(key) }),
        uploaders: BTreeSet::new(),
        lasts: false,
    }
}

fn rights(key: &KeyDocument) -> Value {
    json!({
        "subject": key.subject,
        "team": key.team,
        "roles": key.roles,
        "scope": key.scope,
        "lifetime_ms": key.lifetime_ms,
        "description": key.description,
    })
}

/// Returns what is to be approved before a key is trusted to sign policies.
pub(in crate::governance) fn of_trusted_key((id, name): (&str, &str), pem: &str) -> Proposal {
    Proposal {
        kind: TRUST,
        name: id.to_owned(),
        summary: format!("key {id} ({name}) is trusted to sign policies"),
        subject: json!({ "trusted": { "id": id, "name": name, "public_key": pem } }),
        uploaders: BTreeSet::new(),
        lasts: false,
    }
}

/// Returns what is to be approved before fewer signatures are required.
pub(in crate::governance) fn of_required_signatures(before: u32, after: u32) -> Proposal {
    Proposal {
        kind: TRUST,
        name: TRUST_ID.to_owned(),
        summary: format!("signatures that a policy needs: {before} -> {after}"),
        subject: json!({ "before": before, "after": after }),
        uploaders: BTreeSet::new(),
        lasts: false,
    }
}

impl Governance {
    /// Returns what is to be approved before a rollout may enter the step `from`: one proposal for each
    /// step that it could be approved to reach.
    pub(in crate::governance) async fn proposals_of_rollout(
        &self,
        rollout: &RolloutDocument,
        from: usize,
    ) -> Result<Vec<Proposal>, Failure> {
        let mut proposals = Vec::new();
        for target in from..rollout.steps.len() {
            proposals.push(self.proposal_of_rollout(rollout, target).await?);
        }
        Ok(proposals)
    }

    /// Returns what is to be approved before a rollout may reach the step `target` of its plan.
    pub(in crate::governance) async fn proposal_of_rollout(
        &self,
        rollout: &RolloutDocument,
        target: usize,
    ) -> Result<Proposal, Failure> {
        let (current, _) = self
            .approved_version(&rollout.policy, &rollout.current)
            .await?;
        let (candidate, uploader) = self
            .approved_version(&rollout.policy, &rollout.candidate)
            .await?;
        let reached = rollout
            .steps
            .get(target)
            .map(|step| json!({ "step": target, "stage": step.stage, "share": step.share }));
        let summary = format!(
            "rollout {}: {} of binding {}, {} -> {}, as far as {}",
            rollout.name,
            rollout.policy,
            rollout.binding,
            rollout.current.version,
            rollout.candidate.version,
            rollout
                .steps
                .get(target)
                .map_or("", |step| step.stage.as_str()),
        );
        let mut plan = json!({
            "unit": rollout.unit,
            "salt": rollout.salt,
            "bucket_function": rollout.bucket_function,
            "targets": rollout.targets,
            "steps": rollout.steps,
            "guardrails": rollout.guardrails,
        });
        if let Some(flag) = &rollout.flag {
            plan["flag"] = flag.as_str().into();
        }
        if rollout.automatic {
            plan["automatic"] = true.into();
        }
        Ok(Proposal {
            kind: ROLLOUTS,
            name: rollout.name.clone(),
            summary,
            subject: json!({
                "binding": rollout.binding,
                "policy": rollout.policy,
                "current": current,
                "candidate": candidate,
                "plan": plan,
                "target": reached,
                "replay_report": rollout.replay_report,
            }),
            uploaders: BTreeSet::from_iter(uploader),
            lasts: true,
        })
    }

    /// Returns a version with the digests of its module and its configuration, and who uploaded it.
    async fn approved_version(
        &self,
        policy: &str,
        version: &RolloutVersion,
    ) -> Result<(Value, Option<String>), Failure> {
        let stored = self.version(policy, &version.version).await?;
        let document = stored.map(|stored| stored.document);
        let config = Digest::of(version.config.to_string().as_bytes()).to_string();
        let module = document.as_ref().map(|document| &document.digest);
        let told = json!({
            "version": version.version,
            "module": module,
            "config": version.config,
            "config_digest": config,
        });
        let uploader = document.map(|document| document.uploaded_by);
        Ok((told, uploader.filter(|by| !by.is_empty())))
    }
}
