//! Serde's side of the reader.

mod items;

use std::borrow::Cow;
use std::str::FromStr;

use serde::de::Deserializer;
use serde::de::Visitor;
use serde::forward_to_deserialize_any;

use self::items::Items;
use self::items::Name;
use self::items::Variant;
use super::DEPTH_MAX;
use super::Error;
use super::cursor::Cursor;

/// Reads one value after the other.
#[derive(Debug)]
pub(super) struct Reader<'de> {
    pub(super) cursor: Cursor<'de>,
    depth: u8,
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self {
            cursor: Cursor::new(text),
            depth: DEPTH_MAX,
        }
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => Err(self.cursor.error("the end")),
        }
    }

    /// What stands between `open` and `close`, one level deeper.
    fn items<T>(
        &mut self,
        (open, close): (u8, u8),
        expected: &'static str,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.cursor.expect(open, expected)?;
        let deeper = self.depth.checked_sub(1);
        self.depth = deeper.ok_or_else(|| self.cursor.error("less depth"))?;
        let value = visit(&mut Items::new(self, close))?;
        self.depth += 1;
        self.cursor.expect(close, "an end, for it has too many")?;
        Ok(value)
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.items((b'[', b']'), "an array", |items| visitor.visit_seq(items))
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.items((b'{', b'}'), "an object", |items| visitor.visit_map(items))
    }

    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.cursor.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn boolean(&mut self) -> Result<bool, Error> {
        if self.cursor.peek() == Some(b't') {
            self.cursor.word("true").map(|()| true)
        } else {
            self.cursor.word("false").map(|()| false)
        }
    }

    fn null(&mut self) -> Result<(), Error> {
        self.cursor.peek();
        self.cursor.word("null")
    }

    /// A number without a fraction.
    fn whole<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let number = self.cursor.number()?;
        if number.starts_with('-') {
            visitor.visit_i64(self.parsed(number)?)
        } else {
            visitor.visit_u64(self.parsed(number)?)
        }
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let number = self.cursor.number()?;
        if let Ok(whole) = number.parse() {
            visitor.visit_u64(whole)
        } else if let Ok(whole) = number.parse() {
            visitor.visit_i64(whole)
        } else {
            visitor.visit_f64(self.parsed(number)?)
        }
    }

    pub(super) fn parsed<T: FromStr>(&self, number: &str) -> Result<T, Error> {
        number
            .parse()
            .map_err(|_| self.cursor.error("another number before this"))
    }

    /// Passes over one value of any shape.
    fn skip(&mut self) -> Result<(), Error> {
        let mut open = 0_u32;
        loop {
            match self.cursor.peek() {
                Some(b'"') => self.cursor.skip_string()?,
                Some(b't' | b'f') => drop(self.boolean()?),
                Some(b'n') => self.null()?,
                Some(byte @ (b'[' | b'{')) => {
                    self.cursor.take(byte);
                    open += 1;
                }
                Some(byte @ (b']' | b'}')) if open > 0 => {
                    self.cursor.take(byte);
                    open -= 1;
                }
                Some(byte @ (b',' | b':')) if open > 0 => drop(self.cursor.take(byte)),
                _ => drop(self.cursor.number()?),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

/// Methods that all read the same.
macro_rules! alike {
    ($($method:ident)* => $read:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$read(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.cursor.peek() {
            Some(b'"') => self.text(visitor),
            Some(b'[') => self.array(visitor),
            Some(b'{') => self.object(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'n') => self.deserialize_unit(visitor),
            _ => self.number(visitor),
        }
    }

    alike!(
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 => whole
    );
    alike!(deserialize_f32 deserialize_f64 => number);
    alike!(deserialize_char deserialize_str deserialize_string deserialize_identifier => text);
    alike!(deserialize_seq => array);
    alike!(deserialize_map => object);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.null()?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.cursor.peek() == Some(b'n') {
            self.null()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.array(visitor)
    }

    /// A text stands for a list of one, if the type takes it.
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.cursor.peek() {
            Some(b'"') => self.text(visitor),
            _ => self.array(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
    }

    /// A variant without data is its name; one with data is an object with the name as its key.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.cursor.peek() == Some(b'"') {
            let name = self.cursor.string()?;
            return visitor.visit_enum(Name(name, &self.cursor));
        }
        self.items((b'{', b'}'), "a variant", |items| {
            visitor.visit_enum(Variant(items))
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit_struct }
}
