//! Debian's Rust compiler and its sources, unpacked into a private directory. Nothing is installed,
//! and nothing needs to be root.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::run;

/// The package whose compiler is recent enough in every supported release.
const COMPILER: &str = "rustc-web";

/// The oldest Rust that builds the workspace.
const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// Unpacks the compiler unless it is there already; answers its `usr`.
pub(crate) fn install(place: &Path) -> Result<PathBuf> {
    let packages = packages().context(
        "there is nothing to build the policy modules with: this Rust has no target \
         wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown` installs it), and \
         `apt-cache` knows no `rustc-web` that could (Debian 12 with its security updates has it; \
         run `apt-get update` first)",
    )?;
    let prefix = place.join(packages.version.replace(['/', ':'], "_"));
    let done = prefix.join(".complete");
    if done.exists() {
        return Ok(prefix.join("usr"));
    }
    let downloads = place.join("downloads");
    if downloads.exists() {
        std::fs::remove_dir_all(&downloads)?;
    }
    std::fs::create_dir_all(&downloads)?;
    std::fs::create_dir_all(&prefix)?;
    let mut apt = Command::new("apt-get");
    run::output(
        apt.current_dir(&downloads)
            .arg("download")
            .args(&packages.names),
    )?;
    for entry in std::fs::read_dir(&downloads)? {
        run::output(
            Command::new("dpkg")
                .arg("-x")
                .arg(entry?.path())
                .arg(&prefix),
        )?;
    }
    std::fs::remove_dir_all(&downloads)?;
    std::fs::write(done, "")?;
    Ok(prefix.join("usr"))
}

#[derive(Debug)]
struct Packages {
    version: String,
    names: Vec<String>,
}

/// The candidate's version, and the packages that it needs: its host std (for procedural macros),
/// its libraries, its sources and its LLVM, whose names change from version to version.
fn packages() -> Result<Packages> {
    let compiler = run::output(Command::new("apt-cache").args(["show", COMPILER]))?;
    let version = field(&compiler, "Version")
        .context("it has no version")?
        .to_owned();
    let mut parts = version.split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        bail!("its version is {version}");
    };
    if !recent((major, minor)) {
        bail!("rustc-web is {version}, and the policies need Rust {MINIMUM}");
    }
    let libraries = format!("libstd-rust-web-{major}.{minor}");
    let shown = run::output(Command::new("apt-cache").args(["show", &libraries]))?;
    let depends = field(&shown, "Depends").context("its libraries depend on nothing")?;
    let names = depends
        .split(',')
        .filter_map(|row| row.split_whitespace().next());
    let llvm = names.into_iter().find(|name| name.starts_with("libllvm"));
    let llvm = llvm.context("its libraries need no LLVM")?.to_owned();
    let pinned = |name: &str| format!("{name}={version}");
    Ok(Packages {
        names: vec![
            pinned(COMPILER),
            pinned("libstd-rust-web-dev"),
            pinned(&libraries),
            pinned("rust-web-src"),
            llvm,
        ],
        version,
    })
}

/// A field of the first stanza.
fn field<'a>(stanzas: &'a str, name: &str) -> Option<&'a str> {
    let first = stanzas.split("\n\n").next()?;
    first
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Whether a version is that of the workspace or later. Lists of packages that were never updated
/// name an older compiler.
fn recent((major, minor): (&str, &str)) -> bool {
    let numbers =
        |major: &str, minor: &str| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?));
    let mut least = MINIMUM.split('.');
    let least = numbers(
        least.next().unwrap_or_default(),
        least.next().unwrap_or_default(),
    );
    numbers(major, minor).is_some_and(|found| Some(found) >= least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_of_stale_lists_is_refused() {
        assert!(!recent(("1", "85")));
        assert!(recent(("1", "96")));
        assert!(recent(("2", "0")));
        assert!(!recent(("x", "96")));
    }

    #[test]
    fn a_field_is_of_the_first_stanza() {
        let stanzas = "Package: a\nVersion: 1.96.0+dfsg1-1\n\nPackage: a\nVersion: 1.85.0\n";
        assert_eq!(field(stanzas, "Version"), Some("1.96.0+dfsg1-1"));
        assert_eq!(field(stanzas, "Depends"), None);
    }
}
