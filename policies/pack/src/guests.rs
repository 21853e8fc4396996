//! The stock policies, from their sources to modules.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use leasehold_policy_host::cases;
use serde_json::Value;

use crate::run;
use crate::toolchain::TARGET;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// A built module.
#[derive(Debug)]
pub(crate) struct Built {
    /// The policy's name.
    pub(crate) name: String,
    /// The component with its test cases in it.
    pub(crate) wasm: Vec<u8>,
}

impl Built {
    /// The module's file name.
    pub(crate) fn file(&self) -> String {
        format!("{}.wasm", self.name)
    }
}

/// Builds every stock policy, in the order of their names.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<Vec<Built>> {
    let names = names(workspace)?;
    let mut cargo = toolchain.cargo(workspace);
    for name in &names {
        cargo.args(["--package", &format!("leasehold-stock-{name}")]);
    }
    let status = cargo.status().context("cargo")?;
    if !status.success() {
        bail!("the stock policies do not build: {status}");
    }
    names
        .into_iter()
        .map(|name| module(workspace, name))
        .collect()
}

/// Builds the project of one policy in a directory of its own. Returns the path of the component.
///
/// The profile is the project's own `release` under the name of the stock policies', so that the
/// standard library is not built once more.
pub(crate) fn build_project(
    workspace: &Workspace,
    toolchain: &Toolchain,
    directory: &Path,
) -> Result<String> {
    // Writes the project's Cargo.lock, which the build below demands.
    let mut metadata = Command::new("cargo");
    metadata.current_dir(directory);
    run::output(metadata.args(["metadata", "--format-version", "1"]))?;
    let mut cargo = toolchain.cargo(workspace);
    cargo
        .current_dir(directory)
        .args(["--config", "profile.policy.inherits = \"release\""])
        .args(["--message-format", "json"]);
    let messages = run::output(&mut cargo)?;
    let mut components = messages.lines().filter_map(component);
    let component = components.next_back();
    component.with_context(|| format!("{} makes no component", directory.display()))
}

/// The component that a message of cargo names.
fn component(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message["filenames"].as_array()?.iter();
    let mut files = files.filter_map(Value::as_str);
    files
        .find(|file| file.ends_with(".wasm"))
        .map(str::to_owned)
}

fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace.stock())? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn module(workspace: &Workspace, name: String) -> Result<Built> {
    let file = format!("leasehold_stock_{}.wasm", name.replace('-', "_"));
    let path = workspace
        .scratch
        .join("target")
        .join(TARGET)
        .join("policy")
        .join(file);
    let wasm = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let path = workspace.stock().join(&name).join("cases.json");
    let cases = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let wasm = cases::embed(&wasm, &cases).with_context(|| name.clone())?;
    Ok(Built { name, wasm })
}
