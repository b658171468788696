//! Tokens: what a key signed is believed until it expires; everything else is refused, on open routes too.
//! Leaves signing in to identity.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Fault, Runtime};
use testkit::{problem, some_id};
use web::{
    Access, Answer, Call, Caller, Grant, InternalKey, Json, Person, PublicKey, Role, Router, Routes, SigningKey, TOKEN_TTL_MS,
    header, json,
};

use crate::shop::{Shop, ask};

async fn show(caller: Caller) -> Result<Answer, Fault> {
    Ok(Answer::ok(caller.person.map(|person| person.name)))
}

fn router(shop: &Shop) -> Router {
    shop.door.open(Routes::new("test").get("/v1/me", Access::anyone(), show))
}

/// A token of any header and claims, signed by `key`.
fn forge(key: &SigningKey, header: &Json, claims: &Json) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let pair = Ed25519KeyPair::from_pkcs8(key.as_pkcs8()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn encode(json: &Json) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn honest_header(key: &PublicKey) -> Json {
    json!({ "alg": "EdDSA", "typ": "JWT", "kid": key.kid })
}

fn honest_claims(shop: &Shop) -> Json {
    let now = shop.runtime.now().as_secs();
    json!({ "iss": "swiftcart", "aud": "swiftcart", "sub": some_id(7), "name": "Ada", "grants": [], "iat": now, "exp": now + 900 })
}

#[tokio::test]
async fn a_signed_person_comes_back_whole() {
    let shop = Shop::new();
    let grants = vec![Grant { role: Role::Picker, store: Some(some_id(1)) }, Grant { role: Role::Courier, store: None }];
    let person = Person { id: some_id(7), name: "Ada Löwe".to_owned(), grants };
    let stored = SigningKey::from_pkcs8(shop.key.as_pkcs8()).unwrap();
    assert_eq!(stored.public(), shop.key.public());
    let token = stored.sign(&person, shop.runtime.now(), TOKEN_TTL_MS).unwrap();
    assert_eq!(shop.keyring.verify(&token, shop.runtime.now()), Ok(person));
    let reply = ask(&router(&shop), Call::get("/v1/me").bearer(&token)).await;
    assert_eq!(reply.json::<String>().unwrap(), "Ada Löwe");
    assert!(!format!("{:?}", shop.key).contains(&format!("{:?}", shop.key.as_pkcs8())));
}

#[tokio::test]
async fn a_token_lives_fifteen_minutes_by_our_clock() {
    let shop = Shop::new();
    let (router, token) = (router(&shop), shop.token(Role::Customer));
    shop.runtime.advance(TOKEN_TTL_MS - 1000);
    assert_eq!(ask(&router, Call::get("/v1/me").bearer(&token)).await.status, 200);
    shop.runtime.advance(1000);
    let reply = ask(&router, Call::get("/v1/me").bearer(&token)).await;
    let (status, reason, _) = problem(&reply);
    assert_eq!((status, reason.as_str()), (401, "token-expired"));
    assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"));
}

#[tokio::test]
async fn a_forged_or_foreign_token_is_refused_on_open_routes_too() {
    let shop = Shop::new();
    let router = router(&shop);
    let (key, stranger) = (&shop.key, SigningKey::generate().unwrap());
    let (head, claims) = (honest_header(key.public()), honest_claims(&shop));
    let change = |json: &Json, name: &str, value: Json| {
        let mut json = json.clone();
        json[name] = value;
        json
    };
    let without = |json: &Json, name: &str| {
        let mut json = json.clone();
        json.as_object_mut().unwrap().remove(name);
        json
    };
    let honest = forge(key, &head, &claims);
    assert_eq!(ask(&router, Call::get("/v1/me").bearer(&honest)).await.status, 200);
    let (body, _) = honest.rsplit_once('.').unwrap();
    let mac_by_public_key = {
        let signed = format!("{}.{}", encode(&change(&head, "alg", json!("HS256"))), encode(&claims));
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key.public().bytes);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&secret, signed.as_bytes())))
    };
    let wrong = [
        ("empty", String::new()),
        ("no token", "abc".to_owned()),
        ("unsigned", format!("{body}.")),
        ("alg none", format!("{}.{}.", encode(&change(&head, "alg", json!("none"))), encode(&claims))),
        ("alg HS256 with the public key", mac_by_public_key),
        ("alg ES256", forge(key, &change(&head, "alg", json!("ES256")), &claims)),
        ("another key under this kid", forge(&stranger, &head, &claims)),
        ("unknown kid", forge(&stranger, &honest_header(stranger.public()), &claims)),
        ("no kid", forge(key, &without(&head, "kid"), &claims)),
        (
            "other claims under the same signature",
            honest.replace(&encode(&claims), &encode(&change(&claims, "name", json!("Eve")))),
        ),
        ("another audience", forge(key, &head, &change(&claims, "aud", json!("elsewhere")))),
        ("no audience", forge(key, &head, &without(&claims, "aud"))),
        ("another issuer", forge(key, &head, &change(&claims, "iss", json!("elsewhere")))),
        ("no issuer", forge(key, &head, &without(&claims, "iss"))),
        ("no expiry", forge(key, &head, &without(&claims, "exp"))),
        ("a subject that is no id", forge(key, &head, &change(&claims, "sub", json!("me")))),
        ("too long", format!("{honest}{}", "A".repeat(10_000))),
    ];
    for (what, token) in wrong {
        let reply = ask(&router, Call::get("/v1/me").bearer(&token)).await;
        let (status, reason, _) = problem(&reply);
        assert_eq!((status, reason.as_str()), (401, "token-invalid"), "{what}");
    }
}

#[tokio::test]
async fn another_scheme_or_two_headers_are_refused() {
    let shop = Shop::new();
    let (router, token) = (router(&shop), shop.token(Role::Customer));
    let basic = Call::get("/v1/me").header(header::AUTHORIZATION, "Basic YTpi");
    let two = Call::get("/v1/me").bearer(&token).bearer(&token);
    for call in [basic, two] {
        assert_eq!(problem(&ask(&router, call).await).1, "token-invalid");
    }
    let lower = Call::get("/v1/me").header(header::AUTHORIZATION, &format!("bearer {token}"));
    assert_eq!(ask(&router, lower).await.status, 200);
}

#[tokio::test]
async fn a_role_of_a_newer_version_is_left_out_and_a_removed_key_is_not_believed() {
    let shop = Shop::new();
    let mut claims = honest_claims(&shop);
    claims["grants"] = json!([{ "role": "astronaut" }, { "role": "picker" }]);
    let token = forge(&shop.key, &honest_header(shop.key.public()), &claims);
    let person = shop.keyring.verify(&token, shop.runtime.now()).unwrap();
    assert_eq!(person.grants, [Grant { role: Role::Picker, store: None }]);
    shop.keyring.remove(&shop.key.public().kid);
    assert_eq!(shop.keyring.verify(&token, shop.runtime.now()).unwrap_err().reason, "token-invalid");
}

#[tokio::test]
async fn whoever_shows_the_key_of_the_shops_processes_is_an_admin_where_it_is_trusted() {
    let shop = Shop::new();
    let key = InternalKey::named("a-key-of-the-shop");
    let ring = shop.keyring.clone().trusting(key.clone());
    let person = ring.verify(key.token(), shop.runtime.now()).unwrap();
    assert_eq!((person.name.as_str(), person.grants.as_slice()), ("internal", &[Grant { role: Role::Admin, store: None }][..]));
    for other in ["a-key-of-the-shoq", "a-key-of-the-sho", "a-key-of-the-shop-", ""] {
        assert_eq!(ring.verify(other, shop.runtime.now()).unwrap_err().reason, "token-invalid", "{other}");
    }
    assert_eq!(shop.keyring.verify(key.token(), shop.runtime.now()).unwrap_err().reason, "token-invalid");
    let person = ring.verify(&shop.token(Role::Customer), shop.runtime.now());
    assert!(person.is_ok(), "tokens are as good as before");
    assert!(!format!("{key:?} {ring:?}").contains("a-key"));
    assert_ne!(InternalKey::generate().unwrap().token(), InternalKey::generate().unwrap().token());
}
