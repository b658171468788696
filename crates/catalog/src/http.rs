//! The routes of catalog: what shoppers browse, and what admins and managers write.
//! Leaves every rule to `domain` and every change to `service`.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::{ProductId, Sku, StoreId};
use engine::{Command, DEADLINE_DEFAULT_MS, Handle, KeyScope, Lane, Stop, Stored, Work};
use kernel::{Bucket, Fault, Money};
use serde::{Deserialize, Serialize};
use store::{Read, Value};
use web::{Access, Answer, Body, Caller, IdempotencyKey, Json, Page, Path, Query, Role, RouteInfo, Routes, State};

use crate::config::{Config, SEARCH_WORDS_MAX};
use crate::domain::category::{Category, Slug};
use crate::domain::listing::{Availability, KnownStore, Listing, Offer, check_offers};
use crate::domain::product::{Content, Product, price_checked};
use crate::domain::text::{beginning_with, checked, words};
use crate::service::{PutListing, PutProduct, put_category, put_listing, put_product, show_product};
use crate::store::{
    CATEGORIES, LISTED, LISTED_IN_CATEGORY, LISTED_WITH_WORDS, SERVICE, SKUS, Supply, document, listed, sku_owner,
};

/// The routes over a running service.
#[must_use]
pub fn routes(handle: Handle, config: &Config) -> Routes {
    all().with_state(Catalog { handle, config: Arc::new(config.clone()) })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Catalog> {
    let manager = || Access::role(Role::Manager);
    Routes::new(SERVICE)
        .get("/v1/categories", Access::anyone(), list_categories)
        .put("/v1/admin/categories/{slug}", Access::admin(), change_category)
        .get("/v1/admin/products", Access::admin(), list_products)
        .put("/v1/admin/products/{sku}", Access::admin(), change_product)
        .put("/v1/admin/stores/{store}/listings/{sku}", manager(), change_listing)
        .get("/v1/stores/{store}/products", Access::anyone(), list_listed)
        .get("/v1/stores/{store}/products/{sku}", Access::anyone(), read_listed)
}

/// What the handlers work with.
#[derive(Clone)]
struct Catalog {
    handle: Handle,
    config: Arc<Config>,
}

impl Catalog {
    async fn command<D, S>(&self, caller: &Caller, key: KeyScope, bytes: usize, decide: D, show: S) -> Result<Answer, Fault>
    where
        D: Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        S: Fn(&mut Work<'_>, &str) -> Result<Json, Stop> + Send + Sync + 'static,
    {
        let (lane, trace, deadline_ms) = (Lane::Rest, caller.trace.clone(), DEADLINE_DEFAULT_MS);
        let reply = self.handle.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await?;
        Ok(reply.answer(None))
    }

    fn bucket(&self, text: &str) -> Bucket {
        self.config.buckets.of(text.as_bytes())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryBody {
    name: String,
    #[serde(default)]
    position: i64,
}

/// Makes or changes a category.
async fn change_category(
    State(catalog): State<Catalog>,
    caller: Caller,
    Path(slug): Path<Slug>,
    key: IdempotencyKey,
    body: Body<CategoryBody>,
) -> Result<Answer, Fault> {
    let name = checked("/name", &body.value.name, 1..=catalog.config.name_chars_max)?;
    let category = Category { slug, name, position: body.value.position };
    let slug = category.slug.clone();
    let key =
        KeyScope::new(&caller, "PUT /v1/admin/categories/{slug}", &slug, catalog.bucket(slug.as_str()), &key, body.fingerprint);
    let decide = move |work: &mut Work<'_>| put_category(work, &category);
    let show = move |work: &mut Work<'_>, _: &str| view(&*work.load::<Category>(&slug, "category")?);
    catalog.command(&caller, key, body.canonical.len(), decide, show).await
}

/// The categories as they stand, for anyone.
async fn list_categories(State(catalog): State<Catalog>, page: Page<(i64, Slug)>) -> Result<Answer, Fault> {
    let (position, slug) = page.after.clone().map_or((i64::MIN, String::new()), |(position, slug)| (position, slug.into()));
    let arguments = vec![position.into(), slug.into(), page.rows_wanted().into()];
    let rows = catalog.handle.read(&CATEGORIES, arguments).await?;
    let categories: Vec<Category> = rows.iter().map(document).collect::<Result<_, _>>()?;
    Ok(Answer::ok(page.list(categories, |category| (category.position, category.slug.clone()))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductBody {
    name: String,
    #[serde(default)]
    detail: String,
    category: Slug,
    price_minor: i64,
    tax_class: String,
    #[serde(default)]
    barcode: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    stores: Vec<OfferBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferBody {
    store: StoreId,
    listed: bool,
    #[serde(default)]
    price_minor: Option<i64>,
}

impl ProductBody {
    fn checked(self, limits: &Config) -> Result<(Content, Vec<Offer>), Fault> {
        let Self { name, detail, category, price_minor, tax_class, barcode, keywords, stores } = self;
        let content = Content { name, detail, category, price_minor, tax_class, barcode, keywords }.checked(limits)?;
        let offer = |OfferBody { store, listed, price_minor }| Offer { store, listed, price_minor };
        let offers: Vec<Offer> = stores.into_iter().map(offer).collect();
        check_offers(&offers, limits)?;
        Ok((content, offers))
    }
}

/// A product as admins see it.
#[derive(Serialize)]
struct ProductView<'a> {
    id: ProductId,
    sku: &'a Sku,
    #[serde(flatten)]
    content: &'a Content,
    stores: Vec<OfferView>,
}

#[derive(Serialize)]
struct OfferView {
    store: StoreId,
    listed: bool,
    price: Money,
}

impl<'a> ProductView<'a> {
    fn of(product: &'a Product, listings: impl Iterator<Item = &'a Listing>) -> Self {
        let offer = |listing: &Listing| OfferView { store: listing.store, listed: listing.listed, price: listing.price };
        Self { id: product.id, sku: &product.sku, content: &product.content, stores: listings.map(offer).collect() }
    }
}

/// Makes or changes a product and what every store lists of it.
async fn change_product(
    State(catalog): State<Catalog>,
    caller: Caller,
    Path(sku): Path<Sku>,
    key: IdempotencyKey,
    body: Body<ProductBody>,
) -> Result<Answer, Fault> {
    let (content, offers) = body.value.checked(&catalog.config)?;
    let bucket = catalog.bucket(sku.as_str());
    let key = KeyScope::new(&caller, "PUT /v1/admin/products/{sku}", &sku, bucket, &key, body.fingerprint);
    let put = PutProduct { sku: sku.clone(), content, offers, bucket };
    let decide = move |work: &mut Work<'_>| put_product(work, &put);
    let show = move |work: &mut Work<'_>, _: &str| {
        let (product, listings) = show_product(work, &sku)?;
        view(ProductView::of(&product, listings.iter().map(AsRef::as_ref)))
    };
    catalog.command(&caller, key, body.canonical.len(), decide, show).await
}

/// All products by SKU, for admins.
async fn list_products(State(catalog): State<Catalog>, page: Page<Sku>) -> Result<Answer, Fault> {
    let after = page.after.clone().map_or_else(String::new, String::from);
    let rows = catalog.handle.read(&SKUS, vec![after.into(), page.rows_wanted().into()]).await?;
    let owners: Vec<(Sku, ProductId)> = rows.iter().map(sku_owner).collect::<Result<_, _>>()?;
    let shown = page.list(owners, |(sku, _)| sku.clone());

    let ids: Vec<ProductId> = shown.items.iter().map(|(_, id)| *id).collect();
    let mut products = catalog.handle.load::<Product>(&ids).await?;
    products.sort_by(|one, other| one.sku.cmp(&other.sku));
    let in_stores = |product: &Product| product.stores.iter().map(|store| (*store, product.sku.clone())).collect::<Vec<_>>();
    let keys: Vec<(StoreId, Sku)> = products.iter().flat_map(in_stores).collect();
    let mut listings: HashMap<Sku, Vec<Listing>> = HashMap::new();
    for listing in catalog.handle.load::<Listing>(&keys).await? {
        listings.entry(listing.sku.clone()).or_default().push(listing);
    }
    for listings in listings.values_mut() {
        listings.sort_by_key(|listing| listing.store);
    }
    let view = |product| ProductView::of(product, listings.get(&product.sku).into_iter().flatten());
    Ok(Answer::ok(web::Listing { items: products.iter().map(view).collect::<Vec<_>>(), next: shown.next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListingBody {
    listed: bool,
    #[serde(default)]
    price_minor: Option<i64>,
}

/// Switches a product on or off in one store, at once, and may set its price there.
async fn change_listing(
    State(catalog): State<Catalog>,
    caller: Caller,
    Path((store, sku)): Path<(StoreId, Sku)>,
    key: IdempotencyKey,
    body: Body<ListingBody>,
) -> Result<Answer, Fault> {
    if !caller.may(Role::Manager, store.0) {
        return Err(Fault::forbidden("this is for managers of that store"));
    }
    let ListingBody { listed, price_minor } = body.value;
    let price_minor = price_minor.map(|price| price_checked("/price_minor", price, &catalog.config)).transpose()?;
    let target = format!("{store}/{sku}");
    let route = "PUT /v1/admin/stores/{store}/listings/{sku}";
    let key = KeyScope::new(&caller, route, target, catalog.bucket(sku.as_str()), &key, body.fingerprint);
    let (offer, stores_max) = (Offer { store, listed, price_minor }, catalog.config.stores_max);
    let put = PutListing { sku: sku.clone(), offer, stores_max };
    let decide = move |work: &mut Work<'_>| put_listing(work, &put);
    let show = move |work: &mut Work<'_>, _: &str| view(&*work.load::<Listing>(&(store, sku.clone()), "listing")?);
    catalog.command(&caller, key, body.canonical.len(), decide, show).await
}

/// What a shopper sees of a product in a store.
#[derive(Serialize)]
struct ListedView {
    product: ProductId,
    sku: Sku,
    name: String,
    detail: String,
    category: Slug,
    price: Money,
    tax_class: String,
    availability: Availability,
}

impl ListedView {
    fn of((listing, availability): (Listing, Availability)) -> Self {
        let Listing { product, sku, name, detail, category, price, tax_class, .. } = listing;
        Self { product, sku, name, detail, category, price, tax_class, availability }
    }
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    category: Option<Slug>,
    #[serde(default)]
    q: String,
}

/// What a store sells, by name, for anyone; of one category, or with words that begin as those sought do.
async fn list_listed(
    State(catalog): State<Catalog>,
    Path(store): Path<StoreId>,
    Query(filter): Query<Filter>,
    page: Page<(String, Sku)>,
) -> Result<Answer, Fault> {
    let (read, mut arguments) = filter.read(store, &page, &catalog.config)?;
    arguments.push(page.rows_wanted().into());
    let rows = catalog.handle.read(read, arguments).await?;
    if rows.is_empty() && page.after.is_none() {
        load_store(&catalog, store).await?;
    }
    let found: Vec<(Listing, Availability)> = rows.iter().map(listed).collect::<Result<_, _>>()?;
    let key = |(listing, _): &(Listing, Availability)| (listing.sort_name(), listing.sku.clone());
    Ok(Answer::ok(page.list(found, key).map(ListedView::of)))
}

impl Filter {
    /// The read that answers, and its arguments but for the limit.
    fn read(&self, store: StoreId, page: &Page<(String, Sku)>, limits: &Config) -> Result<(&'static Read, Vec<Value>), Fault> {
        let (name, sku): (String, String) = page.after.clone().map(|(name, sku)| (name, sku.into())).unwrap_or_default();
        if name.contains('\0') {
            return Err(Fault::invalid_field("after", "`after` must be the `next` of the page before, unchanged"));
        }
        let (store, after): (Value, [Value; 2]) = (store.0.into(), [name.into(), sku.into()]);
        let category = self.category.clone().map(|slug| Value::from(String::from(slug)));
        let sought = self.sought(limits)?;
        if sought.is_empty() {
            let read = if category.is_some() { &LISTED_IN_CATEGORY } else { &LISTED };
            return Ok((read, std::iter::once(store).chain(category).chain(after).collect()));
        }
        let ranges = sought.iter().cycle().take(SEARCH_WORDS_MAX).flat_map(|word| <[String; 2]>::from(beginning_with(word)));
        let category = category.unwrap_or_else(|| "".into());
        let arguments = [store, category].into_iter().chain(after).chain(ranges.map(Value::from)).collect();
        Ok((&LISTED_WITH_WORDS, arguments))
    }

    /// The words that are sought; none if nothing is.
    fn sought(&self, limits: &Config) -> Result<Vec<String>, Fault> {
        let text = self.q.trim();
        if text.chars().count() > limits.search_chars_max {
            let detail = format!("`q` may have at most {} characters", limits.search_chars_max);
            return Err(Fault::invalid_field("q", detail));
        }
        let words: Vec<String> = words(text).into_iter().collect();
        if words.is_empty() && !text.is_empty() {
            return Err(Fault::invalid_field("q", "`q` holds no letter and no digit to seek; leave it out to see everything"));
        }
        if words.len() > SEARCH_WORDS_MAX {
            return Err(Fault::invalid_field("q", format!("`q` may hold at most {SEARCH_WORDS_MAX} different words")));
        }
        Ok(words)
    }
}

/// One product as a store sells it, for anyone.
async fn read_listed(State(catalog): State<Catalog>, Path((store, sku)): Path<(StoreId, Sku)>) -> Result<Answer, Fault> {
    let key = (store, sku);
    let found = catalog.handle.find::<Listing>(&key).await?.filter(|(listing, _)| listing.listed);
    let (listing, _) = found.ok_or_else(|| Fault::not_found("product in this store"))?;
    let supply = catalog.handle.find::<Supply>(&key).await?;
    let availability = supply.map_or(Availability::Unknown, |(supply, _)| Availability::of_word(&supply.band));
    Ok(Answer::ok(ListedView::of((listing, availability))))
}

async fn load_store(catalog: &Catalog, store: StoreId) -> Result<(), Fault> {
    let known = catalog.handle.find::<KnownStore>(&store).await?;
    known.map(|_| ()).ok_or_else(|| Fault::not_found("store"))
}

/// What is shown, as a command answers it.
fn view(shown: impl Serialize) -> Result<Json, Stop> {
    serde_json::to_value(shown).map_err(|error| Stop::Broken(error.to_string()))
}
