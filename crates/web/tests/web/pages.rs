//! Pages: every item once, whatever the limit; a cursor that is not ours is refused.
//! Leaves the order of each list to its service.

use kernel::Fault;
use proptest::prelude::*;
use testkit::{brief, is};
use web::{Access, Answer, Call, Json, Listing, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, Router, Routes, State};

use crate::shop::{Shop, ask};

type Key = (i64, String);

fn key(number: &i64) -> Key {
    (*number, format!("k{number}"))
}

async fn list(State(total): State<i64>, page: Page<Key>) -> Result<Answer, Fault> {
    let from = page.after.as_ref().map_or(0, |(number, _)| number.saturating_add(1));
    let rows: Vec<i64> = (from..total).take(usize::try_from(page.rows_wanted()).unwrap()).collect();
    Ok(Answer::ok(page.list(rows, key).map(|number| number * 10)))
}

fn router(total: i64) -> Router {
    Shop::new().door.open(Routes::new("test").get("/numbers", Access::anyone(), list).with_state(total))
}

#[tokio::test]
async fn a_wrong_limit_or_cursor_is_named() {
    let router = router(5);
    for limit in ["0", "101", "-1", "x", "", "1.5", "99999999999999999999"] {
        let reply = ask(&router, Call::get(&format!("/numbers?limit={limit}"))).await;
        assert_eq!(brief(&reply), is(400, "invalid-field", "limit"), "{limit}");
    }
    // Not base64url, padded, not JSON, of another list.
    for after in ["%21", "", "WzFd==", "AAAA", "WzFd", "WyJhIiwiYiJd"] {
        let reply = ask(&router, Call::get(&format!("/numbers?after={after}"))).await;
        assert_eq!(brief(&reply), is(400, "invalid-field", "after"), "{after}");
    }
}

#[tokio::test]
async fn pages_have_a_default_and_a_largest_size() {
    let router = router(1000);
    let page = ask(&router, Call::get("/numbers")).await.json::<Json>().unwrap();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(PAGE_LIMIT_DEFAULT));
    let page = ask(&router, Call::get(&format!("/numbers?limit={PAGE_LIMIT_MAX}"))).await.json::<Json>().unwrap();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(PAGE_LIMIT_MAX));
}

#[test]
fn the_last_page_has_no_next() {
    let page = Page { after: None, limit: 2 };
    assert_eq!(page.list(vec![1, 2], key), Listing { items: vec![1, 2], next: None });
    assert!(page.list(vec![1, 2, 3], key).next.is_some());
    assert_eq!(page.list(Vec::new(), key), Listing { items: Vec::new(), next: None });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_item_comes_once(total in 0i64..60, limit in 1usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = runtime.block_on(async {
            let router = router(total);
            let (mut seen, mut target) = (Vec::new(), format!("/numbers?limit={limit}"));
            loop {
                let page: Json = ask(&router, Call::get(&target)).await.json().unwrap();
                seen.extend(page["items"].as_array().unwrap().iter().map(|item| item.as_i64().unwrap()));
                let Some(next) = page["next"].as_str() else { return seen };
                target = format!("/numbers?limit={limit}&after={next}");
            }
        });
        prop_assert_eq!(seen, (0..total).map(|number| number * 10).collect::<Vec<_>>());
    }
}
