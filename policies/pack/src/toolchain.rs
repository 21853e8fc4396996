//! The compiler that builds guests: the installed one if it has the WebAssembly target, else
//! Debian's, in a private directory, which builds the standard library from its sources.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::debian;
use crate::run;
use crate::workspace::Workspace;

/// What guests are built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler for guests.
#[derive(Debug)]
pub(crate) struct Toolchain {
    name: String,
    linkers: PathBuf,
    private: Option<Private>,
}

/// A compiler in a private directory.
#[derive(Debug)]
struct Private {
    rustc: PathBuf,
    libraries: PathBuf,
    std_sources: PathBuf,
}

impl Toolchain {
    /// Finds one, or fetches it.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let linkers = linkers()?;
        let linker = run::output(Command::new(linkers.join("wasm-component-ld")).arg("--version"))?;
        let target = ["--print", "target-libdir", "--target", TARGET];
        let libdir = run::output(Command::new("rustc").args(target))?;
        if Path::new(libdir.trim()).join("self-contained").exists()
            || has_std(Path::new(libdir.trim()))
        {
            let rustc = run::output(Command::new("rustc").arg("-V"))?;
            let name = format!("{}, its std; {}", rustc.trim(), linker.trim());
            return Ok(Self {
                name,
                linkers,
                private: None,
            });
        }
        let usr = debian::install(&workspace.scratch.join("compiler"))?;
        let private = Private {
            rustc: usr.join("bin/rustc"),
            libraries: libraries(&usr)?,
            std_sources: std_sources(&usr)?,
        };
        let rustc = run::output(
            Command::new(&private.rustc)
                .env("LD_LIBRARY_PATH", &private.libraries)
                .arg("-V"),
        )?;
        let name = format!(
            "{}, std built from its sources; {}",
            rustc.trim(),
            linker.trim()
        );
        Ok(Self {
            name,
            linkers,
            private: Some(private),
        })
    }

    /// What decides the bytes of a module besides its sources.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A cargo that builds for the target with this compiler.
    pub(crate) fn cargo(&self, workspace: &Workspace) -> Command {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&workspace.root)
            .args([
                "build",
                "--locked",
                "--profile",
                "policy",
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(workspace.scratch.join("target"))
            .env_remove("RUSTFLAGS")
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                self.linkers.join("wasm-component-ld"),
            )
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                self.flags(workspace).join("\x1f"),
            );
        if let Some(private) = &self.private {
            cargo
                .env("RUSTC", &private.rustc)
                .env("LD_LIBRARY_PATH", &private.libraries)
                // Building std is an unstable option of cargo.
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("-Zbuild-std=core,alloc,std,panic_abort");
        }
        cargo
    }

    /// No path of this machine stays in a module, so that the same sources give the same bytes in
    /// any directory.
    fn flags(&self, workspace: &Workspace) -> Vec<String> {
        let wasm_ld = self.linkers.join("gcc-ld/wasm-ld");
        let mut flags = vec![
            "-Clink-arg=--wasm-ld-path".to_owned(),
            format!("-Clink-arg={}", wasm_ld.display()),
            // A small stack, before the data: an overflow traps instead of writing over them.
            "-Clink-arg=-zstack-size=65536".to_owned(),
            "-Clink-arg=--stack-first".to_owned(),
        ];
        let mut remap = |from: &Path, to: &str| {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        };
        remap(&workspace.root, "/leasehold");
        for directory in &workspace.foreign {
            remap(directory, "/crates");
        }
        if let Some(private) = &self.private {
            remap(&private.std_sources, "/rustc");
            // Cargo names what is inside of the workspace by its path from there.
            if let Ok(inside) = private.std_sources.strip_prefix(&workspace.root) {
                remap(inside, "/rustc");
            }
        }
        flags
    }
}

/// The linkers come with the installed compiler, also when another one compiles.
fn linkers() -> Result<PathBuf> {
    let sysroot = run::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let verbose = run::output(Command::new("rustc").arg("-vV"))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc -vV names no host")?;
    let linkers = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin");
    if !linkers.join("wasm-component-ld").exists() {
        bail!("this Rust has no wasm-component-ld; use one installed by rustup, 1.95 or later");
    }
    Ok(linkers)
}

fn has_std(libdir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libdir) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// The directory of the compiler's shared libraries, which Debian names after the machine.
fn libraries(usr: &Path) -> Result<PathBuf> {
    let lib = usr.join("lib");
    for entry in std::fs::read_dir(&lib).with_context(|| lib.display().to_string())? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("-linux-gnu") {
            return Ok(path);
        }
    }
    bail!("{} has no libraries of the compiler", lib.display());
}

/// The compiler finds its sources by a link; their real place is what ends up in messages.
fn std_sources(usr: &Path) -> Result<PathBuf> {
    let link = usr.join("lib/rustlib/src/rust");
    if !link.join("library/std").exists() {
        bail!("{} has no sources of std", link.display());
    }
    Ok(link)
}
