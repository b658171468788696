//! Who may read which messages, page by page, and what is refused.
//! Leaves what the door refuses for every service to `web`.

use contracts::PersonId;
use testkit::{body, items, some_id};
use web::Role;

use crate::shop::{Ground, order, placed};

testkit::on_both! {
    Ground::fresh =>
    everybody_sees_their_own
    every_message_is_on_exactly_one_page
    broken_requests_are_refused
}

async fn everybody_sees_their_own(ground: Ground) {
    let shop = ground.open_content().await;
    let (ada, eve) = (some_id(100), some_id(101));
    shop.deliver(order(10), Some(PersonId(ada))).await;
    shop.orders_say(placed(order(11), Some(PersonId(eve)))).await;
    shop.orders_say(placed(order(12), None)).await;
    shop.until_messages(order(10), 5, "sent").await;
    shop.until_messages(order(12), 1, "sent").await;

    for (person, orders) in [(ada, vec![order(10); 5]), (eve, vec![order(11)]), (some_id(102), vec![])] {
        let mine = items(&shop.get_as("/v1/me/messages", &shop.sign(person, &[(Role::Customer, None)])).await);
        let of: Vec<_> = mine.iter().map(|message| message["order"].as_str().unwrap().to_owned()).collect();
        assert_eq!(of, orders.iter().map(ToString::to_string).collect::<Vec<_>>());
        // What carriers say is for people who run the shop.
        assert!(mine.iter().all(|message| message.get("cause").is_none() && message.get("mailer").is_none()));
    }

    let message = &shop.messages(order(12)).await[0];
    let one = body(&shop.get_as_admin(&format!("/v1/admin/messages/{}", message["id"].as_str().unwrap())).await);
    assert_eq!(&one, message);
    shop.close().await;
}

async fn every_message_is_on_exactly_one_page(ground: Ground) {
    let shop = ground.open_content().await;
    let me = some_id(100);
    for seed in 10..13 {
        shop.deliver(order(seed), Some(PersonId(me))).await;
        shop.until_messages(order(seed), 5, "sent").await;
    }
    let (admin, customer) = (shop.admin(), shop.sign(me, &[(Role::Customer, None)]));
    let of_order = format!("/v1/admin/messages?order={}", order(10));
    for (list, token, count) in [("/v1/admin/messages", &admin, 15), ("/v1/me/messages", &customer, 15), (&of_order, &admin, 5)] {
        let whole = shop.list(list, 100, Some(token)).await;
        let paged = shop.list(list, 4, Some(token)).await;
        assert_eq!(paged, whole, "{list}");
        assert_eq!(paged.len(), count, "{list}");
        let made: Vec<&str> = paged.iter().map(|message| message["made_at"].as_str().unwrap()).collect();
        assert!(made.is_sorted_by(|one, next| one >= next), "{list}");
    }
    shop.close().await;
}

async fn broken_requests_are_refused(ground: Ground) {
    let shop = ground.open_content().await;
    let unknown = format!("/v1/admin/messages/{}", some_id(5));
    for (path, status) in [
        ("/v1/admin/messages?order=x", 400),
        ("/v1/admin/messages?after=x", 400),
        ("/v1/admin/messages?after=WyJhIiwiYiJd", 400),
        ("/v1/admin/messages?limit=0", 400),
        ("/v1/admin/messages?state=sent", 400),
        ("/v1/admin/messages/x", 404),
        (&unknown, 404),
    ] {
        assert_eq!(shop.get_as_admin(path).await.status, status, "{path}");
    }
    let customer = shop.sign(some_id(100), &[(Role::Customer, None)]);
    for path in ["/v1/admin/messages", &unknown, "/v1/admin/audit/notifications/breaches"] {
        assert_eq!(shop.get_as(path, &customer).await.status, 403, "{path}");
        assert_eq!(shop.get(path).await.status, 401, "{path}");
    }
    assert_eq!(shop.get("/v1/me/messages").await.status, 401);
    shop.close().await;
}
