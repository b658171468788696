//! What can be done: one short decider per use case. It loads, lets the domain decide, saves and says.
//! Leaves who may ask for it to `http`, and the rules to `domain`.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::catalog::ListingChanged;
use contracts::delivery::StoreChanged;
use contracts::inventory::{SupplyChanged, Thing};
use contracts::{ProductId, Sku, StoreId};
use engine::{Stop, Stored, Work};
use kernel::{Bucket, Fault};

use crate::domain::category::Category;
use crate::domain::listing::{Availability, KnownStore, Listing, Offer};
use crate::domain::product::{Content, Product};
use crate::store::{SkuOwner, Supply, Word};

/// Makes a category, or names and places it anew.
pub(crate) fn put_category(work: &mut Work<'_>, category: &Category) -> Result<Stored, Stop> {
    let before = work.find::<Category>(&category.slug)?;
    work.save(category.clone());
    Ok(Stored { status: made_or_changed(before.is_none()), resource: category.slug.to_string() })
}

/// All that is wished for a product.
#[derive(Clone, Debug)]
pub(crate) struct PutProduct {
    pub(crate) sku: Sku,
    pub(crate) content: Content,
    pub(crate) offers: Vec<Offer>,
    /// Where the product is made if it is new.
    pub(crate) bucket: Bucket,
}

/// Makes a product or changes it, with its listing in every store that is named; a store that is not lists it no longer.
pub(crate) fn put_product(work: &mut Work<'_>, put: &PutProduct) -> Result<Stored, Stop> {
    want_for_product(work, put);
    let before = find_product(work, &put.sku)?;
    if work.find::<Category>(&put.content.category)?.is_none() {
        let detail = format!("there is no category `{}`; make it first", put.content.category);
        return Err(Fault::invalid_field("/category", detail).into());
    }
    let stores = known_stores(work, put)?;
    let id = match &before {
        Some(before) => before.id,
        None => ProductId(work.new_id(put.bucket)),
    };
    let product = Product {
        id,
        sku: put.sku.clone(),
        content: put.content.clone(),
        stores: put.offers.iter().map(|offer| offer.store).collect(),
    };
    let words_before = before.as_ref().map(|before| before.content.words()).unwrap_or_default();
    for (offer, store) in put.offers.iter().zip(&stores) {
        let price_minor = offer.price_minor.unwrap_or(product.content.price_minor);
        save_listing(work, Listing::of(&product, store, offer.listed, price_minor), &words_before, &product.content.words())?;
    }
    let left: Vec<StoreId> = before.iter().flat_map(|before| before.stores.difference(&product.stores)).copied().collect();
    withdraw(work, &left, &put.sku, &words_before)?;
    work.save(SkuOwner { sku: put.sku.clone(), product: id });
    work.save(product);
    Ok(Stored { status: made_or_changed(before.is_none()), resource: id.to_string() })
}

/// What is wished for one product in one store.
#[derive(Clone, Debug)]
pub(crate) struct PutListing {
    pub(crate) sku: Sku,
    /// Without a price, that of the listing stays; a new listing takes the product's.
    pub(crate) offer: Offer,
    /// In how many stores a product may be listed.
    pub(crate) stores_max: usize,
}

/// Switches the listing of a product in one store on or off, and may set its price there.
pub(crate) fn put_listing(work: &mut Work<'_>, put: &PutListing) -> Result<Stored, Stop> {
    let Offer { store, listed, price_minor } = put.offer;
    work.want::<KnownStore>(&store);
    work.want::<Listing>(&(store, put.sku.clone()));
    let product = find_product(work, &put.sku)?.ok_or_else(|| Fault::not_found("product"))?;
    let known = work.load::<KnownStore>(&store, "store")?;
    if listed {
        known.check_tax_class(&product.content.tax_class, "/listed")?;
    }
    let before = work.find::<Listing>(&(store, put.sku.clone()))?;
    let price_before = before.as_ref().map_or(product.content.price_minor, |before| before.price.minor);
    let words = product.content.words();
    save_listing(work, Listing::of(&product, &known, listed, price_minor.unwrap_or(price_before)), &words, &words)?;
    if before.is_none() {
        add_store(work, &product, store, put.stores_max)?;
    }
    Ok(Stored { status: made_or_changed(before.is_none()), resource: product.id.to_string() })
}

/// The product and its listings as they are now.
pub(crate) fn show_product(work: &mut Work<'_>, sku: &Sku) -> Result<(Arc<Product>, Vec<Arc<Listing>>), Stop> {
    let product = find_product(work, sku)?.ok_or_else(|| Fault::not_found("product"))?;
    let keys: Vec<(StoreId, Sku)> = product.stores.iter().map(|store| (*store, sku.clone())).collect();
    let listings = work.find_all::<Listing>(&keys)?.into_iter().flatten().collect();
    Ok((product, listings))
}

/// Keeps what catalog needs of a store. Listings keep the currency in which they were written until they are written again.
pub(crate) fn keep_store(work: &mut Work<'_>, event: &StoreChanged) -> Result<(), Stop> {
    let store = &event.store;
    let tax_classes = store.tax_basis_points.keys().cloned().collect();
    work.save(KnownStore { id: store.id, currency: store.currency, tax_classes });
    Ok(())
}

/// Keeps how much is left of a SKU; slots are no goods.
pub(crate) fn keep_supply(work: &mut Work<'_>, event: &SupplyChanged) -> Result<(), Stop> {
    if let Thing::Sku(sku) = &event.thing {
        let band = Availability::from(event.band).as_str().to_owned();
        work.save(Supply { store: event.store, sku: sku.clone(), band });
    }
    Ok(())
}

/// Says again what a store lists of a SKU, for whoever rebuilds a copy of it.
pub(crate) fn say_listing(work: &mut Work<'_>, key: &(StoreId, Sku)) -> Result<(), Stop> {
    work.find::<Listing>(key)?.map_or(Ok(()), |listing| work.emit(&listing.told()))
}

/// Says of a SKU that the store does not list it, if that is so, for whoever copied that it does.
pub(crate) fn say_no_listing(work: &mut Work<'_>, (store, sku): &(StoreId, Sku)) -> Result<(), Stop> {
    work.want::<KnownStore>(store);
    work.want::<SkuOwner>(&(sku.clone(),));
    if work.find::<Listing>(&(*store, sku.clone()))?.is_some() {
        return Ok(());
    }
    let (product, store) = (find_product(work, sku)?, work.find::<KnownStore>(store)?);
    let (Some(product), Some(store)) = (product, store) else { return Ok(()) };
    work.emit(&Listing::of(&product, &store, false, product.content.price_minor).told())
}

/// Asks at once for all that [`put_product`] can foresee.
fn want_for_product(work: &mut Work<'_>, put: &PutProduct) {
    work.want::<Category>(&put.content.category);
    work.want::<SkuOwner>(&(put.sku.clone(),));
    for offer in &put.offers {
        work.want::<KnownStore>(&offer.store);
        work.want::<Listing>(&(offer.store, put.sku.clone()));
    }
}

fn find_product(work: &mut Work<'_>, sku: &Sku) -> Result<Option<Arc<Product>>, Stop> {
    let Some(owner) = work.find::<SkuOwner>(&(sku.clone(),))? else { return Ok(None) };
    match work.find::<Product>(&owner.product)? {
        Some(product) => Ok(Some(product)),
        None => Err(Stop::Broken(format!("the SKU {sku} belongs to the product {}, which is not there", owner.product))),
    }
}

/// The stores of the offers, in their order; each must be known, with a tax for the product where it is to be listed.
fn known_stores(work: &mut Work<'_>, put: &PutProduct) -> Result<Vec<Arc<KnownStore>>, Stop> {
    let ids: Vec<StoreId> = put.offers.iter().map(|offer| offer.store).collect();
    let mut stores = Vec::with_capacity(ids.len());
    for (index, (offer, found)) in put.offers.iter().zip(work.find_all::<KnownStore>(&ids)?).enumerate() {
        let unknown = || {
            let detail = "no such store is known here; a new one is within moments";
            Fault::invalid_field(format!("/stores/{index}/store"), detail)
        };
        let store = found.ok_or_else(unknown)?;
        if offer.listed {
            store.check_tax_class(&put.content.tax_class, "/tax_class")?;
        }
        stores.push(store);
    }
    Ok(stores)
}

/// Writes a listing and its words, and tells others if something in it changed that concerns them.
fn save_listing(
    work: &mut Work<'_>,
    listing: Listing,
    words_before: &BTreeSet<String>,
    words: &BTreeSet<String>,
) -> Result<(), Stop> {
    let before = work.find::<Listing>(&(listing.store, listing.sku.clone()))?;
    let none = BTreeSet::new();
    let words_before = if before.is_some() { words_before } else { &none };
    save_words(work, listing.store, &listing.sku, words_before, words);
    let told = listing.told();
    if before.is_none_or(|before| before.told() != told) {
        work.emit(&told)?;
    }
    work.save(listing);
    Ok(())
}

/// Takes listings and their words away, and tells others that these stores sell the product no longer.
fn withdraw(work: &mut Work<'_>, stores: &[StoreId], sku: &Sku, words: &BTreeSet<String>) -> Result<(), Stop> {
    let keys: Vec<(StoreId, Sku)> = stores.iter().map(|store| (*store, sku.clone())).collect();
    for listing in work.find_all::<Listing>(&keys)?.into_iter().flatten() {
        save_words(work, listing.store, sku, words, &BTreeSet::new());
        if listing.listed {
            work.emit(&ListingChanged { listed: false, ..listing.told() })?;
        }
        work.remove::<Listing>(&(listing.store, sku.clone()));
    }
    Ok(())
}

/// Writes only the words that come and go: most changes of a product change none.
fn save_words(work: &mut Work<'_>, store: StoreId, sku: &Sku, before: &BTreeSet<String>, after: &BTreeSet<String>) {
    for word in before.difference(after) {
        work.remove::<Word>(&(store, word.clone(), sku.clone()));
    }
    for word in after.difference(before) {
        work.save(Word { store, word: word.clone(), sku: sku.clone() });
    }
}

fn add_store(work: &mut Work<'_>, product: &Product, store: StoreId, stores_max: usize) -> Result<(), Stop> {
    if product.stores.len() >= stores_max {
        let detail = format!("the product is listed in {stores_max} stores already, which is the most");
        return Err(Fault::conflict("too-many-stores", detail).into());
    }
    let mut product = product.clone();
    product.stores.insert(store);
    work.save(product);
    Ok(())
}

fn made_or_changed(made: bool) -> u16 {
    if made { 201 } else { 200 }
}
