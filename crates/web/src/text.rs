//! Named pieces of text, from a path or a query, as serde values whose faults name the piece.
//! Leaves finding the pieces to `path` and `query`.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// What is wrong with which parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TextFault {
    pub(crate) parameter: Option<String>,
    pub(crate) detail: String,
}

impl TextFault {
    /// The same, of the parameter `name` if it is not yet of another.
    pub(crate) fn at(mut self, name: &str) -> Self {
        self.parameter.get_or_insert_with(|| name.to_owned());
        self
    }
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for TextFault {}

impl de::Error for TextFault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { parameter: None, detail: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { parameter: Some(field.to_owned()), detail: format!("`{field}` is required") }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { parameter: Some(field.to_owned()), detail: format!("`{field}` may be given once") }
    }
}

/// One piece of text with its name.
#[derive(Clone, Copy)]
pub(crate) struct Text<'de> {
    pub(crate) name: &'de str,
    pub(crate) value: &'de str,
}

impl<'de> Text<'de> {
    fn parse<T: std::str::FromStr>(self, expected: &str) -> Result<T, TextFault> {
        let wrong =
            |_| TextFault { parameter: Some(self.name.to_owned()), detail: format!("`{}` must be {expected}", self.name) };
        self.value.parse().map_err(wrong)
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
            visitor.$visit(self.parse($expected)?).map_err(|fault: TextFault| fault.at(self.name))
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = TextFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_borrowed_str(self.value).map_err(|fault: TextFault| fault.at(self.name))
    }

    parsed! {
        deserialize_bool visit_bool "true or false";
        deserialize_i8 visit_i8 "a whole number from -128 to 127";
        deserialize_i16 visit_i16 "a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 "a whole number of at most 32 bits";
        deserialize_i64 visit_i64 "a whole number of at most 64 bits";
        deserialize_u8 visit_u8 "a whole number from 0 to 255";
        deserialize_u16 visit_u16 "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 "a whole number from 0 to 4294967295";
        deserialize_u64 visit_u64 "a whole number of at most 64 bits, not negative";
        deserialize_f32 visit_f32 "a number";
        deserialize_f64 visit_f64 "a number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at(self.name))
    }

    /// A list is one text with commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        let items = self.value.split(',').filter(|item| !item.is_empty()).map(|value| Text { name: self.name, value });
        visitor.visit_seq(Pieces::new(items)).map_err(|fault| fault.at(self.name))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.value)).map_err(|fault: TextFault| fault.at(self.name))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// Several pieces as one map, for a struct, or as one sequence, for a tuple. A fault is given its name here, since a
/// type that parses its text speaks up only after it has taken it.
pub(crate) struct Pieces<'de, I> {
    pieces: I,
    /// The piece whose name was taken and whose value was not.
    open: Option<Text<'de>>,
}

impl<'de, I: Iterator<Item = Text<'de>>> Pieces<'de, I> {
    pub(crate) fn new(pieces: I) -> Self {
        Self { pieces, open: None }
    }
}

impl<'de, I: Iterator<Item = Text<'de>>> MapAccess<'de> for Pieces<'de, I> {
    type Error = TextFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TextFault> {
        self.open = self.pieces.next();
        self.open.map(|text| seed.deserialize(BorrowedStrDeserializer::new(text.name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TextFault> {
        let text = self.open.take().ok_or_else(|| <TextFault as de::Error>::custom("a value was asked for before its name"))?;
        seed.deserialize(text).map_err(|fault| fault.at(text.name))
    }
}

impl<'de, I: Iterator<Item = Text<'de>>> SeqAccess<'de> for Pieces<'de, I> {
    type Error = TextFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TextFault> {
        let name_fault = |text: Text<'de>| seed.deserialize(text).map_err(|fault| fault.at(text.name));
        self.pieces.next().map(name_fault).transpose()
    }
}
