//! Why a document was refused, in the words of its format.

use std::fmt;

use serde::de::Expected;
use serde::de::Unexpected;

use super::Format;

/// Characters of a wrong value that a message repeats.
const SHOWN_CHARS_MAX: usize = 64;

/// A refused document; the message is safe to show to its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    message: String,
    syntax: bool,
}

impl InputError {
    /// Whether the text is not of the format at all.
    pub fn is_syntax(&self) -> bool {
        self.syntax
    }

    pub(super) fn not_json(text: &[u8], error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let place = format!("line {}, column {}", error.line(), error.column());
        let said = error.to_string();
        let message = match error.classify() {
            Category::Data if said.starts_with(Twice::BEGINNING) => {
                let name = said.split(" at line ").next().unwrap_or(&said);
                return Self {
                    message: format!("{name}, at {place}"),
                    syntax: false,
                };
            }
            _ if text.iter().all(u8::is_ascii_whitespace) => {
                "expected a JSON object, got nothing".to_owned()
            }
            _ if text.starts_with(b"\xef\xbb\xbf") => {
                "not valid JSON: it begins with a byte order mark".to_owned()
            }
            Category::Eof => format!("not valid JSON: it ends too early, at {place}"),
            _ if said.starts_with("trailing characters") => {
                format!("not valid JSON: something follows the value, at {place}")
            }
            _ if said.starts_with("recursion limit") => {
                format!("not valid JSON for this API: nested too deeply, at {place}")
            }
            Category::Syntax | Category::Data | Category::Io => {
                format!("not valid JSON, at {place}")
            }
        };
        Self {
            message,
            syntax: true,
        }
    }

    pub(super) fn not_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.matches('\n').count() + 1
        });
        let what = error.message().lines().collect::<Vec<_>>().join("; ");
        let message = match line {
            Some(line) => {
                let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
                format!("line {line} {}: not valid TOML: {what}", quoted(shown))
            }
            None => format!("not valid TOML: {what}"),
        };
        Self {
            message,
            syntax: true,
        }
    }

    /// A parameter that appears twice; readers would differ on which one counts.
    pub(super) fn twice(name: &str) -> Self {
        Self {
            message: format!("given twice: {}", quoted(name)),
            syntax: false,
        }
    }

    pub(super) fn refused(refusal: &Refusal, format: Format) -> Self {
        let problem = refusal.problem.in_words(format);
        let place = refusal.place();
        let message = match place.is_empty() {
            true => problem,
            false => format!("{place}: {problem}"),
        };
        Self {
            message,
            syntax: false,
        }
    }
}

/// The message about a member that appears twice; readers would differ on which one counts.
pub(super) struct Twice<'a>(&'a str);

impl fmt::Display for Twice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", Self::BEGINNING, self.0)
    }
}

impl<'a> Twice<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Self(name)
    }

    const BEGINNING: &'static str = "given twice: ";
}

/// What serde reports while a type is read.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    /// From the inside out.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Entry(usize),
}

#[derive(Debug)]
enum Problem {
    /// Another kind of value is expected here, or another value of that kind.
    Unfit { expected: String, found: Found },
    /// A name that is not among the known ones.
    NotOneOf {
        name: String,
        known: &'static [&'static str],
    },
    /// A member that the type does not have.
    NoSuchMember {
        name: String,
        known: &'static [&'static str],
    },
    /// A member that the type needs.
    Missing,
    /// Said by the type itself.
    Other(String),
}

#[derive(Debug)]
enum Found {
    Null,
    List,
    Object,
    Value(String),
}

impl Refusal {
    fn new(problem: Problem) -> Self {
        Self {
            problem,
            path: Vec::new(),
        }
    }

    pub(super) fn at_entry(mut self, index: usize) -> Self {
        self.path.push(Step::Entry(index));
        self
    }

    pub(super) fn at_member(mut self, name: &str) -> Self {
        self.path.push(Step::Member(name.to_owned()));
        self
    }

    /// The key itself was refused. An unknown one is named by the problem already.
    pub(super) fn at_key(self, name: &str) -> Self {
        match self.problem {
            Problem::NoSuchMember { .. } => self,
            _ => self.at_member(name),
        }
    }

    fn place(&self) -> String {
        let mut place = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Entry(index) => place.push_str(&format!("[{index}]")),
                Step::Member(name) if looks_secret(name) => place.push_str(".(a key)"),
                Step::Member(name) if place.is_empty() => place.push_str(&shortened(name)),
                Step::Member(name) => place.push_str(&format!(".{}", shortened(name))),
            }
        }
        place
    }
}

impl Problem {
    fn in_words(&self, format: Format) -> String {
        let (object, member) = match format {
            Format::Json => ("an object", "member"),
            Format::Toml => ("a section", "key"),
            Format::Query => ("a query", "parameter"),
        };
        match self {
            Self::Unfit { expected, found } => {
                let expected = match expected.as_str() {
                    "a map" => object,
                    other => other,
                };
                let found = match found {
                    Found::Null => "null",
                    Found::List => "a list",
                    Found::Object => object,
                    Found::Value(value) => value,
                };
                format!("expected {expected}, got {found}")
            }
            Self::NotOneOf { name, known } => {
                format!("{} is not one of {}", quoted(name), known.join(", "))
            }
            Self::NoSuchMember { name, known: [] } => {
                format!("there is no {member} {}", quoted(name))
            }
            Self::NoSuchMember { name, known } => format!(
                "there is no {member} {}; there is {}",
                quoted(name),
                known.join(", ")
            ),
            Self::Missing => "is missing".to_owned(),
            Self::Other(said) => said.clone(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.in_words(Format::Json))
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Self::new(Problem::Other(said.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Unfit {
            expected: kind_in_words(&expected.to_string()),
            found: found_in_words(found),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(Problem::Unfit {
            expected: kind_in_words(&expected.to_string()),
            found: Found::Value(format!("{length} entries")),
        })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Problem::NotOneOf { name, known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Problem::NoSuchMember { name, known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Problem::Missing).at_member(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new(Problem::Other(format!("given twice: {name:?}")))
    }
}

/// serde's word for what a type expects, in words that need no knowledge of the type.
fn kind_in_words(kind: &str) -> String {
    let whole = |min: i128, max: i128| format!("a whole number from {min} to {max}");
    match kind {
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" | "usize" => whole(0, u64::MAX.into()),
        "i32" => whole(i32::MIN.into(), i32::MAX.into()),
        "i64" => whole(i64::MIN.into(), i64::MAX.into()),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a borrowed string" | "path string" | "variant identifier" => "a string".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit" => "null".to_owned(),
        kind if kind.starts_with("struct ") => "a map".to_owned(),
        kind if kind.starts_with("tuple ") => "a list".to_owned(),
        kind if kind.starts_with("enum ") => "a string".to_owned(),
        kind => kind.to_owned(),
    }
}

fn found_in_words(found: Unexpected<'_>) -> Found {
    match found {
        Unexpected::Unit | Unexpected::Option => Found::Null,
        Unexpected::Seq => Found::List,
        Unexpected::Map => Found::Object,
        Unexpected::Bool(value) => Found::Value(value.to_string()),
        Unexpected::Unsigned(value) => Found::Value(value.to_string()),
        Unexpected::Signed(value) => Found::Value(value.to_string()),
        Unexpected::Float(value) => Found::Value(value.to_string()),
        Unexpected::Str(text) => Found::Value(quoted(text)),
        other => Found::Value(other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    match looks_secret(text) {
        true => "(a text that looks like a key)".to_owned(),
        false => format!("{:?}", shortened(text)),
    }
}

/// A key that an operator pasted into the wrong place must not reach a log.
fn looks_secret(text: &str) -> bool {
    text.contains("lh_")
}
