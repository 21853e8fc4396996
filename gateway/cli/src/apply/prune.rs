//! What `--prune` deletes: what the gateway has and no file declares.

use std::collections::BTreeSet;

use clap::ValueEnum;
use leasehold_client::Client;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::preview as preview_wire;

use super::file::Declared;
use super::file::What;
use super::plan::Item;
use super::plan::Write;
use super::plan::deletion;
use super::state;
use super::state::State;
use crate::exit::Failed;
use crate::exit::REFUSED;

/// What is deleted if no file declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Prune {
    /// Bindings.
    Bindings,
    /// Namespaces, unless they are in use.
    Namespaces,
}

/// Returns the deletions, those of bindings first, and why one of them would be refused.
pub(super) async fn plan(
    client: &Client,
    state: &State,
    declared: &[Declared],
    kinds: &[Prune],
) -> Result<(Vec<Item>, Vec<String>), Failed> {
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    let named = |name: fn(&What) -> Option<&String>| -> BTreeSet<&String> {
        declared.iter().filter_map(|one| name(&one.what)).collect()
    };
    if kinds.contains(&Prune::Bindings) {
        let kept = named(|what| match what {
            What::Binding(file) => Some(&file.name),
            What::Namespace(_) | What::Policy(_) => None,
        });
        let gone = state.bindings.iter();
        for (name, binding) in gone.filter(|(name, _)| !kept.contains(name)) {
            problems.extend(refusal(client, name).await?);
            let write = Write::Delete(paths::BINDINGS, binding.revision);
            let before = state::of_binding(binding);
            items.push(deletion(("binding", name.clone()), &before, write));
        }
    }
    if kinds.contains(&Prune::Namespaces) {
        let kept = named(|what| match what {
            What::Namespace(file) => Some(&file.name),
            What::Binding(_) | What::Policy(_) => None,
        });
        let gone = state.namespaces.iter();
        for (name, namespace) in gone.filter(|(name, _)| !kept.contains(name)) {
            problems.extend(declared.iter().filter_map(|one| needed(one, name)));
            let write = Write::Delete(paths::NAMESPACES, namespace.revision);
            let before = state::of_namespace(namespace);
            items.push(deletion(("namespace", name.clone()), &before, write));
        }
    }
    Ok((items, problems))
}

/// Asks the gateway whether it would delete a binding. Returns why not.
async fn refusal(client: &Client, name: &str) -> Result<Option<String>, Failed> {
    let asked = preview_wire::PreviewRequest {
        delete: Some(name.to_owned()),
        since_ms: Some(0),
        ..preview_wire::PreviewRequest::default()
    };
    let asking = client.post(paths::BINDINGS_PREVIEW, &asked).await;
    let checked: Result<preview_wire::BindingPreview, Failed> = asking.map_err(Failed::from);
    match checked {
        Ok(_) => Ok(None),
        Err(failed) if failed.code == REFUSED => {
            Ok(Some(format!("binding {name}: {}", failed.message)))
        }
        Err(failed) => Err(failed),
    }
}

/// Returns the problem if a declared binding names a namespace that is to be deleted.
fn needed(declared: &Declared, namespace: &String) -> Option<String> {
    let What::Binding(file) = &declared.what else {
        return None;
    };
    file.namespaces.contains(namespace).then(|| {
        let message = format!("namespace {namespace} is not declared, and would be deleted");
        declared.problem(namespace, message)
    })
}
