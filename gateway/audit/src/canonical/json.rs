//! Writes JSON, with no whitespace and in the order in which it is called.

/// A JSON writer that keeps track of commas.
#[derive(Debug)]
pub(crate) struct Json<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Json<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, first: true }
    }

    /// Begins an object (`{`) or a list (`[`).
    pub(crate) fn begin(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = true;
    }

    /// Ends an object or a list.
    pub(crate) fn end(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = false;
    }

    /// The comma before an element, where one is needed.
    pub(crate) fn comma(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    /// A member's name that needs no escape.
    // Inlined wherever it is called, so that the name's length is known and copying it is a few
    // moves: an event has a hundred names.
    #[inline(always)]
    pub(crate) fn key(&mut self, name: &'static str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    #[inline]
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
    #[inline]
    pub(crate) fn plain(&mut self, name: &'static str, value: &str) {
        self.ascii(name, value.as_bytes());
    }

    /// The same, of ASCII bytes.
    #[inline]
    pub(crate) fn ascii(&mut self, name: &'static str, value: &[u8]) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    #[inline]
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
        let value = if value { "true" } else { "false" };
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Bytes in hex, at most 32 of them.
    #[inline]
    pub(crate) fn hex(&mut self, name: &'static str, bytes: &[u8]) {
        let mut digits = [0; 64];
        let digits = &mut digits[..bytes.len() * 2];
        // The slice is made to fit.
        hex::encode_to_slice(bytes, digits).ok();
        self.ascii(name, digits);
    }

    /// Two texts joined by a slash: a lock in its namespace. Names need no escape.
    pub(crate) fn path(&mut self, name: &'static str, left: &str, right: &str) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(left.as_bytes());
        self.out.push(b'/');
        self.out.extend_from_slice(right.as_bytes());
        self.out.push(b'"');
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
        self.begin(b'{');
        for (key, value) in entries {
            self.comma();
            self.string(key);
            self.out.push(b':');
            self.string(value);
        }
        self.end(b'}');
    }

    /// A text: escaped are only `"`, `\` and control characters, so that it has one form.
    pub(crate) fn string(&mut self, text: &str) {
        self.out.push(b'"');
        // Hardly any text has such a character. Looking at all bytes without stopping at the first
        // takes a fraction of the time of looking at one after the other.
        let escaped = text.bytes().fold(false, |any, byte| any | is_escaped(byte));
        if escaped {
            self.escaped(text);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if is_escaped(byte) {
                self.out.extend_from_slice(&text.as_bytes()[written..at]);
                written = at + 1;
                self.escape(byte);
            }
        }
        self.out.extend_from_slice(&text.as_bytes()[written..]);
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.out.extend_from_slice(b"\\\""),
            b'\\' => self.out.extend_from_slice(b"\\\\"),
            b'\n' => self.out.extend_from_slice(b"\\n"),
            b'\r' => self.out.extend_from_slice(b"\\r"),
            b'\t' => self.out.extend_from_slice(b"\\t"),
            control => {
                self.out
                    .extend_from_slice(if control < 16 { b"\\u000" } else { b"\\u001" });
                self.out
                    .push(b"0123456789abcdef"[usize::from(control & 15)]);
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
        self.out.extend_from_slice(&digits[at..]);
    }
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}
