//! Paths and queries: typed values, and refusals that name the parameter.
//! Leaves what the values name to the services.

use kernel::{Fault, Id};
use serde::Deserialize;
use testkit::{brief, is, problem, some_id};
use web::{Access, Answer, AnyQuery, Call, Page, Path, Query, Router, Routes, json};

use crate::shop::{ask, open};

kernel::typed_id! {
    /// A thing.
    ThingId;
}

#[derive(Deserialize)]
struct Shelf {
    place: u16,
    store: Id,
}

#[derive(Deserialize)]
struct Filter {
    state: Option<Vec<State>>,
    minimum: Option<i64>,
    store: Option<ThingId>,
    #[serde(default)]
    open: bool,
    text: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
enum State {
    Placed,
    OutForDelivery,
}

#[derive(Deserialize)]
struct Needed {
    near: f64,
}

async fn one(Path(id): Path<ThingId>) -> Result<Answer, Fault> {
    Ok(Answer::ok(id))
}

async fn pair(Path((store, sku)): Path<(Id, String)>) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!([store, sku])))
}

async fn shelf(Path(shelf): Path<Shelf>) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!([shelf.store, shelf.place])))
}

async fn misfitting(Path(_): Path<Id>) -> Result<Answer, Fault> {
    Ok(Answer::no_content())
}

async fn filter(Query(filter): Query<Filter>, page: Page<Id>) -> Result<Answer, Fault> {
    let states = format!("{:?}", filter.state);
    Ok(Answer::ok(json!([states, filter.minimum, filter.store, filter.open, filter.text, page.limit])))
}

async fn needed(Query(needed): Query<Needed>) -> Result<Answer, Fault> {
    Ok(Answer::ok(needed.near))
}

async fn plain() -> Result<Answer, Fault> {
    Ok(Answer::no_content())
}

async fn any(AnyQuery(pairs): AnyQuery) -> Result<Answer, Fault> {
    Ok(Answer::ok(pairs))
}

fn router() -> Router {
    let routes =
        Routes::new("test").get("/things/{id}", Access::anyone(), one).get("/stores/{store}/stock/{sku}", Access::anyone(), pair);
    let routes = routes.get("/stores/{store}/shelves/{place}", Access::anyone(), shelf).get("/list", Access::anyone(), filter);
    let routes =
        routes.get("/needed", Access::anyone(), needed).get("/plain", Access::anyone(), plain).get("/any", Access::anyone(), any);
    open(routes.get("/misfit/{a}/{b}", Access::anyone(), misfitting))
}

async fn get(target: &str) -> web::Reply {
    ask(&router(), Call::get(target)).await
}

#[tokio::test]
async fn a_path_gives_one_value_a_tuple_or_a_struct() {
    let id = some_id(1);
    assert_eq!(get(&format!("/things/{id}")).await.body, format!("\"{id}\""));
    assert_eq!(get(&format!("/stores/{id}/stock/a%2Fb%20c")).await.body, format!("[\"{id}\",\"a/b c\"]"));
    assert_eq!(get(&format!("/stores/{id}/shelves/12")).await.body, format!("[\"{id}\",12]"));
}

#[tokio::test]
async fn a_path_that_names_nothing_is_not_found_and_says_why() {
    let id = some_id(1);
    assert_eq!(brief(&get("/things/abc").await), is(404, "not-found", "id"));
    assert_eq!(brief(&get("/stores/abc/stock/x").await), is(404, "not-found", "store"));
    assert_eq!(brief(&get(&format!("/stores/{id}/shelves/70000")).await), is(404, "not-found", "place"));
    assert_eq!(brief(&get("/things/%ff").await), is(400, "invalid-path", "-"));
    assert_eq!(brief(&get("/misfit/1/2").await), is(500, "internal", "-"));
}

#[tokio::test]
async fn a_query_gives_typed_values_beside_a_page() {
    let id = some_id(1);
    let reply = get(&format!("/list?state=placed,out-for-delivery&minimum=-5&store={id}&open=true&text=a+b%26c&limit=7")).await;
    assert_eq!(reply.json::<web::Json>().unwrap(), json!(["Some([Placed, OutForDelivery])", -5, id, true, "a b&c", 7]));
    assert_eq!(get("/list").await.json::<web::Json>().unwrap(), json!(["None", null, null, false, null, 20]));
    assert_eq!(get("/needed?near=1.5").await.body, "1.5");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    for (target, parameter) in [
        ("/list?minimum=x", "minimum"),
        ("/list?minimum=", "minimum"),
        ("/list?store=abc", "store"),
        ("/list?state=placed,lost", "state"),
        ("/list?open=yes", "open"),
        ("/list?text=a&text=b", "text"),
        ("/list?limit=5&limit=6", "limit"),
        ("/needed", "near"),
        ("/needed?near=here", "near"),
    ] {
        let reply = get(target).await;
        let (_, _, members) = problem(&reply);
        assert_eq!(brief(&reply), is(400, "invalid-field", parameter), "{target}");
        assert_eq!(members["errors"][0]["parameter"], parameter);
    }
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_is_refused_except_where_all_are_taken() {
    assert_eq!(brief(&get("/list?stat=placed").await), is(400, "unknown-parameter", "stat"));
    assert_eq!(brief(&get("/plain?x").await), is(400, "unknown-parameter", "x"));
    let (_, _, members) = problem(&get("/plain?x=1&y=2").await);
    assert_eq!(members["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(get("/plain").await.status, 204);
    assert_eq!(get("/any?utm_source=x&a=%20").await.body, "[[\"utm_source\",\"x\"],[\"a\",\" \"]]");
}
