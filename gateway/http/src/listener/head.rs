//! Finds request heads whose lines do not all end with CR LF.
//!
//! hyper accepts a bare LF. An intermediary that does not would see other requests in the same
//! bytes, so the request is refused (RFC 9112, section 2.2 and 11.2). The scanner follows the
//! stream beside hyper's parser: it skips bodies by their length, and stops at the first chunked
//! body, after which the connection is closed anyway.

/// Longest header line of which the scanner keeps a copy; longer ones do not matter to it.
const LINE_BYTES_MAX: usize = 64;

/// Whether a line that begins with this byte can matter: the empty one, `Content-Length` and
/// `Transfer-Encoding`.
fn can_matter(first: u8) -> bool {
    matches!(first, b'\r' | b'c' | b'C' | b't' | b'T')
}

/// Where the scanner is in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a request line: empty lines are skipped.
    Start,
    /// Among the lines of a head.
    Head,
    /// In a body of which this many bytes are left.
    Body(u64),
    /// Nothing after this is scanned.
    Over,
}

/// Follows the bytes that a client sends.
#[derive(Debug)]
pub(super) struct HeadScanner {
    at: At,
    /// The beginning of the line that is not finished yet.
    line: Vec<u8>,
    line_is_long: bool,
    last: u8,
    body_bytes: u64,
    chunked: bool,
}

impl Default for HeadScanner {
    fn default() -> Self {
        Self {
            at: At::Start,
            line: Vec::new(),
            line_is_long: false,
            last: 0,
            body_bytes: 0,
            chunked: false,
        }
    }
}

impl HeadScanner {
    /// Scans the next bytes. Returns whether a line of a head ended with a bare LF.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.at {
                At::Over => return false,
                At::Body(left) => {
                    let here = (bytes.len() as u64).min(left);
                    bytes = &bytes[usize::try_from(here).unwrap_or(bytes.len())..];
                    self.at = match left - here {
                        0 => At::Start,
                        left => At::Body(left),
                    };
                }
                At::Start | At::Head => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        self.keep(bytes);
                        return false;
                    };
                    let before = if end > 0 { bytes[end - 1] } else { self.last };
                    if before != b'\r' {
                        self.at = At::Over;
                        return true;
                    }
                    self.keep(&bytes[..end]);
                    self.end_line();
                    bytes = &bytes[end + 1..];
                }
            }
        }
        false
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.last = *last;
        }
        let matters = self
            .line
            .first()
            .or(bytes.first())
            .is_some_and(|first| can_matter(*first));
        let kept = if matters { LINE_BYTES_MAX } else { 1 };
        let room = kept - self.line.len();
        self.line_is_long |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line_is_long = std::mem::take(&mut self.line_is_long);
        self.last = 0;
        if line == b"\r" {
            if self.at == At::Head {
                self.at = match (self.chunked, self.body_bytes) {
                    (true, _) => At::Over,
                    (false, 0) => At::Start,
                    (false, bytes) => At::Body(bytes),
                };
                self.body_bytes = 0;
            }
        } else if self.at == At::Start {
            self.at = At::Head;
        } else {
            self.header(&line, line_is_long);
        }
        // Keep the allocation.
        self.line = line;
        self.line.clear();
    }

    fn header(&mut self, line: &[u8], line_is_long: bool) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).map(str::trim);
            match digits.map(str::parse) {
                Ok(Ok(bytes)) if !line_is_long => self.body_bytes = bytes,
                // hyper refuses it, or nobody knows where the body ends.
                _ => self.chunked = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans the text whole, and byte by byte.
    fn is_bare(text: &str) -> bool {
        let whole = HeadScanner::default().scan(text.as_bytes());
        let mut scanner = HeadScanner::default();
        let mut single = false;
        for byte in text.as_bytes() {
            single |= scanner.scan(std::slice::from_ref(byte));
        }
        assert_eq!(whole, single, "{text:?}");
        whole
    }

    #[test]
    fn lines_of_heads_end_with_crlf() {
        for good in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:4\r\nhost: a\r\n\r\n\n\n\n\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
        ] {
            assert!(!is_bare(good), "{good:?}");
        }
        let long = format!("GET /{} HTTP/1.1\nhost: a\r\n\r\n", "x".repeat(1_000));
        for bad in [
            "GET / HTTP/1.1\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\na\nb\nGET / HTTP/1.1\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nhost: a\n\n",
            &long,
        ] {
            assert!(is_bare(bad), "{bad:?}");
        }
    }
}
