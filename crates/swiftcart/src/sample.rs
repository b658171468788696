//! The sample shop: three stores in Atlanta with slots, products, stock and people, made through the shop's own API.
//! Every step carries a key of its own, so it may be broken off and begun again, or be run by two processes at once.
//! Leaves the rules to the services: what they refuse is not made.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use kernel::{Millis, Runtime};
use serde::Deserialize;
use web::{Call, Json, Method, Reply, Router, Seal, StatusCode, json};

use crate::logins::{Login, Logins, Role};

const CITY: &str = include_str!("../sample/city.json");
const PRODUCTS: &str = include_str!("../sample/products.json");
const PEOPLE: &str = include_str!("../sample/people.json");

/// How long to wait until a service has heard of what another one made.
const HEARD_WITHIN_MS: Millis = 30_000;
/// The pause between two looks.
const LOOK_MS: Millis = 10;
/// How many products are made at once.
const AT_ONCE: usize = 32;
/// How long a password is.
const PASSWORD_CHARS: usize = 16;

#[derive(Deserialize)]
struct City {
    currency: String,
    time_zone: String,
    tax_basis_points: Json,
    stores: Vec<SampleStore>,
}

#[derive(Deserialize)]
struct SampleStore {
    slug: String,
    name: String,
    street: String,
    lat: f64,
    lon: f64,
    hours: Json,
    zone: Json,
    fee: Json,
    slots: Json,
}

#[derive(Deserialize)]
struct Goods {
    categories: Vec<Category>,
    products: Vec<Product>,
}

#[derive(Deserialize)]
struct Category {
    slug: String,
    name: String,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    name: String,
    detail: String,
    category: String,
    price_minor: i64,
    tax_class: String,
    stock: i64,
    keywords: Vec<String>,
    barcode: String,
}

#[derive(Deserialize)]
struct People {
    staff: Vec<Staff>,
    couriers: Vec<Courier>,
    shoppers: Vec<Shopper>,
}

#[derive(Deserialize)]
struct Staff {
    name: String,
    email: String,
    roles: Vec<StaffRole>,
}

#[derive(Deserialize)]
struct StaffRole {
    role: String,
    store: Option<String>,
}

#[derive(Deserialize)]
struct Courier {
    name: String,
    email: String,
    store: String,
    vehicle: String,
}

#[derive(Deserialize)]
struct Shopper {
    name: String,
    email: String,
}

/// Somebody to be made: their login, and what they ride.
struct Person {
    login: Login,
    vehicle: Option<String>,
}

fn people() -> anyhow::Result<People> {
    serde_json::from_str(PEOPLE).context("people.json")
}

/// Makes the sample's admin in a database that has no people yet.
pub(crate) async fn ensure_admin(identity: &engine::Handle, seal: &Seal) -> anyhow::Result<()> {
    let Login { name, email, password, .. } = admin(&people()?, seal)?;
    identity::ensure_admin(identity, &name, &email, identity::Secret::new(&*password)).await?;
    Ok(())
}

fn admin(people: &People, seal: &Seal) -> anyhow::Result<Login> {
    let is_admin = |staff: &&Staff| staff.roles.iter().any(|role| role.role == "admin");
    let Staff { name, email, .. } = people.staff.iter().find(is_admin).context("the sample has no admin")?;
    let roles = vec![Role { role: "admin".to_owned(), store: None }];
    Ok(Login { name: name.clone(), email: email.clone(), password: password_of(seal, email), roles })
}

/// Where the sample is made.
#[derive(Clone)]
pub(crate) struct Site {
    /// The shop.
    pub(crate) router: Router,
    /// The port to the world.
    pub(crate) runtime: Arc<dyn Runtime>,
    /// From which the logins follow.
    pub(crate) seal: Seal,
    /// The door of identity, if it is in this process.
    pub(crate) identity: Option<engine::Handle>,
}

/// Whether the shop has all of the sample: its last person was made.
pub(crate) async fn is_whole(site: &Site) -> anyhow::Result<bool> {
    let people = people()?;
    let email = &people.shoppers.last().context("the sample has no shoppers")?.email;
    match &site.identity {
        Some(identity) => Ok(identity::knows(identity, email).await?),
        None => Ok(sign_in(&site.router, email, &password_of(&site.seal, email)).await?.is_some()),
    }
}

/// Makes the sample in a shop that has its admin and nobody else yet, or goes on where it was broken off. `None` if this is another
/// shop.
pub(crate) async fn make(site: &Site) -> anyhow::Result<Option<Logins>> {
    let (people, Site { router, runtime, seal, .. }) = (people()?, site);
    let admin = admin(&people, seal)?;
    let Some(token) = sign_in(router, &admin.email, &admin.password).await? else { return Ok(None) };
    let maker = Maker { router: router.clone(), runtime: runtime.clone(), token };
    let stores = maker.make_stores().await?;
    let logins = logins(&people, admin, &stores, |email| password_of(seal, email))?;
    if !is_whole(site).await? {
        maker.make_goods(&stores).await?;
        maker.make_people(&people, &logins).await?;
    }
    Ok(Some(logins))
}

/// The password of a sample login: a function of the shop's own secret, so that every process of the shop knows it
/// without it being stored anywhere.
fn password_of(seal: &Seal, email: &str) -> String {
    let sealed = seal.seal("sample-login", email.as_bytes());
    let mac = sealed.rsplit('.').next().unwrap_or_default();
    mac.chars().filter(char::is_ascii_alphanumeric).take(PASSWORD_CHARS).collect()
}

/// A token, or `None` if the shop does not know this login.
async fn sign_in(router: &Router, email: &str, password: &str) -> anyhow::Result<Option<String>> {
    let reply = Call::post("/v1/sign-in").json(&json!({ "email": email, "password": password })).send(router).await?;
    match reply.status {
        StatusCode::OK => Ok(reply.json::<Json>()?["token"].as_str().map(str::to_owned)),
        StatusCode::UNAUTHORIZED => Ok(None),
        _ => Err(refused("sign-in", &reply)),
    }
}

fn logins(
    people: &People,
    admin: Login,
    stores: &HashMap<String, String>,
    password: impl Fn(&str) -> String,
) -> anyhow::Result<Logins> {
    let store_id = |slug: &str| stores.get(slug).cloned().with_context(|| format!("the sample has no store {slug}"));
    let login = |name: &str, email: &str, roles: Vec<Role>| Login {
        name: name.to_owned(),
        email: email.to_owned(),
        password: password(email),
        roles,
    };
    let mut staff = Vec::new();
    for person in people.staff.iter().filter(|person| person.email != admin.email) {
        let roles = person
            .roles
            .iter()
            .map(|role| Ok(Role { role: role.role.clone(), store: role.store.as_deref().map(store_id).transpose()? }));
        staff.push(login(&person.name, &person.email, roles.collect::<anyhow::Result<_>>()?));
    }
    let mut couriers = Vec::new();
    for person in &people.couriers {
        couriers.push(login(
            &person.name,
            &person.email,
            vec![Role { role: "courier".to_owned(), store: Some(store_id(&person.store)?) }],
        ));
    }
    let customer = || vec![Role { role: "customer".to_owned(), store: None }];
    let shoppers = people.shoppers.iter().map(|person| login(&person.name, &person.email, customer())).collect();
    Ok(Logins { admin, staff, couriers, shoppers })
}

/// Makes things through the API as the admin.
struct Maker {
    router: Router,
    runtime: Arc<dyn Runtime>,
    token: String,
}

impl Maker {
    /// The stores' ids by slug.
    async fn make_stores(&self) -> anyhow::Result<HashMap<String, String>> {
        let city: City = serde_json::from_str(CITY).context("city.json")?;
        let mut ids = HashMap::new();
        for store in city.stores {
            let body = json!({
                "name": store.name, "street": store.street, "lat": store.lat, "lon": store.lon, "time_zone": city.time_zone,
                "currency": city.currency, "hours": store.hours, "zone": store.zone, "fee": store.fee, "slots": store.slots,
                "tax_basis_points": city.tax_basis_points,
            });
            let made = self.write(Method::POST, "/v1/admin/stores", &format!("sample-store-{}", store.slug), &body).await?;
            let id = made["id"].as_str().context("a store without an id")?;
            ids.insert(store.slug, id.to_owned());
        }
        Ok(ids)
    }

    async fn make_goods(&self, stores: &HashMap<String, String>) -> anyhow::Result<()> {
        let goods: Goods = serde_json::from_str(PRODUCTS).context("products.json")?;
        for (position, category) in goods.categories.iter().enumerate() {
            let (path, key) = (format!("/v1/admin/categories/{}", category.slug), format!("sample-category-{}", category.slug));
            self.write(Method::PUT, &path, &key, &json!({ "name": category.name, "position": position })).await?;
        }
        let making: Vec<_> = goods.products.iter().map(|product| self.make_product(product, stores)).collect();
        stream::iter(making).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn make_product(&self, product: &Product, stores: &HashMap<String, String>) -> anyhow::Result<()> {
        let mut ids: Vec<&String> = stores.values().collect();
        ids.sort();
        let listed: Vec<Json> = ids.iter().map(|store| json!({ "store": store, "listed": true })).collect();
        let body = json!({
            "name": product.name, "detail": product.detail, "category": product.category, "price_minor": product.price_minor,
            "tax_class": product.tax_class, "barcode": product.barcode, "keywords": product.keywords, "stores": listed,
        });
        self.write(
            Method::PUT,
            &format!("/v1/admin/products/{}", product.sku),
            &format!("sample-product-{}", product.sku),
            &body,
        )
        .await?;
        for store in ids {
            let path = format!("/v1/admin/stores/{store}/stock/{}", product.sku);
            self.write(Method::PUT, &path, &format!("sample-stock-{}", product.sku), &json!({ "on_hand": product.stock }))
                .await?;
        }
        Ok(())
    }

    /// Makes everybody, the shopper last whose login says that the sample shop is whole.
    async fn make_people(&self, people: &People, logins: &Logins) -> anyhow::Result<()> {
        let staff = logins.staff.iter().map(|login| (login, None));
        let couriers =
            logins.couriers.iter().zip(&people.couriers).map(|(login, courier)| (login, Some(courier.vehicle.clone())));
        let shoppers = logins.shoppers.iter().map(|login| (login, None));
        for (login, vehicle) in staff.chain(couriers).chain(shoppers) {
            self.make_person(&Person { login: login.clone(), vehicle }).await?;
        }
        Ok(())
    }

    async fn make_person(&self, person: &Person) -> anyhow::Result<()> {
        let login = &person.login;
        let mut body = json!({ "name": login.name, "email": login.email, "password": login.password, "grants": login.roles });
        if let Some(vehicle) = &person.vehicle {
            body["vehicle"] = vehicle.as_str().into();
        }
        self.write(Method::POST, "/v1/admin/people", &format!("sample-person-{}", login.email), &body).await?;
        Ok(())
    }

    /// Writes once; a service that does not answer, or has not yet heard of a store, is asked again until it does and has.
    async fn write(&self, method: Method, path: &str, key: &str, body: &Json) -> anyhow::Result<Json> {
        let until = self.runtime.now().plus_ms(HEARD_WITHIN_MS);
        loop {
            let reply = Call::new(method.clone(), path).bearer(&self.token).key(key).json(body).send(&self.router).await?;
            if reply.status.is_success() {
                return Ok(reply.json()?);
            }
            let not_yet =
                [StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE];
            if !not_yet.contains(&reply.status) || self.runtime.now() > until {
                return Err(refused(path, &reply));
            }
            self.runtime.sleep(LOOK_MS).await;
        }
    }
}

fn refused(what: &str, reply: &Reply) -> anyhow::Error {
    anyhow::anyhow!(
        "the sample shop cannot be made: {what} was answered with {} {}",
        reply.status,
        String::from_utf8_lossy(&reply.body)
    )
}
