//! The parameters of a path as ids and other values: one alone, several as a tuple or a struct.
//! Leaves whether such a thing exists to the service; a path that cannot name one is 404 here.

use kernel::{Fault, FaultKind, FieldFault};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use crate::incoming::{Extract, Incoming};
use crate::text::{Pieces, Text, TextFault};

/// The parameters of the path in their order, as `Path(id)` or `Path((store, sku))`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path<T>(pub T);

impl<S: Sync, T: DeserializeOwned> Extract<S> for Path<T> {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        T::deserialize(Params(&incoming.params)).map(Self).map_err(|fault| names_nothing(fault, &incoming.params))
    }
}

/// A value that does not fit its parameter names nothing; a parameter that the route does not have is a defect of ours.
fn names_nothing(fault: TextFault, params: &[(String, String)]) -> Fault {
    let fault = if let [(name, _)] = params { fault.at(name) } else { fault };
    let field = fault.parameter.filter(|name| params.iter().any(|(param, _)| param == name));
    let Some(field) = field else {
        return Fault::internal(format!("a handler's path does not fit its route: {}", fault.detail));
    };
    let mut refusal = Fault::new(FaultKind::NotFound, "not-found", "the path names nothing that could exist");
    refusal.fields.push(FieldFault { field, detail: fault.detail });
    refusal
}

struct Params<'de>(&'de [(String, String)]);

impl<'de> Params<'de> {
    fn texts(&self) -> impl Iterator<Item = Text<'de>> + use<'de> {
        self.0.iter().map(|(name, value)| Text { name, value })
    }

    fn only(&self) -> Result<Text<'de>, TextFault> {
        match self.0 {
            [(name, value)] => Ok(Text { name, value }),
            _ => Err(de::Error::custom(format!("the route has {} parameters where its handler takes one", self.0.len()))),
        }
    }
}

macro_rules! one_piece {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Params<'de> {
    type Error = TextFault;

    one_piece! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
        deserialize_unit deserialize_identifier deserialize_ignored_any deserialize_seq
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, TextFault> {
        self.only()?.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, TextFault> {
        self.only()?.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_seq(Pieces::new(self.texts()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_seq(Pieces::new(self.texts()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        visitor.visit_map(Pieces::new(self.texts()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        visitor.visit_map(Pieces::new(self.texts()))
    }
}
