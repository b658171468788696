//! A product: what is the same of it in every store, and in which stores it is listed.
//! Leaves each store's price and switch to `listing`.

use std::collections::BTreeSet;

use contracts::{ProductId, Sku, StoreId};
use kernel::Fault;
use serde::{Deserialize, Serialize};

use super::category::Slug;
use super::text::{checked, words};
use crate::config::Config;

/// How long the name of a tax class may be, in characters.
const TAX_CLASS_CHARS_MAX: usize = 64;
/// How long a barcode may be, in characters.
const BARCODE_CHARS_MAX: usize = 64;

/// What is said of a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Content {
    /// As `Whole milk`.
    pub(crate) name: String,
    /// What tells it from its like, as `1 gal`; may be empty.
    pub(crate) detail: String,
    /// Its shelf.
    pub(crate) category: Slug,
    /// What one costs without tax where a store has no price of its own, in minor units of the store's currency.
    pub(crate) price_minor: i64,
    /// A key of the stores' taxes.
    pub(crate) tax_class: String,
    /// What a scanner reads on it.
    pub(crate) barcode: Option<String>,
    /// Further words to find it by.
    pub(crate) keywords: Vec<String>,
}

impl Content {
    /// The same with its texts trimmed, if all of it is within the limits.
    pub(crate) fn checked(self, limits: &Config) -> Result<Self, Fault> {
        let content = Self {
            name: checked("/name", &self.name, 1..=limits.name_chars_max)?,
            detail: checked("/detail", &self.detail, 0..=limits.name_chars_max)?,
            category: self.category,
            price_minor: price_checked("/price_minor", self.price_minor, limits)?,
            tax_class: checked("/tax_class", &self.tax_class, 1..=TAX_CLASS_CHARS_MAX)?,
            barcode: self.barcode.map(|barcode| checked("/barcode", &barcode, 1..=BARCODE_CHARS_MAX)).transpose()?,
            keywords: keywords_checked(&self.keywords, limits)?,
        };
        let count = content.words().len();
        if count > limits.words_max {
            let most = limits.words_max;
            let detail = format!("name, detail, category and keywords hold {count} different words; at most {most} are right");
            return Err(Fault::invalid_field("/keywords", detail));
        }
        Ok(content)
    }

    /// The words it is found by. Those of the category are its slug's, which never change.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let texts = [self.name.as_str(), &self.detail, self.category.as_str()];
        texts.into_iter().chain(self.keywords.iter().map(String::as_str)).flat_map(words).collect()
    }
}

/// A name with its size, if it has one: `Whole milk, 1 gal`.
pub(crate) fn full_name(name: &str, detail: &str) -> String {
    if detail.is_empty() { name.to_owned() } else { format!("{name}, {detail}") }
}

/// `price_minor`, if it is a price.
pub(crate) fn price_checked(pointer: &str, price_minor: i64, limits: &Config) -> Result<i64, Fault> {
    let most = limits.price_minor_max;
    if (0..=most).contains(&price_minor) {
        return Ok(price_minor);
    }
    Err(Fault::invalid_field(pointer, format!("it is not a price: 0 to {most} minor units (cents) are right")))
}

fn keywords_checked(keywords: &[String], limits: &Config) -> Result<Vec<String>, Fault> {
    if keywords.len() > limits.keywords_max {
        let detail = format!("there are {} keywords; at most {} are right", keywords.len(), limits.keywords_max);
        return Err(Fault::invalid_field("/keywords", detail));
    }
    let keyword = |(index, text): (usize, &String)| checked(&format!("/keywords/{index}"), text, 1..=limits.keyword_chars_max);
    keywords.iter().enumerate().map(keyword).collect()
}

/// A product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Product {
    /// Its id.
    pub(crate) id: ProductId,
    /// What is sold and stocked; never changes.
    pub(crate) sku: Sku,
    /// What is said of it.
    pub(crate) content: Content,
    /// Where it has a listing, switched on or off.
    pub(crate) stores: BTreeSet<StoreId>,
}

#[cfg(test)]
pub(crate) fn sample() -> Content {
    Content {
        name: "Whole milk".to_owned(),
        detail: "1 gal".to_owned(),
        category: Slug::try_from("dairy-eggs".to_owned()).unwrap(),
        price_minor: 429,
        tax_class: "food".to_owned(),
        barcode: Some("0041303015506".to_owned()),
        keywords: vec!["Breakfast".to_owned(), "whole".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl Fn(&mut Content)) -> String {
        let mut content = sample();
        change(&mut content);
        let fault = content.checked(&Config::default()).unwrap_err();
        fault.fields[0].field.clone()
    }

    #[test]
    fn what_is_said_has_bounds_and_the_fault_names_the_field() {
        assert_eq!(sample().checked(&Config::default()), Ok(sample()));
        assert_eq!(wrong(|content| content.name = " ".to_owned()), "/name");
        assert_eq!(wrong(|content| content.name = "x".repeat(201)), "/name");
        assert_eq!(wrong(|content| content.detail = "x".repeat(201)), "/detail");
        assert_eq!(wrong(|content| content.price_minor = -1), "/price_minor");
        assert_eq!(wrong(|content| content.price_minor = i64::MAX), "/price_minor");
        assert_eq!(wrong(|content| content.tax_class = String::new()), "/tax_class");
        assert_eq!(wrong(|content| content.barcode = Some(String::new())), "/barcode");
        assert_eq!(wrong(|content| content.keywords = vec!["x".to_owned(); 51]), "/keywords");
        assert_eq!(wrong(|content| content.keywords[1] = String::new()), "/keywords/1");
        let many = |content: &mut Content| {
            content.keywords = (0..50).map(|at| format!("a{at} b{at} c{at}")).collect();
        };
        assert_eq!(wrong(many), "/keywords");
    }

    #[test]
    fn a_product_is_found_by_name_detail_category_and_keywords() {
        let found: Vec<String> = sample().words().into_iter().collect();
        assert_eq!(found, ["1", "breakfast", "dairy", "eggs", "gal", "milk", "whole"]);
        assert_eq!(full_name("Whole milk", "1 gal"), "Whole milk, 1 gal");
        assert_eq!(full_name("Bananas", ""), "Bananas");
    }
}
