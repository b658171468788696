//! No text in any header, path, query or body makes the door panic.
//! Leaves what each text means to the other tests.

use kernel::{Fault, Id};
use proptest::prelude::*;
use serde::Deserialize;
use testkit::some_id;
use web::{
    Access, Answer, Body, Call, Caller, Conditions, HeaderName, HeaderValue, IdempotencyKey, Page, Path, Query, Router, Routes,
};

use crate::shop::{Shop, ask};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(rename = "q")]
    _q: Option<u8>,
    #[serde(rename = "list")]
    _list: Option<Vec<bool>>,
}

async fn take(
    _: Caller,
    _: Path<Id>,
    _: Query<Filter>,
    _: Page<(i64, Id)>,
    _: Conditions,
    _: IdempotencyKey,
    _: Body<Filter>,
) -> Result<Answer, Fault> {
    Ok(Answer::no_content())
}

fn router() -> Router {
    Shop::new().door.open(Routes::new("test").post("/things/{id}", Access::anyone(), take))
}

fn status_of(call: Call) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { ask(&router(), call).await.status.as_u16() })
}

const HEADERS: [&str; 10] = [
    "authorization",
    "cart-capability",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "x-request-id",
    "traceparent",
    "content-type",
    "content-length",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_header_is_met_with_a_panic(index in 0..HEADERS.len(), text in "\\PC{0,80}", start in "(Bearer |wait=|\"|W/\")?") {
        let value = format!("{start}{text}");
        prop_assume!(HeaderValue::from_str(&value).is_ok());
        let call = Call::post(&format!("/things/{}", some_id(1))).header(HeaderName::from_static(HEADERS[index]), &value);
        prop_assert!((400..500).contains(&status_of(call.json(&Some(5)))));
    }

    #[test]
    fn no_path_or_query_is_met_with_a_panic(path in "[ -~&&[^ #?\"<>`{}^|\\\\]]{0,30}", query in "(after=|limit=|q=|list=)?[ -~&&[^ #\"<>]]{0,40}") {
        let status = status_of(Call::post(&format!("/things/{path}?{query}")).key("k"));
        prop_assert!((400..500).contains(&status), "{}", status);
    }

    #[test]
    fn no_body_is_met_with_a_panic(body: Vec<u8>) {
        let call = Call::post(&format!("/things/{}", some_id(1))).key("k").bytes("application/json", body);
        prop_assert!((400..500).contains(&status_of(call)));
    }
}
