//! Signing up: anybody becomes a customer, an address is one person's, and nobody is told whose.
//! Leaves people that admins add to `people`.

use testkit::body;
use web::{Call, json};

use crate::shop::{PASSWORD, Shop, pointer, refusal};
use crate::sign_in::join_all;

const GRACE: &str = "grace@example.org";

testkit::on_both! {
    Shop::open =>
    a_shopper_signs_up_once_and_in
    a_taken_address_is_not_told
    an_address_is_one_persons_whoever_comes_at_once
    broken_input_is_refused_by_name
}

async fn a_shopper_signs_up_once_and_in(shop: Shop) {
    let first = shop.sign_up("k1", GRACE, PASSWORD).await;
    let again = shop.sign_up("k1", GRACE, PASSWORD).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(body(&first), body(&again));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let signed_in = body(&shop.sign_in(GRACE, PASSWORD).await);
    assert_eq!(signed_in["person"]["id"], body(&first)["id"]);
    assert_eq!(signed_in["person"]["grants"], json!([{ "role": "customer" }]));
    let person = json!({ "name": "Another", "email": GRACE, "password": PASSWORD });
    let reused = shop.send(Call::post("/v1/sign-up").key("k1").json(&person)).await;
    assert_eq!(refusal(&reused), (422, "idempotency-key-reused".to_owned()));
    shop.close().await;
}

async fn a_taken_address_is_not_told(shop: Shop) {
    let admin = shop.first_admin().await;
    let first = shop.sign_up("k1", GRACE, PASSWORD).await;
    let second = shop.sign_up("k2", "GRACE@example.org", "another good password").await;
    assert_eq!((first.status, second.status), (second.status, first.status));
    assert_ne!(body(&first)["id"], body(&second)["id"]);
    assert_eq!(body(&second).as_object().unwrap().len(), 1);
    assert_eq!(body(&shop.sign_up("k2", "GRACE@example.org", "another good password").await), body(&second));

    assert_eq!(shop.sign_in(GRACE, "another good password").await.status, 401);
    shop.token_of(GRACE).await;
    let customers = body(&shop.get_as("/v1/admin/people?role=customer", &admin).await);
    assert_eq!(customers["items"].as_array().unwrap().len(), 1);
    let nobody = format!("/v1/admin/people/{}", body(&second)["id"].as_str().unwrap());
    assert_eq!(shop.get_as(&nobody, &admin).await.status, 404);
    shop.close().await;
}

async fn an_address_is_one_persons_whoever_comes_at_once(shop: Shop) {
    let admin = shop.first_admin().await;
    let other = shop.another().await;
    let ways = [shop.router().clone(), other.router().clone()];
    let calls = (0..24).map(|number| {
        let router = ways[number % 2].clone();
        let email = if number % 3 == 0 { GRACE.to_uppercase() } else { GRACE.to_owned() };
        let password = format!("correct horse {number}");
        let add = json!({ "name": "G", "email": email, "password": password, "grants": [{ "role": "customer" }] });
        let up = json!({ "name": "G", "email": email, "password": password });
        let key = format!("race-{number}");
        let call = match number % 4 {
            0 => Call::post("/v1/sign-up").key(&key).json(&up),
            _ => Call::post("/v1/admin/people").bearer(&admin).key(&key).json(&add),
        };
        async move { call.send(&router).await.unwrap() }
    });
    let replies = join_all(calls).await;
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 201 | 409)), "{replies:?}");
    let customers = body(&shop.get_as("/v1/admin/people?role=customer", &admin).await);
    assert_eq!(customers["items"].as_array().unwrap().len(), 1);
    let mut open = 0;
    for number in 0..24 {
        // Each look is let through: what was charged is forgotten by then.
        shop.clock.advance(3_600_000);
        open += u32::from(shop.sign_in(GRACE, &format!("correct horse {number}")).await.status == 200);
    }
    assert_eq!(open, 1);
    other.close().await;
    shop.close().await;
}

async fn broken_input_is_refused_by_name(shop: Shop) {
    let good = json!({ "name": "Grace", "email": GRACE, "password": PASSWORD });
    for (member, value, at) in [
        ("name", json!(""), "/name"),
        ("name", json!("x".repeat(201)), "/name"),
        ("name", json!("a\u{0}b"), "/name"),
        ("email", json!("grace@"), "/email"),
        ("email", json!(format!("{}@example.org", "x".repeat(250))), "/email"),
        ("password", json!("short"), "/password"),
        ("password", json!("Password123"), "/password"),
        ("password", json!(GRACE), "/password"),
        ("password", json!("x".repeat(129)), "/password"),
        ("grants", json!([{ "role": "admin" }]), "/grants"),
    ] {
        let mut sent = good.clone();
        sent[member] = value;
        let reply = shop.send(Call::post("/v1/sign-up").key(&shop.fresh_key()).json(&sent)).await;
        assert_eq!((reply.status.as_u16(), pointer(&reply).as_str()), (422, at), "{sent}");
    }
    let keyless = shop.send(Call::post("/v1/sign-up").json(&good)).await;
    assert_eq!(refusal(&keyless), (400, "idempotency-key-missing".to_owned()));
    assert_eq!(shop.sign_in(GRACE, PASSWORD).await.status, 401);
    shop.close().await;
}
