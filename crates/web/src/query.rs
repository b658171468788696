//! The query as a typed struct: each extractor takes the parameters it knows, and what nobody takes is refused.
//! Leaves paging to `page`, which takes its two parameters beside any filter.

use kernel::{Fault, FaultKind};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::incoming::{Extract, Incoming};
use crate::text::{Pieces, Text, TextFault};

/// The parameters of the query that are fields of `T`; a list is one parameter with commas. `T` is a plain struct:
/// a flattened one hides the names it knows, and nothing could be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> Extract<S> for Query<T> {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        let fields = Fields { query: &incoming.query, taken: &mut incoming.taken };
        T::deserialize(fields).map(Self).map_err(invalid_parameter)
    }
}

/// All parameters of the query as they came, for pages that others link to with parameters of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnyQuery(pub Vec<(String, String)>);

impl<S: Sync> Extract<S> for AnyQuery {
    async fn extract(incoming: &mut Incoming, _: &S) -> Result<Self, Fault> {
        incoming.taken.fill(true);
        Ok(Self(incoming.query.clone()))
    }
}

pub(crate) fn invalid_parameter(fault: TextFault) -> Fault {
    match fault.parameter {
        Some(parameter) => Fault::invalid_field(parameter, fault.detail),
        None => Fault::new(FaultKind::Invalid, "invalid-query", fault.detail),
    }
}

struct Fields<'de, 't> {
    query: &'de [(String, String)],
    taken: &'t mut [bool],
}

impl<'de> Deserializer<'de> for Fields<'de, '_> {
    type Error = TextFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextFault> {
        self.taken.fill(true);
        visitor.visit_map(Pieces::new(self.query.iter().map(|(name, value)| Text { name, value })))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextFault> {
        let known = self.query.iter().zip(self.taken).filter(|((name, _), _)| fields.contains(&name.as_str()));
        let take = |((name, value), taken): (&'de (String, String), &mut bool)| {
            *taken = true;
            Text { name, value }
        };
        visitor.visit_map(Pieces::new(known.map(take)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
