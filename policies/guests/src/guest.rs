//! A guest of the world, written by hand.

use crate::types;

/// Where the answer of `decide` lies; zeros are "allow without limits".
pub const ANSWER: usize = 4_096;
/// Where texts for answers lie.
pub const TEXT: usize = 8_192;

/// A guest whose parts are replaced by tests.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: String,
    /// The operations that the manifest says it judges.
    pub operations: Vec<String>,
    /// Whether the manifest asks for the lock's view.
    pub needs_lock: bool,
    /// The manifest's JSON Schema of a configuration.
    pub schema: String,
    /// The body of `decide`, with the arguments' address in local 0.
    pub decide: String,
    /// The bytes at [`ANSWER`].
    pub answer: Vec<u8>,
    /// The bytes at [`TEXT`].
    pub text: Vec<u8>,
    /// More of the core module: functions, a start.
    pub more: String,
    /// More of the component, before everything else.
    pub outside: String,
    /// Pages of memory at the start.
    pub pages: u32,
    /// The version of the interface that the types are imported from, and what else it has; `None`
    /// for the contract 1.0.0, whose types are the world's own.
    pub interface: Option<(String, String)>,
    /// The inputs that the manifest declares: fields, and the granularity of the time. Needs the
    /// contract 1.3.0.
    pub reads: Option<(Vec<String>, Option<u64>)>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "by-hand".to_owned(),
            version: "1.2.3".to_owned(),
            operations: vec!["acquire".to_owned()],
            needs_lock: false,
            schema: "{}".to_owned(),
            decide: format!("(i32.const {ANSWER})"),
            answer: Vec::new(),
            text: Vec::new(),
            more: String::new(),
            outside: String::new(),
            pages: 4,
            interface: None,
            reads: None,
        }
    }
}

impl Guest {
    /// A guest that does this when it is asked for a decision, and then answers as it is set to.
    #[must_use]
    pub fn doing(body: &str) -> Self {
        Self {
            decide: format!("{body} (i32.const {ANSWER})"),
            ..Self::default()
        }
    }

    /// The component's text.
    #[must_use]
    pub fn wat(&self) -> String {
        let types = match &self.interface {
            None => types::of_the_world(),
            Some((version, more)) => types::imported_types(version, more),
        };
        let (outside, more, decide, pages) = (&self.outside, &self.more, &self.decide, self.pages);
        let data = self.data();
        format!(
            r#"(component {outside} {types}
            (import "trace" (func $trace (param "message" string)))
            (core module $room
              (memory (export "memory") {pages})
              (global $next (mut i32) (i32.const 65536))
              (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at)))
            (core instance $room (instantiate $room))
            (core func $trace' (canon lower (func $trace) (memory (core memory $room "memory"))))
            (core module $policy
              (import "room" "memory" (memory 0))
              (import "host" "trace" (func $trace (param i32 i32)))
              {data}
              {more}
              (func (export "describe") (result i32) (i32.const 1024))
              (func (export "check") (param i32 i32) (result i32) (i32.const 2048))
              (func (export "decide") (param i32) (result i32) {decide}))
            (core instance $host (export "trace" (func $trace')))
            (core instance $p (instantiate $policy
              (with "room" (instance $room)) (with "host" (instance $host))))
            (func $describe (result $manifest) (canon lift (core func $p "describe")
              (memory (core memory $room "memory"))))
            (func $check (param "config" string) (result (result (error string)))
              (canon lift (core func $p "check") (memory (core memory $room "memory"))
                (realloc (core func $room "realloc"))))
            (func $decide (param "request" $request) (param "principal" $principal)
              (param "facts" $facts) (param "config" string)
              (result (result $verdict (error string)))
              (canon lift (core func $p "decide") (memory (core memory $room "memory"))
                (realloc (core func $room "realloc"))))
            (export "describe" (func $describe))
            (export "check" (func $check))
            (export "decide" (func $decide)))"#
        )
    }

    /// The manifest at 1024, its texts from 16384 on, the answer and its text.
    fn data(&self) -> String {
        let mut texts = Vec::new();
        let mut put = |bytes: &[u8]| {
            let at = 16_384 + texts.len();
            texts.extend_from_slice(bytes);
            (at as u32, bytes.len() as u32)
        };
        let name = put(self.name.as_bytes());
        let version = put(self.version.as_bytes());
        let rows: Vec<_> = self
            .operations
            .iter()
            .map(|row| put(row.as_bytes()))
            .collect();
        let schema = put(self.schema.as_bytes());
        let fields = self.reads.iter().flat_map(|(fields, _)| fields);
        let fields: Vec<_> = fields.map(|field| put(field.as_bytes())).collect();
        while !(texts.len()).is_multiple_of(8) {
            texts.push(0);
        }
        let mut list = |rows: Vec<(u32, u32)>| {
            let list = ((16_384 + texts.len()) as u32, rows.len() as u32);
            for (at, length) in rows {
                texts.extend_from_slice(&at.to_le_bytes());
                texts.extend_from_slice(&length.to_le_bytes());
            }
            list
        };
        let (operations, fields) = (list(rows), list(fields));
        let mut manifest = Vec::new();
        let words = |out: &mut Vec<u8>, (at, length): (u32, u32)| {
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
        };
        words(&mut manifest, name);
        words(&mut manifest, version);
        words(&mut manifest, operations);
        manifest.extend_from_slice(&[u8::from(self.needs_lock), 0, 0, 0]);
        words(&mut manifest, schema);
        if let Some((_, granularity)) = self.reads {
            manifest.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
            words(&mut manifest, fields);
            manifest.extend_from_slice(&u64::from(granularity.is_some()).to_le_bytes());
            manifest.extend_from_slice(&granularity.unwrap_or_default().to_le_bytes());
        }
        let parts = [
            (1_024, &manifest),
            (ANSWER, &self.answer),
            (TEXT, &self.text),
            (16_384, &texts),
        ];
        let row = |(at, bytes): (usize, &Vec<u8>)| {
            let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            format!("(data (i32.const {at}) \"{escaped}\")")
        };
        parts.into_iter().map(row).collect()
    }

    /// The component's bytes.
    ///
    /// # Panics
    /// The parts make no component.
    #[must_use]
    pub fn wasm(&self) -> Vec<u8> {
        wat::parse_str(self.wat()).expect("the guest's text is a component")
    }
}

/// The bytes of an answer: the place of each part is the contract's canonical layout.
#[must_use]
pub fn allow(max_ttl_ms: Option<u64>, max_hold_ms: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    for (at, limit) in [(16, max_ttl_ms), (32, max_hold_ms)] {
        if let Some(limit) = limit {
            bytes[at] = 1;
            bytes[at + 8..at + 16].copy_from_slice(&limit.to_le_bytes());
        }
    }
    bytes
}

/// A denial whose code and message are `(address, length)`.
#[must_use]
pub fn deny(code: (u32, u32), message: (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    bytes[8] = 1;
    for (at, word) in [(16, code.0), (20, code.1), (24, message.0), (28, message.1)] {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

impl Guest {
    /// A guest for the contract 1.2.0 that allows everything, with these counters: name, maximum,
    /// code.
    #[must_use]
    pub fn counting(counters: &[(&str, u32, Option<&str>)]) -> Self {
        /// What one counter takes in a list.
        const COUNTER: usize = 24;
        let (mut list, mut texts) = (Vec::new(), Vec::new());
        let mut put = |text: &str| {
            let at = TEXT + COUNTER * counters.len() + texts.len();
            texts.extend_from_slice(text.as_bytes());
            [at as u32, text.len() as u32]
        };
        for (name, maximum, code) in counters {
            let [at, length] = put(name);
            let [code_at, code_length] = code.map(&mut put).unwrap_or_default();
            let is_some = u32::from(code.is_some());
            for word in [at, length, *maximum, is_some, code_at, code_length] {
                list.extend_from_slice(&word.to_le_bytes());
            }
        }
        let mut answer = allow(None, None);
        answer.extend_from_slice(&(TEXT as u32).to_le_bytes());
        answer.extend_from_slice(&(counters.len() as u32).to_le_bytes());
        list.extend(texts);
        Self {
            answer,
            text: list,
            interface: Some(("1.2.0".to_owned(), String::new())),
            ..Self::default()
        }
    }
}

impl Guest {
    /// A guest for the contract 1.3.0 that allows everything, and declares these inputs.
    #[must_use]
    pub fn reading(fields: &[&str], now_granularity_ms: Option<u64>) -> Self {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let mut answer = allow(None, None);
        answer.extend_from_slice(&[0; 8]);
        Self {
            answer,
            interface: Some(("1.3.0".to_owned(), String::new())),
            reads: Some((fields, now_granularity_ms)),
            ..Self::default()
        }
    }
}
