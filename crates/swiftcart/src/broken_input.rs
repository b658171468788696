//! Broken input at every route that exists, on both engines: a 4xx problem that says what is wrong, never a 5xx, nothing changed.
//! The routes are enumerated, so a new one is tried without anybody listing it. Wrong values of single fields, which need
//! sound requests around them, are tried in the tests of each service.

use std::collections::BTreeSet;

use kernel::{Id, Timestamp};
use testkit::Engine;
use web::{Call, HeaderName, Json, Method, Reply, RouteInfo, Router, StatusCode, Who, json};

use crate::compose::{self, Shop};
use crate::roles::SERVICES;
use crate::settings::Settings;
use crate::{admin, sample, tables};

/// Longer than any body may be.
const HUGE_BYTES: usize = web::BODY_BYTES_MAX + 1;

struct Tried {
    shop: Shop,
    admin: String,
    _directory: tempfile::TempDir,
    _database: Option<testkit::TestStore>,
}

async fn open(engine: Engine) -> Tried {
    let directory = tempfile::tempdir().expect("a directory");
    let mut settings = Settings::defaults().expect("the defaults");
    settings.server.data = directory.path().to_owned();
    let mut database = None;
    if matches!(engine, Engine::Postgres) {
        let fresh = testkit::fresh(engine).await;
        let services = tables::services(&settings, &tables::Parts::default());
        fresh.store.migrate(&tables::migrations(&services)).await.expect("migrations");
        settings.server.database.clone_from(&fresh.url);
        database = Some(fresh);
    }
    let shop = compose::start(&settings).await.expect("the shop starts");
    let identity = shop.identity.as_ref().expect("identity is here");
    sample::ensure_admin(identity, &shop.seal).await.expect("an admin");
    let logins = sample::make(&shop.site()).await.expect("the sample").expect("a new shop");
    let admin = sign_in(&shop.router, &logins.admin.email, &logins.admin.password).await;
    Tried { shop, admin, _directory: directory, _database: database }
}

async fn sign_in(router: &Router, email: &str, password: &str) -> String {
    let reply =
        Call::post("/v1/sign-in").json(&json!({ "email": email, "password": password })).send(router).await.expect("an answer");
    reply.json::<Json>().expect("JSON")["token"].as_str().expect("a token").to_owned()
}

/// The path of `route` with each parameter in braces replaced.
fn path_of(route: &RouteInfo, value: &str) -> String {
    let fill = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
    route.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

fn is_write(route: &RouteInfo) -> bool {
    route.method != Method::GET
}

/// A call of `route` by whoever may do most there: an admin, or whoever holds the key of the built-in provider.
fn call(route: &RouteInfo, path: &str, tried: &Tried) -> Call {
    let call = Call::new(route.method.clone(), path).bearer(&tried.admin);
    let headers = route.access.kinds().iter().filter_map(|who| match who {
        Who::KeyHolder(header) => Some(HeaderName::from_static(header)),
        _ => None,
    });
    headers.fold(call, |call, header| call.header(header, &tried.shop.provider_key))
}

/// Every broken request that `route` is sent, with a word for each.
fn broken(route: &RouteInfo, tried: &Tried) -> Vec<(&'static str, Call)> {
    let some_id = Id::new(Timestamp::from_millis(1), kernel::Bucket(1), &mut kernel::Draw::seeded(7)).to_string();
    let path = path_of(route, &some_id);
    let plain = |path: &str| call(route, path, tried);
    let keyed = |path: &str| if is_write(route) { plain(path).key("a-key-that-is-long-enough") } else { plain(path) };
    let mut calls = vec![
        (
            "expired or foreign token",
            Call::new(route.method.clone(), &path).bearer("eyJhbGciOiJFZERTQSJ9.e30.AAAA").json(&json!({})),
        ),
        (
            "token that is none",
            Call::new(route.method.clone(), &path).header(HeaderName::from_static("authorization"), "Basic abc"),
        ),
        ("unknown parameter", keyed(&format!("{path}?no_such_parameter=1"))),
    ];
    if route.path.contains('{') {
        for value in ["no-such-thing", "%00", "..%2f..", "\u{2603}".repeat(3).as_str(), &"9".repeat(400)] {
            let value: String = value
                .bytes()
                .map(|byte| if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect();
            calls.push(("a path that names nothing", keyed(&path_of(route, &value)).json(&json!({}))));
        }
    }
    if !is_write(route) {
        for query in ["limit=0", "limit=many", "limit=101", "after=%7B%7D", "after=AAAA", "limit=1&limit=2"] {
            calls.push(("a wrong page", keyed(&format!("{path}?{query}"))));
        }
        return calls;
    }
    calls.push(("no key", plain(&path).json(&json!({}))));
    calls.push(("a key that is none", plain(&path).key(&"k".repeat(300)).json(&json!({}))));
    calls.push(("broken JSON", keyed(&path).bytes("application/json", "{\"a\": [1, 2")));
    calls.push(("no JSON", keyed(&path).bytes("application/json", "\u{fffd}\0")));
    calls.push(("another media type", keyed(&path).bytes("text/plain", "hello")));
    calls.push(("a huge body", keyed(&path).bytes("application/json", vec![b' '; HUGE_BYTES])));
    calls.push(("deep nesting", keyed(&path).bytes("application/json", "[".repeat(5000))));
    for value in [
        json!([]),
        json!(null),
        json!("text"),
        json!(7),
        json!({ "no_such_field": 1 }),
        json!({ "lines": -1, "quantity": 1e300 }),
    ] {
        calls.push(("another shape", keyed(&path).json(&value)));
    }
    calls
}

/// Whether a request that looks broken may be right for this route after all.
fn may_succeed(route: &RouteInfo, what: &str, reply: &Reply) -> bool {
    let read = !is_write(route) && matches!(what, "a path that names nothing" | "another shape");
    // A route without pages or parameters takes no query, one with pages takes any `after` of its form.
    reply.status.is_success() && (read || what == "token that is none" && route.access.to_string().contains("anyone"))
}

fn check(route: &RouteInfo, what: &str, reply: &Reply) {
    let text = String::from_utf8_lossy(&reply.body);
    assert!(!reply.status.is_server_error(), "{route}: {what}: {} {text}", reply.status);
    if may_succeed(route, what, reply) {
        return;
    }
    assert!(reply.status.is_client_error(), "{route}: {what} was taken: {} {text}", reply.status);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{route}: {what}");
    let problem: Json = reply.json().unwrap_or_else(|error| panic!("{route}: {what}: {error}"));
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{route}: {what}: {problem}");
    assert_eq!(problem["status"], reply.status.as_u16(), "{route}: {what}");
}

async fn everything_broken_is_refused(engine: Engine) {
    let tried = open(engine).await;
    let before = tried.shop.events_said().await.expect("heads");
    let mut refused = 0;
    for route in &tried.shop.routes {
        for (what, call) in broken(route, &tried) {
            let reply = call.send(&tried.shop.router).await.unwrap_or_else(|fault| panic!("{route}: {what}: {fault}"));
            check(route, what, &reply);
            refused += usize::from(reply.status != StatusCode::OK);
        }
    }
    assert!(refused > tried.shop.routes.len(), "hardly anything was tried");
    assert_eq!(tried.shop.events_said().await.expect("heads"), before, "a refused request said something");
    tried.shop.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_broken_is_refused_on_sqlite() {
    everything_broken_is_refused(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_broken_is_refused_on_postgresql() {
    everything_broken_is_refused(Engine::Postgres).await;
}

/// What a gateway knows of services that are elsewhere is what they have where they are, and what they keep for operators.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_service_is_known_to_the_gateway() {
    let tried = open(Engine::Sqlite).await;
    let services = || SERVICES.into_iter().chain([tables::SANDBOX]);
    let here: BTreeSet<String> = tried.shop.routes.iter().map(RouteInfo::to_string).collect();
    let known = services().flat_map(|service| [tables::routes(service), admin::table(service)].concat());
    let known: BTreeSet<String> = known.map(|route| route.to_string()).collect();
    assert_eq!(known.difference(&here).collect::<Vec<_>>(), [""; 0], "known and not there");
    let of_services =
        |route: &&RouteInfo| services().any(|service| service == route.service) && !route.path.starts_with("/internal/");
    let unknown = tried.shop.routes.iter().filter(of_services).map(RouteInfo::to_string).filter(|route| !known.contains(route));
    assert_eq!(unknown.collect::<Vec<_>>(), [""; 0], "there and not known");
    tried.shop.shut_down().await;
}

/// Whether `route` is for those only who show something besides a token, so that no token opens it.
fn shown_only(route: &RouteInfo) -> bool {
    route.access.kinds().iter().all(|who| matches!(who, Who::CartBearer | Who::KeyHolder(_)))
}

/// Who may call what: every route × nobody and everybody of the sample shop, against what the route states.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_whom_it_does_not_name() {
    let tried = open(Engine::Sqlite).await;
    let logins = sample::make(&tried.shop.site()).await.expect("it").expect("logins");
    let people = [
        Some(&logins.admin),
        logins.staff.iter().find(|login| login.roles.iter().any(|role| role.role == "picker")),
        logins.couriers.first(),
        logins.shoppers.first(),
    ];
    for route in &tried.shop.routes {
        let path = path_of(route, "01890a5d-ac96-774b-bcce-b302099a8057");
        let stated = route.access.to_string();
        let nobody = Call::new(route.method.clone(), &path).send(&tried.shop.router).await.expect("an answer");
        assert_eq!(nobody.status == StatusCode::UNAUTHORIZED, !stated.contains("anyone"), "{route}: {}", nobody.status);
        for login in people.into_iter().flatten() {
            let token = sign_in(&tried.shop.router, &login.email, &login.password).await;
            let reply = Call::new(route.method.clone(), &path).bearer(&token).send(&tried.shop.router).await.expect("an answer");
            let named = stated.contains("anyone")
                || stated.contains("signed-in")
                || login.roles.iter().any(|role| stated.contains(&role.role) || role.role == "admin" && !shown_only(route));
            let shut_out = matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert!(named || shut_out, "{route}: {} got in: {}", login.email, reply.status);
        }
    }
    tried.shop.shut_down().await;
}
