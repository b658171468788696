//! A courier: goes on shift, takes what is offered, brings it, and hands it over for the PIN that the shopper says.
//! Leaves which couriers there are to `replay`.

use std::sync::Arc;

use contracts::OrderId;
use kernel::Millis;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Ask, Reply};
use crate::error::LoadError;
use crate::people::Session;
use crate::world::World;

/// How long a courier waits for work in one request.
const WORK_WAIT_S: u32 = 20;

/// How long a courier waits at a door for the PIN, and how often they ask.
const PIN_WITHIN_MS: Millis = 30_000;
const PIN_EVERY_MS: Millis = 20;

/// One courier.
pub(crate) struct Courier {
    pub(crate) world: Arc<World>,
    pub(crate) session: Session,
}

/// What a courier is at: an offer, a delivery or neither.
#[derive(Deserialize)]
struct WorkView {
    offer: Option<Task>,
    delivery: Option<Task>,
}

/// A delivery as its courier sees it.
#[derive(Deserialize)]
struct Task {
    order: OrderId,
    /// What the courier may do with it now, by the names of the routes.
    moves: Vec<String>,
}

impl Courier {
    /// Works until the day ends.
    pub(crate) async fn work(&self) -> Result<(), LoadError> {
        self.shift(true).await?;
        let mut known = None;
        while !self.world.closing.is_closed() {
            let ask = Ask::get("/v1/courier/work").news(known.clone(), WORK_WAIT_S);
            let Some(reply) = self.world.closing.or(self.session.send(&ask)).await else { break };
            let reply = reply?;
            if reply.is_unchanged() {
                continue;
            }
            let work: WorkView = reply.expect()?;
            known = reply.etag;
            if let Some(task) = work.offer.or(work.delivery) {
                self.bring(task).await?;
            }
        }
        self.shift(false).await
    }

    async fn shift(&self, on: bool) -> Result<(), LoadError> {
        let ask = Ask::put("/v1/courier/shift").key(self.world.client.new_key()).body(json!({ "on": on }));
        let reply = self.session.send(&ask).await?;
        if reply.is_success() { Ok(()) } else { Err(reply.refused()) }
    }

    /// Makes one move after the other until there is none left, or somebody else has moved it.
    async fn bring(&self, mut task: Task) -> Result<(), LoadError> {
        while let Some(step) = task.moves.iter().find(|step| *step != "decline") {
            let reply = self.step(task.order, step).await?;
            match reply.status {
                404 | 409 => return Ok(()),
                _ => task = reply.expect()?,
            }
        }
        Ok(())
    }

    async fn step(&self, order: OrderId, step: &str) -> Result<Reply, LoadError> {
        let mut ask = Ask::post(format!("/v1/deliveries/{order}/{step}")).key(self.world.client.new_key());
        if step == "deliver" {
            ask = ask.body(json!({ "pin": self.pin(order).await? }));
        }
        self.session.send(&ask).await
    }

    /// What the shopper says at the door.
    async fn pin(&self, order: OrderId) -> Result<String, LoadError> {
        let runtime = self.world.runtime();
        let until = runtime.now().plus_ms(PIN_WITHIN_MS);
        loop {
            if let Some(pin) = self.world.pins.ask(order) {
                return Ok(pin);
            }
            if runtime.now() >= until {
                let detail = format!("nobody at the door of order {order} says a PIN: no shopper of this run ordered it");
                return Err(LoadError::Options(detail));
            }
            runtime.sleep(PIN_EVERY_MS).await;
        }
    }
}
