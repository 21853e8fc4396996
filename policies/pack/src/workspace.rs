//! Where things are.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use serde_json::Value;

use crate::run;

/// The workspace, as cargo sees it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Where the packer builds and keeps its compiler; outside the sources.
    pub(crate) scratch: PathBuf,
    /// Where the sources of foreign crates lie, to be taken out of the modules.
    pub(crate) foreign: Vec<PathBuf>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let arguments = [
            "metadata",
            "--format-version=1",
            "--locked",
            "--manifest-path",
            manifest,
        ];
        let metadata = run::output(Command::new("cargo").args(arguments))?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("metadata has {key}"))
        };
        let mut foreign: Vec<PathBuf> = rows(&metadata["packages"]).filter_map(source).collect();
        foreign.sort();
        foreign.dedup();
        Ok(Self {
            root: path("workspace_root")?,
            scratch: path("target_directory")?.join("policy-pack"),
            foreign,
        })
    }

    /// Where the committed modules lie.
    pub(crate) fn modules(&self) -> PathBuf {
        self.root.join("policies/modules")
    }

    /// Where the stock policies' sources lie.
    pub(crate) fn stock(&self) -> PathBuf {
        self.root.join("policies/stock")
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The directory that holds a foreign package's own.
fn source(package: &Value) -> Option<PathBuf> {
    package["source"].as_str()?;
    let manifest = Path::new(package["manifest_path"].as_str()?);
    Some(manifest.parent()?.parent()?.to_owned())
}
