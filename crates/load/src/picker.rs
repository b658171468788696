//! A picker: takes the confirmed orders of their store, picks them and puts them out for the couriers.
//! Leaves which pickers there are to `replay`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::{OrderId, StoreId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use kernel::Millis;
use serde::Deserialize;

use crate::city::Page;
use crate::client::Ask;
use crate::error::LoadError;
use crate::people::Session;
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
        let mine: Vec<OrderId> = page.items.iter().map(|row| row.id).filter(|order| self.claims.claim(*order)).collect();
        let count = mine.len();
        let prepared: Vec<Result<(), LoadError>> =
            iter(mine).map(|order| self.prepare(order, state)).buffer_unordered(TAKEN_MAX).collect().await;
        prepared.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    async fn prepare(&self, order: OrderId, state: &str) -> Result<(), LoadError> {
        let fits = state != "confirmed" || self.step(order, "pick").await?;
        let done = if fits { self.step(order, "ready").await.map(|_| ()) } else { Ok(()) };
        self.claims.leave(order);
        done
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
