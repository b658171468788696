//! What goes wrong after a courier said yes: dropping out, failing, coming back, being recalled, falling silent; and that every
//! such delivery still ends. Leaves the straight way to `couriers`.

use contracts::OrderId;
use contracts::delivery::{
    DeliveryArrived, DeliveryDelivered, DeliveryFailed, DeliveryPickedUp, DeliveryUnassigned, FailureReason,
};
use contracts::orders::{OrderCancelling, OrderConfirmed, OrderDeliveryAgain, OrderReady, OrderRecalled};
use contracts::{Slot, SlotKey};
use delivery::Config;
use testkit::{Engine, ok};
use web::{Json, Role, json};

use crate::shop::{Shop, confirmed, refused};

testkit::on_both! {
    who_drops_out_half_way_makes_room_for_another
    a_dispatcher_takes_a_delivery_from_its_courier
    what_failed_is_tried_again_and_delivered
    what_failed_comes_back_and_is_kept
    what_came_back_goes_out_once_more
    a_recall_ends_what_is_in_the_store_and_brings_back_what_is_not
    a_recall_finds_what_failed_before_anybody_fetched_it
    nobody_waits_for_a_silent_courier
    whoever_rides_no_longer_leaves_what_they_are_at
}

impl Shop {
    async fn recall(&self, order: OrderId) {
        self.say("orders", OrderRecalled { order, reason: "gave-up".to_owned() }).await;
        self.heard().await;
    }

    async fn again(&self, order: OrderId, attempt: i64) {
        self.say("orders", OrderDeliveryAgain { order, attempt }).await;
        self.heard().await;
    }

    /// What delivery has said of `order` after it was assigned, in short.
    async fn said_since(&self, order: OrderId) -> String {
        let said = self.said_of(order).await;
        let short = said.iter().map(|kind| kind.trim_start_matches("delivery.").trim_end_matches(".v1"));
        short.skip_while(|word| *word != "assigned").skip(1).collect::<Vec<_>>().join(" ")
    }
}

async fn who_drops_out_half_way_makes_room_for_another(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let one = shop.courier(store).await;
    let order = shop.up_to("at-pickup", store, &one).await;
    let other = shop.courier(store).await;
    let left = ok(&shop.tell(order, "drop", &one, &json!({ "reason": "flat tyre" })).await);
    assert_eq!((&left["moves"], &left["contact"], &left["address"]), (&json!([]), &Json::Null, &Json::Null));
    assert_eq!(shop.last_of::<DeliveryUnassigned>(order).await.reason, "courier-dropped-out");
    shop.until_offered(order, &other).await;
    let problem = refused(&shop.step(order, "picked-up", &one).await, 409, "offer-over");
    assert_eq!(problem["state"], "offered");
    shop.bring(order, "accept", "picked-up", &other).await;
    let problem = refused(&shop.tell(order, "drop", &other, &json!({ "reason": "tired" })).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("to-dropoff"), &json!(["at-dropoff", "fail"])));
    ok(&shop.step(order, "at-dropoff", &other).await);
    ok(&shop.deliver(order, &shop.pin_of(order).await, &other).await);
    assert_eq!(shop.said_since(order).await, "unassigned assigned picked-up arrived delivered");

    let seen = shop.until_state(order, "delivered").await;
    let dropped = seen["history"].as_array().unwrap().iter().find(|step| step["reason"] == "courier-dropped-out").unwrap();
    assert_eq!((&dropped["state"], &dropped["note"]), (&json!("unassigned"), &json!("flat tyre")));
    assert_eq!(dropped["by"], json!({ "role": "courier", "person": one.id }));
    assert_eq!((&seen["offers"][0]["outcome"], &seen["offers"][1]["outcome"]), (&json!("dropped"), &json!("accepted")));
    assert_eq!(shop.timers().await, 0, "nothing is waited for");
    shop.close().await;
}

async fn a_dispatcher_takes_a_delivery_from_its_courier(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let (dispatcher, picker) = (shop.someone(Role::Dispatcher, Some(store)), shop.someone(Role::Picker, Some(store)));
    let elsewhere = shop.open_store().await;
    let stranger = shop.someone(Role::Dispatcher, Some(elsewhere));
    let order = shop.up_to("accept", store, &courier).await;
    let reason = json!({ "reason": "another is nearer" });
    refused(&shop.order_to(order, "withdraw", &picker, &reason).await, 403, "forbidden");
    refused(&shop.order_to(order, "withdraw", &stranger, &reason).await, 404, "not-found");
    let problem = refused(&shop.order_to(order, "fail", &dispatcher, &json!({ "reason": "damaged" })).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("to-pickup"), &json!(["withdraw"])));
    let seen = ok(&shop.order_to(order, "withdraw", &dispatcher, &reason).await);
    assert_eq!(
        (&seen["reason"], &seen["note"], &seen["courier"]),
        (&json!("withdrawn"), &json!("another is nearer"), &Json::Null)
    );
    let by = &seen["history"].as_array().unwrap().last().unwrap()["by"];
    assert_eq!(by, &json!({ "role": "dispatcher", "person": dispatcher.id }));
    assert_eq!(shop.last_of::<DeliveryUnassigned>(order).await.reason, "withdrawn");
    // He is the only one who is free, so he is asked again.
    shop.bring(order, "accept", "picked-up", &courier).await;
    refused(&shop.order_to(order, "withdraw", &dispatcher, &reason).await, 409, "illegal-move");
    let failed =
        ok(&shop.order_to(order, "fail", &dispatcher, &json!({ "reason": "courier-silent", "note": "no answer" })).await);
    assert_eq!(
        (&failed["state"], &failed["goods"], &failed["moves"]),
        (&json!("failed"), &json!("courier"), &json!(["returned"]))
    );
    let returned = ok(&shop.step(order, "returned", &dispatcher).await);
    assert_eq!((&returned["state"], &returned["goods"]), (&json!("returned"), &json!("store")));
    shop.close().await;
}

async fn what_failed_is_tried_again_and_delivered(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.up_to("at-dropoff", store, &courier).await;
    let told = json!({ "reason": "nobody-home", "note": "rang three times" });
    let failed = ok(&shop.tell(order, "fail", &courier, &told).await);
    assert_eq!((&failed["state"], &failed["moves"]), (&json!("failed"), &json!(["return", "returned"])));
    let said: DeliveryFailed = shop.last_of(order).await;
    assert_eq!((said.reason, said.note.as_str(), said.attempt), (FailureReason::NobodyHome, "rang three times", 1));
    // Whoever still has goods is offered nothing else.
    let next = shop.ready(store).await;
    shop.until_state(next, "unassigned").await;
    for attempt in [1, 2, 2, 1] {
        shop.again(order, attempt).await;
    }
    let work = shop.until_work(&courier, |work| work["delivery"]["state"] == "to-dropoff").await;
    assert_eq!((&work["delivery"]["attempt"], &work["offer"]), (&json!(2), &Json::Null));
    assert_eq!(shop.last_of::<DeliveryPickedUp>(order).await.attempt, 2);
    ok(&shop.step(order, "at-dropoff", &courier).await);
    assert_eq!(shop.last_of::<DeliveryArrived>(order).await.attempt, 2);
    ok(&shop.deliver(order, &shop.pin_of(order).await, &courier).await);
    assert_eq!(shop.last_of::<DeliveryDelivered>(order).await.attempt, 2);
    assert_eq!(shop.said_since(order).await, "picked-up arrived failed picked-up arrived delivered");
    shop.until_offered(next, &courier).await;
    shop.close().await;
}

async fn what_failed_comes_back_and_is_kept(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.up_to("at-dropoff", store, &courier).await;
    ok(&shop.tell(order, "fail", &courier, &json!({ "reason": "refused" })).await);
    let turned = ok(&shop.own_step(order, "return", &courier).await);
    assert_eq!(
        (&turned["state"], &turned["moves"], &turned["contact"]),
        (&json!("returning"), &json!(["returned"]), &Json::Null)
    );
    let back = ok(&shop.own_step(order, "returned", &courier).await);
    assert_eq!((&back["state"], &back["moves"]), (&json!("returned"), &json!([])));
    shop.until_work(&courier, |work| work["delivery"] == Json::Null).await;
    assert_eq!(shop.said_since(order).await, "picked-up arrived failed returned");
    assert_eq!(shop.fact(order).await, ("returned".to_owned(), false), "orders has not decided yet");
    shop.recall(order).await;
    assert_eq!(shop.said_since(order).await, "picked-up arrived failed returned withdrawn");
    assert_eq!(shop.fact(order).await, ("returned".to_owned(), true));
    // Orders says it again until it has heard; and what is over does not begin again.
    shop.say("orders", OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    shop.again(order, 2).await;
    assert_eq!(shop.said_since(order).await, "picked-up arrived failed returned withdrawn withdrawn");
    assert_eq!(shop.until_state(order, "returned").await["recalled"]["reason"], "gave-up");
    assert_eq!(shop.timers().await, 0);
    shop.close().await;
}

async fn what_came_back_goes_out_once_more(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.up_to("picked-up", store, &courier).await;
    ok(&shop.tell(order, "fail", &courier, &json!({ "reason": "no-access" })).await);
    // Straight to the store, without a word on the way.
    ok(&shop.own_step(order, "returned", &courier).await);
    shop.again(order, 2).await;
    shop.bring(order, "accept", "at-dropoff", &courier).await;
    ok(&shop.deliver(order, &shop.pin_of(order).await, &courier).await);
    let said = "picked-up failed returned assigned picked-up arrived delivered";
    assert_eq!(shop.said_since(order).await, said);
    let seen = shop.until_state(order, "delivered").await;
    assert_eq!((&seen["attempt"], &seen["offers"][0]["outcome"]), (&json!(2), &json!("returned")));
    assert_eq!((shop.fact(order).await, shop.timers().await), (("delivered".to_owned(), true), 0));
    shop.close().await;
}

async fn a_recall_ends_what_is_in_the_store_and_brings_back_what_is_not(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let dispatcher = shop.someone(Role::Dispatcher, Some(store));

    let before = shop.up_to("at-pickup", store, &courier).await;
    shop.recall(before).await;
    let problem = refused(&shop.step(before, "picked-up", &courier).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("cancelled"), &json!([])));
    assert_eq!(shop.said_since(before).await, "withdrawn");
    assert_eq!(shop.fact(before).await, ("cancelled".to_owned(), true));

    let after = shop.up_to("at-dropoff", store, &courier).await;
    shop.recall(after).await;
    shop.recall(after).await;
    let work = shop.until_work(&courier, |work| work["delivery"]["state"] == "returning").await;
    assert_eq!((&work["delivery"]["reason"], &work["delivery"]["moves"]), (&json!("gave-up"), &json!(["returned"])));
    let problem = refused(&shop.deliver(after, &shop.pin_of(after).await, &courier).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("returning"), &json!(["returned"])));
    assert_eq!(shop.said_since(after).await, "picked-up arrived", "it is over only once the goods are back");
    ok(&shop.step(after, "returned", &dispatcher).await);
    assert_eq!(shop.said_since(after).await, "picked-up arrived returned withdrawn");
    refused(&shop.own_step(after, "returned", &courier).await, 409, "illegal-move");
    assert_eq!(shop.fact(after).await, ("returned".to_owned(), true));

    let delivered = shop.up_to("at-dropoff", store, &courier).await;
    ok(&shop.deliver(delivered, &shop.pin_of(delivered).await, &courier).await);
    shop.recall(delivered).await;
    shop.say("orders", OrderCancelling { order: delivered, reason: "gave-up".to_owned() }).await;
    shop.heard().await;
    assert_eq!(shop.said_since(delivered).await, "picked-up arrived delivered", "the hand-over was first");
    assert_eq!(shop.timers().await, 0);
    shop.close().await;
}

/// The delivery of an order whose slot has passed.
async fn late(shop: &Shop, store: contracts::StoreId) -> OrderId {
    let order = OrderId(shop.new_id());
    let at = shop.now();
    let slot = Slot { starts_at: SlotKey(at), ends_at: at, cutoff_at: at };
    shop.say("orders", OrderConfirmed { slot, ..confirmed(order, store) }).await;
    shop.say("orders", OrderReady { order, store }).await;
    order
}

async fn a_recall_finds_what_failed_before_anybody_fetched_it(engine: Engine) {
    let shop = Shop::open_with(engine, Config { no_courier_after_ms: 60_000, ..Config::default() }).await;
    let store = shop.open_store().await;
    let (order, other) = (late(&shop, store).await, late(&shop, store).await);
    shop.until_state(order, "unassigned").await;
    shop.until_state(other, "unassigned").await;
    shop.clock.advance(60_000);
    let failed = shop.until_state(order, "failed").await;
    assert_eq!((&failed["reason"], &failed["goods"], &failed["moves"]), (&json!("no-courier"), &json!("store"), &json!([])));
    assert_eq!(shop.last_of::<DeliveryFailed>(order).await.reason, FailureReason::NoCourier);
    shop.until_state(other, "failed").await;
    assert_eq!(shop.timers().await, 0, "orders decides");
    shop.recall(order).await;
    shop.until_state(order, "cancelled").await;
    // The other one has another while to find somebody, and does.
    shop.again(other, 2).await;
    let courier = shop.courier(store).await;
    shop.bring(other, "accept", "at-dropoff", &courier).await;
    ok(&shop.deliver(other, &shop.pin_of(other).await, &courier).await);
    assert_eq!(shop.said_of(order).await, ["delivery.created.v1", "delivery.failed.v1", "delivery.withdrawn.v1"]);
    shop.close().await;
}

async fn nobody_waits_for_a_silent_courier(engine: Engine) {
    let ttl_ms = 60_000;
    let config = Config { pickup_ttl_ms: ttl_ms, dropoff_ttl_ms: 2 * ttl_ms, return_ttl_ms: 3 * ttl_ms, ..Config::default() };
    let shop = Shop::open_with(engine, config).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.up_to("at-pickup", store, &courier).await;
    shop.clock.advance(ttl_ms);
    shop.until_offered(order, &courier).await;
    assert_eq!(shop.last_of::<DeliveryUnassigned>(order).await.reason, "courier-silent");
    shop.bring(order, "accept", "picked-up", &courier).await;
    shop.clock.advance(2 * ttl_ms);
    let failed = shop.until_state(order, "failed").await;
    assert_eq!((&failed["reason"], &failed["goods"]), (&json!("courier-silent"), &json!("courier")));
    assert_eq!(failed["history"].as_array().unwrap().last().unwrap()["by"], json!({ "role": "delivery", "person": null }));
    // The order ends; where the goods are is shown as overdue, again and again, until they are back.
    shop.recall(order).await;
    for times in 1..=2 {
        shop.clock.advance(3 * ttl_ms);
        shop.until("it is overdue", async || shop.until_state(order, "returning").await["overdue"] == times).await;
    }
    assert_eq!((shop.fact(order).await, shop.timers().await), (("returning".to_owned(), false), 1));
    let manager = shop.someone(Role::Manager, Some(store));
    ok(&shop.step(order, "returned", &manager).await);
    assert_eq!(shop.said_since(order).await, "unassigned assigned picked-up failed returned withdrawn");
    shop.close().await;
}

async fn whoever_rides_no_longer_leaves_what_they_are_at(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let (one, shift_over) = (shop.courier(store).await, json!({ "on": false }));
    let order = shop.up_to("at-pickup", store, &one).await;
    let idle = ok(&shop.put_as("/v1/courier/shift", &one, &shift_over).await);
    assert_eq!((&idle["on_shift"], &idle["delivery"]), (&json!(false), &Json::Null));
    assert_eq!(shop.last_of::<DeliveryUnassigned>(order).await.reason, "courier-dropped-out");

    let other = shop.courier(store).await;
    shop.bring(order, "accept", "picked-up", &other).await;
    shop.hear_of(&other, store, false).await;
    shop.until_state(order, "failed").await;
    let said: DeliveryFailed = shop.last_of(order).await;
    assert_eq!((said.reason, said.note.as_str()), (FailureReason::CourierDroppedOut, "rides no longer"));
    // Whoever cannot go on is not sent again: the goods come back, and another goes.
    shop.again(order, 2).await;
    shop.until_state(order, "returning").await;
    ok(&shop.step(order, "returned", &shop.someone(Role::Dispatcher, Some(store))).await);
    ok(&shop.put_as("/v1/courier/shift", &one, &json!({ "on": true })).await);
    shop.bring(order, "accept", "at-dropoff", &one).await;
    ok(&shop.deliver(order, &shop.pin_of(order).await, &one).await);
    let said = "unassigned assigned picked-up failed returned assigned picked-up arrived delivered";
    assert_eq!((shop.said_since(order).await, shop.last_of::<DeliveryDelivered>(order).await.attempt), (said.to_owned(), 2));
    shop.close().await;
}
