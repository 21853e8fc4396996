//! Reads the files of a declared state. Each declares one namespace, policy version or binding.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use leasehold_wire::v1::bindings::BoundPolicy;
use leasehold_wire::v1::namespaces::NamespaceCaps;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exit::Failed;
use crate::exit::USAGE;
use crate::input_file;

/// A file that declares something.
#[derive(Debug)]
pub(super) struct Declared {
    /// The path of the file.
    pub(super) file: PathBuf,
    /// Its text, to find the line of a problem.
    text: String,
    pub(super) what: What,
}

/// What a file declares.
#[derive(Debug)]
pub(super) enum What {
    Namespace(NamespaceFile),
    Policy(PolicyFile),
    Binding(BindingFile),
}

/// `kind = "namespace"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceFile {
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) name: String,
    pub(super) team: Option<String>,
    #[serde(default)]
    pub(super) visible_to: Vec<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) default_decision: Option<String>,
    /// `None` for the store that it is in.
    pub(super) store: Option<String>,
    /// `None` for the caps that it has.
    pub(super) caps: Option<NamespaceCaps>,
}

/// `kind = "policy"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) name: String,
    pub(super) version: String,
    /// The .wasm file, relative to this file.
    pub(super) module: PathBuf,
    /// Files of signatures, relative to this file.
    #[serde(default)]
    pub(super) signatures: Vec<PathBuf>,
}

/// `kind = "binding"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingFile {
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) name: String,
    pub(super) namespaces: Vec<String>,
    pub(super) locks: Option<Vec<String>>,
    #[serde(default)]
    pub(super) operations: Vec<String>,
    #[serde(default)]
    pub(super) order: i32,
    pub(super) policies: Vec<BoundPolicy>,
}

#[derive(Debug, Deserialize)]
struct KindOnly {
    kind: String,
}

impl Declared {
    /// Returns what it declares, such as `binding ci`.
    pub(super) fn title(&self) -> String {
        match &self.what {
            What::Namespace(one) => format!("namespace {}", one.name),
            What::Policy(one) => format!("policy {}@{}", one.name, one.version),
            What::Binding(one) => format!("binding {}", one.name),
        }
    }

    /// Returns a path that is relative to the file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.file.parent() {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// Returns a problem with the file and the first line that has `about` in quotes, or the first one.
    pub(super) fn problem(&self, about: &str, message: impl std::fmt::Display) -> String {
        let quoted = [format!("\"{about}\""), format!("'{about}'")];
        let has = |line: &str| quoted.iter().any(|quoted| line.contains(quoted.as_str()));
        let line = self.text.lines().position(has).map_or(1, |at| at + 1);
        format!("{}:{line}: {message}", self.file.display())
    }
}

/// Reads all files of a directory, and checks that nothing is declared twice.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Declared>, Failed> {
    let mut files = Vec::new();
    find(directory, &mut files)?;
    files.sort();
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    let mut titles: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let text = String::from_utf8(input_file::read(&file)?);
        let Ok(text) = text else {
            problems.push(format!("{}:1: not UTF-8", file.display()));
            continue;
        };
        match read(&file, &text) {
            Ok(what) => all.push(Declared { file, text, what }),
            Err((line, message)) => problems.push(format!("{}:{line}: {message}", file.display())),
        }
    }
    for one in &all {
        if let Some(before) = titles.insert(one.title(), one.file.clone()) {
            let title = one.title();
            let message = format!("{title} is declared in {}, too", before.display());
            problems.push(one.problem("kind", message));
        }
    }
    if problems.is_empty() && all.is_empty() {
        problems.push(format!("{}: no .toml or .json file", directory.display()));
    }
    refuse(problems)?;
    Ok(all)
}

/// Fails with all problems, a line each.
pub(super) fn refuse(problems: Vec<String>) -> Result<(), Failed> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failed::new(USAGE, problems.join("\n"))),
    }
}

/// Finds the files. Those whose names begin with a dot are left out.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let unreadable = |error| Failed::new(USAGE, format!("{}: {error}", directory.display()));
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            find(&path, files)?;
        } else if matches!(extension, Some("toml" | "json")) {
            files.push(path);
        }
    }
    Ok(())
}

/// A problem, and its line.
type Problem = (usize, String);

fn read(file: &Path, text: &str) -> Result<What, Problem> {
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let KindOnly { kind } = parse(text, is_json)?;
    match &*kind {
        "namespace" => parse(text, is_json).map(What::Namespace),
        "policy" => parse(text, is_json).map(What::Policy),
        "binding" => parse(text, is_json).map(What::Binding),
        _ => {
            let line = text.lines().position(|line| line.contains("kind"));
            let message = format!("kind: must be namespace, policy or binding, not {kind:?}");
            Err((line.map_or(1, |at| at + 1), message))
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str, is_json: bool) -> Result<T, Problem> {
    if is_json {
        return serde_json::from_str(text).map_err(|error| {
            let told = error.to_string();
            let message = told.split(" at line ").next().unwrap_or(&told).to_owned();
            (error.line().max(1), message)
        });
    }
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        (line, error.message().trim_end().replace('\n', ", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let message = read_all(folder.path()).unwrap_err().message;
        let prefix = folder.path().display().to_string();
        message.replace(&format!("{prefix}/"), "")
    }

    #[test]
    fn problems_name_file_and_line() {
        let unknown = "kind = \"namespace\"\nname = \"demo\"\n\nteem = \"x\"\n";
        let told = problem("a.toml", unknown);
        assert!(told.starts_with("a.toml:4: unknown field `teem`"), "{told}");
        let broken = "{\n  \"kind\": \"binding\",\n  \"name\": 7\n}";
        let told = problem("a.json", broken);
        assert!(told.starts_with("a.json:3: invalid type"), "{told}");
        let kind = "name = \"x\"\nkind = \"rollout\"\n";
        let told = problem("a.toml", kind);
        assert!(told.starts_with("a.toml:2: kind: must be"), "{told}");
        let told = problem("a.toml", "name = \"x\"\n");
        assert!(told.starts_with("a.toml:1: missing field `kind`"), "{told}");
        let told = problem("readme.md", "nothing");
        assert!(told.ends_with("no .toml or .json file"), "{told}");
    }

    #[test]
    fn a_directory_is_read_whole_in_the_order_of_its_paths_and_names_are_declared_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("b/x.json", r#"{ "kind": "namespace", "name": "two" }"#);
        write("a.toml", "kind = \"namespace\"\nname = \"one\"\n");
        write("module.wasm", "");
        write(".hidden.toml", "nothing that is read");
        let all = read_all(folder.path()).unwrap();
        let titles: Vec<_> = all.iter().map(Declared::title).collect();
        assert_eq!(titles, ["namespace one", "namespace two"]);
        write("z.toml", "kind = \"namespace\"\nname = \"one\"\n");
        let twice = read_all(folder.path()).unwrap_err().message;
        assert!(
            twice.contains("z.toml:1: namespace one is declared in"),
            "{twice}"
        );
    }
}
