//! The way of an order to the door as others' events lead it, and how a shopper follows it.
//! Leaves the ways out to `ends`, and who may pick to `staff`.

use contracts::OrderId;
use contracts::delivery::{DeliveryArrived, DeliveryAssigned, DeliveryCreated, DeliveryDelivered, DeliveryPickedUp, Proof};
use contracts::inventory::{HoldCommitted, HoldConsumed, HoldReserved};
use contracts::orders::{OrderConfirmed, OrderDelivered, OrderReserved};
use contracts::payments::{PaymentAuthorised, PaymentCaptured};
use contracts::{Event, PersonId};
use kernel::{Draw, Millis, Money, TraceContext};
use orders::Config;
use testkit::{Engine, body, brief, is, some_id};
use web::{Call, HeaderName, Json, header, json};

use crate::shop::{Shop, address, contact};

testkit::on_both! {
    an_order_goes_from_the_basket_to_the_door
    what_is_said_twice_is_done_once
    what_was_said_while_it_was_down_is_heard
    what_was_said_in_time_is_heard_before_a_timer_fires
    a_shopper_waits_for_news
    nobody_else_waits
}

impl Shop {
    pub(crate) async fn reserve(&self, order: OrderId) {
        self.hear(HoldReserved { order, store: self.store.id, expires_at: self.now().plus_ms(600_000) }).await;
    }

    pub(crate) async fn authorise(&self, order: OrderId) {
        self.hear(PaymentAuthorised { attempt: 1, order, amount: self.money(1772) }).await;
    }

    pub(crate) async fn commit(&self, order: OrderId) {
        self.hear(HoldCommitted { order, store: self.store.id }).await;
    }

    /// An order that is promised.
    pub(crate) async fn confirm(&self, order: OrderId) {
        self.reserve(order).await;
        self.authorise(order).await;
        self.commit(order).await;
    }

    /// The event of this type that was said of `order`; there must be one.
    pub(crate) async fn said_once<E: Event>(&self, order: OrderId) -> E {
        let said = self.said().await.into_iter().filter(|event| event.kind == E::KIND && event.subject == order.to_string());
        let [event] = <[_; 1]>::try_from(said.collect::<Vec<_>>()).unwrap();
        serde_json::from_value(event.data).unwrap()
    }
}

async fn an_order_goes_from_the_basket_to_the_door(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let store = shop.store.id;
    let state = async || shop.view(&cart, order).await["state"].clone();
    let total: Money = serde_json::from_value(shop.view(&cart, order).await["total"].clone()).unwrap();

    let expires_at = shop.now().plus_ms(600_000);
    shop.hear(HoldReserved { order, store, expires_at }).await;
    assert_eq!(state().await, "reserved");
    assert_eq!(shop.view(&cart, order).await["hold"], json!({ "state": "reserved", "expires_at": expires_at }));
    let reserved: OrderReserved = shop.said_once(order).await;
    assert_eq!((reserved.amount, reserved.payment_token.as_str(), reserved.store), (total, "tok_visa", store));
    assert_eq!(reserved.pay_by, expires_at.plus_ms(-60_000), "the money must be there before the hold runs out");
    assert_eq!(shop.orders.pending().await.unwrap().timers["order-waiting"], 1);

    shop.authorise(order).await;
    assert_eq!(state().await, "authorised");
    shop.commit(order).await;
    assert_eq!(state().await, "confirmed");
    assert_eq!(shop.orders.pending().await.unwrap().timers["order-waiting"], 1, "what is promised is not waited for for ever");
    let confirmed: OrderConfirmed = shop.said_once(order).await;
    assert_eq!((json!(confirmed.contact), json!(confirmed.address), confirmed.slot), (contact(), address(), shop.slot));

    shop.hear(DeliveryCreated { order, pin: "4071".to_owned() }).await;
    let picker = shop.picker();
    let picking = shop.move_order(order, "pick", &picker).await;
    assert_eq!((picking.status.as_u16(), &body(&picking)["state"]), (200, &json!("picking")));
    let ready = shop.move_order(order, "ready", &picker).await;
    assert_eq!((ready.status.as_u16(), &body(&ready)["state"]), (200, &json!("ready")));
    assert_eq!(body(&ready)["delivery"]["pin"], json!(null), "the PIN is for the shopper alone");

    shop.hear(DeliveryAssigned { order, courier: PersonId(some_id(50)), courier_name: "Amara".to_owned() }).await;
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["delivery"]["pin"], &view["delivery"]["courier"]), (&json!("4071"), &json!("Amara")));
    shop.hear(DeliveryPickedUp { attempt: 1, order, at: shop.now() }).await;
    assert_eq!(state().await, "out_for_delivery");
    shop.hear(DeliveryArrived { attempt: 1, order, at: shop.now() }).await;
    shop.hear(DeliveryDelivered { attempt: 1, order, proof: Proof::Pin, at: shop.now() }).await;
    assert_eq!(state().await, "delivered");
    assert_eq!(shop.said_once::<OrderDelivered>(order).await.amount, total);
    shop.hear(HoldConsumed { order, store }).await;
    shop.hear(PaymentCaptured { order, amount: total }).await;

    let view = shop.view(&cart, order).await;
    assert_eq!(
        (&view["hold"]["state"], &view["payment"]),
        (&json!("consumed"), &json!({ "state": "captured", "captured": total, "attempt": 1 }))
    );
    let history: Vec<String> =
        view["history"].as_array().unwrap().iter().map(|moment| format!("{} {}", moment["state"], moment["by"])).collect();
    let expected = [
        ("placed", "guest"),
        ("reserved", "inventory"),
        ("authorised", "payments"),
        ("confirmed", "inventory"),
        ("picking", "picker"),
        ("ready", "picker"),
        ("out_for_delivery", "delivery"),
        ("delivered", "delivery"),
    ];
    assert_eq!(history, expected.map(|(state, by)| format!("\"{state}\" \"{by}\"")));
    let said = [
        "order.placed",
        "hold.request",
        "order.reserved",
        "hold.commit",
        "order.confirmed",
        "order.ready",
        "order.delivered",
        "hold.consume",
    ];
    assert_eq!(shop.said_of(order).await, said);
    shop.close().await;
}

async fn what_is_said_twice_is_done_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    for _ in 0..2 {
        shop.reserve(order).await;
    }
    for _ in 0..2 {
        shop.authorise(order).await;
    }
    shop.reserve(order).await;
    for _ in 0..2 {
        shop.commit(order).await;
    }
    let tag = async || {
        let reply = shop.send(cart.by(Call::get(&format!("/v1/orders/{order}")))).await;
        reply.header("etag").unwrap().to_owned()
    };
    let before = tag().await;
    shop.confirm(order).await;
    assert_eq!(tag().await, before, "nothing changed, so nobody who waits is woken");
    let said = ["order.placed", "hold.request", "order.reserved", "hold.commit", "order.confirmed"];
    assert_eq!(shop.said_of(order).await, said);

    // Of an order that is not here nothing is known, and it holds up nobody else.
    let unknown = OrderId(some_id(99));
    shop.confirm(unknown).await;
    assert_eq!(shop.said_of(unknown).await, Vec::<String>::new());
    shop.close().await;
}

async fn what_was_said_while_it_was_down_is_heard(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(order).await;
    let picker = shop.picker();
    shop.move_order(order, "pick", &picker).await;
    shop.move_order(order, "ready", &picker).await;

    shop.orders.shut_down().await;
    let at = shop.now();
    shop.is_said(DeliveryCreated { order, pin: "4071".to_owned() }, trace()).await;
    shop.is_said(DeliveryPickedUp { attempt: 1, order, at }, trace()).await;
    shop.is_said(DeliveryDelivered { attempt: 1, order, proof: Proof::Pin, at }, trace()).await;
    // Nobody would have said these yet; but which log is read first is left open.
    shop.is_said(HoldConsumed { order, store: shop.store.id }, trace()).await;
    shop.is_said(PaymentCaptured { order, amount: shop.money(1772) }, trace()).await;
    let shop = shop.restart().await;
    shop.heard().await;
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["state"], &view["delivery"]["pin"]), (&json!("delivered"), &json!("4071")));
    assert_eq!((&view["hold"]["state"], &view["payment"]["state"]), (&json!("consumed"), &json!("captured")));
    assert_eq!(shop.said_of(order).await.iter().filter(|kind| *kind == "order.delivered").count(), 1);
    shop.close().await;
}

async fn what_was_said_in_time_is_heard_before_a_timer_fires(engine: Engine) {
    let shop = Shop::open_with(engine, Config { decide_within_ms: 2500, ..Config::default() }).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.orders.shut_down().await;
    let due_at = shop.now().plus_ms(2500);
    let store = shop.store.id;
    shop.is_said(HoldReserved { order, store, expires_at: shop.now().plus_ms(600_000) }, trace()).await;
    shop.is_said(HoldCommitted { order, store }, trace()).await;
    shop.is_said(PaymentAuthorised { attempt: 1, order, amount: shop.money(1772) }, trace()).await;
    shop.until("the timer is due", async || shop.now() > due_at).await;
    let shop = shop.restart().await;
    shop.heard().await;
    assert_eq!(shop.view(&cart, order).await["state"], "confirmed");
    shop.close().await;
}

fn trace() -> TraceContext {
    TraceContext::start(&mut Draw::seeded(1))
}

/// Reads `path` unless it is still as `tag` says, and prefers to wait for `seconds`.
fn waiting(path: &str, tag: &str, seconds: u32) -> Call {
    let prefer = HeaderName::from_static("prefer");
    Call::get(path).header(header::IF_NONE_MATCH, tag).header(prefer, &format!("wait={seconds}"))
}

async fn a_shopper_waits_for_news(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let path = format!("/v1/orders/{order}");
    let first = shop.send(cart.by(Call::get(&path))).await;
    let tag = first.header("etag").unwrap().to_owned();

    let begun = shop.now();
    let (news, ()) = tokio::join!(shop.send(cart.by(waiting(&path, &tag, 30))), shop.reserve(order));
    let waited_ms: Millis = shop.now().since_ms(begun);
    assert!(waited_ms < 15_000, "it is answered on the change, not after the wait: {waited_ms} ms");
    assert_eq!((news.status.as_u16(), &body(&news)["state"]), (200, &json!("reserved")));
    assert_ne!(news.header("etag"), Some(tag.as_str()));

    // Whoever does not know the present state is told at once.
    let late = shop.send(cart.by(waiting(&path, &tag, 30))).await;
    assert_eq!((late.status.as_u16(), late.header("etag")), (200, news.header("etag")));
    let tag = news.header("etag").unwrap();
    let quiet = shop.send(cart.by(waiting(&path, tag, 1))).await;
    assert_eq!((quiet.status.as_u16(), quiet.header("etag")), (304, Some(tag)));
    let plain = shop.send(cart.by(Call::get(&path).header(header::IF_NONE_MATCH, tag))).await;
    assert_eq!(plain.status, 304);
    shop.close().await;
}

async fn nobody_else_waits(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (_, order) = shop.placed(&[("MILK", 3)]).await;
    let other = shop.cart(&[]).await;
    let begun = shop.now();
    for id in [Json::from(order.to_string()), json!(some_id(99))] {
        let path = format!("/v1/orders/{}", id.as_str().unwrap());
        let refused = shop.send(other.by(waiting(&path, "*", 30))).await;
        assert_eq!(brief(&refused), is(404, "not-found", "-"));
    }
    let waited_ms = shop.now().since_ms(begun);
    assert!(waited_ms < 15_000, "a stranger must not learn from the wait that an order exists: {waited_ms} ms");
    shop.close().await;
}
