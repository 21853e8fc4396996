//! `leasehold policy bind` and `unbind`.

use std::path::PathBuf;

use clap::Args;
use leasehold_client::Client;
use leasehold_wire::v1::bindings as wire;
use leasehold_wire::v1::paths;

use super::preview;
use super::preview::PreviewArguments;
use crate::exit::Failed;
use crate::input_file;
use crate::output::Shown;

/// What to bind.
#[derive(Debug, Args)]
pub(crate) struct BindArguments {
    /// The binding's name.
    name: String,
    /// The file: namespaces, locks, operations, order, policies.
    file: PathBuf,
    /// Why; the binding's revision and the ledger keep it. It replaces the one in the file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    preview: PreviewArguments,
}

/// What to unbind.
#[derive(Debug, Args)]
pub(crate) struct UnbindArguments {
    /// The binding's name.
    name: String,
    /// Why; the binding's revision and the ledger keep it.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    preview: PreviewArguments,
}

/// Writes a binding, or previews that.
pub(super) async fn bind(
    client: &Client,
    arguments: BindArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let (name, preview) = (arguments.name, arguments.preview);
    let mut request: wire::BindingRequest = input_file::json(&arguments.file)?;
    request.reason = arguments.reason.or(request.reason);
    if preview.preview {
        request.name = Some(name);
        return preview::show(client, (Some(request), None), &preview, json).await;
    }
    let path = paths::member(paths::BINDINGS, &name);
    let bound: wire::Binding = client.put(&path, &request).await?;
    Shown::of(json, &bound, show)
}

/// Deletes a binding, or previews that.
pub(super) async fn unbind(
    client: &Client,
    arguments: UnbindArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let (name, preview) = (arguments.name, arguments.preview);
    if preview.preview {
        return preview::show(client, (None, Some(name)), &preview, json).await;
    }
    let mut path = paths::member(paths::BINDINGS, &name);
    if let Some(reason) = arguments.reason {
        path += &format!("?reason={}", paths::encode(&reason));
    }
    let gone: wire::Binding = client.delete(&path).await?;
    Shown::of(json, &gone, |gone| {
        let mut fields = vec![("unbound", gone.name.clone())];
        fields.extend(gone.number.map(|number| ("revision", number.to_string())));
        Shown::Fields(fields)
    })
}

pub(super) const HEADINGS: [&str; 6] = [
    "BINDING",
    "ORDER",
    "NAMESPACES",
    "LOCKS",
    "OPERATIONS",
    "POLICIES",
];

/// A binding in a list.
pub(super) fn row(binding: &wire::Binding) -> Vec<String> {
    let policies = binding
        .policies
        .iter()
        .map(|p| format!("{}@{}", p.policy, p.version));
    vec![
        binding.name.clone(),
        binding.order.to_string(),
        binding.namespaces.join(","),
        binding.locks.join(","),
        binding.operations.join(","),
        policies.collect::<Vec<_>>().join(","),
    ]
}

/// A binding that was written: what it judges, and what judges otherwise than before.
pub(super) fn show(bound: &wire::Binding) -> Shown {
    let cells = HEADINGS_OF_BOUND.into_iter().zip(row(bound));
    let mut fields: Vec<_> = cells.collect();
    fields.extend(bound.number.map(|number| ("revision", number.to_string())));
    fields.push(("evaluates", bound.evaluated_operations.join(",")));
    for change in &bound.changes {
        let versions = |versions: &[String]| match versions {
            [] => "not bound".to_owned(),
            some => some.join(" and "),
        };
        let mut told = format!(
            "{}, {} before, {} now",
            change.policy,
            versions(&change.from),
            versions(&change.to)
        );
        for (what, names) in [
            ("newly evaluates", &change.newly_evaluated),
            ("no longer evaluates", &change.no_longer_evaluated),
        ] {
            if !names.is_empty() {
                told += &format!("; {what} {}", names.join(", "));
            }
        }
        fields.push(("changed", told));
    }
    if !bound.undeclared_roles.is_empty() {
        let names = bound.undeclared_roles.join(", ");
        let told = format!("{names}: not in authentication.jwt.roles; check the spelling");
        fields.push(("undeclared roles", told));
    }
    for warning in &bound.warnings {
        fields.push(("warning", warning.clone()));
    }
    Shown::Fields(fields)
}

const HEADINGS_OF_BOUND: [&str; 6] = [
    "binding",
    "order",
    "namespaces",
    "locks",
    "operations",
    "policies",
];
