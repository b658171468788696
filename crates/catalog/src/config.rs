//! The settings of catalog, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::Buckets;
use serde::Deserialize;

/// How many different words one search may hold: the read has a place for each.
pub(crate) const SEARCH_WORDS_MAX: usize = 6;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The buckets of the shop, which are set for all of it.
    #[serde(skip)]
    pub buckets: Buckets,
    /// How long names and details may be, in characters.
    pub name_chars_max: usize,
    /// How many keywords a product may have.
    pub keywords_max: usize,
    /// How long a keyword may be, in characters.
    pub keyword_chars_max: usize,
    /// By how many different words a product may be found.
    pub words_max: usize,
    /// In how many stores a product may be listed.
    pub stores_max: usize,
    /// The highest price of one unit, in minor units.
    pub price_minor_max: i64,
    /// How long the text of a search may be, in characters.
    pub search_chars_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buckets: Buckets::DEFAULT,
            name_chars_max: 200,
            keywords_max: 50,
            keyword_chars_max: 40,
            words_max: 120,
            stores_max: 100,
            price_minor_max: 100_000_000,
            search_chars_max: 100,
        }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let counts = [
            ("name_chars_max", self.name_chars_max, 1000),
            ("keywords_max", self.keywords_max, 200),
            ("keyword_chars_max", self.keyword_chars_max, 200),
            ("words_max", self.words_max, 500),
            ("stores_max", self.stores_max, 500),
            ("search_chars_max", self.search_chars_max, 1000),
        ];
        for (name, value, max) in counts {
            if !(1..=max).contains(&value) {
                wrong.push(format!("catalog.{name} must be from 1 to {max}"));
            }
        }
        // A line of an order takes a price up to 999 times, and an order has hundreds of lines: the sum must stay far from overflow.
        if !(1..=1_000_000_000_000).contains(&self.price_minor_max) {
            wrong.push("catalog.price_minor_max must be from 1 to 1000000000000".to_owned());
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_what_is_not_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config { stores_max: 0, price_minor_max: 0, ..Config::default() };
        assert_eq!(wrong.validate().len(), 2);
    }
}
