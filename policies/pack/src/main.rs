#![doc = include_str!("../README.md")]

mod debian;
mod guests;
mod run;
mod sums;
mod toolchain;
mod workspace;

use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use clap::Subcommand;
use leasehold_policy_host::EngineLimits;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::cases;

use crate::guests::Built;
use crate::sums::Sums;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Builds the stock policies into modules.
#[derive(Debug, Parser)]
#[command(name = "pack", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the stock policies and writes the modules and their SHA256SUMS.
    Build,
    /// Builds them again and compares: the same compiler must give the same bytes; the modules of
    /// another one must load and pass the same test cases. Writes nothing to the tree.
    Check,
    /// Puts test cases into a component of your own, and loads it as a gateway would.
    Embed {
        /// The component.
        component: PathBuf,
        /// The cases, as JSON.
        cases: PathBuf,
        /// Where the module goes.
        #[arg(long, short)]
        output: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Build => build(),
        Command::Check => check(),
        Command::Embed {
            component,
            cases,
            output,
        } => embed(&component, &cases, &output),
    }
}

fn build() -> Result<()> {
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

fn check() -> Result<()> {
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

fn embed(component: &PathBuf, cases: &PathBuf, output: &PathBuf) -> Result<()> {
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| path.display().to_string());
    let wasm = cases::embed(&read(component)?, &read(cases)?)?;
    let module = PolicyEngine::new(EngineLimits::default())?.compile(&wasm)?;
    std::fs::write(output, &wasm).with_context(|| output.display().to_string())?;
    let manifest = module.manifest();
    tell(&format!(
        "{}@{} {}",
        manifest.name,
        manifest.version,
        module.digest()
    ));
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
