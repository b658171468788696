//! Bodies: what does not fit is refused with the place where it does not.
//! Leaves rules of business to the services.

use kernel::{Fault, Id};
use proptest::prelude::*;
use serde::Deserialize;
use testkit::{brief, is, problem, some_id};
use web::{Access, Answer, BODY_BYTES_MAX, Body, Call, Json, NoBody, RawBody, Router, Routes, canonical_json, json};

use crate::shop::{ask, open};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    cart: Id,
    lines: Vec<Line>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default, rename = "a/b~c")]
    odd: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    quantity: u32,
    way: Way,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Door,
    Locker(u8),
}

async fn place(body: Body<NewOrder>) -> Result<Answer, Fault> {
    let order = body.value;
    let lockers: u32 =
        order.lines.iter().map(|line| if let Way::Locker(number) = line.way { u32::from(number) } else { 0 }).sum();
    let quantity: u32 = order.lines.iter().map(|line| line.quantity).sum();
    Ok(Answer::ok(json!({ "cart": order.cart, "sum": quantity + lockers + u32::from(order.odd), "note": order.note })))
}

async fn fingerprint(body: Body<Json>) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!([body.fingerprint.to_string(), body.canonical])))
}

async fn cancel(body: NoBody) -> Result<Answer, Fault> {
    Ok(Answer::ok(body.fingerprint.to_string()))
}

async fn raw(RawBody(bytes): RawBody) -> Result<Answer, Fault> {
    Ok(Answer::ok(bytes.len()))
}

fn router() -> Router {
    let routes = Routes::new("test").post("/orders", Access::anyone(), place).post("/print", Access::anyone(), fingerprint);
    let routes = routes.put("/print", Access::anyone(), fingerprint).post("/other", Access::anyone(), fingerprint);
    open(routes.post("/cancel", Access::anyone(), cancel).post("/raw", Access::anyone(), raw))
}

async fn post(body: impl Into<String>) -> web::Reply {
    ask(&router(), Call::post("/orders").bytes("application/json; charset=utf-8", body.into())).await
}

#[tokio::test]
async fn a_sound_body_arrives_typed() {
    let body =
        json!({ "cart": some_id(1), "lines": [{ "quantity": 2, "way": "door" }, { "quantity": 1, "way": { "locker": 4 } }] });
    let reply = post(body.to_string()).await;
    assert_eq!(reply.json::<Json>().unwrap(), json!({ "cart": some_id(1), "sum": 7, "note": null }));
}

#[tokio::test]
async fn a_misfit_names_its_place_by_a_pointer() {
    let cart = some_id(1);
    let line = json!({ "quantity": 1, "way": "door" });
    let cases = [
        (json!({ "lines": [] }), "/cart", "`cart` is required"),
        (json!({ "cart": 5, "lines": [] }), "/cart", "invalid type: integer `5`, expected a string"),
        (json!({ "cart": "abc", "lines": [] }), "/cart", "not an id: expected 32 hexadecimal digits as 8-4-4-4-12"),
        (json!({ "cart": cart, "lines": [line, { "quantity": -1, "way": "door" }] }), "/lines/1/quantity", "expected u32"),
        (json!({ "cart": cart, "lines": [{ "quantity": "1", "way": "door" }] }), "/lines/0/quantity", "expected u32"),
        (json!({ "cart": cart, "lines": [{ "way": "door" }] }), "/lines/0/quantity", "`quantity` is required"),
        (json!({ "cart": cart, "lines": [{ "quantity": 1, "way": "sea" }] }), "/lines/0/way", "expected `door` or `locker`"),
        (json!({ "cart": cart, "lines": [{ "quantity": 1, "way": { "locker": "x" } }] }), "/lines/0/way/locker", "expected u8"),
        (json!({ "cart": cart, "lines": [], "notes": "x" }), "/notes", "unknown field `notes`"),
        (json!({ "cart": cart, "lines": [{ "quantity": 1, "way": "door", "sku": 1 }] }), "/lines/0/sku", "unknown field `sku`"),
        (json!({ "cart": cart, "lines": [], "a/b~c": 300 }), "/a~1b~0c", "expected u8"),
        (json!({ "cart": cart, "lines": {} }), "/lines", "expected a sequence"),
        (json!(5), "", "expected struct NewOrder"),
    ];
    for (body, pointer, detail) in cases {
        let reply = post(body.to_string()).await;
        let (status, reason, members) = problem(&reply);
        assert_eq!((status, reason.as_str()), (422, "invalid-field"), "{body}");
        assert_eq!(members["errors"][0]["pointer"], pointer, "{body}");
        let said = members["errors"][0]["detail"].as_str().unwrap();
        assert!(said.contains(detail) && !said.contains("line 1"), "{body}: {said}");
    }
    let twice = format!(r#"{{"cart":"{cart}","cart":"{cart}","lines":[]}}"#);
    assert_eq!(brief(&post(twice).await), is(422, "invalid-field", "/cart"));
}

#[tokio::test]
async fn broken_json_names_line_and_column() {
    let reply = post("{\n  \"cart\": 5,\n  \"lines\": [}\n").await;
    let (status, reason, members) = problem(&reply);
    assert_eq!((status, reason.as_str()), (400, "invalid-json"));
    assert_eq!((&members["line"], &members["column"]), (&json!(3), &json!(13)));
    for body in ["", "{", "nul", "{} {}", "\"\u{1}\"", "1e999", &"[".repeat(1000)] {
        assert_eq!(brief(&post(body).await), is(400, "invalid-json", "-"), "{body:?}");
    }
    let latin = Call::post("/orders").bytes("application/json", b"\"\xe4\"".to_vec());
    assert_eq!(brief(&ask(&router(), latin).await), is(400, "invalid-json", "-"));
}

#[tokio::test]
async fn only_json_is_taken() {
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "json", "text/json", ""] {
        let reply = ask(&router(), Call::post("/orders").bytes(media_type, "{}")).await;
        assert_eq!(brief(&reply), is(415, "unsupported-media-type", "-"), "{media_type}");
    }
    assert_eq!(ask(&router(), Call::post("/orders")).await.status, 415);
    let reply = ask(&router(), Call::post("/print").bytes("application/merge-patch+json", "{}")).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let body = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2));
    for target in ["/print", "/raw"] {
        let fits = Call::post(target).bytes("application/json", body(BODY_BYTES_MAX));
        assert_eq!(ask(&router(), fits).await.status, 200, "{target}");
        let over = Call::post(target).bytes("application/json", body(BODY_BYTES_MAX + 1));
        assert_eq!(brief(&ask(&router(), over.clone()).await), is(413, "body-too-large", "-"));
        let declared = over.header(web::header::CONTENT_LENGTH, &(BODY_BYTES_MAX + 1).to_string());
        assert_eq!(brief(&ask(&router(), declared).await), is(413, "body-too-large", "-"));
    }
}

#[tokio::test]
async fn a_fingerprint_is_of_the_meaning_and_the_place() {
    let print = async |call: Call| ask(&router(), call).await.json::<(String, String)>().unwrap();
    let spaced =
        print(Call::post("/print").bytes("application/json", "{ \"b\" : [1, {\"d\":null,\"c\":\"\\u00e9\"}],\n\"a\":true }"))
            .await;
    let dense = print(Call::post("/print").bytes("application/json", "{\"a\":true,\"b\":[1,{\"c\":\"é\",\"d\":null}]}")).await;
    assert_eq!(spaced, dense);
    assert_eq!(dense.1, "{\"a\":true,\"b\":[1,{\"c\":\"é\",\"d\":null}]}");
    let same = json!({ "a": true, "b": [1, { "c": "é", "d": null }] });
    for call in [Call::post("/other"), Call::new(web::Method::PUT, "/print")] {
        assert_ne!(print(call.json(&same)).await.0, dense.0);
    }
    assert_ne!(print(Call::post("/print").json(&json!({ "a": true, "b": [] }))).await.0, dense.0);
}

#[tokio::test]
async fn what_takes_no_body_refuses_one() {
    assert_eq!(ask(&router(), Call::post("/cancel")).await.status, 200);
    assert_eq!(brief(&ask(&router(), Call::post("/cancel").json(&json!({}))).await), is(400, "unexpected-body", "-"));
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<i32>().prop_map(|eighths| Json::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Json::from)
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|members| members.into_iter().collect::<Json>())
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_is_the_same_json(value in any_json()) {
        let text = canonical_json(&value);
        let again: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical_json(&again), text);
    }
}
