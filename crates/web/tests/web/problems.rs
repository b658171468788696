//! Problems: one status for each kind, and nothing of the cause.
//! Leaves who raises which to the services.

use kernel::{Fault, FaultKind, FieldFault};
use web::{Json, Problem, json};

fn problem(fault: &Fault) -> Problem {
    Problem::of(fault, "request-1")
}

fn retry_after(after_ms: i64) -> String {
    let mut fault = Fault::new(FaultKind::Exhausted, "too-many", "wait a little");
    fault.retry_after_ms = Some(after_ms);
    let (name, value) = problem(&fault).headers.remove(0);
    assert_eq!(name, "retry-after");
    value.to_str().unwrap().to_owned()
}

#[test]
fn each_kind_has_one_status() {
    for (kind, status) in [
        (FaultKind::Invalid, 400),
        (FaultKind::Unauthenticated, 401),
        (FaultKind::Forbidden, 403),
        (FaultKind::NotFound, 404),
        (FaultKind::Conflict, 409),
        (FaultKind::Stale, 412),
        (FaultKind::KeyReused, 422),
        (FaultKind::TooLarge, 413),
        (FaultKind::Exhausted, 429),
        (FaultKind::Unavailable, 503),
        (FaultKind::OutcomeUnknown, 503),
        (FaultKind::Internal, 500),
    ] {
        assert_eq!(problem(&Fault::new(kind, "some-reason", "some detail")).status, status, "{kind:?}");
    }
    assert_eq!(problem(&Fault::invalid_field("/lines/0", "too many")).status, 422);
    assert_eq!(problem(&Fault::invalid_field("limit", "too many")).status, 400);
}

#[test]
fn a_problem_has_the_members_of_the_standard_and_ours() {
    let mut fault = Fault::conflict("out-of-stock", "two lines are short").with("lines", json!([1, 3])).with("status", 200);
    fault.fields = vec![
        FieldFault { field: "/lines/1".to_owned(), detail: "two are left".to_owned() },
        FieldFault { field: "after".to_owned(), detail: "unknown".to_owned() },
    ];
    let expected = json!({
        "type": "https://swiftcart.dev/problems/out-of-stock",
        "title": "Out of stock",
        "status": 409,
        "detail": "two lines are short",
        "request_id": "request-1",
        "lines": [1, 3],
        "errors": [{ "pointer": "/lines/1", "detail": "two are left" }, { "parameter": "after", "detail": "unknown" }],
    });
    assert_eq!(Json::Object(problem(&fault).members), expected);
}

#[test]
fn the_time_to_come_back_is_in_whole_seconds() {
    assert_eq!([0, 1, 1000, 1001, 59_999].map(retry_after), ["1", "1", "1", "2", "60"]);
    assert_eq!([-5, i64::MAX].map(retry_after), ["1", "9223372036854775"]);
}

#[test]
fn the_cause_stays_inside() {
    let fault = Fault::internal("the password of the database is 1234");
    assert!(!Json::Object(problem(&fault).members).to_string().contains("1234"));
}

#[test]
fn a_problem_of_another_process_is_passed_on_as_the_fault_that_it_was() {
    let mut field = Fault::invalid_field("/lines/0/sku", "no such SKU");
    field.fields.push(FieldFault { field: "limit".to_owned(), detail: "too many".to_owned() });
    let faults = [
        field,
        Fault::invalid_field("limit", "too many"),
        Fault::not_found("order"),
        Fault::conflict("out-of-stock", "two lines are short").with("short", json!(["a", "b"])),
        Fault::forbidden("not for you"),
        Fault::new(FaultKind::Stale, "stale", "read it again").with("version", 7),
        web::key_reused(),
        Fault::new(FaultKind::Exhausted, "too-many", "wait"),
        Fault::new(FaultKind::Unavailable, "unavailable", "wait"),
        Fault::new(FaultKind::OutcomeUnknown, "outcome-unknown", "it may or may not have happened"),
        Fault::internal("a cause"),
    ];
    for fault in faults {
        let sent = problem(&fault);
        let body = Json::Object(sent.members).to_string();
        let passed = Problem::fault(sent.status.as_u16(), body.as_bytes()).unwrap();
        assert_eq!(passed, Fault { cause: None, ..fault });
    }
    for odd in ["", "[]", "{}", r#"{"type":"about:blank","detail":"odd"}"#] {
        assert_eq!(Problem::fault(500, odd.as_bytes()), None, "{odd}");
    }
}
