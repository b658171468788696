//! A picker: takes the confirmed orders of their store, picks them and puts them out for the couriers.
//! Leaves which pickers there are to `replay`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use contracts::{OrderId, StoreId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use kernel::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::city::Page;
use crate::client::Ask;
use crate::error::LoadError;
use crate::people::Session;
use crate::troubles::Trouble;
use crate::world::World;

/// How many orders a picker takes from the board at once, and prepares beside each other.
const TAKEN_MAX: usize = 16;

/// How often a picker looks at an empty board.
const LOOK_EVERY_MS: Millis = 100;

/// The orders that some picker of this run is at, so that two do not pick one.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<OrderId>>>);

impl Claims {
    fn claim(&self, order: OrderId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(order)
    }

    fn leave(&self, order: OrderId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&order);
    }
}

/// One picker in one store.
pub(crate) struct Picker {
    pub(crate) world: Arc<World>,
    pub(crate) session: Session,
    pub(crate) store: StoreId,
    pub(crate) claims: Claims,
}

#[derive(Deserialize)]
struct Row {
    id: OrderId,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

/// What a short pick leaves of an order.
#[derive(Deserialize)]
struct Short {
    state: String,
}

/// One unit less of the first SKU, or nothing of any.
fn shorts_of(lines: &[Line], nothing: bool) -> Vec<Value> {
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    for line in lines {
        *units.entry(&line.sku).or_default() += line.quantity;
    }
    let few = if nothing { units.len() } else { 1 };
    let short = |(sku, units): (&str, i64)| {
        let picked = if nothing { 0 } else { units - 1 };
        json!({ "sku": sku, "picked": picked, "restock": units % 2 == 0 })
    };
    units.into_iter().take(few).map(short).collect()
}

impl Picker {
    /// Works until the day ends.
    pub(crate) async fn work(&self) -> Result<(), LoadError> {
        while !self.world.closing.is_closed() {
            // What was picked and not put out was left by somebody who was interrupted.
            let done = self.clear("confirmed").await? + self.clear("picking").await?;
            if done == 0 {
                self.world.closing.or(self.world.runtime().sleep(LOOK_EVERY_MS)).await;
            }
        }
        Ok(())
    }

    /// Prepares the first orders on the board in `state` that no other picker is at; says how many.
    async fn clear(&self, state: &str) -> Result<usize, LoadError> {
        let board = Ask::get(format!("/v1/stores/{}/orders?state={state}&limit={TAKEN_MAX}", self.store));
        let page: Page<Row> = self.session.send(&board).await?.expect()?;
        let mine: Vec<Row> = page.items.into_iter().filter(|row| self.claims.claim(row.id)).collect();
        let count = mine.len();
        let prepared: Vec<Result<(), LoadError>> =
            iter(mine).map(|row| self.prepare(row, state)).buffer_unordered(TAKEN_MAX).collect().await;
        prepared.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    async fn prepare(&self, row: Row, state: &str) -> Result<(), LoadError> {
        let done = self.pick(&row, state).await;
        self.claims.leave(row.id);
        done
    }

    async fn pick(&self, row: &Row, state: &str) -> Result<(), LoadError> {
        let order = row.id;
        let moved_on = state == "confirmed" && !self.step(order, "pick").await?;
        if moved_on || self.meets_trouble(row).await? {
            return Ok(());
        }
        self.step(order, "ready").await.map(|_| ())
    }

    /// Lets happen what is to go wrong in the store; says whether nothing is left to put out.
    async fn meets_trouble(&self, row: &Row) -> Result<bool, LoadError> {
        const HERE: &[Trouble] = &[Trouble::ShortPick, Trouble::NothingLeft, Trouble::CancelledPicking];
        let (order, world) = (row.id, &self.world);
        let Some(trouble) = world.plans.meets(order, HERE) else { return Ok(false) };
        world.figures.trouble(trouble.as_str());
        if trouble == Trouble::CancelledPicking {
            return world.managers.cancel(&world.client, self.store, order).await;
        }
        let shorts = shorts_of(&row.lines, trouble == Trouble::NothingLeft);
        let ask = Ask::post(format!("/v1/orders/{order}/shorts")).key(world.client.new_key());
        let reply = self.session.send(&ask.body(json!({ "lines": shorts }))).await?;
        match reply.status {
            // It was cancelled meanwhile.
            409 => Ok(true),
            _ if reply.is_success() => Ok(reply.view::<Short>()?.state != "picking"),
            _ => Err(reply.refused()),
        }
    }

    /// One move, or `false` if the order has moved on meanwhile, as one that was cancelled.
    async fn step(&self, order: OrderId, step: &str) -> Result<bool, LoadError> {
        let ask = Ask::post(format!("/v1/orders/{order}/{step}")).key(self.world.client.new_key());
        let reply = self.session.send(&ask).await?;
        match reply.status {
            409 => Ok(false),
            _ if reply.is_success() => Ok(true),
            _ => Err(reply.refused()),
        }
    }
}
