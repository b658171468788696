//! Who may demand, and what a key of a demand means.
//! Leaves what is demanded to `tokens`.

use sandbox::{Given, KEY_HEADER};
use testkit::{brief, is, ok, on_both, problem};
use web::{Call, HeaderName, Method, json};

use crate::bank::{Bank, INTENTS, dollars, wanted};

on_both! { Bank::open =>
    a_key_does_its_work_once
    a_new_key_is_a_new_demand_and_the_books_show_it
    money_is_captured_once_and_given_back_within_that
    only_who_holds_the_key_is_let_in
    secrets_are_made_once_and_those_given_win
    what_is_malformed_is_refused_by_its_field
}

async fn a_key_does_its_work_once(bank: Bank) {
    let key = bank.fresh_key();
    let first = ok(&bank.demand(INTENTS, &key, &wanted("r", "tok_ok")).await);
    let mut later = wanted("r", "tok_ok");
    later["pay_by"] = json!("2031-01-01T00:00:00Z");
    assert_eq!(ok(&bank.demand(INTENTS, &key, &later).await), first, "until when is no other demand");
    for other in [wanted("s", "tok_ok"), wanted("r", "tok_decline")] {
        let refused = brief(&bank.demand(INTENTS, &key, &other).await);
        assert_eq!(refused, is(422, "idempotency-key-reused", "-"));
    }
    let declined = bank.fresh_key();
    for _ in 0..2 {
        let outcome = ok(&bank.demand(INTENTS, &declined, &wanted("r", "tok_decline")).await);
        assert_eq!(outcome["reason"], "card-declined");
    }
    assert_eq!(ok(&bank.look(&format!("/sandbox/v1/demands/{declined}")).await)["reason"], "card-declined");
    let void = format!("{INTENTS}/{}/void", first["intent"].as_str().unwrap());
    let key = bank.fresh_key();
    for _ in 0..3 {
        assert_eq!(ok(&bank.demand(&void, &key, &json!({})).await), first);
    }
    assert_eq!(bank.books().await["demands"], 3);
    bank.close().await;
}

async fn a_new_key_is_a_new_demand_and_the_books_show_it(bank: Bank) {
    let (one, two) = (bank.held("r", "tok_ok").await, bank.held("r", "tok_ok").await);
    assert_ne!(one, two);
    assert_eq!(bank.books().await["open_twice"], 1);
    bank.done(&one, "capture", &json!({ "amount": dollars(1000) })).await;
    let books = bank.books().await;
    assert_eq!(
        (&books["open_twice"], &books["open_beside_captured"], &books["captured_twice"]),
        (&json!(0), &json!(1), &json!(0))
    );
    bank.done(&two, "capture", &json!({ "amount": dollars(400) })).await;
    bank.held("another", "tok_ok").await;
    let books = bank.books().await;
    assert_eq!((&books["captured_twice"], &books["captured_minor"]), (&json!(1), &json!(1400)));
    assert_eq!((&books["open_beside_captured"], &books["authorised_open_minor"]), (&json!(0), &json!(1000)));
    bank.close().await;
}

async fn money_is_captured_once_and_given_back_within_that(bank: Bank) {
    let intent = bank.held("r", "tok_ok").await;
    let capture = json!({ "amount": dollars(700) });
    assert_eq!(bank.done(&intent, "capture", &json!({ "amount": dollars(1001) })).await["reason"], "amount-too-large");
    assert_eq!(bank.done(&intent, "capture", &capture).await["outcome"], "done");
    assert_eq!(bank.done(&intent, "capture", &capture).await["reason"], "already-captured");
    assert_eq!(bank.done(&intent, "void", &json!({})).await["reason"], "already-captured");
    for (minor, outcome) in [(500, "done"), (201, "declined"), (200, "done"), (1, "declined")] {
        assert_eq!(bank.done(&intent, "refunds", &json!({ "amount": dollars(minor) })).await["outcome"], outcome, "{minor}");
    }
    let found = bank.intent(&intent).await;
    assert_eq!((&found["captured_minor"], &found["refunded_minor"]), (&json!(700), &json!(700)));
    bank.close().await;
}

async fn only_who_holds_the_key_is_let_in(bank: Bank) {
    let routes = sandbox::routes(bank.running.handle.clone(), &bank.config, &bank.secrets.key).list();
    let mut closed = 0;
    for route in routes.iter().filter(|route| route.access.to_string() == "key-holder") {
        let path = route.path.replace("{intent}", "pi_1").replace("{key}", "k");
        let call = || Call::new(route.method.clone(), &path).key("k").json(&json!({}));
        assert_eq!(problem(&bank.send(call()).await).0, 401, "{route}");
        assert_eq!(problem(&bank.send(call().bearer(&bank.admin())).await).0, 403, "{route}");
        for wrong in ["", "x", &bank.secrets.key[1..], &bank.secrets.webhook_secret] {
            let reply = bank.send(call().header(HeaderName::from_static(KEY_HEADER), wrong)).await;
            assert_eq!(problem(&reply).0, 401, "{route} with {wrong:?}");
        }
        closed += 1;
    }
    assert_eq!(closed, routes.len() - 2, "all but the shopper's page are closed");
    bank.close().await;
}

async fn secrets_are_made_once_and_those_given_win(bank: Bank) {
    let handle = &bank.running.handle;
    assert_eq!(sandbox::ensure_secrets(handle, Given::default()).await.unwrap(), bank.secrets);
    assert!(bank.secrets.key.len() == 64 && bank.secrets.key != bank.secrets.webhook_secret);
    assert_eq!(format!("{:?}", bank.secrets), "Secrets(***)");
    let given = Given { key: Some("another-key-of-mine".to_owned()), webhook_secret: None };
    let now = sandbox::ensure_secrets(handle, given).await.unwrap();
    assert_eq!((now.key.as_str(), &now.webhook_secret), ("another-key-of-mine", &bank.secrets.webhook_secret));
    assert_eq!(sandbox::ensure_secrets(handle, Given::default()).await.unwrap(), now);
    bank.close().await;
}

async fn what_is_malformed_is_refused_by_its_field(bank: Bank) {
    let intent = bank.held("r", "tok_ok").await;
    let changed = |member: &str, value: web::Json| {
        let mut body = wanted("r", "tok_ok");
        body[member] = value;
        body
    };
    let cases = [
        (INTENTS.to_owned(), changed("reference", json!("")), "/reference"),
        (INTENTS.to_owned(), changed("reference", json!("x".repeat(129))), "/reference"),
        (INTENTS.to_owned(), changed("reference", json!("with space")), "/reference"),
        (INTENTS.to_owned(), changed("token", json!("")), "/token"),
        (INTENTS.to_owned(), changed("token", json!("t".repeat(65))), "/token"),
        (INTENTS.to_owned(), changed("amount", dollars(0)), "/amount/minor"),
        (INTENTS.to_owned(), changed("amount", dollars(i64::MAX)), "/amount/minor"),
        (INTENTS.to_owned(), changed("pay_by", json!("soon")), "/pay_by"),
        (INTENTS.to_owned(), changed("colour", json!("red")), "/colour"),
        (format!("{INTENTS}/{intent}/capture"), json!({ "amount": dollars(-1) }), "/amount/minor"),
        (format!("{INTENTS}/{intent}/refunds"), json!({ "amount": dollars(0) }), "/amount/minor"),
        (format!("{INTENTS}/{intent}/dispute-close"), json!({}), "/won"),
    ];
    for (path, body, field) in cases {
        let refused = brief(&bank.demand(&path, &bank.fresh_key(), &body).await);
        assert_eq!(refused, is(422, "invalid-field", field), "{path} {body}");
    }
    for (what, body) in [("void", json!({ "all": true })), ("expire", json!([])), ("dispute", json!("now"))] {
        let refused = brief(&bank.demand(&format!("{INTENTS}/{intent}/{what}"), &bank.fresh_key(), &body).await);
        assert_eq!(refused, is(400, "unexpected-body", "-"), "{what}");
    }
    for what in ["capture", "void", "refunds", "expire", "dispute", "dispute-close"] {
        let body = match what {
            "capture" | "refunds" => json!({ "amount": dollars(1) }),
            "dispute-close" => json!({ "won": false }),
            _ => json!({}),
        };
        let path = format!("{INTENTS}/pi_nobody/{what}");
        assert_eq!(problem(&bank.demand(&path, &bank.fresh_key(), &body).await).0, 404, "{what}");
        let keyless = bank.ask(Call::post(&path).json(&body)).await;
        assert_eq!(brief(&keyless).1, "idempotency-key-missing", "{what}");
    }
    for (body, field) in [
        (json!({ "share_percent": 101 }), "/share_percent"),
        (json!({ "share_percent": 1, "delay_ms": -1 }), "/delay_ms"),
        (json!({ "share_percent": 1, "kinds": ["flood"] }), "/kinds/0"),
        (json!({}), "/share_percent"),
    ] {
        let refused = brief(&bank.ask(Call::new(Method::PUT, "/sandbox/v1/faults").json(&body)).await);
        assert_eq!(refused, is(422, "invalid-field", field), "{body}");
    }
    for (query, field) in [("after=-1", "after"), ("after=x", "after"), ("limit=0", "limit"), ("limit=101", "limit")] {
        let refused = brief(&bank.look(&format!("{INTENTS}?{query}")).await);
        assert_eq!(refused, is(400, "invalid-field", field), "{query}");
    }
    assert_eq!(bank.books().await["demands"], 1, "nothing that was refused is kept");
    bank.close().await;
}
