//! What is written on which events: one message of each template, whatever the order of the events and however often they come.
//! Leaves what becomes of it to `sending`.

use contracts::delivery::{DeliveryAssigned, DeliveryFailed, DeliveryPickedUp, DeliveryReturned, FailureReason};
use contracts::inventory::SlotWithdrawn;
use contracts::orders::{
    OrderCancelled, OrderCancelling, OrderDelivered, OrderDeliveryAgain, OrderPaymentFailed, OrderRecalled, OrderRejected,
    OrderShortPicked, ShortLine,
};
use contracts::payments::{
    PaymentActionRequired, PaymentDeclined, PaymentDisputed, PaymentRefundFailed, PaymentRefunded, PaymentVoided,
};
use contracts::{OrderId, PersonId, RefundId, SlotKey, StoreId};
use notifications::Config;
use testkit::{some_id, some_time};

use crate::shop::{Ground, Obedient, Shop, assigned, confirmed, dollars, order, placed, quick, templates};

testkit::on_both! {
    Ground::fresh =>
    an_order_is_told_of_all_the_way
    the_ways_out_are_told
    each_refusal_of_money_is_told_once_with_where_to_pay_again
    what_the_bank_wants_is_told
    a_short_pick_is_told_with_the_new_total
    a_slot_that_is_gone_is_told
    each_failed_delivery_and_each_further_try_is_told
    another_courier_is_told
    an_order_on_its_way_back_is_told
    each_refund_is_told_once_it_is_paid
    nothing_is_asked_of_whoever_has_no_order_any_more
    news_that_come_first_wait_for_their_order
    repetitions_write_nothing
    tables_and_reads_fit_the_database
}

const GOOD_WAY: [&str; 5] = ["courier-assigned", "on-its-way", "order-confirmed", "order-delivered", "order-received"];

async fn an_order_is_told_of_all_the_way(ground: Ground) {
    let shop = ground.open_content().await;
    shop.deliver(order(10), None).await;
    shop.until_messages(order(10), 5, "sent").await;
    let messages = shop.messages(order(10)).await;
    assert_eq!(templates(&messages), GOOD_WAY);
    for message in &messages {
        assert_eq!((message["recipient"].as_str(), message["tries"].as_i64()), (Some("ada@example.com"), Some(1)));
        assert!(message["text"].as_str().unwrap().contains(&order(10).to_string()));
        assert!(message["sent_at"].is_string() && message["made_at"].is_string());
    }
    shop.close().await;
}

async fn the_ways_out_are_told(ground: Ground) {
    let shop = ground.open_content().await;
    for seed in 10..13 {
        shop.orders_say(placed(order(seed), None)).await;
    }
    shop.orders_say(OrderRejected { order: order(10), detail: "Of milk only 1 is left.".to_owned() }).await;
    declined(&shop, order(11), 1).await;
    shop.orders_say(OrderCancelled { order: order(12), reason: "gave-up".to_owned() }).await;
    for (seed, template, quote) in [
        (10, "order-rejected", "Of milk only 1 is left."),
        (11, "payment-failed", "card declined"),
        (12, "order-cancelled", "gave up"),
    ] {
        shop.until_messages(order(seed), 2, "sent").await;
        let messages = shop.messages(order(seed)).await;
        let message = messages.iter().find(|message| message["template"] == template).unwrap();
        assert!(message["text"].as_str().unwrap().contains(quote), "{message}");
    }
    shop.close().await;
}

async fn declined(shop: &Shop, order: OrderId, attempt: i64) {
    shop.say("payments", PaymentDeclined { order, reason: "card-declined".to_owned(), attempt }).await;
}

/// The texts of an order's messages of a template, sorted.
async fn texts(shop: &Shop, order: OrderId, template: &str) -> Vec<String> {
    let messages = shop.messages(order).await.into_iter().filter(|message| message["template"] == template);
    let mut texts: Vec<String> = messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    texts.sort_unstable();
    texts
}

/// Waits until everything that was said so far is heard: each service then says something of another order, and that is told.
async fn heard(shop: &Shop, seed: u64) {
    let after = order(1000 + seed);
    shop.orders_say(placed(after, None)).await;
    shop.delivery_says(assigned(after)).await;
    shop.say(
        "payments",
        PaymentRefunded { order: after, refund: RefundId(some_id(1)), amount: dollars(1), refunded: dollars(1) },
    )
    .await;
    slot_is_gone(shop, after).await;
    shop.until_messages(after, 4, "sent").await;
}

async fn slot_is_gone(shop: &Shop, order: OrderId) {
    let (store, slot, reason) = (StoreId(some_id(2)), SlotKey(some_time()), "The van is broken.".to_owned());
    shop.say("inventory", SlotWithdrawn { order, store, slot, reason }).await;
}

async fn each_refusal_of_money_is_told_once_with_where_to_pay_again(ground: Ground) {
    let config = Config { order_page: "https://shop.example/orders/{order}".to_owned(), ..quick() };
    let shop = ground.open(config, Obedient::sending()).await;
    shop.orders_say(placed(order(10), None)).await;
    for attempt in [1, 1, 2, 1, 3, 2] {
        declined(&shop, order(10), attempt).await;
        // Orders says the same without the attempt.
        shop.orders_say(OrderPaymentFailed { order: order(10), detail: "card-declined".to_owned() }).await;
    }
    heard(&shop, 1).await;
    let texts = texts(&shop, order(10), "payment-failed").await;
    assert_eq!(texts.len(), 3);
    let page = format!("https://shop.example/orders/{}", order(10));
    assert!(texts.iter().all(|text| text.contains("card declined") && text.contains(&page)), "{texts:?}");
    shop.close().await;
}

async fn what_the_bank_wants_is_told(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    for attempt in [1, 1, 2] {
        let (url, until) = (format!("https://bank.example/{attempt}"), some_time());
        shop.say("payments", PaymentActionRequired { order: order(10), attempt, url, until }).await;
    }
    heard(&shop, 1).await;
    let texts = texts(&shop, order(10), "action-required").await;
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains("https://bank.example/1") && texts[1].contains("https://bank.example/2"), "{texts:?}");
    shop.close().await;
}

async fn a_short_pick_is_told_with_the_new_total(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    let short = |picked, minor| {
        let line = ShortLine { sku: "MILK".parse().unwrap(), name: "Whole milk".to_owned(), ordered: 3, picked };
        OrderShortPicked { order: order(10), short: vec![line], total: dollars(minor) }
    };
    for event in [short(2, 2000), short(2, 2000), short(0, 1500)] {
        shop.orders_say(event).await;
    }
    shop.orders_say(OrderDelivered { order: order(10), amount: dollars(1500) }).await;
    shop.until_messages(order(10), 4, "sent").await;
    let picked = texts(&shop, order(10), "short-picked").await;
    assert_eq!(picked.len(), 2);
    assert!(picked[0].contains("Whole milk: 0 of 3") && picked[0].contains("USD 15.00"), "{picked:?}");
    assert!(picked[1].contains("Whole milk: 2 of 3") && picked[1].contains("USD 20.00"), "{picked:?}");
    assert!(texts(&shop, order(10), "order-delivered").await[0].contains("Total: USD 15.00"));
    shop.close().await;
}

async fn a_slot_that_is_gone_is_told(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    for _ in 0..2 {
        slot_is_gone(&shop, order(10)).await;
        shop.until_messages(order(10), 2, "sent").await;
    }
    shop.orders_say(OrderCancelled { order: order(10), reason: "slot-withdrawn".to_owned() }).await;
    slot_is_gone(&shop, order(10)).await;
    heard(&shop, 1).await;
    let (gone, cancelled) = (texts(&shop, order(10), "slot-withdrawn").await, texts(&shop, order(10), "order-cancelled").await);
    assert_eq!(gone.len(), 1);
    assert!(gone[0].contains("The van is broken."), "{gone:?}");
    assert!(cancelled[0].contains("the store cannot deliver at the time you chose"), "{cancelled:?}");
    shop.close().await;
}

async fn each_failed_delivery_and_each_further_try_is_told(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    let failed =
        |reason, attempt| DeliveryFailed { order: order(10), reason, note: "secret".to_owned(), at: some_time(), attempt };
    for _ in 0..2 {
        shop.delivery_says(DeliveryPickedUp { order: order(10), at: some_time(), attempt: 1 }).await;
        shop.delivery_says(failed(FailureReason::NobodyHome, 1)).await;
        shop.orders_say(OrderDeliveryAgain { order: order(10), attempt: 2 }).await;
        shop.delivery_says(DeliveryPickedUp { order: order(10), at: some_time(), attempt: 2 }).await;
        shop.delivery_says(failed(FailureReason::NoAccess, 2)).await;
        shop.orders_say(OrderDeliveryAgain { order: order(10), attempt: 3 }).await;
    }
    heard(&shop, 1).await;
    let failed = texts(&shop, order(10), "delivery-failed").await;
    assert_eq!(failed.len(), 2);
    assert!(failed[0].contains("nobody opened") && failed[1].contains("the door could not be reached"), "{failed:?}");
    // What couriers note is for the people of the store.
    assert!(failed.iter().all(|text| !text.contains("secret")));
    assert_eq!(texts(&shop, order(10), "delivery-again").await.len(), 2);
    assert_eq!(texts(&shop, order(10), "on-its-way").await.len(), 2);
    shop.close().await;
}

async fn another_courier_is_told(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    for (seed, name) in [(8, "Grace"), (9, "Linus"), (8, "Grace")] {
        let (courier, courier_name) = (PersonId(some_id(seed)), name.to_owned());
        shop.delivery_says(DeliveryAssigned { order: order(10), courier, courier_name }).await;
    }
    heard(&shop, 1).await;
    let texts = texts(&shop, order(10), "courier-assigned").await;
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains("Grace") && texts[1].contains("Linus"), "{texts:?}");
    shop.close().await;
}

async fn an_order_on_its_way_back_is_told(ground: Ground) {
    let shop = ground.open_content().await;
    shop.orders_say(placed(order(10), None)).await;
    for _ in 0..2 {
        shop.orders_say(OrderRecalled { order: order(10), reason: "payment-expired".to_owned() }).await;
        shop.delivery_says(DeliveryReturned { order: order(10), at: some_time() }).await;
    }
    heard(&shop, 1).await;
    assert_eq!(templates(&shop.messages(order(10)).await), ["order-received", "order-returning"]);
    assert!(texts(&shop, order(10), "order-returning").await[0].contains("your bank no longer sets the amount aside"));
    shop.close().await;
}

async fn each_refund_is_told_once_it_is_paid(ground: Ground) {
    let shop = ground.open_content().await;
    shop.deliver(order(10), None).await;
    for (seed, amount, refunded) in [(1, 500, 500), (1, 500, 500), (2, 700, 1200)] {
        let (amount, refunded) = (dollars(amount), dollars(refunded));
        shop.say("payments", PaymentRefunded { order: order(10), refund: RefundId(some_id(seed)), amount, refunded }).await;
    }
    // Neither a refund that failed nor what their bank does is news for the shopper.
    let reason = || "insufficient-funds".to_owned();
    shop.say("payments", PaymentRefundFailed { order: order(10), refund: RefundId(some_id(3)), reason: reason() }).await;
    shop.say("payments", PaymentDisputed { order: order(10), amount: dollars(500), reason: reason() }).await;
    shop.say("payments", PaymentVoided { order: order(10) }).await;
    heard(&shop, 1).await;
    assert_eq!(shop.messages(order(10)).await.len(), 7);
    let texts = texts(&shop, order(10), "refund-paid").await;
    assert!(texts[0].contains("given back USD 5.00") && texts[1].contains("Given back in all: USD 12.00"), "{texts:?}");
    shop.close().await;
}

async fn nothing_is_asked_of_whoever_has_no_order_any_more(ground: Ground) {
    let shop = ground.open_content().await;
    for seed in [10, 11] {
        shop.orders_say(placed(order(seed), None)).await;
    }
    shop.orders_say(OrderCancelling { order: order(10), reason: "gave-up".to_owned() }).await;
    shop.orders_say(OrderRejected { order: order(11), detail: "Of milk only 1 is left.".to_owned() }).await;
    heard(&shop, 1).await;
    for seed in [10, 11] {
        declined(&shop, order(seed), 1).await;
        slot_is_gone(&shop, order(seed)).await;
        let (url, until) = ("https://bank.example/1".to_owned(), some_time());
        shop.say("payments", PaymentActionRequired { order: order(seed), attempt: 1, url, until }).await;
    }
    heard(&shop, 2).await;
    assert_eq!(templates(&shop.messages(order(10)).await), ["order-received"]);
    assert_eq!(templates(&shop.messages(order(11)).await), ["order-received", "order-rejected"]);
    shop.close().await;
}

async fn news_that_come_first_wait_for_their_order(ground: Ground) {
    let mailer = Obedient::sending();
    let shop = ground.open(quick(), mailer.clone()).await;
    shop.delivery_says(assigned(order(10))).await;
    shop.delivery_says(DeliveryPickedUp { attempt: 1, order: order(10), at: some_time() }).await;
    shop.delivery_says(assigned(order(10))).await;
    shop.until_contact(order(10)).await;
    assert_eq!(shop.messages(order(10)).await.len(), 0);

    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 3, "sent").await;
    assert_eq!(templates(&shop.messages(order(10)).await), ["courier-assigned", "on-its-way", "order-received"]);
    assert_eq!(mailer.had().len(), 3);
    shop.close().await;
}

async fn repetitions_write_nothing(ground: Ground) {
    let mailer = Obedient::sending();
    let shop = ground.open(quick(), mailer.clone()).await;
    shop.deliver(order(10), None).await;
    shop.deliver(order(10), None).await;
    shop.orders_say(confirmed(order(10))).await;
    // The events of another order come behind those: when it has its messages, all of the first were seen.
    shop.deliver(order(11), None).await;
    shop.until_messages(order(11), 5, "sent").await;
    shop.until_messages(order(10), 5, "sent").await;
    assert_eq!(templates(&shop.messages(order(10)).await), GOOD_WAY);
    assert_eq!(mailer.had().len(), 10);
    shop.close().await;
}

async fn tables_and_reads_fit_the_database(ground: Ground) {
    ground.database.assert_fits(&notifications::service(&quick(), Obedient::sending())).await;
}
