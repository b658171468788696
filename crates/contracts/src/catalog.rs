//! What catalog says: what each store lists, at what price.
//! Leaves search and categories to catalog.

use kernel::Money;

use crate::{Place, ProductId, Sku, StoreId, events};

events! { "catalog.products";
    /// What a store lists of a product is new or has changed.
    ListingChanged = "listing.changed.v1" at |e| Place::of(e.product) => {
        /// The product.
        product: ProductId,
        /// Where.
        store: StoreId,
        /// What is sold.
        sku: Sku,
        /// Its name with its size, as `Whole milk, 1 gal`.
        name: String,
        /// What one costs without tax.
        price: Money,
        /// A key of the store's taxes.
        tax_class: String,
        /// Whether the store sells it now.
        listed: bool,
    }
}
