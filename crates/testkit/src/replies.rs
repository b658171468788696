//! What came back, in the few words that tests compare.
//! Leaves what is to be expected to the tests.

use web::{Json, PROBLEM_TYPE_BASE, Reply};

/// The body as JSON.
///
/// # Panics
/// If it is none.
#[must_use]
#[track_caller]
pub fn body(reply: &Reply) -> Json {
    reply.json().unwrap_or_else(|fault| panic!("{fault:?}: {reply:?}"))
}

/// The body of a reply that says 200.
///
/// # Panics
/// If it says anything else.
#[track_caller]
pub fn ok(reply: &Reply) -> Json {
    assert_eq!(reply.status, 200, "{reply:?}");
    body(reply)
}

/// The items of a page.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn items(reply: &Reply) -> Vec<Json> {
    ok(reply)["items"].as_array().unwrap_or_else(|| panic!("no page: {reply:?}")).clone()
}

/// A problem: its status, its reason and all its members.
///
/// # Panics
/// If it has not the form of one.
#[track_caller]
pub fn problem(reply: &Reply) -> (u16, String, Json) {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let members = body(reply);
    let status = reply.status.as_u16();
    assert_eq!(members["status"], status, "{members}");
    assert_eq!(members["request_id"].as_str(), reply.header("x-request-id"), "{members}");
    assert!(members["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{members}");
    let reason = members["type"].as_str().and_then(|kind| kind.strip_prefix(PROBLEM_TYPE_BASE));
    (status, reason.unwrap_or_else(|| panic!("no reason: {members}")).to_owned(), members)
}

/// Status, reason and first field of a problem; `-` if it names no field.
///
/// # Panics
/// As [`problem`].
#[track_caller]
pub fn brief(reply: &Reply) -> (u16, String, String) {
    let (status, reason, members) = problem(reply);
    let error = &members["errors"][0];
    let field = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("-");
    (status, reason, field.to_owned())
}

/// What [`brief`] is compared with.
#[must_use]
pub fn is(status: u16, reason: &str, field: &str) -> (u16, String, String) {
    (status, reason.to_owned(), field.to_owned())
}
