//! The projects that `leasehold policy new` writes. They lie in `gateway/cli/templates`, and
//! `tests/templates` builds each of them with its language's tools.

use clap::ValueEnum;

/// A language that policies can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, by cargo.
    Rust,
    /// C, by clang.
    C,
    #[value(
        name = "assemblyscript",
        help = "AssemblyScript, by its compiler from npm"
    )]
    AssemblyScript,
    #[value(
        name = "javascript",
        help = "JavaScript, with the engine QuickJS in the module"
    )]
    JavaScript,
    /// Zig, by its compiler.
    Zig,
}

/// A file's path, and the templates whose texts it consists of.
type File = (&'static str, &'static [&'static str]);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/", $path))
    };
}

/// The contract that the projects are built for.
const WIT: &str = include_str!("../../../../policies/wit/policy.wit");
const CASES: &str = template!("cases.json");
const BINDING: &str = template!("binding.json");
const SHIP: &str = template!("ship.md");

impl Language {
    /// The files of a project.
    pub(super) fn files(self) -> &'static [File] {
        match self {
            Self::Rust => RUST,
            Self::C => C,
            Self::AssemblyScript => ASSEMBLYSCRIPT,
            Self::JavaScript => JAVASCRIPT,
            Self::Zig => ZIG,
        }
    }
}

const RUST: &[File] = &[
    (
        ".cargo/config.toml",
        &[template!("rust/.cargo/config.toml")],
    ),
    ("Cargo.toml", &[template!("rust/Cargo.toml")]),
    ("README.md", &[template!("rust/README.md"), SHIP]),
    (".gitignore", &[template!("rust/ignored")]),
    ("schema.json", &[template!("rust/schema.json")]),
    ("src/lib.rs", &[template!("rust/src/lib.rs")]),
    ("src/rule.rs", &[template!("rust/src/rule.rs")]),
    ("binding.json", &[BINDING]),
    ("cases.json", &[CASES]),
    ("wit/policy.wit", &[WIT]),
];

const C: &[File] = &[
    ("Makefile", &[template!("c/Makefile")]),
    ("README.md", &[template!("c/README.md"), SHIP]),
    ("generated/policy.c", &[template!("c/generated/policy.c")]),
    ("generated/policy.h", &[template!("c/generated/policy.h")]),
    (".gitignore", &[template!("c/ignored")]),
    ("libc/libc.c", &[template!("c/libc/libc.c")]),
    ("libc/stdlib.h", &[template!("c/libc/stdlib.h")]),
    ("libc/string.h", &[template!("c/libc/string.h")]),
    ("src/component.c", &[template!("c/src/component.c")]),
    ("src/rule.c", &[template!("c/src/rule.c")]),
    ("src/rule.h", &[template!("c/src/rule.h")]),
    ("src/text.c", &[template!("c/src/text.c")]),
    ("src/text.h", &[template!("c/src/text.h")]),
    ("binding.json", &[BINDING]),
    ("cases.json", &[CASES]),
    ("wit/policy.wit", &[WIT]),
];

const ASSEMBLYSCRIPT: &[File] = &[
    ("README.md", &[template!("assemblyscript/README.md"), SHIP]),
    (".gitignore", &[template!("assemblyscript/ignored")]),
    ("package.json", &[template!("assemblyscript/package.json")]),
    ("src/abi.ts", &[template!("assemblyscript/src/abi.ts")]),
    (
        "src/component.ts",
        &[template!("assemblyscript/src/component.ts")],
    ),
    ("src/json.ts", &[template!("assemblyscript/src/json.ts")]),
    ("src/rule.ts", &[template!("assemblyscript/src/rule.ts")]),
    ("binding.json", &[BINDING]),
    ("cases.json", &[CASES]),
    ("wit/policy.wit", &[WIT]),
];

const JAVASCRIPT: &[File] = &[
    ("README.md", &[template!("javascript/README.md"), SHIP]),
    (".gitignore", &[template!("javascript/ignored")]),
    ("package.json", &[template!("javascript/package.json")]),
    ("policy.js", &[template!("javascript/policy.js")]),
    ("binding.json", &[BINDING]),
    ("cases.json", &[CASES]),
    ("wit/policy.wit", &[WIT]),
];

const ZIG: &[File] = &[
    ("Makefile", &[template!("zig/Makefile")]),
    ("README.md", &[template!("zig/README.md"), SHIP]),
    (".gitignore", &[template!("zig/ignored")]),
    ("src/abi.zig", &[template!("zig/src/abi.zig")]),
    ("src/component.zig", &[template!("zig/src/component.zig")]),
    ("src/rule.zig", &[template!("zig/src/rule.zig")]),
    ("src/schema.json", &[template!("zig/src/schema.json")]),
    ("binding.json", &[BINDING]),
    ("cases.json", &[CASES]),
    ("wit/policy.wit", &[WIT]),
];
