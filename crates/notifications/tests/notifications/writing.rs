//! What is written on which events: one message of each template, whatever the order of the events and however often they come.
//! Leaves what becomes of it to `sending`.

use contracts::delivery::DeliveryPickedUp;
use contracts::orders::{OrderCancelled, OrderPaymentFailed, OrderRejected};
use testkit::some_time;

use crate::shop::{Ground, Obedient, assigned, confirmed, order, placed, quick, templates};

testkit::on_both! {
    Ground::fresh =>
    an_order_is_told_of_all_the_way
    the_ways_out_are_told
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
    shop.orders_say(OrderPaymentFailed { order: order(11), detail: "card-declined".to_owned() }).await;
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
