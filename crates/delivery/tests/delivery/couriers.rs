//! What couriers are offered, take and bring, and how a delivery goes on without them.
//! Leaves stores and those who look on to `staff`, and what goes wrong after a courier said yes to `ways_out`.

use contracts::OrderId;
use contracts::StoreId;
use contracts::orders::{OrderCancelling, OrderReady};
use delivery::Config;
use testkit::{Engine, ok};
use tokio::join;
use web::{Call, Json, Role, json};

use crate::shop::{Shop, confirmed, refused};

testkit::on_both! {
    an_order_goes_from_the_store_to_the_door
    two_couriers_cannot_both_get_one_delivery
    a_declined_delivery_goes_to_another
    an_offer_that_nobody_answers_goes_on
    a_cancelled_order_frees_its_courier
    wrong_pins_are_counted_and_lock
}

async fn an_order_goes_from_the_store_to_the_door(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let (courier, picker) = (shop.courier(store).await, shop.someone(Role::Picker, Some(store)));
    let order = shop.ready(store).await;
    let offer = shop.until_offered(order, &courier).await;
    assert_eq!(offer["address"]["street"], "680 Dallas St NE");
    assert_eq!(offer["pickup"]["street"], "99 Krog St NE");
    assert_eq!((&offer["contact"], &offer["moves"]), (&Json::Null, &json!(["accept", "decline"])));
    for (step, state) in
        [("accept", "to-pickup"), ("at-pickup", "at-pickup"), ("picked-up", "to-dropoff"), ("at-dropoff", "at-dropoff")]
    {
        let moved = ok(&shop.step(order, step, &courier).await);
        assert_eq!((&moved["state"], &moved["contact"]["name"]), (&json!(state), &json!("Ada")), "{step}");
        let work = shop.until_work(&courier, |work| work["delivery"]["state"] == state).await;
        assert_eq!(work["offer"], Json::Null);
    }
    let pin = shop.pin_of(order).await;
    assert!(pin.len() == 4 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
    assert_eq!(ok(&shop.deliver(order, &pin, &courier).await)["state"], "delivered");
    let idle = shop.until_work(&courier, |work| work["delivery"] == Json::Null).await;
    assert_eq!((&idle["offer"], &idle["on_shift"]), (&Json::Null, &json!(true)));

    let seen = ok(&shop.get_as(&format!("/v1/deliveries/{order}"), &picker.token).await);
    let passed: Vec<&str> = seen["history"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect();
    let whole = "created unassigned offered assigned to-pickup at-pickup picked-up to-dropoff at-dropoff delivered";
    assert_eq!(passed, whole.split(' ').collect::<Vec<_>>());
    assert_eq!((&seen["courier"]["name"], &seen["offers"][0]["outcome"]), (&json!("Rosa"), &json!("accepted")));
    assert!(!seen.to_string().contains(&format!("\"{pin}\"")), "the PIN is for the shopper alone");
    let said = ["created", "assigned", "picked-up", "arrived", "delivered"].map(|what| format!("delivery.{what}.v1"));
    assert_eq!(shop.said_of(order).await, said);
    let facts = ok(&shop.get_as("/v1/admin/audit/delivery/facts", &shop.admin()).await);
    assert_eq!(facts["items"], json!([{ "order": order, "state": "delivered", "settled": true, "sums": {} }]));
    shop.close().await;
}

async fn two_couriers_cannot_both_get_one_delivery(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let (one, other) = (shop.courier(store).await, shop.courier(store).await);
    for _ in 0..3 {
        let order = shop.ready(store).await;
        shop.until_state(order, "offered").await;
        let tries = join!(
            shop.step(order, "accept", &one),
            shop.step(order, "accept", &other),
            shop.step(order, "accept", &one),
            shop.step(order, "accept", &other),
        );
        let mut statuses = [tries.0, tries.1, tries.2, tries.3].map(|reply| reply.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404, 404, 409], "one has it, once; the other does not know of it");
        shop.say("orders", OrderCancelling { order, reason: "test".to_owned() }).await;
        shop.until_state(order, "cancelled").await;
    }
    shop.close().await;
}

async fn a_declined_delivery_goes_to_another(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let one = shop.courier(store).await;
    let order = shop.ready(store).await;
    shop.until_offered(order, &one).await;
    let other = shop.courier(store).await;
    assert_eq!(ok(&shop.step(order, "decline", &one).await)["order"], order.to_string());
    shop.until_offered(order, &other).await;
    let problem = refused(&shop.step(order, "accept", &one).await, 409, "offer-over");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("offered"), &json!([])));
    // Whoever goes off shift declines; then nobody else is free but the first.
    ok(&shop.put_as("/v1/courier/shift", &other, &json!({ "on": false })).await);
    shop.until_offered(order, &one).await;
    ok(&shop.step(order, "accept", &one).await);
    let seen = shop.until_state(order, "to-pickup").await;
    let outcomes: Vec<&Json> = seen["offers"].as_array().unwrap().iter().map(|offer| &offer["outcome"]).collect();
    assert_eq!(outcomes, ["declined", "declined", "accepted"]);
    shop.close().await;
}

async fn an_offer_that_nobody_answers_goes_on(engine: Engine) {
    let shop = Shop::open_with(engine, Config { offer_ttl_ms: 300, ..Config::default() }).await;
    let store = shop.open_store().await;
    let (one, other) = (shop.courier(store).await, shop.courier(store).await);
    let order = shop.ready(store).await;
    join!(shop.until_offered(order, &one), shop.until_offered(order, &other));
    let seen = shop.until_state(order, "offered").await;
    assert_eq!(seen["offers"][0]["outcome"], "timed-out");
    // Whoever rides no longer loses the offer, and gets no other.
    join!(shop.hear_of(&one, store, false), shop.hear_of(&other, store, false));
    shop.until_work(&one, |work| work["on_shift"] == false && work["offer"] == Json::Null).await;
    shop.until_work(&other, |work| work["on_shift"] == false && work["offer"] == Json::Null).await;
    shop.until_state(order, "unassigned").await;
    refused(&shop.put_as("/v1/courier/shift", &one, &json!({ "on": true })).await, 403, "forbidden");
    shop.close().await;
}

async fn a_cancelled_order_frees_its_courier(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.ready(store).await;
    shop.until_offered(order, &courier).await;
    ok(&shop.step(order, "accept", &courier).await);
    shop.say("orders", OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    shop.until_work(&courier, |work| work["delivery"] == Json::Null).await;
    let problem = refused(&shop.step(order, "at-pickup", &courier).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal"]), (&json!("cancelled"), &json!([])));
    assert_eq!(shop.said_of(order).await.last().unwrap(), "delivery.withdrawn.v1");
    // He is free for the next; and an order that was cancelled before it was confirmed never becomes a delivery.
    let early = OrderId(shop.new_id());
    shop.say("orders", OrderCancelling { order: early, reason: "gave-up".to_owned() }).await;
    shop.say("orders", confirmed(early, store)).await;
    shop.say("orders", OrderReady { order: early, store }).await;
    let next = shop.ready(store).await;
    shop.until_offered(next, &courier).await;
    assert_eq!(shop.said_of(early).await, ["delivery.withdrawn.v1"]);
    shop.until_state(early, "cancelled").await;
    shop.close().await;
}

async fn wrong_pins_are_counted_and_lock(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let (courier, dispatcher) = (shop.courier(store).await, shop.someone(Role::Dispatcher, Some(store)));
    let order = shop.ready(store).await;
    shop.until_offered(order, &courier).await;
    for step in ["accept", "at-pickup", "picked-up", "at-dropoff"] {
        ok(&shop.step(order, step, &courier).await);
    }
    let pin = shop.pin_of(order).await;
    let wrong = if pin == "0000" { "1111" } else { "0000" };
    let problem = refused(&shop.deliver(order, "12", &courier).await, 422, "invalid-field");
    assert_eq!(problem["errors"][0]["pointer"], "/pin");
    // The same request many times under its key counts once.
    let body = json!({ "pin": wrong });
    let repeated = || Call::post(&format!("/v1/deliveries/{order}/deliver")).json(&body).bearer(&courier.token).key("same");
    for _ in 0..9 {
        refused(&shop.send(repeated()).await, 422, "invalid-field");
    }
    for _ in 0..4 {
        let problem = refused(&shop.deliver(order, wrong, &courier).await, 422, "invalid-field");
        assert_eq!(problem["errors"][0]["pointer"], "/pin");
    }
    let locked = shop.deliver(order, &pin, &courier).await;
    refused(&locked, 429, "pin-locked");
    assert!(locked.header("retry-after").is_some());
    refused(&shop.step(order, "unlock-pin", &courier).await, 403, "forbidden");
    let stranger = shop.someone(Role::Dispatcher, Some(StoreId(shop.new_id())));
    refused(&shop.step(order, "unlock-pin", &stranger).await, 404, "not-found");
    assert_eq!(ok(&shop.step(order, "unlock-pin", &dispatcher).await)["pin_locked_until"], Json::Null);
    assert_eq!(ok(&shop.deliver(order, &pin, &courier).await)["state"], "delivered");
    shop.close().await;
}
