//! Signing in: who may, what the token says, and what a stranger who guesses gets.
//! Leaves how addresses come to be known to the other files.

use aws_lc_rs::digest::{SHA256, digest};
use engine::TokenKeys;
use kernel::Timestamp;
use store::Value;
use testkit::body;
use web::{Call, Json, Keyring, Reply, json};

use crate::shop::{ADMIN, PASSWORD, Shop, pointer, refusal};

testkit::on_both! {
    Shop::open =>
    a_good_password_gives_a_token_that_every_service_can_verify
    a_wrong_password_and_an_unknown_address_look_the_same
    guessing_is_slowed_and_the_owner_is_never_kept_out_for_good
    a_hundred_guesses_at_once_are_not_all_let_through
    forgotten_attempts_are_swept_away
    broken_input_is_refused_by_name
}

/// All that a problem says, but for which request it was.
fn words(reply: &Reply) -> Json {
    let mut problem = body(reply);
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}

async fn a_good_password_gives_a_token_that_every_service_can_verify(shop: Shop) {
    shop.first_admin().await;
    let reply = shop.sign_in("  ADMIN@Example.org ", PASSWORD).await;
    assert_eq!(reply.status, 200);
    let answer = body(&reply);
    assert_eq!(answer["person"]["email"], ADMIN);
    assert_eq!(answer["person"]["grants"], json!([{ "role": "admin" }]));
    assert_eq!(answer["person"].as_object().unwrap().len(), 4);

    // The keys as other services get them: by event, here through identity's own copy.
    shop.until("the key is copied", || async { TokenKeys::of(&shop.identity.handle).await.unwrap().len() == 1 }).await;
    let copied = TokenKeys::of(&shop.identity.handle).await.unwrap();
    let ring = Keyring::new();
    ring.insert(&copied[0]);
    let token = answer["token"].as_str().unwrap();
    let person = ring.verify(token, shop.now()).unwrap();
    assert_eq!((json!(person.id), person.name.as_str()), (answer["person"]["id"].clone(), "Ada"));
    let expires_at: Timestamp = serde_json::from_value(answer["expires_at"].clone()).unwrap();
    assert!(ring.verify(token, expires_at.plus_ms(-1)).is_ok());
    assert!(ring.verify(token, expires_at).is_err());

    let me = shop.get_as("/v1/me", token).await;
    assert_eq!((me.status.as_u16(), body(&me)["id"].clone()), (200, answer["person"]["id"].clone()));
    shop.close().await;
}

async fn a_wrong_password_and_an_unknown_address_look_the_same(shop: Shop) {
    shop.first_admin().await;
    let wrong = shop.sign_in(ADMIN, "correct horse stapler").await;
    let unknown = shop.sign_in("nobody@example.org", PASSWORD).await;
    assert_eq!(refusal(&wrong), (401, "wrong-credentials".to_owned()));
    assert_eq!((wrong.status, words(&wrong)), (unknown.status, words(&unknown)));
    shop.close().await;
}

async fn guessing_is_slowed_and_the_owner_is_never_kept_out_for_good(shop: Shop) {
    shop.first_admin().await;
    for email in [ADMIN, "nobody@example.org"] {
        for _ in 0..4 {
            assert_eq!(shop.sign_in(email, "correct horse stapler").await.status, 401);
        }
        // Now even the right password has to wait, and hammering does not prolong it.
        for _ in 0..3 {
            let locked = shop.sign_in(email, PASSWORD).await;
            assert_eq!(refusal(&locked), (429, "too-many-attempts".to_owned()));
            assert_eq!(locked.header("retry-after"), Some("1"));
        }
    }
    shop.clock.advance(1000);
    assert_eq!(shop.sign_in(ADMIN, "correct horse stapler").await.status, 401);
    assert_eq!(shop.sign_in(ADMIN, PASSWORD).await.header("retry-after"), Some("2"));
    for _ in 0..10 {
        shop.clock.advance(60_000);
        assert_eq!(shop.sign_in(ADMIN, "correct horse stapler").await.status, 401);
    }
    let retry_after: i64 = shop.sign_in(ADMIN, PASSWORD).await.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    shop.clock.advance(retry_after * 1000);
    shop.token_of(ADMIN).await;
    // A success takes all charges back.
    for _ in 0..3 {
        assert_eq!(shop.sign_in(ADMIN, "correct horse stapler").await.status, 401);
    }
    shop.token_of(ADMIN).await;
    shop.close().await;
}

async fn a_hundred_guesses_at_once_are_not_all_let_through(shop: Shop) {
    shop.first_admin().await;
    let guesses = (0..60).map(|number| {
        let guess = json!({ "email": ADMIN, "password": format!("correct guess {number}") });
        let router = shop.router().clone();
        async move { Call::post("/v1/sign-in").json(&guess).send(&router).await.unwrap() }
    });
    let replies = join_all(guesses).await;
    let looked_at = replies.iter().filter(|reply| reply.status == 401).count();
    // Four are free; a lock of a second may end while the others still arrive.
    assert!((4..=8).contains(&looked_at), "{looked_at}");
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 401 | 429)));
    shop.close().await;
}

/// All of `futures` at the same time, each as a task of its own.
pub(crate) async fn join_all<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for future in futures {
        tasks.spawn(future);
    }
    tasks.join_all().await
}

async fn forgotten_attempts_are_swept_away(shop: Shop) {
    let table = *identity::service(&crate::shop::config()).tables.iter().find(|table| table.name == "identity_attempt").unwrap();
    let account: String = digest(&SHA256, b"nobody@example.org").as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = || async {
        let keys = vec![vec![Value::Text(account.clone())]];
        !shop.database.store.load(table, keys).await.unwrap().is_empty()
    };
    assert_eq!(shop.sign_in("nobody@example.org", PASSWORD).await.status, 401);
    assert!(kept().await);
    shop.clock.advance(3_600_000);
    shop.until("the attempt is swept away", || async { !kept().await }).await;
    shop.close().await;
}

async fn broken_input_is_refused_by_name(shop: Shop) {
    let long = "x".repeat(129);
    for (sent, at) in [
        (json!({ "email": ADMIN }), "/password"),
        (json!({ "password": PASSWORD }), "/email"),
        (json!({ "email": "ada", "password": PASSWORD }), "/email"),
        (json!({ "email": 7, "password": PASSWORD }), "/email"),
        (json!({ "email": ADMIN, "password": long }), "/password"),
        (json!({ "email": ADMIN, "password": PASSWORD, "otp": 1 }), "/otp"),
    ] {
        let reply = shop.send(Call::post("/v1/sign-in").json(&sent)).await;
        assert_eq!((reply.status.as_u16(), pointer(&reply).as_str()), (422, at), "{sent}");
    }
    let reply = shop.send(Call::post("/v1/sign-in").bytes("application/json", "{")).await;
    assert_eq!(refusal(&reply), (400, "invalid-json".to_owned()));
    shop.close().await;
}
