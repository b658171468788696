//! The routes of identity: signing in and up, oneself, and people for admins.
//! Leaves every rule to `domain` and `service`; no view here knows a password or its hash.

use contracts::{PersonId, StoreId};
use engine::{Command, DEADLINE_DEFAULT_MS, Handle, KeyScope, Lane, Stop, Stored, Work};
use kernel::{Bucket, Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{
    Access, Answer, Body, Caller, Conditions, Fingerprint, Grant, IdempotencyKey, Json, Method, Page, Path, Query, Role,
    RouteInfo, Routes, State, canonical_json, json,
};

use crate::config::Config;
use crate::domain::{Email, Person, Profile, Secret, check_new, checked_name};
use crate::service::{Change, Hasher, Newcomer, Signer, add_person, authenticate, change_person, sign_up};
use crate::store::people;

const SIGN_UP: &str = "/v1/sign-up";
const PEOPLE: &str = "/v1/admin/people";

/// What the handlers work with.
#[derive(Clone)]
struct Identity {
    handle: Handle,
    config: Config,
    hasher: Hasher,
    signer: Signer,
}

/// The routes.
pub(crate) fn routes(handle: Handle, config: &Config) -> Routes {
    let hasher = Hasher::new(config.hashes_max, config.hashes_waiting_max);
    all().with_state(Identity { handle, config: config.clone(), hasher, signer: Signer::default() })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Identity> {
    Routes::new(crate::NAME)
        .post("/v1/sign-in", Access::anyone(), post_sign_in)
        .post(SIGN_UP, Access::anyone(), post_sign_up)
        .get("/v1/me", Access::signed_in(), get_me)
        .post(PEOPLE, Access::admin(), post_person)
        .get(PEOPLE, Access::admin(), list_people)
        .get("/v1/admin/people/{id}", Access::admin(), get_person)
        .put("/v1/admin/people/{id}", Access::admin(), put_person)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    password: Secret,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    name: String,
    email: String,
    password: Secret,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    name: String,
    email: String,
    password: Secret,
    grants: Vec<GivenGrant>,
    #[serde(default)]
    vehicle: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedPerson {
    name: String,
    grants: Vec<GivenGrant>,
    active: bool,
    #[serde(default)]
    vehicle: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenGrant {
    role: Role,
    #[serde(default)]
    store: Option<StoreId>,
}

#[derive(Debug, Deserialize)]
struct Filter {
    role: Option<Role>,
}

/// A person as they and admins see them.
#[derive(Serialize)]
struct PersonView {
    id: PersonId,
    name: String,
    email: String,
    grants: Vec<Grant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vehicle: Option<String>,
    active: bool,
    made_at: Timestamp,
    version: i64,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        let Profile { name, grants, vehicle, active } = person.profile;
        let (id, email) = (person.id, person.email.to_string());
        Self { id, name, email, grants, vehicle, active, made_at: person.made_at, version: person.version }
    }
}

/// Gives a token for an address and its password. It makes nothing that a repeat could double, so it takes no
/// `Idempotency-Key`: a repeat is another token and another attempt.
async fn post_sign_in(State(identity): State<Identity>, caller: Caller, body: Body<SignIn>) -> Result<Answer, Fault> {
    let SignIn { email, password } = body.value;
    let email = Email::parse(&email)?;
    if !password.within_bounds() {
        return Err(Fault::invalid_field("/password", "a password has at most 128 characters"));
    }
    let Identity { handle, config, hasher, signer } = &identity;
    let person = authenticate(handle, hasher, config.throttle(), &caller.trace, (email, password)).await?;
    let (token, expires_at) = signer.sign(handle, &person, config.token_ttl_ms).await?;
    let PersonView { id, name, email, grants, .. } = person.into();
    let person = json!({ "id": id, "name": name, "email": email, "grants": grants });
    Ok(Answer::ok(json!({ "token": token, "expires_at": expires_at, "person": person })))
}

/// Enters a customer. Whether the address was free is not told: the answer is the same, with an id that is then
/// nobody's, and the password given here does not sign in. Who tries that learns it, at the cost of a sign-up and an
/// attempt for each address; only an answer by mail could keep it from them.
async fn post_sign_up(
    State(identity): State<Identity>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<SignUp>,
) -> Result<Answer, Fault> {
    let SignUp { name, email, password } = body.value;
    let (profile, email) = (Profile::customer(checked_name(&name)?), Email::parse(&email)?);
    let fingerprint = fingerprint(SIGN_UP, &json!({ "name": name, "email": email }));
    let newcomer = hashed(&identity, email, profile, password).await?;
    // The address is part of the target, since nobody is yet known by whom keys could be told apart.
    let target = newcomer.email.digest();
    let key = KeyScope::new(&caller, "POST /v1/sign-up", target, bucket_of(&identity, &newcomer.email), &key, fingerprint);
    let buckets = identity.config.buckets;
    let decide = move |work: &mut Work<'_>| sign_up(work, buckets, &newcomer);
    let show = |_: &mut Work<'_>, id: &str| Ok(json!({ "id": id }));
    let reply = identity.handle.command(command(&caller, key, decide, show)).await?;
    Ok(reply.answer(None))
}

/// Whoever is signed in, as they are now and not as their token says.
async fn get_me(State(identity): State<Identity>, caller: Caller, conditions: Conditions) -> Result<Answer, Fault> {
    answer_person(&identity, PersonId(caller.person()?.id), &conditions).await
}

async fn get_person(State(identity): State<Identity>, Path(id): Path<PersonId>, conditions: Conditions) -> Result<Answer, Fault> {
    answer_person(&identity, id, &conditions).await
}

async fn list_people(
    State(identity): State<Identity>,
    page: Page<PersonId>,
    Query(filter): Query<Filter>,
) -> Result<Answer, Fault> {
    let found = people(&identity.handle, filter.role, page.after, page.rows_wanted()).await?;
    Ok(Answer::ok(page.list(found, |person| person.id).map(PersonView::from)))
}

async fn post_person(
    State(identity): State<Identity>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<NewPerson>,
) -> Result<Answer, Fault> {
    let NewPerson { name, email, password, grants, vehicle } = body.value;
    let (profile, email) = (Profile::checked(&name, grants_of(grants), vehicle, true)?, Email::parse(&email)?);
    let fingerprint = fingerprint(PEOPLE, &json!({ "email": email, "profile": profile }));
    let newcomer = hashed(&identity, email, profile, password).await?;
    let bucket = bucket_of(&identity, &newcomer.email);
    let key = KeyScope::new(&caller, "POST /v1/admin/people", "", bucket, &key, fingerprint);
    let buckets = identity.config.buckets;
    let decide = move |work: &mut Work<'_>| add_person(work, buckets, &newcomer);
    let reply = identity.handle.command(command(&caller, key, decide, show_person)).await?;
    let location = format!("{PEOPLE}/{}", reply.resource);
    Ok(tagged(reply, Some(&location)))
}

async fn put_person(
    State(identity): State<Identity>,
    caller: Caller,
    Path(person): Path<PersonId>,
    conditions: Conditions,
    key: IdempotencyKey,
    body: Body<ChangedPerson>,
) -> Result<Answer, Fault> {
    let ChangedPerson { name, grants, active, vehicle } = body.value;
    let profile = Profile::checked(&name, grants_of(grants), vehicle, active)?;
    let (by, expected) = (PersonId(caller.person()?.id), conditions.required()?.clone());
    let change = Change { person, by, expected, profile };
    let key = KeyScope::new(&caller, "PUT /v1/admin/people/{id}", person, person.bucket(), &key, body.fingerprint);
    let decide = move |work: &mut Work<'_>| change_person(work, &change);
    let reply = identity.handle.command(command(&caller, key, decide, show_person)).await?;
    Ok(tagged(reply, None))
}

async fn answer_person(identity: &Identity, id: PersonId, conditions: &Conditions) -> Result<Answer, Fault> {
    let (person, _) = identity.handle.find::<Person>(&id).await?.ok_or_else(|| Fault::not_found("person"))?;
    Ok(conditions.answer(person.version, PersonView::from(person)))
}

/// A newcomer whose password was found good and is hashed.
async fn hashed(identity: &Identity, email: Email, profile: Profile, password: Secret) -> Result<Newcomer, Fault> {
    check_new(&password, &email)?;
    let hash = identity.hasher.hash(identity.hasher.place()?, password).await?;
    Ok(Newcomer { email, profile, hash })
}

fn command<D, S>(caller: &Caller, key: KeyScope, decide: D, show: S) -> Command<D, S>
where
    D: Fn(&mut Work<'_>) -> Result<Stored, Stop>,
    S: Fn(&mut Work<'_>, &str) -> Result<Json, Stop>,
{
    let (lane, trace) = (Lane::Rest, caller.trace.clone());
    Command { lane, key, trace, bytes: 1024, deadline_ms: DEADLINE_DEFAULT_MS, decide, show }
}

fn show_person(work: &mut Work<'_>, id: &str) -> Result<Json, Stop> {
    let id: PersonId = id.parse().map_err(|_| Stop::Broken(format!("`{id}` is no person's id")))?;
    let person = work.load::<Person>(&id, "person")?;
    serde_json::to_value(PersonView::from((*person).clone())).map_err(|error| Stop::Broken(error.to_string()))
}

/// The answer to a command on a person, with the tag of what it shows.
fn tagged(reply: engine::Reply, location: Option<&str>) -> Answer {
    let version = reply.view["version"].as_i64().unwrap_or_default();
    reply.answer(location).etag(version)
}

/// The fingerprint of a request that holds a password, without it: a plain hash that covers the password would be a
/// cheap way around argon2id. So a key that comes back with another password only is taken for a repeat.
fn fingerprint(path: &str, without_password: &Json) -> Fingerprint {
    Fingerprint::of(&Method::POST, path, &canonical_json(without_password))
}

/// Where the key of somebody who has no id yet is kept.
fn bucket_of(identity: &Identity, email: &Email) -> Bucket {
    identity.config.buckets.of(email.as_str().as_bytes())
}

fn grants_of(given: Vec<GivenGrant>) -> Vec<Grant> {
    given.into_iter().map(|grant| Grant { role: grant.role, store: grant.store.map(|store| store.0) }).collect()
}
