//! Ways out once the goods may be with a courier: called back, handed over before that, failed, tried again, brought back.
//! Money and stock are given back only once the goods are.

use contracts::delivery::{
    DeliveryAssigned, DeliveryCreated, DeliveryDelivered, DeliveryFailed, DeliveryPickedUp, DeliveryReturned, DeliveryUnassigned,
    DeliveryWithdrawn, FailureReason, Proof,
};
use contracts::orders::{OrderDeliveryAgain, OrderRecalled};
use contracts::payments::PaymentExpired;
use contracts::{OrderId, PersonId};
use orders::Config;
use testkit::{Engine, body, brief, is, some_id};
use web::json;

use crate::ends::{released, state, state_of, voided};
use crate::shop::{Cart, Shop};

testkit::on_both! {
    what_is_called_back_is_given_back_once_it_is_there
    what_is_handed_over_before_it_is_called_back_stays_so
    a_failed_delivery_is_tried_again
    a_failed_delivery_is_brought_back
    a_failed_delivery_that_nobody_decides_about_is_brought_back
    a_courier_who_drops_out_is_no_longer_shown
    an_authorisation_that_goes_on_the_way_calls_it_back
}

impl Shop {
    pub(crate) async fn pick_up(&self, order: OrderId, attempt: i64) {
        self.hear(DeliveryPickedUp { order, at: self.now(), attempt }).await;
    }

    pub(crate) async fn hand_over(&self, order: OrderId, attempt: i64) {
        self.hear(DeliveryDelivered { order, proof: Proof::Pin, at: self.now(), attempt }).await;
    }

    pub(crate) async fn withdraw(&self, order: OrderId) {
        self.hear(DeliveryWithdrawn { order }).await;
    }

    async fn fail(&self, order: OrderId, attempt: i64) {
        let (reason, note) = (FailureReason::NobodyHome, "rang twice".to_owned());
        self.hear(DeliveryFailed { order, reason, note, at: self.now(), attempt }).await;
    }

    /// An order that waits for its courier.
    pub(crate) async fn ready(&self) -> (Cart, OrderId) {
        let (cart, order) = self.placed(&[("MILK", 3)]).await;
        self.confirm(order).await;
        self.hear(DeliveryCreated { order, pin: "4071".to_owned() }).await;
        for step in ["pick", "ready"] {
            assert_eq!(self.move_order(order, step, &self.picker()).await.status, 200);
        }
        (cart, order)
    }

    /// An order that is on its way.
    pub(crate) async fn out(&self) -> (Cart, OrderId) {
        let (cart, order) = self.ready().await;
        self.pick_up(order, 1).await;
        (cart, order)
    }

    /// Only what was said of the order after it was ready.
    async fn said_since_ready(&self, order: OrderId) -> Vec<String> {
        let said = self.said_of(order).await;
        let ready = said.iter().position(|kind| kind == "order.ready").unwrap();
        said[ready + 1..].to_vec()
    }
}

async fn what_is_called_back_is_given_back_once_it_is_there(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.out().await;
    let late = shop.cancel(&cart, order).await;
    assert_eq!((brief(&late), &body(&late)["legal"]), (is(409, "too-late", "-"), &json!([])));
    let wish = json!({ "reason": "the freezer broke" });
    assert_eq!(brief(&shop.ask(order, "cancel", &shop.picker(), &wish).await), is(403, "forbidden", "-"));
    let reply = shop.ask(order, "cancel", &shop.dispatcher(), &wish).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["state"]), (200, &json!("returning")));
    let moment = body(&reply)["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&moment["by"], &moment["person"]), (&json!("dispatcher"), &json!(some_id(42))));
    let seen = shop.view(&cart, order).await["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&seen["reason"], seen.get("person")), (&json!("the freezer broke"), None), "who it was is not the shopper's");
    assert_eq!(shop.said_once::<OrderRecalled>(order).await.reason, "the freezer broke");

    shop.hear(DeliveryReturned { order, at: shop.now() }).await;
    assert_eq!(shop.said_since_ready(order).await, ["order.recalled"], "nothing is given back before delivery says so");
    shop.withdraw(order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "the freezer broke"));
    released(&shop, order).await;
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "the freezer broke"));
    let said = ["order.recalled", "order.cancelling", "hold.release", "order.cancelled"];
    assert_eq!(shop.said_since_ready(order).await, said);
    assert!(shop.orders.pending().await.unwrap().timers.is_empty());
    shop.close().await;
}

async fn what_is_handed_over_before_it_is_called_back_stays_so(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.out().await;
    let wish = json!({ "reason": "the freezer broke" });
    assert_eq!(shop.ask(order, "cancel", &shop.manager(), &wish).await.status, 200);
    assert_eq!(shop.ask(order, "cancel", &shop.manager(), &wish).await.status, 200, "it is being called back already");
    shop.hand_over(order, 1).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("delivered", ""));
    let view = shop.view(&cart, order).await;
    let history = view["history"].as_array().unwrap();
    assert_eq!(history[history.len() - 2]["what"], "recall-too-late");
    assert_eq!(shop.said_since_ready(order).await, ["order.recalled", "order.delivered", "hold.consume"]);
    let late = shop.ask(order, "cancel", &shop.manager(), &wish).await;
    assert_eq!((brief(&late), &body(&late)["state"]), (is(409, "order-ended", "-"), &json!("delivered")));
    assert!(shop.orders.pending().await.unwrap().timers.is_empty());
    shop.close().await;
}

async fn a_failed_delivery_is_tried_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.out().await;
    let again = json!({ "choice": "again", "reason": "they are home at six" });
    let early = shop.ask(order, "delivery", &shop.dispatcher(), &again).await;
    assert_eq!((brief(&early), &body(&early)["legal"]), (is(409, "illegal-move", "-"), &json!(["cancel"])));
    shop.fail(order, 1).await;
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["state"], &view["delivery"]["failed"]), (&json!("delivery_failed"), &json!("nobody-home")));
    assert_eq!(view["delivery"]["failure_note"], json!(null));
    let staff = body(&shop.get_as(&format!("/v1/orders/{order}"), &shop.dispatcher()).await);
    assert_eq!(staff["delivery"]["failure_note"], "rang twice");

    assert_eq!(brief(&shop.ask(order, "delivery", &shop.picker(), &again).await), is(403, "forbidden", "-"));
    let reply = shop.ask(order, "delivery", &shop.dispatcher(), &again).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["state"]), (200, &json!("ready")));
    assert_eq!(shop.said_once::<OrderDeliveryAgain>(order).await.attempt, 2);
    // What is said of the first try is old.
    shop.fail(order, 1).await;
    shop.pick_up(order, 1).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("ready", ""));
    shop.pick_up(order, 2).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("out_for_delivery", ""));
    shop.fail(order, 2).await;
    assert_eq!(shop.ask(order, "delivery", &shop.manager(), &again).await.status, 200);
    shop.hand_over(order, 3).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("delivered", ""));
    shop.close().await;
}

async fn a_failed_delivery_is_brought_back(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.out().await;
    shop.fail(order, 1).await;
    let wish = json!({ "choice": "return", "reason": "nobody lives there" });
    let reply = shop.ask(order, "delivery", &shop.manager(), &wish).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["state"]), (200, &json!("returning")));
    let late = shop.ask(order, "delivery", &shop.manager(), &wish).await;
    assert_eq!((brief(&late), &body(&late)["state"]), (is(409, "illegal-move", "-"), &json!("returning")));
    shop.withdraw(order).await;
    voided(&shop, order).await;
    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "nobody lives there"));
    shop.close().await;
}

async fn a_failed_delivery_that_nobody_decides_about_is_brought_back(engine: Engine) {
    let shop = Shop::open_with(engine, Config { failed_decide_ms: 200, ..Config::default() }).await;
    let (cart, order) = shop.out().await;
    shop.fail(order, 1).await;
    shop.until("it is brought back", async || state_of(&shop, &cart, order).await == state("returning", "delivery-failed")).await;
    assert_eq!(shop.said_once::<OrderRecalled>(order).await.reason, "delivery-failed");
    shop.close().await;
}

async fn a_courier_who_drops_out_is_no_longer_shown(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.ready().await;
    let amara = DeliveryAssigned { order, courier: PersonId(some_id(50)), courier_name: "Amara".to_owned() };
    shop.hear(amara).await;
    assert_eq!(shop.view(&cart, order).await["delivery"]["courier"], "Amara");
    for _ in 0..2 {
        shop.hear(DeliveryUnassigned { order, reason: "courier-dropped-out".to_owned() }).await;
    }
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["state"], &view["delivery"]["courier"]), (&json!("ready"), &json!(null)));
    let moments = view["history"].as_array().unwrap();
    let dropped: Vec<_> = moments.iter().filter(|moment| moment["what"] == "courier-unassigned").collect();
    assert_eq!((dropped.len(), &dropped[0]["reason"]), (1, &json!("courier-dropped-out")));
    shop.close().await;
}

async fn an_authorisation_that_goes_on_the_way_calls_it_back(engine: Engine) {
    let shop = Shop::open(engine).await;
    let ((cart, order), (other_cart, other)) = (shop.out().await, shop.out().await);
    shop.hear(PaymentExpired { order }).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("returning", "payment-expired"));
    shop.withdraw(order).await;
    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "payment-expired"), "nothing of the money is held");

    shop.hand_over(other, 1).await;
    shop.hear(PaymentExpired { order: other }).await;
    let view = shop.view(&other_cart, other).await;
    assert_eq!((&view["state"], &view["payment"]["state"]), (&json!("delivered"), &json!("expired")), "it is shown");
    shop.close().await;
}
