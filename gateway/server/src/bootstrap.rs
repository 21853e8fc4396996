//! The first start: an administrator's key, and unless it is not wanted a namespace `demo` with stock
//! policies bound to it, so that the printed lines work when pasted.

use std::path::Path;

use leasehold_backend_api::durable_file;
use leasehold_core::failure::FailureKind;
use leasehold_domain::Precondition;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_policy_host::stock;
use serde_json::json;

use leasehold_core::authentication::NewKey;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::governance::Governance;
use leasehold_core::governance::Push;
use leasehold_core::governance::document::BindingDocument;
use leasehold_core::governance::document::BoundPolicyDocument;
use leasehold_core::governance::document::DefaultDecision;
use leasehold_core::governance::document::EnforcementName;
use leasehold_core::governance::document::NamespaceDraft;
use leasehold_core::governance::document::OnError;
use leasehold_core::governance::document::Visibility;

/// The namespace that the first start makes.
pub(super) const DEMO: &str = "demo";

/// How an empty store is prepared.
#[derive(Debug)]
pub(super) struct FirstStart<'a> {
    /// The administrator's key; `None` to make one.
    pub given: Option<NewKey>,
    /// Where a key that is made is written; `None` where it is only returned.
    pub key_file: Option<&'a Path>,
    /// Whether the namespace [`DEMO`] is made.
    pub demo: bool,
    /// The time, RFC 3339.
    pub created: &'a str,
}

/// Prepares an empty store; a store that has keys is left alone. Returns the administrator's key if
/// one was made here.
///
/// # Errors
/// The store or the file for the key cannot be written.
pub(super) async fn first_start(
    governance: &Governance,
    how: FirstStart<'_>,
) -> Result<Option<String>, Failure> {
    if !governance.keys().await?.is_empty() {
        return Ok(None);
    }
    let caller = Caller::gateway("first-start")?;
    for (_, wasm) in stock::MODULES {
        governance.push_policy(&caller, Push::of(*wasm)).await?;
    }
    if how.demo {
        make_demo(governance, &caller).await?;
    }
    // The key comes last: a start that was cut off before is begun again.
    let is_made_here = how.given.is_none();
    let subject = "admin"
        .parse()
        .map_err(|error| Failure::internal(format!("{error}")))?;
    let mut key = how.given.unwrap_or_else(|| {
        NewKey::draw(
            subject,
            None,
            RoleSet::from_iter(Role::ALL),
            "made by the first start",
            how.created,
        )
    });
    how.created.clone_into(&mut key.document.created);
    let key = key.created_by(&caller.principal.subject);
    let text = key.reveal();
    if let (true, Some(file)) = (is_made_here, how.key_file) {
        // Before the key is in force: a start that is cut off in between makes another one, and no
        // key is in force that nobody has.
        durable_file::replace(file, text.as_bytes())
            .map_err(|error| Failure::internal(format!("{}: {error}", file.display())))?;
    }
    // Another gateway that begins the same store may have been given the same key.
    existing_is_fine(governance.put_key(&caller, &key.document).await)?;
    Ok(is_made_here.then_some(text))
}

/// Makes the namespace `demo`, and binds the stock policies to it.
async fn make_demo(governance: &Governance, caller: &Caller) -> Result<(), Failure> {
    let namespace = NamespaceDraft {
        name: DEMO
            .parse()
            .map_err(|error| Failure::internal(format!("{error}")))?,
        team: None,
        visibility: Visibility::Everyone,
        description: "made by the first start, with the stock policies bound".to_owned(),
        default_decision: DefaultDecision::Deny,
        store: None,
        caps: None,
    };
    existing_is_fine(
        governance
            .put_namespace(caller, &namespace, Precondition::Absent)
            .await,
    )?;
    for binding in bindings(governance).await? {
        existing_is_fine(
            governance
                .put_binding(caller, &binding, Precondition::Absent)
                .await,
        )?;
    }
    Ok(())
}

fn existing_is_fine<T>(written: Result<T, Failure>) -> Result<(), Failure> {
    match written {
        Ok(_) => Ok(()),
        Err(failure) if failure.kind == FailureKind::PreconditionFailed => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The stock policies as `demo` starts with them: open to every team, with sane bounds.
async fn bindings(governance: &Governance) -> Result<Vec<BindingDocument>, Failure> {
    let versions = governance.policies().await?;
    let bound = |policy: &str, config: serde_json::Value, enforcement, on_error: &[&str]| {
        let version = versions
            .iter()
            .find(|stored| stored.document.policy == policy);
        let version =
            version.ok_or_else(|| Failure::internal(format!("no stock policy {policy}")))?;
        Ok::<_, Failure>(BoundPolicyDocument {
            policy: policy.to_owned(),
            version: version.document.version.clone(),
            config,
            enforcement,
            on_error: OnError {
                allow: on_error.iter().map(|name| (*name).to_owned()).collect(),
            },
        })
    };
    let binding = |name: &str, order, operations: &[&str], policies| BindingDocument {
        name: name.to_owned(),
        namespaces: vec![DEMO.to_owned()],
        locks: vec!["**".to_owned()],
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        order,
        policies,
    };
    let mandatory = EnforcementName::Mandatory;
    // A broken module must not kill healthy holders, so a failing policy lets renewals pass.
    let bounds = bound("ttl-bounds", ttl_bounds(), mandatory, &["renew"])?;
    let ownership = bound("ownership", ownership(), mandatory, &["renew"])?;
    let freeze = bound(
        "freeze-window",
        freeze_window(),
        EnforcementName::Overridable,
        &[],
    )?;
    let duties = bound(
        "separation-of-duties",
        separation_of_duties(),
        mandatory,
        &[],
    )?;
    Ok(vec![
        binding(
            "demo-holding",
            10,
            &["acquire", "renew", "transfer"],
            vec![ownership, bounds],
        ),
        binding("demo-freeze", 20, &["acquire"], vec![freeze]),
        binding("demo-duties", 30, &["revoke"], vec![duties]),
    ])
}

/// Up to an hour without renewal, and a day in all.
fn ttl_bounds() -> serde_json::Value {
    json!({ "rules": [{ "max_ttl_ms": 3_600_000, "max_hold_ms": 86_400_000 }] })
}

/// Nobody has claimed anything yet.
fn ownership() -> serde_json::Value {
    json!({ "unclaimed": "allow", "claims": [] })
}

/// No freeze is planned yet.
fn freeze_window() -> serde_json::Value {
    json!({ "windows": [] })
}

/// Whoever takes a lock from somebody says why.
fn separation_of_duties() -> serde_json::Value {
    json!({ "revoke": { "require_reason": true } })
}
