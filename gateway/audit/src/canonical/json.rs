//! Writes JSON into a string, with no whitespace and in the order in which it is called.

/// A JSON writer that keeps track of commas.
#[derive(Debug)]
pub(crate) struct Json<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> Json<'o> {
    pub(crate) fn new(out: &'o mut String) -> Self {
        Self { out, first: true }
    }

    /// Begins an object (`{`) or a list (`[`).
    pub(crate) fn begin(&mut self, bracket: char) {
        self.out.push(bracket);
        self.first = true;
    }

    /// Ends an object or a list.
    pub(crate) fn end(&mut self, bracket: char) {
        self.out.push(bracket);
        self.first = false;
    }

    /// The comma before an element, where one is needed.
    pub(crate) fn comma(&mut self) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
    }

    /// A member's name that needs no escape.
    pub(crate) fn key(&mut self, name: &'static str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.key(name);
        self.string(value);
    }

    /// A member that is left out if there is no value.
    pub(crate) fn optional_text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A member whose value needs no escape.
    pub(crate) fn plain(&mut self, name: &'static str, value: &str) {
        self.key(name);
        self.out.push('"');
        self.out.push_str(value);
        self.out.push('"');
    }

    pub(crate) fn number(&mut self, name: &'static str, value: u64) {
        self.key(name);
        self.integer(value);
    }

    /// A member that is left out if there is no value.
    pub(crate) fn optional_number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str, value: bool) {
        self.key(name);
        self.out.push_str(if value { "true" } else { "false" });
    }

    /// Bytes in hex, at most 32 of them.
    pub(crate) fn hex(&mut self, name: &'static str, bytes: &[u8]) {
        let mut digits = [0; 64];
        let digits = &mut digits[..bytes.len() * 2];
        // The slice is made to fit, and hex digits are text.
        hex::encode_to_slice(bytes, digits).ok();
        self.plain(name, std::str::from_utf8(digits).unwrap_or_default());
    }

    /// Two texts joined by a slash: a lock in its namespace. Names need no escape.
    pub(crate) fn path(&mut self, name: &'static str, left: &str, right: &str) {
        self.key(name);
        self.out.push('"');
        self.out.push_str(left);
        self.out.push('/');
        self.out.push_str(right);
        self.out.push('"');
    }

    /// A member with a sorted map of texts; left out if the map is empty.
    pub(crate) fn map<'a>(
        &mut self,
        name: &'static str,
        entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    ) {
        if entries.len() == 0 {
            return;
        }
        self.key(name);
        self.begin('{');
        for (key, value) in entries {
            self.comma();
            self.string(key);
            self.out.push(':');
            self.string(value);
        }
        self.end('}');
    }

    /// A text: escaped are only `"`, `\` and control characters, so that it has one form.
    pub(crate) fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.push_str(&text[written..at]);
            written = at + 1;
            self.escape(byte);
        }
        self.out.push_str(&text[written..]);
        self.out.push('"');
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.out.push_str("\\\""),
            b'\\' => self.out.push_str("\\\\"),
            b'\n' => self.out.push_str("\\n"),
            b'\r' => self.out.push_str("\\r"),
            b'\t' => self.out.push_str("\\t"),
            control => {
                self.out
                    .push_str(if control < 16 { "\\u000" } else { "\\u001" });
                self.out
                    .push(b"0123456789abcdef"[usize::from(control & 15)].into());
            }
        }
    }

    fn integer(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out
            .push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
    }
}
