//! What one store lists of a product: its price there, in the store's currency, and whether it is switched on.
//! Leaves how much is left to inventory; the band kept of it is a hint.

use std::collections::BTreeSet;

use contracts::catalog::ListingChanged;
use contracts::inventory::Band;
use contracts::{ProductId, Sku, StoreId};
use kernel::{Currency, Fault, Money};
use serde::{Deserialize, Serialize};

use super::category::Slug;
use super::product::{Content, Product, full_name, price_checked};
use super::text::folded;
use crate::config::Config;

/// What catalog knows of a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct KnownStore {
    /// Its id.
    pub(crate) id: StoreId,
    /// What it sells in.
    pub(crate) currency: Currency,
    /// The keys of its taxes.
    pub(crate) tax_classes: BTreeSet<String>,
}

impl KnownStore {
    /// Refuses a class of which this store does not know the tax; `pointer` is the field at fault.
    pub(crate) fn check_tax_class(&self, tax_class: &str, pointer: &str) -> Result<(), Fault> {
        if self.tax_classes.contains(tax_class) {
            return Ok(());
        }
        let known: Vec<&str> = self.tax_classes.iter().map(String::as_str).collect();
        let detail = format!("the store {} has no tax class `{tax_class}`; it has: {}", self.id, known.join(", "));
        Err(Fault::invalid_field(pointer, detail))
    }
}

/// What is wished for a product in one store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    /// Where.
    pub(crate) store: StoreId,
    /// Whether the store sells it.
    pub(crate) listed: bool,
    /// Its price there, if it has one of its own.
    pub(crate) price_minor: Option<i64>,
}

/// Refuses offers beyond the limits, and two for one store.
pub(crate) fn check_offers(offers: &[Offer], limits: &Config) -> Result<(), Fault> {
    if offers.len() > limits.stores_max {
        let detail = format!("there are {} stores; at most {} are right", offers.len(), limits.stores_max);
        return Err(Fault::invalid_field("/stores", detail));
    }
    let mut seen = BTreeSet::new();
    for (index, offer) in offers.iter().enumerate() {
        if !seen.insert(offer.store) {
            return Err(Fault::invalid_field(
                format!("/stores/{index}/store"),
                "this store stands in the list twice; name it once",
            ));
        }
        if let Some(price_minor) = offer.price_minor {
            price_checked(&format!("/stores/{index}/price_minor"), price_minor, limits)?;
        }
    }
    Ok(())
}

/// What a store lists of a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// Where.
    pub(crate) store: StoreId,
    /// What is sold.
    pub(crate) sku: Sku,
    /// The product.
    pub(crate) product: ProductId,
    /// As `Whole milk`.
    pub(crate) name: String,
    /// As `1 gal`; may be empty.
    pub(crate) detail: String,
    /// Its shelf.
    pub(crate) category: Slug,
    /// What one costs without tax.
    pub(crate) price: Money,
    /// A key of the store's taxes.
    pub(crate) tax_class: String,
    /// Whether the store sells it now.
    pub(crate) listed: bool,
}

impl Listing {
    /// What `store` lists of `product`, at `price_minor`.
    pub(crate) fn of(product: &Product, store: &KnownStore, listed: bool, price_minor: i64) -> Self {
        let Content { name, detail, category, tax_class, .. } = product.content.clone();
        Self {
            store: store.id,
            sku: product.sku.clone(),
            product: product.id,
            name,
            detail,
            category,
            price: Money::new(price_minor, store.currency),
            tax_class,
            listed,
        }
    }

    /// What others are told of it.
    pub(crate) fn told(&self) -> ListingChanged {
        ListingChanged {
            product: self.product,
            store: self.store,
            sku: self.sku.clone(),
            name: self.full_name(),
            price: self.price,
            tax_class: self.tax_class.clone(),
            listed: self.listed,
        }
    }

    /// By what it is sorted.
    pub(crate) fn sort_name(&self) -> String {
        folded(&self.full_name())
    }

    fn full_name(&self) -> String {
        full_name(&self.name, &self.detail)
    }
}

/// How much a shopper may expect to be left: a hint, never a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Availability {
    /// Nothing.
    None,
    /// Less than ten.
    Few,
    /// Ten or more.
    Plenty,
    /// Inventory has not said.
    Unknown,
}

impl Availability {
    /// The word that is stored for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Few => "few",
            Self::Plenty => "plenty",
            Self::Unknown => "unknown",
        }
    }

    /// What a stored word says.
    pub(crate) fn of_word(word: &str) -> Self {
        [Self::None, Self::Few, Self::Plenty].into_iter().find(|known| known.as_str() == word).unwrap_or(Self::Unknown)
    }
}

impl From<Band> for Availability {
    fn from(band: Band) -> Self {
        match band {
            Band::None => Self::None,
            Band::Few => Self::Few,
            Band::Plenty => Self::Plenty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::product::sample;
    use kernel::{Bucket, Draw, Id, Timestamp};

    fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(seed))
    }

    fn store() -> KnownStore {
        let tax_classes = ["food", "household"].map(str::to_owned).into();
        KnownStore { id: StoreId(id(1)), currency: "USD".parse().unwrap(), tax_classes }
    }

    #[test]
    fn others_are_told_the_name_with_its_size_and_the_price_in_the_stores_currency() {
        let sku: Sku = "MILK-1GAL".parse().unwrap();
        let product = Product { id: ProductId(id(2)), sku, content: sample(), stores: BTreeSet::new() };
        let listing = Listing::of(&product, &store(), true, 399);
        let told = listing.told();
        assert_eq!(told.name, "Whole milk, 1 gal");
        assert_eq!(told.price.to_string(), "USD 3.99");
        assert!(told.listed);
        assert_eq!(listing.sort_name(), "whole milk, 1 gal");
    }

    #[test]
    fn a_tax_class_of_which_the_store_knows_no_tax_is_refused_with_those_it_knows() {
        assert_eq!(store().check_tax_class("food", "/tax_class"), Ok(()));
        let fault = store().check_tax_class("wine", "/tax_class").unwrap_err();
        assert!(fault.detail.ends_with("it has: food, household"), "{}", fault.detail);
    }

    #[test]
    fn offers_have_bounds() {
        let limits = Config { stores_max: 2, ..Config::default() };
        let offer = |seed, price_minor| Offer { store: StoreId(id(seed)), listed: true, price_minor };
        let field = |offers: &[Offer]| check_offers(offers, &limits).unwrap_err().fields[0].field.clone();
        assert_eq!(check_offers(&[offer(1, None), offer(2, Some(5))], &limits), Ok(()));
        assert_eq!(field(&[offer(1, None), offer(1, None)]), "/stores/1/store");
        assert_eq!(field(&[offer(1, Some(-1))]), "/stores/0/price_minor");
        assert_eq!(field(&[offer(1, None), offer(2, None), offer(3, None)]), "/stores");
    }

    #[test]
    fn bands_and_words_agree() {
        for band in [Band::None, Band::Few, Band::Plenty] {
            let availability = Availability::from(band);
            assert_eq!(Availability::of_word(availability.as_str()), availability);
        }
        assert_eq!(Availability::of_word("lots"), Availability::Unknown);
    }
}
