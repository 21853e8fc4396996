//! The modules of a crate depend in one direction: siblings never form a cycle of imports.
//!
//! The compiler holds the direction between crates, and nothing holds it within one. What counts is
//! every path that begins with `crate` or `super`, in code that is not only for tests.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use super::packages;
use super::root;
use super::rust_files;
use super::text;

/// A module's path within its crate.
type Module = Vec<String>;

/// Which siblings a module imports from, by the modules' names, for one parent.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn modules_of_a_crate_form_no_cycle() {
    let sources = rust_files();
    let mut cycles = Vec::new();
    for package in packages() {
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let folder = manifest.parent().expect("a manifest has a folder");
        let folder = folder.strip_prefix(root()).expect("it is in the tree");
        let source = folder.join("src");
        let files = sources.iter().filter_map(|(path, text)| {
            let path = Path::new(path).strip_prefix(&source).ok()?;
            Some((module_of(path), without_tests(text)))
        });
        for (parent, members) in cycles_of(&files.collect()) {
            let name = text(&package, "name");
            cycles.push(format!("{name}, in {parent:?}: {}", members.join(", ")));
        }
    }
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`; `lib.rs` and `main.rs` are the crate.
fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut parts: Module = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod")
        || matches!(parts.as_slice(), [root] if root == "lib" || root == "main")
    {
        parts.pop();
    }
    parts
}

/// A file without its comments, and without what follows the beginning of its inline tests.
fn without_tests(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests {").next();
    let lines = code.unwrap_or_default().lines();
    let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The parents whose children import from each other in a circle, and those children.
fn cycles_of(files: &BTreeMap<Module, String>) -> Vec<(String, Vec<String>)> {
    let is_test = |module: &Module| {
        let mut parts = module.iter();
        parts.any(|part| part == "tests" || part == "fixture")
    };
    let mut levels: BTreeMap<Module, Imports> = BTreeMap::new();
    for (module, source) in files.iter().filter(|(module, _)| !is_test(module)) {
        for path in paths(module, source) {
            let known = |length: &usize| files.contains_key(&path[..*length]);
            let length = (1..=path.len()).rev().find(known).unwrap_or(0);
            let target = &path[..length];
            let same = module.iter().zip(target).take_while(|(a, b)| a == b);
            let same = same.count();
            if let (Some(from), Some(to)) = (module.get(same), target.get(same)) {
                let level = levels.entry(module[..same].to_vec()).or_default();
                level.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let cycles = levels.into_iter().filter_map(|(parent, imports)| {
        let members = in_cycles(imports);
        (!members.is_empty()).then(|| (parent.join("::"), members))
    });
    cycles.collect()
}

/// The absolute paths that a module's source names.
fn paths(module: &Module, source: &str) -> Vec<Module> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in source.match_indices(start) {
            let before = source[..at].chars().next_back();
            if before.is_some_and(|c| is_part(c) || c == ':') {
                continue;
            }
            let rest = &source[at..];
            let end = rest.find(|c| !is_part(c) && c != ':');
            let mut base = match start {
                "crate::" => Module::new(),
                _ => module.clone(),
            };
            for part in rest[..end.unwrap_or(rest.len())].split("::") {
                match part {
                    "crate" | "self" | "" => {}
                    "super" => drop(base.pop()),
                    name => base.push(name.to_owned()),
                }
            }
            found.push(base);
        }
    }
    found
}

/// Removes whoever imports from nobody left, or is imported by nobody left; what remains is in a
/// cycle or between two.
fn in_cycles(mut imports: Imports) -> Vec<String> {
    loop {
        let before: usize = imports.values().map(BTreeSet::len).sum();
        let importing: BTreeSet<String> = imports.keys().cloned().collect();
        let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
        imports.retain(|module, _| imported.contains(module));
        for targets in imports.values_mut() {
            targets.retain(|target| importing.contains(target));
        }
        imports.retain(|_, targets| !targets.is_empty());
        if imports.values().map(BTreeSet::len).sum::<usize>() == before {
            return imports.into_keys().collect();
        }
    }
}

#[test]
fn a_cycle_is_found_and_a_line_is_none() {
    let files = |b: &str| {
        let sources = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", b),
            ("b/inner.rs", "use super::super::c::C;\n"),
            ("c.rs", "pub struct C;\n"),
        ];
        let module =
            |(path, source): (&str, &str)| (module_of(Path::new(path)), without_tests(source));
        sources.into_iter().map(module).collect::<BTreeMap<_, _>>()
    };
    let none = Vec::<(String, Vec<String>)>::new();
    assert_eq!(cycles_of(&files("use crate::c::C;\n")), none);
    assert_eq!(cycles_of(&files("// crate::a is for others\n")), none);
    assert_eq!(
        cycles_of(&files(
            "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"
        )),
        none
    );
    let members = vec!["a".to_owned(), "b".to_owned()];
    let cycle = vec![(String::new(), members)];
    assert_eq!(cycles_of(&files("fn b() -> crate::a::A {}\n")), cycle);
    assert_eq!(cycles_of(&files("use super::a::A;\n")), cycle);
}
