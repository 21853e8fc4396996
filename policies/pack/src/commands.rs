//! What each command does.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;

use crate::guests;
use crate::guests::Built;
use crate::sums::Sums;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

pub(crate) fn build() -> Result<()> {
    let workspace = Workspace::find()?;
    let toolchain = Toolchain::find(&workspace)?;
    let built = guests::build(&workspace, &toolchain)?;
    load(&built)?;
    let directory = workspace.modules();
    for module in &built {
        let path = directory.join(module.file());
        std::fs::write(&path, &module.wasm).with_context(|| path.display().to_string())?;
    }
    Sums::of(toolchain.name(), &built).write(&directory)?;
    tell(&format!(
        "wrote {} modules, built by {}",
        built.len(),
        toolchain.name()
    ));
    Ok(())
}

pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::find()?;
    let committed = Sums::read(&workspace.modules())?;
    committed.verify(&workspace.modules())?;
    let toolchain = Toolchain::find(&workspace)?;
    let built = guests::build(&workspace, &toolchain)?;
    load(&built)?;
    let again = Sums::of(toolchain.name(), &built);
    if committed.toolchain != again.toolchain {
        committed.same_files(&again)?;
        let (theirs, ours) = (&committed.toolchain, &again.toolchain);
        tell(&format!(
            "committed: {theirs}\nhere:      {ours}\nthe modules load and pass"
        ));
        return Ok(());
    }
    if committed != again {
        bail!("the modules differ from their sources; run `pack build`\n{committed}\n{again}");
    }
    tell(&format!(
        "{} modules are what their sources give",
        built.len()
    ));
    Ok(())
}

pub(crate) fn project(directory: &Path) -> Result<()> {
    let workspace = Workspace::find()?;
    let toolchain = Toolchain::find(&workspace)?;
    tell(&guests::build_project(&workspace, &toolchain, directory)?);
    Ok(())
}

/// Loads modules as a gateway would, which runs their test cases.
fn load(built: &[Built]) -> Result<()> {
    let engine = PolicyEngine::new(EngineLimits::default())?;
    for guest in built {
        let module = engine
            .compile(&guest.wasm)
            .with_context(|| guest.name.clone())?;
        if module.manifest().name != guest.name {
            bail!("{} calls itself {}", guest.name, module.manifest().name);
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line tells its result")]
fn tell(line: &str) {
    println!("{line}");
}
