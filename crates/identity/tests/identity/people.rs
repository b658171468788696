//! People as admins enter and change them, what couriers' changes tell others, and what no view ever holds.
//! Leaves signing in to `sign_in`.

use contracts::StoreId;
use contracts::identity::CourierChanged;
use testkit::{body, some_id};
use web::{Access, Call, Json, Method, Role, json};

use crate::shop::{ADMIN, PASSWORD, Shop, person, pointer, refusal};

testkit::on_both! {
    Shop::open =>
    admins_only_and_only_well_formed
    a_role_is_in_a_store_that_there_is
    couriers_are_told_to_others
    a_change_expects_what_was_read
    somebody_is_always_left_who_runs_the_shop
    lists_are_paged_and_follow_roles
    who_is_gone_is_not_found
    no_view_and_no_event_holds_a_password
}

async fn admins_only_and_only_well_formed(shop: Shop) {
    let admin = shop.first_admin().await;
    shop.sign_up("k", "grace@example.org", PASSWORD).await;
    let customer = shop.token_of("grace@example.org").await;
    let routes = identity::routes(shop.identity.handle.clone(), &identity::Config::default()).list();
    assert_eq!(routes.iter().filter(|route| route.access == Access::admin()).count(), 4);
    for route in routes.iter().filter(|route| route.path.starts_with("/v1/admin/")) {
        let path = route.path.replace("{id}", &some_id(1).to_string());
        let call = Call::new(route.method.clone(), &path);
        assert_eq!(shop.send(call.clone()).await.status, 401, "{route}");
        assert_eq!(shop.send(call.bearer(&customer)).await.status, 403, "{route}");
    }
    assert_eq!(shop.send(Call::get("/v1/me")).await.status, 401);

    let good = person("picker@example.org", &json!([{ "role": "picker" }]));
    for (member, value, at) in [
        ("name", json!(" "), "/name"),
        ("email", json!("@"), "/email"),
        ("password", json!("1234567890"), "/password"),
        ("grants", json!([]), "/grants"),
        ("grants", json!([{ "role": "chef" }]), "/grants/0/role"),
        ("grants", json!([{ "role": "picker", "store": "krog" }]), "/grants/0/store"),
        ("grants", json!([{ "role": "picker", "shop": 1 }]), "/grants/0/shop"),
        ("grants", json!([{ "role": "picker" }, { "role": "admin", "store": some_id(1) }]), "/grants/1/store"),
        ("vehicle", json!("bike"), "/vehicle"),
        ("active", json!(true), "/active"),
    ] {
        let mut sent = good.clone();
        sent[member] = value;
        let reply = shop.add(&admin, &sent).await;
        assert_eq!((reply.status.as_u16(), pointer(&reply).as_str()), (422, at), "{sent}");
    }
    let keyless = shop.send(Call::post("/v1/admin/people").bearer(&admin).json(&good)).await;
    assert_eq!(refusal(&keyless), (400, "idempotency-key-missing".to_owned()));

    let add = || Call::post("/v1/admin/people").bearer(&admin).key("one").json(&good);
    let (made, again) = (shop.send(add()).await, shop.send(add()).await);
    assert_eq!((made.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(body(&made), body(&again));
    let location = made.header("location").unwrap();
    let read = shop.get_as(location, &admin).await;
    assert_eq!((body(&read), read.header("etag")), (body(&made), Some("\"1\"")));
    let unchanged = shop.send(Call::get(location).bearer(&admin).header(web::header::IF_NONE_MATCH, "\"1\"")).await;
    assert_eq!(unchanged.status, 304);
    let taken = shop.add(&admin, &good).await;
    assert_eq!(refusal(&taken), (409, "email-taken".to_owned()));
    shop.close().await;
}

async fn a_role_is_in_a_store_that_there_is(shop: Shop) {
    let admin = shop.first_admin().await;
    let (known, unknown) = (shop.know_store(&admin, 1).await, some_id(2));
    let grants = json!([{ "role": "picker", "store": known }, { "role": "picker", "store": unknown }]);
    let reply = shop.add(&admin, &person("picker@example.org", &grants)).await;
    assert_eq!((reply.status.as_u16(), pointer(&reply).as_str()), (422, "/grants/1/store"));
    let made = body(&shop.add(&admin, &person("picker@example.org", &json!([{ "role": "picker", "store": known }]))).await);
    assert_eq!(made["grants"], json!([{ "role": "picker", "store": known }]));
    let profile = json!({ "name": "P", "grants": grants, "active": true });
    assert_eq!(pointer(&shop.change(&admin, &made["id"], 1, &profile).await), "/grants/1/store");
    shop.close().await;
}

async fn couriers_are_told_to_others(shop: Shop) {
    let admin = shop.first_admin().await;
    let (krog, ponce) = (shop.know_store(&admin, 1).await, shop.know_store(&admin, 2).await);
    let mut sofia = person("sofia@example.org", &json!([{ "role": "courier", "store": krog }]));
    assert_eq!(pointer(&shop.add(&admin, &sofia).await), "/vehicle");
    sofia["vehicle"] = json!("bike");
    let made = body(&shop.add(&admin, &sofia).await);
    let profile = |store, vehicle: &str, active| json!({ "name": "Sofia", "grants": [{ "role": "courier", "store": store }], "vehicle": vehicle, "active": active });
    let picker = json!({ "name": "Sofia", "grants": [{ "role": "picker" }], "active": true });
    shop.token_of("sofia@example.org").await;
    for (version, (profile, tag)) in
        (1..).zip([(profile(ponce, "bike", true), "\"2\""), (profile(ponce, "bike", false), "\"3\""), (picker, "\"4\"")])
    {
        let reply = shop.change(&admin, &made["id"], version, &profile).await;
        assert_eq!((reply.status.as_u16(), reply.header("etag")), (200, Some(tag)), "{reply:?}");
        let signs_in = shop.sign_in("sofia@example.org", PASSWORD).await.status == 200;
        assert_eq!(signs_in, profile["active"] == true);
    }
    let said: Vec<(StoreId, bool)> =
        shop.events_of::<CourierChanged>("identity").await.iter().map(|event| (event.store, event.active)).collect();
    assert_eq!(said, [(krog, true), (ponce, true), (ponce, false)]);
    shop.close().await;
}

async fn a_change_expects_what_was_read(shop: Shop) {
    let admin = shop.first_admin().await;
    let id = body(&shop.add(&admin, &person("picker@example.org", &json!([{ "role": "picker" }]))).await)["id"].clone();
    let path = format!("/v1/admin/people/{}", id.as_str().unwrap());
    let profile = json!({ "name": "Changed", "grants": [{ "role": "picker" }], "active": true });
    let put = |key: &str| Call::new(Method::PUT, &path).bearer(&admin).key(key).json(&profile);
    assert_eq!(refusal(&shop.send(put("a")).await), (428, "precondition-required".to_owned()));
    let first = shop.send(put("b").header(web::header::IF_MATCH, "\"1\"")).await;
    assert_eq!((first.status.as_u16(), body(&first)["name"].clone()), (200, json!("Changed")));
    // A repeat is a repeat though the version has moved on; another key is another change.
    let again = shop.send(put("b").header(web::header::IF_MATCH, "\"1\"")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(refusal(&shop.change(&admin, &id, 1, &profile).await), (412, "stale".to_owned()));
    assert_eq!(shop.change(&admin, &json!(some_id(9)), 1, &profile).await.status, 404);
    shop.close().await;
}

async fn somebody_is_always_left_who_runs_the_shop(shop: Shop) {
    let ada = shop.first_admin().await;
    let ada_id = body(&shop.get_as("/v1/me", &ada).await)["id"].clone();
    let bob_id = body(&shop.add(&ada, &person("bob@example.org", &json!([{ "role": "admin" }]))).await)["id"].clone();
    let bob = shop.token_of("bob@example.org").await;
    let demoted = json!({ "name": "X", "grants": [{ "role": "manager" }], "active": true });
    let resting = json!({ "name": "X", "grants": [{ "role": "admin" }], "active": false });
    for profile in [&demoted, &resting] {
        assert_eq!(refusal(&shop.change(&ada, &ada_id, 1, profile).await), (409, "needs-another-admin".to_owned()));
    }
    // Each lets the other go at the same moment: one is too late, though their token still says admin.
    let (by_ada, by_bob) = tokio::join!(shop.change(&ada, &bob_id, 1, &resting), shop.change(&bob, &ada_id, 1, &demoted));
    let mut statuses = [by_ada.status.as_u16(), by_bob.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    shop.close().await;
}

async fn lists_are_paged_and_follow_roles(shop: Shop) {
    let admin = shop.first_admin().await;
    let mut pickers = Vec::new();
    for number in 0..5 {
        let grants = json!([{ "role": "picker" }, { "role": "customer" }]);
        pickers.push(body(&shop.add(&admin, &person(&format!("p{number}@example.org"), &grants)).await));
    }
    let ids = async |query: &str, limit: usize| -> Vec<Json> {
        let people = shop.list(&format!("/v1/admin/people{query}"), limit, Some(&admin)).await;
        people.iter().map(|person| person["id"].clone()).collect()
    };
    for (query, count) in [("", 6), ("?role=picker", 5), ("?role=admin", 1), ("?role=courier", 0)] {
        let whole = ids(query, 100).await;
        assert_eq!(whole.len(), count, "{query}");
        assert_eq!(ids(query, 2).await, whole, "{query}");
    }
    let profile = json!({ "name": "X", "grants": [{ "role": "dispatcher" }], "active": true });
    assert_eq!(shop.change(&admin, &pickers[2]["id"], 1, &profile).await.status, 200);
    assert_eq!(ids("?role=picker", 100).await.len(), 4);
    assert_eq!(ids("?role=dispatcher", 100).await, [pickers[2]["id"].clone()]);
    for wrong in ["role=chef", "limit=0", "after=x", "rolle=picker"] {
        assert_eq!(shop.get_as(&format!("/v1/admin/people?{wrong}"), &admin).await.status, 400, "{wrong}");
    }
    shop.close().await;
}

async fn who_is_gone_is_not_found(shop: Shop) {
    let admin = shop.first_admin().await;
    let token = shop.sign(some_id(5), &[(Role::Customer, None)]);
    assert_eq!(shop.get_as("/v1/me", &token).await.status, 404);
    for path in [format!("/v1/admin/people/{}", some_id(5)), "/v1/admin/people/5".to_owned()] {
        assert_eq!(shop.get_as(&path, &admin).await.status, 404);
    }
    shop.close().await;
}

async fn no_view_and_no_event_holds_a_password(shop: Shop) {
    let admin = shop.first_admin().await;
    let krog = shop.know_store(&admin, 1).await;
    let mut sofia = person("sofia@example.org", &json!([{ "role": "courier", "store": krog }]));
    sofia["vehicle"] = json!("bike");
    let made = shop.add(&admin, &sofia).await;
    let profile = json!({ "name": "S", "grants": [{ "role": "picker" }], "active": true });
    let mut texts: Vec<String> = Vec::new();
    for reply in [
        shop.change(&admin, &body(&made)["id"], 1, &profile).await,
        made,
        shop.sign_up("k", "grace@example.org", PASSWORD).await,
        shop.sign_up("k", "grace@example.org", "some other password").await,
        shop.sign_in(ADMIN, PASSWORD).await,
        shop.sign_in(ADMIN, "some other password").await,
        shop.get_as("/v1/me", &admin).await,
        shop.get_as("/v1/admin/people", &admin).await,
    ] {
        texts.push(format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.body)));
    }
    let said = shop.log_of("identity", &["identity.people", "identity.keys"]).await;
    texts.extend(said.iter().map(|envelope| json!(envelope).to_string()));
    for text in texts {
        for secret in [PASSWORD, "some other password", "argon2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    shop.close().await;
}
