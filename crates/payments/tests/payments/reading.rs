//! What can be read, and by whom: payments, facts, breaches, differences; and that tables and reads fit their database.
//! Leaves what differs from the provider's books to `sweep`.

use std::sync::Arc;

use contracts::StoreId;
use payments::SandboxProvider;
use testkit::{Engine, some_id};
use web::{Role, StatusCode};

use crate::shop::{Shop, database, quick, store_id};

testkit::on_both! { tables_and_reads_fit_the_database }

async fn tables_and_reads_fit_the_database(engine: Engine) {
    let payments = payments::service(&quick(), Arc::new(SandboxProvider::default()));
    database(engine).await.assert_fits(&payments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_what() {
    let shop = Shop::open(Engine::Sqlite).await;
    let (order, mark) = (shop.order(), shop.order());
    shop.reserve(order, "tok_ok").await;
    shop.cancel(mark).await;
    shop.settled(order, "authorised").await;
    shop.settled(mark, "voided").await;
    let (here, elsewhere) = (store_id(), StoreId(shop.order().0));
    let one = format!("/v1/admin/payments/{order}");
    let of_mark = format!("/v1/admin/payments/{mark}");
    let cases = [
        (one.as_str(), vec![], StatusCode::UNAUTHORIZED),
        (&one, vec![(Role::Customer, None)], StatusCode::FORBIDDEN),
        (&one, vec![(Role::Picker, Some(here))], StatusCode::FORBIDDEN),
        (&one, vec![(Role::Manager, Some(here))], StatusCode::OK),
        (&one, vec![(Role::Manager, None)], StatusCode::OK),
        (&one, vec![(Role::Manager, Some(elsewhere))], StatusCode::NOT_FOUND),
        (&one, vec![(Role::Admin, None)], StatusCode::OK),
        (&of_mark, vec![(Role::Manager, None)], StatusCode::NOT_FOUND),
        (&of_mark, vec![(Role::Admin, None)], StatusCode::OK),
        ("/v1/admin/payments", vec![(Role::Manager, None)], StatusCode::FORBIDDEN),
        ("/v1/admin/payments?state=nothing", vec![(Role::Admin, None)], StatusCode::BAD_REQUEST),
        ("/v1/admin/payments?status=voided", vec![(Role::Admin, None)], StatusCode::BAD_REQUEST),
        ("/v1/admin/payments?limit=0", vec![(Role::Admin, None)], StatusCode::BAD_REQUEST),
        ("/v1/admin/payments?after=x", vec![(Role::Admin, None)], StatusCode::BAD_REQUEST),
        ("/v1/admin/payments/milk", vec![(Role::Admin, None)], StatusCode::NOT_FOUND),
        ("/v1/admin/payments/differences", vec![(Role::Manager, None)], StatusCode::FORBIDDEN),
        ("/v1/admin/payments/differences", vec![(Role::Admin, None)], StatusCode::OK),
        ("/v1/admin/audit/payments/facts", vec![(Role::Manager, None)], StatusCode::FORBIDDEN),
        ("/v1/admin/audit/payments/breaches", vec![(Role::Manager, None)], StatusCode::FORBIDDEN),
        ("/v1/admin/audit/payments/reconcile", vec![(Role::Manager, None)], StatusCode::FORBIDDEN),
    ];
    for (target, grants, status) in cases {
        let reply = match &grants[..] {
            [] => shop.get(target).await,
            some => shop.get_as(target, &shop.sign(some_id(1), some)).await,
        };
        assert_eq!(reply.status, status, "{target} as {grants:?}: {reply:?}");
    }
    let unknown = shop.get_as(&format!("/v1/admin/payments/{}", shop.order()), &shop.admin()).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_page_by_page() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut orders = Vec::new();
    for index in 0..17 {
        let order = shop.order();
        shop.reserve(order, if index % 2 == 0 { "tok_ok" } else { "tok_decline" }).await;
        orders.push(order.to_string());
    }
    orders.sort();
    let facts = shop.all_settled(17).await;
    let named = |items: &[web::Json]| items.iter().map(|item| item["order"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(named(&facts), orders);
    assert_eq!(
        facts[0]["sums"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["authorised", "captured", "refunded", "voided"]
    );
    let all = shop.all("/v1/admin/payments").await;
    assert_eq!(named(&all).into_iter().rev().collect::<Vec<_>>(), orders, "the latest first");
    let declined = shop.read("/v1/admin/payments?state=declined&limit=100").await;
    assert_eq!(declined["items"].as_array().unwrap().len(), 8);
    assert_eq!(declined["items"][0]["reason"], "card-declined");
    assert_eq!(shop.all_intents().await.len(), 9);
    shop.close().await;
}
