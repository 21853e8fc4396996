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

/// Unpacks the compiler unless it is there already; answers its `usr`.
pub(crate) fn install(place: &Path) -> Result<PathBuf> {
    let packages = packages().context(
        "there is no WebAssembly target here (`rustup target add wasm32-unknown-unknown` would \
         install one) and no Debian package of a compiler",
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
