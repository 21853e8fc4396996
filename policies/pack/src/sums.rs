//! SHA256SUMS: which modules there are, and which compiler built them. `sha256sum -c` reads it too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;

use crate::guests::Built;

const FILE: &str = "SHA256SUMS";

/// The digests of all modules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// What built them.
    pub(crate) toolchain: String,
    digests: BTreeMap<String, String>,
}

impl Sums {
    /// The digests of what was built.
    pub(crate) fn of(toolchain: &str, built: &[Built]) -> Self {
        let digests = built
            .iter()
            .map(|module| (module.file(), digest(&module.wasm)))
            .collect();
        Self {
            toolchain: toolchain.to_owned(),
            digests,
        }
    }

    /// Reads the committed ones.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(directory.join(FILE)).context(FILE)?;
        let mut lines = text.lines();
        let toolchain = lines.next().and_then(|line| line.strip_prefix("# "));
        let toolchain = toolchain
            .context("SHA256SUMS does not name the compiler")?
            .to_owned();
        let row = |line: &str| {
            let (digest, file) = line.split_once("  ").context("SHA256SUMS: a bad line")?;
            Ok((file.to_owned(), digest.to_owned()))
        };
        Ok(Self {
            toolchain,
            digests: lines.map(row).collect::<Result<_>>()?,
        })
    }

    /// Writes them beside the modules.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::write(directory.join(FILE), self.to_string()).context(FILE)
    }

    /// Whether the files of a directory have these digests, and there is no other module.
    pub(crate) fn verify(&self, directory: &Path) -> Result<()> {
        for (file, expected) in &self.digests {
            let wasm = std::fs::read(directory.join(file)).with_context(|| file.clone())?;
            if digest(&wasm) != *expected {
                bail!("{file} has not the digest that {FILE} says");
            }
        }
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".wasm") && !self.digests.contains_key(&name) {
                bail!("{name} is not in {FILE}");
            }
        }
        Ok(())
    }

    /// Whether both name the same modules, whatever their bytes.
    pub(crate) fn same_files(&self, other: &Self) -> Result<()> {
        if !self.digests.keys().eq(other.digests.keys()) {
            bail!("{FILE} names other modules than there are sources; run `pack build`");
        }
        Ok(())
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.toolchain)?;
        for (file, digest) in &self.digests {
            writeln!(f, "{digest}  {file}")?;
        }
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums() -> Sums {
        Sums::of(
            "rustc 1",
            &[Built {
                name: "quota".to_owned(),
                wasm: b"x".to_vec(),
            }],
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        sums().write(directory.path()).unwrap();
        assert_eq!(Sums::read(directory.path()).unwrap(), sums());
    }

    #[test]
    fn a_changed_missing_or_further_module_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let quota = directory.path().join("quota.wasm");
        assert!(sums().verify(directory.path()).is_err());
        std::fs::write(&quota, b"y").unwrap();
        assert!(sums().verify(directory.path()).is_err());
        std::fs::write(&quota, b"x").unwrap();
        sums().verify(directory.path()).unwrap();
        std::fs::write(directory.path().join("other.wasm"), b"x").unwrap();
        assert!(sums().verify(directory.path()).is_err());
    }
}
