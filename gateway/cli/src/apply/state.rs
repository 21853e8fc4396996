//! The state of the gateway, and states in the form in which they are compared.

use std::collections::BTreeMap;

use leasehold_client::Client;
use leasehold_wire::v1::bindings as bind;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PolicyList;
use leasehold_wire::v1::policies::PolicyVersion;
use serde_json::Value;
use serde_json::json;

use super::file::BindingFile;
use super::file::NamespaceFile;
use crate::exit::Failed;

/// What the gateway has.
#[derive(Debug)]
pub(super) struct State {
    /// By name.
    pub(super) namespaces: BTreeMap<String, ns::Namespace>,
    /// By `name@version`.
    pub(super) policies: BTreeMap<String, PolicyVersion>,
    /// By name.
    pub(super) bindings: BTreeMap<String, bind::Binding>,
}

impl State {
    pub(super) async fn read(client: &Client) -> Result<Self, Failed> {
        let namespaces: ns::NamespaceList = client.get(paths::NAMESPACES).await?;
        let policies: PolicyList = client.get(paths::POLICIES).await?;
        let bindings: bind::BindingList = client.get(paths::BINDINGS).await?;
        let policies = policies.policies.into_iter();
        Ok(Self {
            namespaces: by(namespaces.namespaces, |one| one.name.clone()),
            policies: policies
                .map(|one| (format!("{}@{}", one.policy, one.version), one))
                .collect(),
            bindings: by(bindings.bindings, |one| one.name.clone()),
        })
    }
}

fn by<T>(all: Vec<T>, name: impl Fn(&T) -> String) -> BTreeMap<String, T> {
    all.into_iter().map(|one| (name(&one), one)).collect()
}

/// A namespace as it is compared.
pub(super) fn of_namespace(namespace: &ns::Namespace) -> Value {
    json!({
        "team": namespace.team,
        "visible_to": sorted(&namespace.visible_to),
        "description": namespace.description,
        "default_decision": namespace.default_decision,
        "caps": namespace.caps.clone().unwrap_or_default(),
    })
}

/// A declared namespace as it is compared. What it does not declare stays as it is.
pub(super) fn of_namespace_file(file: &NamespaceFile, before: Option<&ns::Namespace>) -> Value {
    let kept = before.and_then(|before| before.caps.clone());
    json!({
        "team": file.team,
        "visible_to": sorted(&file.visible_to),
        "description": file.description,
        "default_decision": file.default_decision.as_deref().unwrap_or("deny"),
        "caps": file.caps.clone().or(kept).unwrap_or_default(),
    })
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// A binding as it is compared.
pub(super) fn of_binding(binding: &bind::Binding) -> Value {
    json!({
        "namespaces": binding.namespaces,
        "locks": binding.locks,
        "operations": binding.operations,
        "order": binding.order,
        "policies": of_policies(&binding.policies),
    })
}

/// A declared binding as it is compared.
pub(super) fn of_binding_file(file: &BindingFile) -> Value {
    let all = vec!["**".to_owned()];
    json!({
        "namespaces": file.namespaces,
        "locks": file.locks.as_ref().unwrap_or(&all),
        "operations": file.operations,
        "order": file.order,
        "policies": of_policies(&file.policies),
    })
}

fn of_policies(policies: &[bind::BoundPolicy]) -> Vec<Value> {
    let policies = policies.iter().map(|bound| {
        json!({
            "policy": bound.policy,
            "version": bound.version,
            "config": bound.config.clone().unwrap_or_else(|| json!({})),
            "enforcement": bound.enforcement.as_deref().unwrap_or("mandatory"),
            "on_error_allow": bound.on_error_allow,
        })
    });
    policies.collect()
}

/// The request that writes a declared binding.
pub(super) fn binding_request(file: &BindingFile) -> bind::BindingRequest {
    bind::BindingRequest {
        name: Some(file.name.clone()),
        namespaces: file.namespaces.clone(),
        locks: file.locks.clone(),
        operations: file.operations.clone(),
        order: file.order,
        policies: file.policies.clone(),
        revision: None,
        reason: None,
    }
}

/// The request that writes a declared namespace.
pub(super) fn namespace_request(file: &NamespaceFile) -> ns::NamespaceRequest {
    ns::NamespaceRequest {
        name: Some(file.name.clone()),
        team: file.team.clone(),
        visible_to: file.visible_to.clone(),
        description: file.description.clone(),
        default_decision: file.default_decision.clone(),
        store: file.store.clone(),
        caps: file.caps.clone(),
        revision: None,
        reason: None,
    }
}
