//! What people ask for: an action for every route that changes something, with a body that may be right or wrong, and what
//! somebody who wants the order to come to its good end would do next.
//! Leaves whether it is allowed to the services, and what must follow to `promises`.

use web::{Call, Json, Method, json};

use super::bank::{CARDS, SIGNATURE};
use super::dice::Dice;
use super::world::{STOCK, World, store_plan};

/// What an action is aimed at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    /// Which order, of those that are there.
    pub(super) order: usize,
    /// Which cart, of those that are there.
    pub(super) cart: usize,
    /// Whether the right person does it in the right way.
    pub(super) well: bool,
}

/// What comes of an action that is sent again under a new key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Again {
    /// It is refused, or nothing more is done.
    Nothing,
    /// It is another wish, and more may be done.
    More,
}

/// Somebody's request.
pub(super) struct Asked {
    pub(super) call: Call,
    /// Whether a key goes with it.
    pub(super) keyed: bool,
}

/// How a request is made.
type Make = fn(&World, Aim, &mut Dice) -> Option<Asked>;

/// Something that people do.
pub(super) struct Action {
    /// The route, as `POST /v1/orders`.
    pub(super) route: &'static str,
    /// The request; none if there is nothing to aim at.
    pub(super) make: Make,
    pub(super) again: Again,
}

const fn once(route: &'static str, make: Make) -> Action {
    Action { route, make, again: Again::Nothing }
}

/// One that may be done more than once, since each time is a wish, or a fact, of its own.
const fn more(route: &'static str, make: Make) -> Action {
    Action { route, make, again: Again::More }
}

/// An action for each route that changes something in the services whose machines are walked.
pub(super) const ACTIONS: &[Action] = &[
    more("POST /v1/carts", make_cart),
    once("PUT /v1/carts/{id}/lines", change_lines),
    once("POST /v1/carts/{id}/quotes", quote),
    once("POST /v1/orders", place),
    once("POST /v1/orders/{id}/cancel", cancel),
    once("POST /v1/orders/{id}/pick", |world, aim, _| of_picker(world, aim, "pick")),
    once("POST /v1/orders/{id}/shorts", short_pick),
    once("POST /v1/orders/{id}/ready", |world, aim, _| of_picker(world, aim, "ready")),
    // A second wish for the same money is another wish.
    more("POST /v1/orders/{id}/payment", pay_again),
    once("POST /v1/orders/{id}/delivery", decide),
    more("POST /v1/orders/{id}/refunds", refund),
    once("POST /v1/webhooks/sandbox", webhook),
    once("PUT /v1/courier/shift", shift),
    once("POST /v1/deliveries/{order}/accept", |world, aim, dice| ride(world, aim, dice, "/accept")),
    once("POST /v1/deliveries/{order}/decline", |world, aim, dice| ride(world, aim, dice, "/decline")),
    once("POST /v1/deliveries/{order}/at-pickup", |world, aim, dice| ride(world, aim, dice, "/at-pickup")),
    once("POST /v1/deliveries/{order}/picked-up", |world, aim, dice| ride(world, aim, dice, "/picked-up")),
    once("POST /v1/deliveries/{order}/at-dropoff", |world, aim, dice| ride(world, aim, dice, "/at-dropoff")),
    // A wrong PIN is counted each time it is said.
    more("POST /v1/deliveries/{order}/deliver", hand_over),
    once("POST /v1/courier/deliveries/{order}/drop", |world, aim, dice| ride_because(world, aim, dice, "drop", &["flat-tyre"])),
    once("POST /v1/courier/deliveries/{order}/fail", |world, aim, dice| ride_because(world, aim, dice, "fail", &FAILURES)),
    once("POST /v1/courier/deliveries/{order}/return", |world, aim, dice| ride_back(world, aim, dice, "return")),
    once("POST /v1/courier/deliveries/{order}/returned", |world, aim, dice| ride_back(world, aim, dice, "returned")),
    once("POST /v1/deliveries/{order}/unlock-pin", |world, aim, _| dispatch(world, aim, "unlock-pin", None)),
    once("POST /v1/deliveries/{order}/withdraw", |world, aim, _| dispatch(world, aim, "withdraw", Some("too-far"))),
    once("POST /v1/deliveries/{order}/fail", |world, aim, _| dispatch(world, aim, "fail", Some("courier-silent"))),
    once("POST /v1/deliveries/{order}/returned", |world, aim, _| dispatch(world, aim, "returned", None)),
    more("POST /v1/admin/stores", |world, _, _| manage(world, Method::POST, "", &store_plan(2))),
    once("PUT /v1/admin/stores/{id}", change_store),
    once("PUT /v1/admin/stores/{id}/pause", pause),
    // Every count, and every word on places, is kept with who said it, also if it finds what was known.
    more("PUT /v1/admin/stores/{store}/stock/{sku}", count),
    more("PUT /v1/admin/stores/{store}/slots/{starts_at}/places", places),
    once("POST /v1/admin/stores/{store}/slots/{starts_at}/withdraw", |world, _, dice| of_slot(world, dice, "withdraw")),
    once("POST /v1/admin/stores/{store}/slots/{starts_at}/reopen", |world, _, dice| of_slot(world, dice, "reopen")),
];

/// Why a courier cannot hand over.
const FAILURES: [&str; 3] = ["nobody-home", "damaged", "courier-dropped-out"];

/// The action of a route.
pub(super) fn action(route: &str) -> &'static Action {
    ACTIONS.iter().find(|action| action.route == route).unwrap_or_else(|| panic!("no action for {route}"))
}

/// What somebody who wants `order` to be brought would do next.
pub(super) fn next_move(world: &World, order: usize) -> Option<&'static str> {
    let id = &world.orders.get(order)?.id;
    let (order, delivery) = (world.order(id), world.delivery(id));
    let route = match (text(&order["state"]), text(&delivery["state"])) {
        ("confirmed", _) => "POST /v1/orders/{id}/pick",
        ("picking", _) => "POST /v1/orders/{id}/ready",
        ("payment_failed", _) => "POST /v1/orders/{id}/payment",
        ("delivery_failed", _) => "POST /v1/orders/{id}/delivery",
        (_, "unassigned") => "PUT /v1/courier/shift",
        (_, "offered") => "POST /v1/deliveries/{order}/accept",
        (_, "to-pickup") => "POST /v1/deliveries/{order}/at-pickup",
        (_, "at-pickup") => "POST /v1/deliveries/{order}/picked-up",
        (_, "to-dropoff") => "POST /v1/deliveries/{order}/at-dropoff",
        (_, "at-dropoff") => "POST /v1/deliveries/{order}/deliver",
        (_, "returning") => "POST /v1/courier/deliveries/{order}/returned",
        _ => return None,
    };
    Some(route)
}

/// What somebody may do with `order` that leads elsewhere.
pub(super) fn way_out(world: &World, order: usize, dice: &mut Dice) -> Option<&'static str> {
    let id = &world.orders.get(order)?.id;
    let (order, delivery) = (world.order(id), world.delivery(id));
    // Not too often, or nothing would ever come far.
    if dice.happens(1, 10) {
        return Some("POST /v1/orders/{id}/cancel");
    }
    let mut ways = match text(&order["state"]) {
        "picking" => vec!["POST /v1/orders/{id}/shorts"],
        "delivered" => vec!["POST /v1/orders/{id}/refunds"],
        "delivery_failed" => vec!["POST /v1/orders/{id}/delivery"],
        _ => Vec::new(),
    };
    match text(&delivery["state"]) {
        "offered" => ways.push("POST /v1/deliveries/{order}/decline"),
        "to-pickup" | "at-pickup" => {
            ways.extend(["POST /v1/courier/deliveries/{order}/drop", "POST /v1/deliveries/{order}/withdraw"]);
        }
        "to-dropoff" | "at-dropoff" => {
            ways.extend(["POST /v1/courier/deliveries/{order}/fail", "POST /v1/deliveries/{order}/fail"]);
        }
        "failed" => ways.extend([
            "POST /v1/courier/deliveries/{order}/return",
            "POST /v1/courier/deliveries/{order}/returned",
            "POST /v1/deliveries/{order}/returned",
        ]),
        "returning" => ways.push("POST /v1/deliveries/{order}/returned"),
        _ => {}
    }
    dice.pick(&ways).copied()
}

/// What a shopper does next with `cart`; a new one if that is done with.
pub(super) fn next_of_shopper(world: &World, cart: usize) -> &'static str {
    match world.carts.get(cart) {
        Some(cart) if !cart.ordered && cart.quote.is_none() => "POST /v1/carts/{id}/quotes",
        Some(cart) if !cart.ordered => "POST /v1/orders",
        _ => "POST /v1/carts",
    }
}

pub(super) fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn keyed(call: Call) -> Option<Asked> {
    Some(Asked { call, keyed: true })
}

fn manage(world: &World, method: Method, path: &str, body: &Json) -> Option<Asked> {
    keyed(Call::new(method, &format!("/v1/admin/stores{path}")).bearer(&world.people.admin).json(body))
}

fn lines(dice: &mut Dice) -> Json {
    let count = dice.roll(2) + 1;
    let line = |dice: &mut Dice| json!({ "sku": STOCK[dice.roll(STOCK.len())].0, "quantity": dice.roll(3) + 1 });
    let mut lines = vec![line(dice)];
    if count > 1 {
        let more = line(dice);
        if more["sku"] != lines[0]["sku"] {
            lines.push(more);
        }
    }
    json!(lines)
}

fn make_cart(world: &World, _: Aim, dice: &mut Dice) -> Option<Asked> {
    let address = json!({ "street": "1 Edgewood Ave", "point": { "lat": 33.74, "lon": -84.35 } });
    keyed(Call::post("/v1/carts").json(&json!({ "address": address, "store": world.store, "lines": lines(dice) })))
}

fn change_lines(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let cart = world.carts.get(aim.cart)?;
    let call = Call::new(Method::PUT, &format!("/v1/carts/{}/lines", cart.id)).capability(&cart.capability);
    keyed(call.json(&json!({ "lines": lines(dice) })))
}

fn quote(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let cart = world.carts.get(aim.cart)?;
    let slot = dice.pick(&world.slots)?;
    let call = Call::post(&format!("/v1/carts/{}/quotes", cart.id)).capability(&cart.capability);
    Some(Asked { call: call.json(&json!({ "slot": slot })), keyed: false })
}

fn place(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let cart = world.carts.get(aim.cart)?;
    let contact = json!({ "name": "Ada", "email": "ada@example.org", "phone": "" });
    let body = json!({ "quote": cart.quote.as_ref()?, "contact": contact, "payment_token": CARDS[dice.roll(CARDS.len())] });
    keyed(Call::post("/v1/orders").capability(&cart.capability).json(&body))
}

fn cancel(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    let call = Call::post(&format!("/v1/orders/{}/cancel", order.id)).json(&json!({ "reason": "gave-up" }));
    keyed(match dice.roll(2) {
        0 => call.capability(&order.capability),
        _ => call.bearer(&world.people.manager),
    })
}

fn of_picker(world: &World, aim: Aim, step: &str) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    keyed(Call::post(&format!("/v1/orders/{}/{step}", order.id)).bearer(&world.people.picker))
}

fn short_pick(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let Asked { call, keyed } = of_picker(world, aim, "shorts")?;
    let order = world.order(&world.orders[aim.order].id);
    let lines = order["lines"].as_array()?;
    let line = dice.pick(lines)?;
    let picked = dice.roll(usize::try_from(line["quantity"].as_i64()?).ok()?.max(1));
    let body = json!({ "lines": [{ "sku": line["sku"], "picked": picked, "restock": dice.happens(1, 2) }] });
    Some(Asked { call: call.json(&body), keyed })
}

fn pay_again(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    let card = CARDS[if aim.well { 0 } else { dice.roll(CARDS.len()) }];
    let call = Call::post(&format!("/v1/orders/{}/payment", order.id)).capability(&order.capability);
    keyed(call.json(&json!({ "payment_token": card })))
}

fn decide(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    let choice = dice.pick(&["again", "return"])?;
    let call = Call::post(&format!("/v1/orders/{}/delivery", order.id)).bearer(&world.people.dispatcher);
    keyed(call.json(&json!({ "choice": choice, "reason": "spoke with the shopper" })))
}

fn refund(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    let known = world.order(&order.id);
    let body = match dice.roll(3) {
        0 => json!({ "amount": { "minor": dice.roll(500) + 1, "currency": "USD" }, "reason": "late" }),
        1 => json!({ "lines": [{ "sku": known["lines"][0]["sku"], "quantity": 1 }], "reason": "bruised" }),
        _ => json!({ "all": true, "reason": "not what was ordered" }),
    };
    keyed(Call::post(&format!("/v1/orders/{}/refunds", order.id)).bearer(&world.people.manager).json(&body))
}

/// What the provider, or somebody who would like to be it, says.
fn webhook(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let order = world.orders.get(aim.order).map(|order| order.id.clone());
    let hook = json!({ "id": format!("hook-{}", dice.roll(50)), "order": order });
    let signature = if dice.happens(1, 4) { "forged" } else { SIGNATURE };
    let header = web::HeaderName::from_static("sandbox-signature");
    Some(Asked { call: Call::post("/v1/webhooks/sandbox").header(header, signature).json(&hook), keyed: false })
}

fn shift(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let (_, token) = dice.pick(&world.people.couriers)?;
    let on = aim.well || dice.roll(3) > 0;
    keyed(Call::new(Method::PUT, "/v1/courier/shift").bearer(token).json(&json!({ "on": on })))
}

/// The token of the courier whose delivery it is; of any if it is nobody's, or if it is not to be done well.
fn courier(world: &World, aim: Aim, dice: &mut Dice) -> Option<String> {
    let delivery = world.delivery(&world.orders.get(aim.order)?.id);
    let holder = text(&delivery["courier"]["person"]);
    let theirs = world.people.couriers.iter().find(|(person, _)| person.to_string() == holder);
    let any = dice.pick(&world.people.couriers);
    let wrong = !aim.well && dice.happens(1, 4);
    theirs.filter(|_| !wrong).or(any).map(|(_, token)| token.clone())
}

fn ride(world: &World, aim: Aim, dice: &mut Dice, step: &str) -> Option<Asked> {
    let token = courier(world, aim, dice)?;
    keyed(Call::post(&format!("/v1/deliveries/{}{step}", world.orders[aim.order].id)).bearer(&token))
}

fn ride_back(world: &World, aim: Aim, dice: &mut Dice, step: &str) -> Option<Asked> {
    let token = courier(world, aim, dice)?;
    keyed(Call::post(&format!("/v1/courier/deliveries/{}/{step}", world.orders[aim.order].id)).bearer(&token))
}

fn ride_because(world: &World, aim: Aim, dice: &mut Dice, step: &str, reasons: &[&str]) -> Option<Asked> {
    let Asked { call, keyed } = ride_back(world, aim, dice, step)?;
    Some(Asked { call: call.json(&json!({ "reason": dice.pick(reasons)? })), keyed })
}

fn hand_over(world: &World, aim: Aim, dice: &mut Dice) -> Option<Asked> {
    let token = courier(world, aim, dice)?;
    let order = &world.orders[aim.order].id;
    let known = world.delivery(order);
    let right = text(&known["errand"]["pin"]).to_owned();
    let wrong = !aim.well && dice.happens(1, 2);
    let pin = if wrong || right.is_empty() { "0000".to_owned() } else { right };
    keyed(Call::post(&format!("/v1/deliveries/{order}/deliver")).bearer(&token).json(&json!({ "pin": pin })))
}

fn dispatch(world: &World, aim: Aim, step: &str, reason: Option<&str>) -> Option<Asked> {
    let order = world.orders.get(aim.order)?;
    let call = Call::post(&format!("/v1/deliveries/{}/{step}", order.id)).bearer(&world.people.dispatcher);
    keyed(match reason {
        Some(reason) => call.json(&json!({ "reason": reason })),
        None => call,
    })
}

fn change_store(world: &World, _: Aim, dice: &mut Dice) -> Option<Asked> {
    let version = world.documents("delivery_store").iter().find_map(|store| store["version"].as_i64());
    let places = i64::try_from(dice.roll(4)).ok()?;
    let Asked { call, keyed } = manage(world, Method::PUT, &format!("/{}", world.store), &store_plan(places + 1))?;
    Some(Asked { call: call.header(web::header::IF_MATCH, &format!("\"{}\"", version.unwrap_or(1))), keyed })
}

fn pause(world: &World, _: Aim, dice: &mut Dice) -> Option<Asked> {
    manage(world, Method::PUT, &format!("/{}/pause", world.store), &json!({ "paused": dice.happens(1, 8) }))
}

fn count(world: &World, _: Aim, dice: &mut Dice) -> Option<Asked> {
    let (sku, stock) = STOCK[dice.roll(STOCK.len())];
    let on_hand = stock + i64::try_from(dice.roll(5)).ok()?;
    manage(world, Method::PUT, &format!("/{}/stock/{sku}", world.store), &json!({ "on_hand": on_hand }))
}

fn places(world: &World, _: Aim, dice: &mut Dice) -> Option<Asked> {
    let slot = dice.pick(&world.slots)?;
    let places = i64::try_from(dice.roll(4)).ok()?;
    manage(world, Method::PUT, &format!("/{}/slots/{slot}/places", world.store), &json!({ "places": places }))
}

fn of_slot(world: &World, dice: &mut Dice, step: &str) -> Option<Asked> {
    let slot = dice.pick(&world.slots)?;
    manage(world, Method::POST, &format!("/{}/slots/{slot}/{step}", world.store), &json!({ "reason": "snow" }))
}
