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
use crate::troubles::Trouble;
use crate::world::World;

/// How long a courier waits for work in one request.
const WORK_WAIT_S: u32 = 20;

/// How long a courier waits at a door for the PIN, and how often they ask.
const PIN_WITHIN_MS: Millis = 30_000;
const PIN_EVERY_MS: Millis = 20;

/// The moves of the way, and of the way back once the goods are called back; a failed delivery waits for the store's word.
const WAY: [&str; 6] = ["accept", "at-pickup", "picked-up", "at-dropoff", "deliver", "returned"];

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
        while let Some(step) = self.next(&task) {
            let reply = self.step(task.order, step).await?;
            match reply.status {
                404 | 409 => return Ok(()),
                _ => task = reply.expect()?,
            }
        }
        Ok(())
    }

    /// What the courier does now: the next move of the way, unless something is to go wrong.
    fn next(&self, task: &Task) -> Option<&'static str> {
        let may = |step: &str| task.moves.iter().any(|other| other == step);
        let world = &self.world;
        let meets = |step: &str, troubles: &[Trouble]| {
            may(step)
                && world.plans.meets(task.order, troubles).is_some_and(|trouble| {
                    world.figures.trouble(trouble.as_str());
                    true
                })
        };
        if meets("decline", &[Trouble::CourierDeclines]) {
            return Some("decline");
        }
        if may("at-pickup") && meets("drop", &[Trouble::CourierDrops]) {
            return Some("drop");
        }
        if may("deliver") && world.plans.is_any(task.order, &[Trouble::TriedAgain, Trouble::Returned]) {
            return Some("fail");
        }
        WAY.into_iter().find(|step| may(step))
    }

    async fn step(&self, order: OrderId, step: &str) -> Result<Reply, LoadError> {
        let ask = Ask::post(format!("/v1/deliveries/{order}/{step}")).key(self.world.client.new_key());
        let ask = match step {
            "deliver" => ask.body(json!({ "pin": self.pin(order).await? })),
            "drop" => ask.body(json!({ "reason": "flat tyre" })),
            "fail" => ask.body(json!({ "reason": "nobody-home", "note": "rang three times" })),
            _ => ask,
        };
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
