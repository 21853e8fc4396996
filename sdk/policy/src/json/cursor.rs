//! A place in the text, and the tokens that are read from it.

use std::borrow::Cow;

use super::Error;

/// A place in the text.
#[derive(Debug)]
pub(super) struct Cursor<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Cursor<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn error(&self, expected: &'static str) -> Error {
        Error::Syntax {
            at: self.at,
            expected,
        }
    }

    /// The next byte that is not a space, which stays where it is.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.text.as_bytes().get(self.at).copied()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes this byte if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Error> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    /// Takes this word if it is next.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.error(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Result<&'de str, Error> {
        self.peek();
        let from = self.at;
        let bytes = self.text.as_bytes();
        let of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        while bytes.get(self.at).is_some_and(of_number) {
            self.at += 1;
        }
        let number = self.text.get(from..self.at).filter(|text| !text.is_empty());
        number.ok_or_else(|| self.error("a number"))
    }

    /// A text, without its quotes.
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        self.expect(b'"', "a text")?;
        let from = self.at;
        match self.plain(from)? {
            (text, b'"') => Ok(Cow::Borrowed(text)),
            (text, _) => self.escaped(text.to_owned()).map(Cow::Owned),
        }
    }

    /// Passes over a text.
    pub(super) fn skip_string(&mut self) -> Result<(), Error> {
        self.expect(b'"', "a text")?;
        loop {
            let from = self.at;
            match self.plain(from)? {
                (_, b'"') => return Ok(()),
                // Whatever follows the backslash is not the text's end.
                _ => self.at += 1,
            }
        }
    }

    /// What stands before the next quote or backslash, and which of them it is; both are taken.
    #[inline]
    fn plain(&mut self, from: usize) -> Result<(&'de str, u8), Error> {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        let length = before_special(rest);
        self.at = from + length;
        let stop = rest.get(length).copied();
        let stop = stop.ok_or_else(|| self.error("the text's end"))?;
        let text = self.text.get(from..self.at).unwrap_or_default();
        self.at += 1;
        Ok((text, stop))
    }

    /// The rest of a text after its first backslash.
    fn escaped(&mut self, mut text: String) -> Result<String, Error> {
        loop {
            let character = self.escape()?;
            text.push(character);
            let (more, stop) = self.plain(self.at)?;
            text.push_str(more);
            if stop == b'"' {
                return Ok(text);
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        Ok(match byte {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an escape")),
        })
    }

    /// A character by its number; beyond the first 65,536 by two.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hex()?;
        let number = if (0xd800..0xdc00).contains(&first) {
            self.word("\\u")?;
            let second = self.hex()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
            let low = low.ok_or_else(|| self.error("the second half of a character"))?;
            0x1_0000 + ((first - 0xd800) << 10) + low
        } else {
            first
        };
        char::from_u32(number).ok_or_else(|| self.error("a character"))
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        number.ok_or_else(|| self.error("four hexadecimal digits"))
    }
}

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes stand before the first quote or backslash. Eight at a time, because in a guest
/// each turn of a loop also pays for the guards.
#[inline]
fn before_special(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let found = equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(special).unwrap_or(rest.len())
}

/// The highest bit of each byte of `word` that is `byte`; exact up to the first of them.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    let zero_where_equal = word ^ u64::from_ne_bytes([byte; 8]);
    zero_where_equal.wrapping_sub(LOW_BITS) & !zero_where_equal & HIGH_BITS
}
