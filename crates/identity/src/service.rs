//! What identity does: one short decider per use case, and what the composition calls at start.
//! Leaves rules to `domain`, hashing to `hasher`, and the key that signs to `signer`.

mod hasher;
mod signer;

use contracts::identity::TokenKeyPublished;
use contracts::{PersonId, StoreId};
use engine::{Handle, Lane, Stop, Stored, Work};
use kernel::{Bucket, Buckets, Fault, FaultKind, Millis, TraceContext};
use web::{Expected, Grant, PublicKey};

pub(crate) use hasher::Hasher;
pub(crate) use signer::Signer;

use crate::domain::{
    Email, HashedPassword, Person, Profile, Secret, Throttle, check_new, checked_name, courier_news, dummy_hash,
};
use crate::store::{AttemptsOn, Credential, EmailTaken, KeyBytes, KnownStore, RoleHeld, StoredSigningKey, anybody};

/// The number of the key that signs: there is one; a second is made when keys come to be changed.
pub(crate) const SIGNING_KEY_NUMBER: i64 = 1;

/// Somebody who is to be entered, with the hash of their password.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    pub(crate) email: Email,
    pub(crate) profile: Profile,
    pub(crate) hash: HashedPassword,
}

/// A change that an admin wants.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) person: PersonId,
    /// Who wants it.
    pub(crate) by: PersonId,
    pub(crate) expected: Expected,
    pub(crate) profile: Profile,
}

/// Enters a customer. If the address is somebody's already nothing is entered, and the answer looks the same.
pub(crate) fn sign_up(work: &mut Work<'_>, buckets: Buckets, newcomer: &Newcomer) -> Result<Stored, Stop> {
    let id = new_person_id(work, buckets);
    if work.find::<EmailTaken>(&(newcomer.email.clone(),))?.is_none() {
        enter(work, id, newcomer)?;
    }
    Ok(Stored { status: 201, resource: id.to_string() })
}

/// Enters whomever an admin describes.
pub(crate) fn add_person(work: &mut Work<'_>, buckets: Buckets, newcomer: &Newcomer) -> Result<Stored, Stop> {
    require_stores(work, &newcomer.profile.grants)?;
    if work.find::<EmailTaken>(&(newcomer.email.clone(),))?.is_some() {
        return Err(email_taken().into());
    }
    let id = new_person_id(work, buckets);
    enter(work, id, newcomer)?;
    Ok(Stored { status: 201, resource: id.to_string() })
}

/// Gives a person another profile.
pub(crate) fn change_person(work: &mut Work<'_>, change: &Change) -> Result<Stored, Stop> {
    let before = work.load::<Person>(&change.person, "person")?;
    change.expected.check(before.version)?;
    require_stores(work, &change.profile.grants)?;
    let after = before.changed(change.profile.clone());
    if before.profile.administers() && !after.profile.administers() {
        require_another_admin(work, change)?;
    }
    let (had, has) = (before.profile.roles(), after.profile.roles());
    for role in had.difference(&has) {
        work.remove::<RoleHeld>(&(role.to_string(), after.id));
    }
    for role in has.difference(&had) {
        work.save(RoleHeld { role: role.to_string(), person: after.id, bucket: after.id.bucket() });
    }
    if let Some(news) = courier_news(Some(&before), &after) {
        work.emit(&news)?;
    }
    let resource = after.id.to_string();
    work.save(after);
    Ok(Stored { status: 200, resource })
}

/// Charges an attempt to sign in, or says when the next is let through.
pub(crate) fn charge_attempt(work: &mut Work<'_>, throttle: &Throttle, account: &str) -> Result<(), Stop> {
    let before = work.find::<AttemptsOn>(&(account.to_owned(),))?.map(|before| before.attempts());
    match throttle.charge(before, work.now()) {
        Ok(attempts) => {
            work.save(AttemptsOn::new(account, attempts));
            Ok(())
        }
        Err(wait_ms) => Err(too_many_attempts(wait_ms).into()),
    }
}

/// Lets a person in whose password was found to fit `hash`, and takes all charges back; `None` if that is no longer their
/// password or they may not sign in.
pub(crate) fn let_in(
    work: &mut Work<'_>,
    account: &str,
    person: PersonId,
    hash: &HashedPassword,
) -> Result<Option<Person>, Stop> {
    work.want::<Person>(&person);
    let credential = work.find::<Credential>(&(person,))?;
    let found = work.find::<Person>(&person)?.filter(|found| found.profile.active);
    let Some(found) = found.filter(|_| credential.is_some_and(|credential| credential.hash == *hash)) else {
        return Ok(None);
    };
    work.remove::<AttemptsOn>(&(account.to_owned(),));
    Ok(Some((*found).clone()))
}

/// Keeps that there is a store.
pub(crate) fn know_store(work: &mut Work<'_>, store: StoreId) {
    work.save(KnownStore { store });
}

/// Drops the attempts on these accounts that are forgotten.
pub(crate) fn forget_attempts(work: &mut Work<'_>, accounts: &[String]) -> Result<(), Stop> {
    let keys: Vec<(String,)> = accounts.iter().map(|account| (account.clone(),)).collect();
    for attempts in work.find_all::<AttemptsOn>(&keys)?.into_iter().flatten() {
        if attempts.forgotten_at <= work.now() {
            work.remove::<AttemptsOn>(&(attempts.account.clone(),));
        }
    }
    Ok(())
}

/// The person whose address and password these are. What an address is nobody's, a wrong password and somebody who may
/// not sign in have in common is the answer, and the time it takes.
pub(crate) async fn authenticate(
    handle: &Handle,
    hasher: &Hasher,
    throttle: Throttle,
    trace: &TraceContext,
    (email, secret): (Email, Secret),
) -> Result<Person, Fault> {
    // Without a place nothing is charged: an overload must not lock anybody's account.
    let place = hasher.place()?;
    let account = email.digest();
    let charged = account.clone();
    handle.decide(Lane::Rest, trace, move |work| charge_attempt(work, &throttle, &charged)).await?;
    let person = handle.find::<EmailTaken>(&(email,)).await?.map(|(taken, _)| taken.person);
    // Looked for even if nobody has the address: the same steps take the same time.
    let credential = handle.find::<Credential>(&(person.unwrap_or(PersonId(nobody())),)).await?;
    let hash = credential.map_or_else(dummy_hash, |(credential, _)| credential.hash);
    let fits = hasher.fits(place, secret, hash.clone()).await?;
    let Some(person) = person.filter(|_| fits) else { return Err(wrong_credentials()) };
    let let_in = handle.decide(Lane::Rest, trace, move |work| let_in(work, &account, person, &hash)).await?;
    let_in.ok_or_else(wrong_credentials)
}

/// The public half of the key that signs this shop's tokens; the key is made and published if there is none. If several
/// processes do this at the same time, one key wins and all get that one.
///
/// # Errors
/// `unavailable`.
pub async fn ensure_signing_key(handle: &Handle) -> Result<PublicKey, Fault> {
    signing_key(handle).await.map(|key| key.public().clone())
}

/// Whether somebody has this address: for the program at its start, never for a caller.
///
/// # Errors
/// `invalid-field` if it is no address; `unavailable`.
pub async fn knows(handle: &Handle, email: &str) -> Result<bool, Fault> {
    let email = Email::parse(email)?;
    Ok(handle.find::<EmailTaken>(&(email,)).await?.is_some())
}

/// Makes the first admin if there is nobody at all, and says whether that was so. Call it before the routes are open:
/// a customer who signs up first is somebody.
///
/// # Errors
/// `invalid-field` if name, address or password is none; `unavailable`.
pub async fn ensure_admin(handle: &Handle, name: &str, email: &str, password: Secret) -> Result<bool, Fault> {
    let (profile, email) = (Profile::admin(checked_name(name)?), Email::parse(email)?);
    check_new(&password, &email)?;
    if anybody(handle).await? {
        return Ok(false);
    }
    let hasher = Hasher::new(1, 0);
    let hash = hasher.hash(hasher.place()?, password).await?;
    let newcomer = Newcomer { email, profile, hash };
    let first = move |work: &mut Work<'_>| {
        // Two processes at their first start are given the same address: one of them finds it taken.
        if work.find::<EmailTaken>(&(newcomer.email.clone(),))?.is_some() {
            return Ok(false);
        }
        // A bucket that every installation has, however many it was born with.
        let id = PersonId(work.new_id(Bucket(0)));
        enter(work, id, &newcomer)?;
        Ok(true)
    };
    handle.decide(Lane::Rest, &new_trace(handle), first).await
}

/// The key that signs, made if there is none.
async fn signing_key(handle: &Handle) -> Result<web::SigningKey, Fault> {
    if let Some((stored, _)) = handle.find::<StoredSigningKey>(&(SIGNING_KEY_NUMBER,)).await? {
        return web::SigningKey::from_pkcs8(&stored.pkcs8.0);
    }
    // Made here and not by the decider, which may run many times and has no chance for secrets.
    let fresh = web::SigningKey::generate()?;
    let (public, pkcs8) = (fresh.public().clone(), KeyBytes(fresh.as_pkcs8().to_vec()));
    let kept = handle.decide(Lane::Rest, &new_trace(handle), move |work| keep_signing_key(work, &public, &pkcs8)).await?;
    web::SigningKey::from_pkcs8(&kept.0)
}

/// Keeps and publishes a key unless there is one; gives back the one that there is then.
fn keep_signing_key(work: &mut Work<'_>, public: &PublicKey, pkcs8: &KeyBytes) -> Result<KeyBytes, Stop> {
    if let Some(stored) = work.find::<StoredSigningKey>(&(SIGNING_KEY_NUMBER,))? {
        return Ok(stored.pkcs8.clone());
    }
    let (kid, made_at) = (public.kid.clone(), work.now());
    work.save(StoredSigningKey { number: SIGNING_KEY_NUMBER, kid, pkcs8: pkcs8.clone(), made_at });
    publish(work, public)?;
    Ok(pkcs8.clone())
}

fn publish(work: &mut Work<'_>, public: &PublicKey) -> Result<(), Stop> {
    let public_key = public.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    work.emit(&TokenKeyPublished { kid: public.kid.clone(), public_key })
}

/// Publishes a key again, for whoever rebuilds a copy of it.
pub(crate) fn say_signing_key(work: &mut Work<'_>, number: i64) -> Result<(), Stop> {
    match work.find::<StoredSigningKey>(&(number,))? {
        Some(stored) => publish(work, web::SigningKey::from_pkcs8(&stored.pkcs8.0)?.public()),
        None => Ok(()),
    }
}

/// Says again of somebody that they ride, for whoever rebuilds a copy of it.
pub(crate) fn say_courier(work: &mut Work<'_>, id: PersonId) -> Result<(), Stop> {
    let news = work.find::<Person>(&id)?.and_then(|person| courier_news(None, &person));
    news.map_or(Ok(()), |news| work.emit(&news))
}

/// Writes all rows of somebody new whose address was found free.
fn enter(work: &mut Work<'_>, id: PersonId, newcomer: &Newcomer) -> Result<(), Stop> {
    let Newcomer { email, profile, hash } = newcomer.clone();
    let person = Person::new(id, email.clone(), profile, work.now());
    for role in person.profile.roles() {
        work.create(RoleHeld { role: role.to_string(), person: id, bucket: id.bucket() })?;
    }
    if let Some(news) = courier_news(None, &person) {
        work.emit(&news)?;
    }
    work.save(EmailTaken { address: email, person: id });
    work.create(Credential { person: id, bucket: id.bucket(), hash, changed_at: work.now() })?;
    work.create(person)
}

/// Refuses roles in stores that nobody has told of.
fn require_stores(work: &mut Work<'_>, grants: &[Grant]) -> Result<(), Stop> {
    let scoped = grants.iter().enumerate().filter_map(|(index, grant)| Some((index, (StoreId(grant.store?),))));
    let (indices, keys): (Vec<usize>, Vec<(StoreId,)>) = scoped.unzip();
    let found = work.find_all::<KnownStore>(&keys)?;
    match indices.iter().zip(found).find(|(_, found)| found.is_none()) {
        Some((index, _)) => {
            let detail = "there is no such store; give the id of one that delivery knows, or leave it out for all stores";
            Err(Fault::invalid_field(format!("/grants/{index}/store"), detail).into())
        }
        None => Ok(()),
    }
}

/// Lets an admin go only by the word of another who is one at this moment, whatever their token says: so somebody is
/// always left who can undo it.
fn require_another_admin(work: &mut Work<'_>, change: &Change) -> Result<(), Stop> {
    let by = work.find::<Person>(&change.by)?;
    if change.by != change.person && by.is_some_and(|by| by.profile.administers()) {
        return Ok(());
    }
    let detail = "an admin is let go by another admin only, so that somebody is left who runs the shop";
    Err(Fault::conflict("needs-another-admin", detail).into())
}

fn new_person_id(work: &mut Work<'_>, buckets: Buckets) -> PersonId {
    let bucket = buckets.any(work.draw());
    PersonId(work.new_id(bucket))
}

fn new_trace(handle: &Handle) -> TraceContext {
    TraceContext::start(&mut handle.runtime().draw())
}

/// An id that nobody has.
fn nobody() -> kernel::Id {
    kernel::Id::from_bytes([0; 16])
}

fn wrong_credentials() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "wrong-credentials", "the e-mail address or the password is wrong")
}

fn too_many_attempts(wait_ms: Millis) -> Fault {
    let detail = "too many attempts to sign in with this address; wait as long as `Retry-After` says, then try again";
    let mut fault = Fault::new(FaultKind::Exhausted, "too-many-attempts", detail);
    fault.retry_after_ms = Some(wait_ms);
    fault
}

fn email_taken() -> Fault {
    let detail = "somebody has this e-mail address already; give another, or change that person";
    let mut fault = Fault::conflict("email-taken", detail);
    fault.fields.push(kernel::FieldFault { field: "/email".to_owned(), detail: detail.to_owned() });
    fault
}
