//! Compares what is declared with what the gateway has, and checks all of it first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_client::Client;
use leasehold_domain::Digest;
use leasehold_policy_host::Module;
use leasehold_wire::v1::bindings as bind;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PushedPolicy;
use leasehold_wire::v1::preview as preview_wire;

use super::file::BindingFile;
use super::file::Declared;
use super::file::NamespaceFile;
use super::file::PolicyFile;
use super::file::What;
use super::file::refuse;
use super::plan::Action;
use super::plan::Item;
use super::plan::Plan;
use super::plan::Write;
use super::plan::item;
use super::prune;
use super::prune::Prune;
use super::state;
use super::state::State;
use crate::exit::Failed;
use crate::exit::REFUSED;
use crate::input_file;
use crate::policy::modules;
use crate::policy::sign;

/// Compares and checks. Of the kinds in `prune`, what no file declares is to be deleted.
pub(super) async fn make(
    client: &Client,
    declared: Vec<Declared>,
    prune: &[Prune],
) -> Result<Plan, Failed> {
    let state = State::read(client).await?;
    let mut planner = Planner {
        client,
        state,
        modules: BTreeMap::new(),
        namespaces: BTreeSet::new(),
        problems: Vec::new(),
    };
    let mut plan = Plan::default();
    // Bindings name policies and namespaces, so they come last.
    for one in &declared {
        if let What::Policy(file) = &one.what {
            let item = planner.policy(one, file).await?;
            plan.items.extend(item);
        }
    }
    for one in &declared {
        if let What::Namespace(file) = &one.what {
            plan.items.push(planner.namespace(one, file));
        }
    }
    for one in &declared {
        if let What::Binding(file) = &one.what {
            plan.items.push(planner.binding(one, file).await?);
        }
    }
    let (deletions, problems) = prune::plan(client, &planner.state, &declared, prune).await?;
    plan.items.extend(deletions);
    planner.problems.extend(problems);
    refuse(planner.problems)?;
    Ok(plan)
}

struct Planner<'p> {
    client: &'p Client,
    state: State,
    /// The declared versions that the gateway does not have yet, by `name@version`.
    modules: BTreeMap<String, Arc<Module>>,
    /// The declared namespaces.
    namespaces: BTreeSet<String>,
    problems: Vec<String>,
}

impl Planner<'_> {
    async fn policy(
        &mut self,
        declared: &Declared,
        file: &PolicyFile,
    ) -> Result<Option<Item>, Failed> {
        let name = format!("{}@{}", file.name, file.version);
        let at = declared.resolve(&file.module);
        let module = file.module.display().to_string();
        let wasm = match input_file::read(&at) {
            Ok(wasm) => wasm,
            Err(failed) => {
                self.problems
                    .push(declared.problem(&module, failed.message));
                return Ok(None);
            }
        };
        let digest = Digest::of(&wasm).to_string();
        if let Some(found) = self.state.policies.get(&name) {
            if found.digest != digest {
                let message = format!(
                    "{name} is on the gateway with module {}, and versions are immutable: {module} \
                     has {digest}",
                    found.digest
                );
                self.problems.push(declared.problem(&module, message));
            }
            let item = item(declared, ("policy", name), (None, None), Write::Nothing);
            return Ok(Some(item));
        }
        let signatures = match self.signatures(declared, file) {
            Some(signatures) => signatures,
            None => return Ok(None),
        };
        match modules::compile(&wasm, &at) {
            Ok(compiled) if modules::name_of(&compiled) == name => {
                self.modules.insert(name.clone(), compiled);
            }
            Ok(compiled) => {
                let found = modules::name_of(&compiled);
                let message = format!("{module} says that it is {found}, not {name}");
                self.problems.push(declared.problem(&module, message));
                return Ok(None);
            }
            Err(failed) => {
                self.problems
                    .push(declared.problem(&module, failed.message));
                return Ok(None);
            }
        }
        let path = paths::policy_version(&file.name, &file.version);
        let dry = format!("{path}?dry_run=true");
        let pushing = self.client.push(&dry, wasm.clone(), &signatures).await;
        let checked: Result<PushedPolicy, Failed> = pushing.map_err(Failed::from);
        self.refused(declared, &module, checked.map(drop))?;
        let after = serde_json::json!({ "module": digest });
        let write = Write::Policy {
            path,
            wasm,
            signatures,
        };
        Ok(Some(item(
            declared,
            ("policy", name),
            (None, Some(after)),
            write,
        )))
    }

    fn signatures(&mut self, declared: &Declared, file: &PolicyFile) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for signature in &file.signatures {
            let read = sign::read(&declared.resolve(signature)).map_err(|failed| failed.message);
            match read.and_then(|read| read.base64()) {
                Ok(encoded) => all.push(encoded),
                Err(message) => {
                    let about = signature.display().to_string();
                    self.problems.push(declared.problem(&about, message));
                    return None;
                }
            }
        }
        Some(all)
    }

    fn namespace(&mut self, declared: &Declared, file: &NamespaceFile) -> Item {
        self.namespaces.insert(file.name.clone());
        let before = self.state.namespaces.get(&file.name);
        if let (Some(asked), Some(before)) = (&file.store, before)
            && *asked != before.store
        {
            let (name, found) = (&file.name, &before.store);
            let message = format!(
                "store: the locks of {name} are in {found}; move them with `leasehold namespace move \
                 {name} --to {asked}`"
            );
            self.problems.push(declared.problem(asked, message));
        }
        let request = ns::NamespaceRequest {
            revision: before.map(|before| before.revision),
            ..state::namespace_request(file)
        };
        let after = state::of_namespace_file(file, before);
        let before = before.map(state::of_namespace);
        let name = ("namespace", file.name.clone());
        item(
            declared,
            name,
            (before, Some(after)),
            Write::Namespace(request),
        )
    }

    async fn binding(&mut self, declared: &Declared, file: &BindingFile) -> Result<Item, Failed> {
        let before = self.state.bindings.get(&file.name);
        let request = state::binding_request(file);
        let with_revision = bind::BindingRequest {
            revision: before.map(|before| before.revision),
            ..request.clone()
        };
        let before = before.map(state::of_binding);
        let after = state::of_binding_file(file);
        let name = ("binding", file.name.clone());
        let write = Write::Binding(with_revision);
        let item = item(declared, name, (before, Some(after)), write);
        if item.action != Action::Unchanged && self.check_names(declared, file) {
            // The gateway checks it as it would check the write.
            let asked = preview_wire::PreviewRequest {
                binding: Some(request),
                since_ms: Some(0),
                ..preview_wire::PreviewRequest::default()
            };
            let path = paths::BINDINGS_PREVIEW;
            let asking = self.client.post(path, &asked).await;
            let checked: Result<preview_wire::BindingPreview, Failed> =
                asking.map_err(Failed::from);
            self.refused(declared, &file.name, checked.map(drop))?;
        }
        Ok(item)
    }

    /// Checks the namespaces and the versions that a binding names. Returns whether the gateway has all
    /// of them already, so that it can check the rest.
    fn check_names(&mut self, declared: &Declared, file: &BindingFile) -> bool {
        let mut has_all = true;
        for name in file.namespaces.iter().filter(|name| *name != "*") {
            let is_there = self.state.namespaces.contains_key(name);
            has_all &= is_there;
            if !is_there && !self.namespaces.contains(name) {
                let message = format!("there is no namespace {name}, and none is declared");
                self.problems.push(declared.problem(name, message));
            }
        }
        for bound in &file.policies {
            let name = format!("{}@{}", bound.policy, bound.version);
            let is_there = self.state.policies.contains_key(&name);
            has_all &= is_there;
            let module = self.modules.get(&name);
            if !is_there && module.is_none() {
                let message = format!("there is no policy {name}, and none is declared");
                self.problems.push(declared.problem(&bound.policy, message));
            }
            let config = bound.config.clone();
            let config = config.unwrap_or_else(|| serde_json::json!({}));
            let bound_to = module.map(|module| module.bind(&config));
            if let Some(Err(error)) = bound_to {
                let message = format!("{name}: {error}");
                self.problems.push(declared.problem(&bound.policy, message));
            }
        }
        has_all
    }

    /// Takes a refusal as a problem of a file; other failures end the comparison.
    fn refused(
        &mut self,
        declared: &Declared,
        about: &str,
        checked: Result<(), Failed>,
    ) -> Result<(), Failed> {
        match checked {
            Err(failed) if failed.code == REFUSED => {
                self.problems.push(declared.problem(about, failed.message));
                Ok(())
            }
            checked => checked,
        }
    }
}
