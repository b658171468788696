//! A rush: many buyers at once want one thing of which there are fewer. Exactly so many are promised it, all others are told.
//! Leaves the steps of a buyer to `shopper`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use contracts::{Sku, SlotKey, StoreId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use kernel::{BoxFuture, Draw, Millis, Runtime};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::city::{StoreView, address_in, list};
use crate::client::{Ask, Client};
use crate::error::LoadError;
use crate::figures::{Acknowledged, Ended, Figures, Latency};
use crate::levels::set_level;
use crate::people::{Logins, Session};
use crate::settle;
use crate::shopper::{Errand, OrderView, Quoted, cancel, free_slot, place, quote};
use crate::world::together;

/// How many carts are made and quoted beside each other before the rush begins.
const PREPARED_MAX: usize = 32;

/// How long a buyer waits for news in one request.
const NEWS_WAIT_S: u32 = 20;

/// Which thing to rush for, how many want it and how many there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rush {
    /// The logins that the shop wrote.
    pub logins: PathBuf,
    /// Where the shop answers; several addresses are used in turn.
    pub urls: Vec<String>,
    /// How many buyers come at once.
    pub buyers: usize,
    /// How many units, or places, there are.
    pub units: i64,
    /// Whether they rush for the places of one slot instead of the units of one SKU.
    pub slot: bool,
    /// Where chance begins.
    pub seed: u64,
    /// Where to write the figures as JSON too.
    pub json: Option<PathBuf>,
    /// After how long without any success the run is given up.
    pub give_up_after_ms: Millis,
    /// How long the shop may take to come to rest before it is audited as it is.
    pub settle_within_ms: Millis,
}

impl Rush {
    /// Five hundred buyers for a hundred units.
    #[must_use]
    pub fn new(logins: PathBuf, urls: Vec<String>) -> Self {
        let (give_up_after_ms, settle_within_ms) = (60_000, 120_000);
        Self { logins, urls, buyers: 500, units: 100, slot: false, seed: 1, json: None, give_up_after_ms, settle_within_ms }
    }
}

/// What became of a rush.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RushSummary {
    /// What was rushed for.
    pub thing: String,
    /// How many wanted it.
    pub buyers: u64,
    /// How many there were.
    pub units: i64,
    /// How many buyers were promised it.
    pub confirmed: u64,
    /// How many were told that it was gone, or something else, by reason.
    pub told: BTreeMap<String, u64>,
    /// How many were left right after the rush.
    pub left: i64,
    /// From sending an order to its 201.
    pub durable: Latency,
    /// From sending an order to seeing it confirmed.
    pub confirming: Latency,
    /// From the first order until the last buyer knew.
    pub elapsed_s: f64,
    /// Requests that were sent again under the same key.
    pub repeats: u64,
    /// What was wrong with acknowledged orders at the end, when all that were confirmed had been given up again.
    pub faults: Vec<String>,
    /// The quiescent audit at the end.
    pub audit: Option<audit::Report>,
}

impl RushSummary {
    /// Whether exactly as many as there were got one, all others were told just that, and nothing else is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let units = u64::try_from(self.units).unwrap_or_default();
        let promised = units.min(self.buyers);
        let honest = self.told.keys().all(|reason| matches!(reason.as_str(), "stock" | "slot"));
        let told: u64 = self.told.values().sum();
        let left = i64::try_from(units - promised).unwrap_or(i64::MAX);
        let audited = self.audit.as_ref().is_none_or(audit::Report::is_clean);
        self.confirmed == promised
            && told == self.buyers - promised
            && self.left == left
            && honest
            && self.faults.is_empty()
            && audited
    }
}

impl fmt::Display for RushSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.told.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "rush for     {}", self.thing)?;
        writeln!(f, "buyers       {:>8}   for {} in {:.1} s", self.buyers, self.units, self.elapsed_s)?;
        writeln!(f, "confirmed    {:>8}", self.confirmed)?;
        writeln!(f, "told so      {:>8}   {told}", self.told.values().sum::<u64>())?;
        writeln!(f, "left         {:>8}", self.left)?;
        writeln!(f, "repeats      {:>8}", self.repeats)?;
        writeln!(f, "durable      {}", self.durable)?;
        write!(f, "confirmed    {}", self.confirming)?;
        for fault in &self.faults {
            write!(f, "\nFAULT        {fault}")?;
        }
        if let Some(report) = &self.audit {
            write!(f, "\n{report}")?;
        }
        Ok(())
    }
}

/// Where the rush takes place.
struct Scene {
    store: StoreView,
    sku: Sku,
    slot: SlotKey,
}

#[derive(Deserialize)]
struct Priced {
    sku: Sku,
    price: Price,
}

#[derive(Deserialize)]
struct Price {
    minor: i64,
}

#[derive(Deserialize)]
struct Stock {
    sku: Sku,
    available: i64,
}

#[derive(Deserialize)]
struct Slot {
    starts_at: SlotKey,
    left: i64,
}

/// How a buyer came away.
enum Came {
    Promised(OrderView),
    Told(String),
}

/// Lets many buyers rush for one thing. As admin it first sets how much there is of it, and plenty of all else that an order
/// needs; afterwards those who were promised it give it up again, so that the shop comes to rest.
///
/// # Errors
/// If it cannot begin, or the shop does not answer for too long, or answers what is no answer.
pub async fn rush(runtime: Arc<dyn Runtime>, options: Rush) -> Result<RushSummary, LoadError> {
    let client = Arc::new(Client::new(runtime.clone(), &options.urls, options.give_up_after_ms)?);
    let admin = Session::new(client.clone(), &Logins::read(&options.logins)?.admin);
    let scene = Scene::set(&client, &admin, &options).await?;
    let quoted = prepare(&client, &scene, &options).await?;

    let began = runtime.now();
    let figures = Arc::new(Figures::default());
    let buy = |(index, quoted): (usize, Quoted)| -> BoxFuture<'static, Result<(Option<OrderView>, Quoted), LoadError>> {
        let (client, figures, store) = (client.clone(), figures.clone(), scene.store.id);
        Box::pin(async move { buy(&client, &figures, &errand(store, index), quoted).await })
    };
    let tasks = quoted.into_iter().enumerate().map(buy).collect();
    let bought: Vec<(Option<OrderView>, Quoted)> =
        together(&*runtime, "load-buyer", tasks).await?.into_iter().collect::<Result<_, _>>()?;
    let elapsed_ms = runtime.now().since_ms(began);

    let left = scene.left(&client, &admin, options.slot).await?;
    for (order, quoted) in &bought {
        if let Some(order) = order {
            cancel(&client, order.id, &quoted.capability, "rush-over").await?;
        }
    }
    await_ends(&client, &bought).await?;
    let sums = figures.summary(elapsed_ms, client.repeats());
    let mut told = sums.refused;
    for (reason, count) in sums.turned_away {
        *told.entry(reason).or_default() += count;
    }
    let summary = RushSummary {
        thing: scene.thing(options.slot),
        buyers: u64::try_from(options.buyers).unwrap_or(u64::MAX),
        units: options.units,
        confirmed: sums.confirmed,
        told,
        left,
        durable: sums.durable,
        confirming: sums.confirming,
        elapsed_s: sums.elapsed_s,
        repeats: sums.repeats,
        faults: settle::verify(&client, &figures.acknowledged()).await?,
        audit: Some(settle::audit_at_rest(&runtime, &admin, &options.urls[0], options.settle_within_ms).await?),
    };
    if let Some(path) = &options.json {
        settle::write_json(path, &summary)?;
    }
    Ok(summary)
}

impl Scene {
    /// The first store with a free slot, its dearest product (so that one unit reaches any minimum), and enough of everything
    /// but the thing itself.
    async fn set(client: &Client, admin: &Session, options: &Rush) -> Result<Self, LoadError> {
        let buyers = i64::try_from(options.buyers).unwrap_or(i64::MAX);
        let (units, places) = if options.slot { (buyers, options.units) } else { (options.units, buyers) };
        for store in list::<StoreView>(client, "/v1/stores").await? {
            let Some(slot) = free_slot(client, store.id, None).await? else { continue };
            let products: Vec<Priced> = list(client, &format!("/v1/stores/{}/products", store.id)).await?;
            let dearest = products.into_iter().max_by(|a, b| a.price.minor.cmp(&b.price.minor).then(b.sku.cmp(&a.sku)));
            let Some(Priced { sku, .. }) = dearest else { continue };
            let of_store = format!("/v1/admin/stores/{}", store.id);
            set_level(client, admin, &format!("{of_store}/stock/{sku}"), "on_hand", units).await?;
            set_level(client, admin, &format!("{of_store}/slots/{slot}/places"), "places", places).await?;
            return Ok(Self { store, sku, slot });
        }
        Err(LoadError::Options("no store of this shop lists anything and has a free slot".to_owned()))
    }

    fn thing(&self, slot: bool) -> String {
        let Self { store, sku, slot: starts_at } = self;
        if slot { format!("the slot at {starts_at} of store {}", store.id) } else { format!("{sku} in store {}", store.id) }
    }

    async fn left(&self, client: &Client, admin: &Session, slot: bool) -> Result<i64, LoadError> {
        let found = if slot { self.places_left(client).await? } else { self.units_left(admin).await? };
        found.ok_or_else(|| LoadError::Options("the shop no longer tells how much is left of the thing".to_owned()))
    }

    async fn places_left(&self, client: &Client) -> Result<Option<i64>, LoadError> {
        let slots: Vec<Slot> = list(client, &format!("/v1/stores/{}/slots", self.store.id)).await?;
        Ok(slots.iter().find(|slot| slot.starts_at == self.slot).map(|slot| slot.left))
    }

    async fn units_left(&self, admin: &Session) -> Result<Option<i64>, LoadError> {
        let stock: Vec<Stock> = admin.list(&format!("/v1/stores/{}/stock", self.store.id)).await?;
        Ok(stock.iter().find(|stock| stock.sku == self.sku).map(|stock| stock.available))
    }
}

/// A guest who wants one unit.
fn errand(store: StoreId, index: usize) -> Errand<'static> {
    let (address, lines) = (serde_json::Value::Null, Vec::new());
    Errand {
        store,
        address,
        lines,
        payment_token: "tok_ok",
        trouble: None,
        impatient: false,
        name: format!("Buyer {}", index + 1),
        regular: None,
    }
}

async fn prepare(client: &Client, scene: &Scene, options: &Rush) -> Result<Vec<Quoted>, LoadError> {
    let quoted = iter(0..options.buyers).map(async |index| {
        let place = u64::try_from(index).unwrap_or(u64::MAX);
        let address = address_in(&[&scene.store], &mut Draw::seeded(options.seed.wrapping_add(place)))?;
        let lines = vec![json!({ "sku": scene.sku, "quantity": 1 })];
        let errand = Errand { address, lines, ..errand(scene.store.id, index) };
        let told = |reason| LoadError::Options(format!("buyer {} is refused before the rush: {reason}", index + 1));
        quote(client, &errand, scene.slot).await?.map_err(|refused| told(refused.0))
    });
    quoted.buffer_unordered(PREPARED_MAX).collect::<Vec<_>>().await.into_iter().collect()
}

/// Orders, and waits until promised or told. The order is handed back if it was promised.
async fn buy(
    client: &Client,
    figures: &Figures,
    errand: &Errand<'_>,
    quoted: Quoted,
) -> Result<(Option<OrderView>, Quoted), LoadError> {
    let runtime = client.runtime();
    let sent = runtime.now();
    let order = match place(client, errand, &quoted).await? {
        Ok(order) => order,
        Err(refused) => {
            figures.turn_away(refused.0);
            return Ok((None, quoted));
        }
    };
    let acknowledged = Acknowledged { order: order.id, cart: quoted.cart, capability: quoted.capability.clone() };
    figures.acknowledge(acknowledged, sent, runtime.now());
    match come_away(client, order, &quoted.capability).await? {
        Came::Promised(order) => {
            figures.confirm(sent, runtime.now());
            Ok((Some(order), quoted))
        }
        Came::Told(reason) => {
            figures.end(Ended::Refused(reason));
            Ok((None, quoted))
        }
    }
}

async fn come_away(client: &Client, order: OrderView, capability: &str) -> Result<Came, LoadError> {
    let order = news(client, order, capability, |order| order.is_promised() || order.is_final()).await?;
    if order.is_promised() {
        return Ok(Came::Promised(order));
    }
    match order.ended(false) {
        Ended::Refused(reason) => Ok(Came::Told(reason)),
        Ended::Delivered => Ok(Came::Promised(order)),
    }
}

/// Waits until those who gave up have everything back.
async fn await_ends(client: &Client, bought: &[(Option<OrderView>, Quoted)]) -> Result<(), LoadError> {
    for (order, quoted) in bought {
        if let Some(order) = order {
            news(client, order.clone(), &quoted.capability, OrderView::is_final).await?;
        }
    }
    Ok(())
}

/// Follows an order until it is as wanted.
async fn news(
    client: &Client,
    mut order: OrderView,
    capability: &str,
    wanted: impl Fn(&OrderView) -> bool,
) -> Result<OrderView, LoadError> {
    let mut known = None;
    while !wanted(&order) {
        let ask = Ask::get(format!("/v1/orders/{}", order.id)).capability(capability).news(known.clone(), NEWS_WAIT_S);
        let reply = client.send(&ask).await?;
        if !reply.is_unchanged() {
            order = reply.expect()?;
            known = reply.etag;
        }
    }
    Ok(order)
}
