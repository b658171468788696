//! Categories: flat, named by a slug that never changes.
//! Leaves which products are in one to the products.

use std::fmt;

use contracts::WordError;
use serde::{Deserialize, Serialize};

/// The name of a category in addresses and products: 1 to 64 of the characters `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Slug(String);

impl Slug {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = WordError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits { Ok(Self(text)) } else { Err(WordError("not a category: expected 1 to 64 of a-z, 0-9 and '-'")) }
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A shelf of the shop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Category {
    /// What products call it.
    pub(crate) slug: Slug,
    /// What shoppers call it.
    pub(crate) name: String,
    /// Where it stands among the others, lowest first.
    pub(crate) position: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_cannot_be_built_wrong() {
        assert!(Slug::try_from("dairy-eggs".to_owned()).is_ok());
        for wrong in ["", "Dairy", "dairy eggs", "dairy/eggs", "käse", &"a".repeat(65)] {
            assert!(Slug::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
