//! The house's rules, as tests: who may depend on whom, which room owns which foreign crate, and
//! how large a file may grow.

mod allowed;
mod cycles;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use self::allowed::MAY_USE;
use self::allowed::OWNED;
use self::allowed::STOCK_MAY_USE;

/// The only top-level entries besides dotfiles.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "backends",
    "config.example.toml",
    "gateway",
    "policies",
    "sdk",
    "tests",
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const MAIN_LINES_MAX: usize = 100;
const LIB_LINES_MAX: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The names of a package's dependencies; development ones only if asked for.
fn dependencies(package: &Value, development: bool) -> BTreeSet<&str> {
    let rows = package["dependencies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let wanted = |row: &&Value| development || text(row, "kind") != "dev";
    rows.iter()
        .filter(wanted)
        .map(|row| text(row, "name"))
        .collect()
}

/// All files that git tracks or would track.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn rust_files() -> Vec<(String, String)> {
    let read = |path: String| {
        let text = std::fs::read_to_string(root().join(&path)).ok()?;
        Some((path, text))
    };
    files()
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .filter_map(read)
        .collect()
}

#[test]
fn our_crates_depend_one_way() {
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for package in packages() {
        let name = text(&package, "name");
        let may = match allowed.get(name) {
            Some(may) => *may,
            None if name.starts_with("leasehold-stock-") => STOCK_MAY_USE,
            None => panic!("{name} is not in the table of rooms"),
        };
        for used in dependencies(&package, false) {
            let ours = used.starts_with("leasehold-");
            assert!(
                !ours || may.contains(&"*") || may.contains(&used),
                "{name} must not use {used}"
            );
        }
    }
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut met = BTreeSet::new();
    for package in packages() {
        let name = text(&package, "name");
        for used in dependencies(&package, false) {
            let Some((foreign, owners)) = OWNED.iter().find(|(foreign, _)| *foreign == used) else {
                continue;
            };
            met.insert(*foreign);
            assert!(owners.contains(&name), "{name} must not name {used}");
        }
    }
    let all: BTreeSet<_> = OWNED.iter().map(|(foreign, _)| *foreign).collect();
    assert_eq!(met, all, "the table names crates that nobody uses");
}

/// Crates that a manifest names for what they do when they are linked, and that no source names.
const LINKED_ONLY: &[&str] = &[];

#[test]
fn no_manifest_names_a_crate_that_its_sources_do_not() {
    let sources = rust_files();
    for package in packages() {
        let name = text(&package, "name");
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let folder = manifest.parent().expect("a manifest has a folder");
        let folder = folder.strip_prefix(root()).expect("it is in the tree");
        let own: Vec<&str> = sources
            .iter()
            .filter(|(path, _)| Path::new(path).starts_with(folder))
            .map(|(_, source)| source.as_str())
            .collect();
        for used in dependencies(&package, true) {
            let word = used.replace('-', "_");
            let is_named = own.iter().any(|source| names(source, &word));
            assert!(
                is_named || LINKED_ONLY.contains(&used),
                "{name} names {used} in its manifest, and nowhere else"
            );
        }
    }
}

/// Whether a source names a crate: as the first part of a path, or in a `use`.
fn names(source: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(word).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = source[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn the_fuzzer_is_built_of_the_same_crates() {
    let locked = |file: &str| -> BTreeSet<(String, String)> {
        let text = std::fs::read_to_string(root().join(file)).expect("a lock file");
        let mut lines = text.lines();
        let mut found = BTreeSet::new();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("name = ") {
                let version = lines.next().unwrap_or_default();
                found.insert((name.to_owned(), version.to_owned()));
            }
        }
        found
    };
    let (ours, fuzzed) = (
        locked("Cargo.lock"),
        locked("policies/host/fuzz/Cargo.lock"),
    );
    let names: BTreeSet<_> = ours.iter().map(|(name, _)| name).collect();
    let mut shared = fuzzed.iter().filter(|(name, _)| names.contains(name));
    assert!(shared.clone().any(|(name, _)| name == "\"wasmtime\""));
    let other = shared.find(|package| !ours.contains(*package));
    assert_eq!(
        other, None,
        "copy Cargo.lock to policies/host/fuzz, and build there"
    );
}

#[test]
fn every_crate_is_documented_by_its_readme() {
    for package in packages() {
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let folder = manifest.parent().expect("a manifest has a folder");
        assert!(
            folder.join("README.md").is_file(),
            "{} has no README.md",
            folder.display()
        );
        let library = [folder.join("src/lib.rs"), folder.join("src/main.rs")];
        let library = library
            .into_iter()
            .find(|file| file.is_file())
            .expect("a crate has a root");
        let source = std::fs::read_to_string(&library).expect("it can be read");
        let includes = "#![doc = include_str!(\"../README.md\")]";
        assert!(
            source.contains(includes),
            "{} does not show its README",
            library.display()
        );
    }
    for room in ["gateway", "backends", "policies", "sdk", "tests"] {
        assert!(
            root().join(room).join("README.md").is_file(),
            "room {room} has no README.md"
        );
    }
}

#[test]
fn no_drawer_without_a_label() {
    let unlabelled = ["util", "utils", "helper", "helpers", "common", "misc"];
    for path in files() {
        for part in Path::new(&path).iter() {
            let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str());
            assert!(
                !stem.is_some_and(|stem| unlabelled.contains(&stem)),
                "{path}"
            );
        }
    }
}

#[test]
fn the_top_level_is_fixed() {
    for path in files() {
        let first = path.split('/').next().unwrap_or_default();
        assert!(
            first.starts_with('.') || TOP_LEVEL.contains(&first),
            "{path}"
        );
    }
}

#[test]
fn files_and_functions_stay_small() {
    let mut long = Vec::new();
    for (path, source) in rust_files() {
        let lines = source.lines().count();
        let name = path.rsplit('/').next().unwrap_or_default();
        let max = match name {
            "main.rs" if !path.starts_with("tests/") => MAIN_LINES_MAX,
            // A stock policy is one file on purpose: its author's example.
            "lib.rs" if !path.starts_with("policies/stock/") => LIB_LINES_MAX,
            _ => FILE_LINES_MAX,
        };
        if lines > max {
            long.push(format!("{path}: {lines} lines, at most {max}"));
        }
        for (line, length) in functions(&source) {
            if length > FUNCTION_LINES_MAX {
                long.push(format!("{path}:{line}: a function of {length} lines"));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

/// The first line and the length of each function. Relies on rustfmt: a function's closing brace
/// stands alone at the indentation of its first line.
fn functions(source: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        let words: Vec<&str> = body.split_whitespace().take(5).collect();
        let is_function = words.iter().take_while(|word| **word != "fn").all(|word| {
            word.starts_with("pub") || ["async", "const", "unsafe", "extern"].contains(word)
        }) && words.contains(&"fn");
        if !is_function {
            continue;
        }
        let closing = format!("{indent}}}");
        let mut rest = lines[at..].iter().enumerate();
        let end = rest.find(|(n, line)| **line == closing || (*n == 0 && line.ends_with('}')));
        found.push((at + 1, end.map_or(0, |(n, _)| n + 1)));
    }
    found
}

#[test]
fn the_measure_of_functions_measures() {
    let long = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(100));
    assert_eq!(functions(&long), [(1, 102)]);
    assert_eq!(
        functions("impl A {\n    pub async fn b() {\n        c();\n    }\n}\n"),
        [(2, 3)]
    );
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    // Written so that this file does not find itself.
    let marks = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[ig", "nore"].concat(),
    ];
    for (path, source) in rust_files() {
        for mark in &marks {
            assert!(!source.contains(mark.as_str()), "{path} has {mark}");
        }
    }
}
