//! Every kind of access against nobody, the bearer of a capability, and each role.
//! Leaves the objects (whose cart, which store) to the services.

use kernel::{Fault, TraceContext};
use testkit::{problem, some_id};
use web::{Access, Answer, Body, Call, Caller, Grant, Json, Person, Role, Routes, Who};

use crate::shop::{Shop, ask};

/// The header in which the keys of these tests are shown.
const KEY: &str = "provider-key";

async fn pass() -> Result<Answer, Fault> {
    Ok(Answer::no_content())
}

fn kinds() -> Vec<Access> {
    let mut kinds = vec![Access::anyone(), Access::cart_bearer(), Access::signed_in(), Access::staff(), Access::any_of([])];
    kinds.extend(Role::ALL.map(Access::role));
    kinds.push(Access::any_of([Who::CartBearer, Who::Role(Role::Picker)]));
    kinds.push(Access::customer().or(Who::CartBearer));
    kinds.push(Access::key_holder(KEY));
    kinds.push(Access::role(Role::Admin).or(Who::KeyHolder(KEY)));
    kinds
}

#[derive(Clone, Copy, Debug)]
enum Shown {
    Nobody,
    Capability,
    Key,
    Role(Role),
    RoleAndCapability(Role),
}

/// The answer that the matrix demands, written the other way round than the code.
fn expected(access: &Access, shown: Shown) -> u16 {
    let (role, capability) = match shown {
        Shown::Nobody | Shown::Key => (None, false),
        Shown::Capability => (None, true),
        Shown::Role(role) => (Some(role), false),
        Shown::RoleAndCapability(role) => (Some(role), true),
    };
    let admitted = access.kinds().iter().any(|who| match (who, role) {
        (Who::Anyone, _) | (Who::SignedIn, Some(_)) => true,
        (Who::CartBearer, _) => capability,
        (Who::KeyHolder(_), _) => matches!(shown, Shown::Key),
        (Who::Role(wanted), Some(role)) => *wanted == role || role == Role::Admin,
        (Who::SignedIn | Who::Role(_), None) => false,
    });
    match (admitted, role) {
        (true, _) => 204,
        (false, None) => 401,
        (false, Some(_)) => 403,
    }
}

#[tokio::test]
async fn each_access_admits_its_own_and_nobody_else() {
    let shop = Shop::new();
    let mut routes = Routes::new("test");
    for (index, access) in kinds().into_iter().enumerate() {
        routes = routes.post(&format!("/v1/kinds/{index}"), access, pass);
    }
    let list = routes.list();
    let router = shop.door.open(routes);
    let mut callers = vec![Shown::Nobody, Shown::Capability, Shown::Key];
    callers.extend(Role::ALL.map(Shown::Role));
    callers.extend(Role::ALL.map(Shown::RoleAndCapability));
    for info in list {
        for shown in &callers {
            let call = Call::new(info.method.clone(), &info.path);
            let call = match *shown {
                Shown::Nobody => call,
                Shown::Capability => call.capability("some.seal"),
                Shown::Key => call.header(web::HeaderName::from_static(KEY), "a key"),
                Shown::Role(role) => call.bearer(&shop.token(role)),
                Shown::RoleAndCapability(role) => call.bearer(&shop.token(role)).capability("some.seal"),
            };
            let reply = ask(&router, call).await;
            assert_eq!(reply.status.as_u16(), expected(&info.access, *shown), "{info} by {shown:?}");
            let challenged = reply.header("www-authenticate").is_some();
            assert_eq!(challenged, reply.status == 401, "{info} by {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_caller_learns_what_is_wanted_before_the_body_is_read() {
    async fn takes_a_body(_: Body<Json>) -> Result<Answer, Fault> {
        Ok(Answer::no_content())
    }
    let shop = Shop::new();
    let router = shop.door.open(Routes::new("test").post("/v1/picks", Access::staff(), takes_a_body));
    let reply = ask(&router, Call::post("/v1/picks").bytes("text/plain", "{broken")).await;
    let (status, reason, members) = problem(&reply);
    assert_eq!((status, reason.as_str()), (401, "unauthenticated"));
    assert!(members["detail"].as_str().unwrap().contains("picker"), "{members}");
    let call = Call::post("/v1/picks").bearer(&shop.token(Role::Customer)).bytes("text/plain", "{broken");
    let (status, reason, _) = problem(&ask(&router, call).await);
    assert_eq!((status, reason.as_str()), (403, "forbidden"));
}

#[test]
fn a_grant_covers_its_store_or_all() {
    let (here, there) = (some_id(1), some_id(2));
    let caller = |role, store| Caller {
        person: Some(Person { id: some_id(3), name: "Ada".to_owned(), grants: vec![Grant { role, store }] }),
        capability: None,
        request_id: "r".to_owned(),
        trace: TraceContext::start(&mut kernel::Draw::seeded(1)),
    };
    let picker = caller(Role::Picker, Some(here));
    assert!(picker.has(Role::Picker) && !picker.has(Role::Courier));
    assert!(picker.may(Role::Picker, here) && !picker.may(Role::Picker, there) && !picker.may(Role::Manager, here));
    assert!(caller(Role::Picker, None).may(Role::Picker, there));
    assert!(caller(Role::Admin, None).may(Role::Dispatcher, there));
    let nobody = Caller { person: None, ..picker };
    assert!(!nobody.has(Role::Picker) && !nobody.may(Role::Picker, here) && nobody.person().is_err());
}

#[test]
fn access_and_routes_print_as_a_line() {
    let access = Access::any_of([Who::CartBearer, Who::KeyHolder(KEY), Who::Role(Role::Picker)]);
    let routes = Routes::<()>::new("orders").get("/v1/orders/{id}", access, pass);
    assert_eq!(routes.list()[0].to_string(), "GET /v1/orders/{id} (orders): cart-bearer | key-holder | picker");
    assert_eq!(Access::any_of([]).to_string(), "nobody");
}
