//! A person: name, address, roles, and what a courier rides; what may be said of one, and what others are told of it.
//! Leaves whether the stores of roles exist, and credentials, to others.

use std::collections::BTreeSet;

use contracts::identity::CourierChanged;
use contracts::{PersonId, StoreId};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{Grant, Role};

use super::Email;

/// How long a name may be, in characters.
const NAME_CHARS_MAX: usize = 200;
/// How many roles one person may have; more would outgrow their token.
const GRANTS_MAX: usize = 32;
/// How long the word for a vehicle may be.
const VEHICLE_CHARS_MAX: usize = 40;

/// Whoever the shop knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) id: PersonId,
    pub(crate) email: Email,
    #[serde(flatten)]
    pub(crate) profile: Profile,
    pub(crate) made_at: Timestamp,
    /// 1, and one more with every change: what `If-Match` is held against.
    pub(crate) version: i64,
}

/// What an admin says of a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// How to address them.
    pub(crate) name: String,
    /// What they are, and where.
    pub(crate) grants: Vec<Grant>,
    /// What they ride, if they are a courier.
    pub(crate) vehicle: Option<String>,
    /// Whether they may sign in.
    pub(crate) active: bool,
}

impl Profile {
    /// A profile as members of a request, or what is wrong with it.
    pub(crate) fn checked(name: &str, grants: Vec<Grant>, vehicle: Option<String>, active: bool) -> Result<Self, Fault> {
        let name = checked_name(name)?;
        check_grants(&grants)?;
        check_vehicle(vehicle.as_deref(), grants.iter().any(|grant| grant.role == Role::Courier))?;
        Ok(Self { name, grants, vehicle, active })
    }

    /// Somebody who buys.
    pub(crate) fn customer(name: String) -> Self {
        Self { name, grants: vec![Grant { role: Role::Customer, store: None }], vehicle: None, active: true }
    }

    /// Somebody who runs the shop.
    pub(crate) fn admin(name: String) -> Self {
        Self { name, grants: vec![Grant { role: Role::Admin, store: None }], vehicle: None, active: true }
    }

    /// Their roles, each once.
    pub(crate) fn roles(&self) -> BTreeSet<Role> {
        self.grants.iter().map(|grant| grant.role).collect()
    }

    /// Whether they run the shop now.
    pub(crate) fn administers(&self) -> bool {
        self.active && self.grants.iter().any(|grant| grant.role == Role::Admin)
    }
}

impl Person {
    /// Somebody new.
    pub(crate) fn new(id: PersonId, email: Email, profile: Profile, made_at: Timestamp) -> Self {
        Self { id, email, profile, made_at, version: 1 }
    }

    /// The same with another profile; of the next version, unless it is the same profile.
    pub(crate) fn changed(&self, profile: Profile) -> Self {
        let version = self.version + i64::from(profile != self.profile);
        Self { profile, version, ..self.clone() }
    }

    fn courier(&self) -> Option<CourierChanged> {
        let riding = self.profile.grants.iter().find(|grant| grant.role == Role::Courier)?;
        Some(CourierChanged {
            courier: self.id,
            name: self.profile.name.clone(),
            store: StoreId(riding.store?),
            vehicle: self.profile.vehicle.clone()?,
            active: self.profile.active,
        })
    }
}

/// What others are to be told of `after`, who was `before`: a courier is new, has changed, or is one no longer.
pub(crate) fn courier_news(before: Option<&Person>, after: &Person) -> Option<CourierChanged> {
    let was = before.and_then(Person::courier);
    match (was, after.courier()) {
        (was, Some(is)) => (was.as_ref() != Some(&is)).then_some(is),
        (Some(was), None) => was.active.then_some(CourierChanged { active: false, ..was }),
        (None, None) => None,
    }
}

/// A name without the spaces around it, or what is wrong with it.
pub(crate) fn checked_name(name: &str) -> Result<String, Fault> {
    let name = name.trim();
    let short = (1..=NAME_CHARS_MAX).contains(&name.chars().take(NAME_CHARS_MAX + 1).count());
    if short && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Fault::invalid_field("/name", "a name has 1 to 200 characters and no control characters"))
}

fn check_grants(grants: &[Grant]) -> Result<(), Fault> {
    if !(1..=GRANTS_MAX).contains(&grants.len()) {
        let detail = "a person has 1 to 32 roles; set `active` to false for one who is to have none";
        return Err(Fault::invalid_field("/grants", detail));
    }
    for (index, grant) in grants.iter().enumerate() {
        check_store(index, grant)?;
        if grants[..index].contains(grant) {
            return Err(Fault::invalid_field(format!("/grants/{index}"), "this role is given twice; leave one of them out"));
        }
    }
    let rides = |(_, grant): &(usize, &Grant)| grant.role == Role::Courier;
    match grants.iter().enumerate().filter(rides).nth(1) {
        Some((second, _)) => {
            Err(Fault::invalid_field(format!("/grants/{second}/store"), "a courier rides for one store; leave the others out"))
        }
        None => Ok(()),
    }
}

fn check_store(index: usize, grant: &Grant) -> Result<(), Fault> {
    let refuse = |detail: &str| Err(Fault::invalid_field(format!("/grants/{index}/store"), detail));
    match (grant.role, grant.store) {
        (Role::Admin | Role::Customer, Some(_)) => refuse("this role is of no store; leave `store` out"),
        (Role::Courier, None) => refuse("a courier rides for one store; give its id"),
        _ => Ok(()),
    }
}

fn check_vehicle(vehicle: Option<&str>, rides: bool) -> Result<(), Fault> {
    let refuse = |detail: &str| Err(Fault::invalid_field("/vehicle", detail));
    match vehicle {
        None if rides => refuse("a courier has a vehicle, as `cargo-bike`"),
        Some(_) if !rides => refuse("only a courier has a vehicle; leave it out, or give the role courier"),
        Some(word) if !names_vehicle(word) => refuse("a vehicle is a word of 1 to 40 of a-z, 0-9 and '-', as `cargo-bike`"),
        _ => Ok(()),
    }
}

fn names_vehicle(word: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=VEHICLE_CHARS_MAX).contains(&word.len()) && word.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id};
    use proptest::prelude::*;

    fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(seed))
    }

    fn grant(role: Role, store: Option<u64>) -> Grant {
        Grant { role, store: store.map(id) }
    }

    fn profile(grants: &[Grant], vehicle: Option<&str>, active: bool) -> Result<Profile, Fault> {
        Profile::checked(" Ada ", grants.to_vec(), vehicle.map(str::to_owned), active)
    }

    #[test]
    fn roles_and_stores_and_vehicles_must_fit() {
        let bike = Some("cargo-bike");
        let many: Vec<Grant> = (0..33).map(|store| grant(Role::Picker, Some(store))).collect();
        let cases: &[(&[Grant], Option<&str>, Option<&str>)] = &[
            (&[grant(Role::Admin, None)], None, None),
            (&[grant(Role::Manager, None), grant(Role::Picker, Some(1)), grant(Role::Picker, Some(2))], None, None),
            (&[grant(Role::Courier, Some(1)), grant(Role::Customer, None)], bike, None),
            (&[], None, Some("/grants")),
            (&many, None, Some("/grants")),
            (&[grant(Role::Admin, Some(1))], None, Some("/grants/0/store")),
            (&[grant(Role::Picker, None), grant(Role::Customer, Some(1))], None, Some("/grants/1/store")),
            (&[grant(Role::Courier, None)], bike, Some("/grants/0/store")),
            (&[grant(Role::Picker, None), grant(Role::Picker, None)], None, Some("/grants/1")),
            (&[grant(Role::Courier, Some(1)), grant(Role::Courier, Some(2))], bike, Some("/grants/1/store")),
            (&[grant(Role::Courier, Some(1))], None, Some("/vehicle")),
            (&[grant(Role::Picker, None)], bike, Some("/vehicle")),
            (&[grant(Role::Courier, Some(1))], Some("Cargo Bike"), Some("/vehicle")),
            (&[grant(Role::Courier, Some(1))], Some(""), Some("/vehicle")),
        ];
        for (grants, vehicle, wrong) in cases {
            let field = profile(grants, *vehicle, true).err().map(|fault| fault.fields[0].field.clone());
            assert_eq!(field.as_deref(), *wrong, "{grants:?} {vehicle:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(checked_name("  Ada Löwe ").as_deref(), Ok("Ada Löwe"));
        for wrong in ["", "  ", "a\u{0}b", "a\nb", &"x".repeat(201)] {
            assert_eq!(checked_name(wrong).unwrap_err().fields[0].field, "/name");
        }
    }

    #[test]
    fn others_hear_of_couriers_and_of_nobody_else() {
        let person = |grants: &[Grant], vehicle: Option<&str>, active| {
            let email = Email::parse("ada@example.org").unwrap();
            Person::new(PersonId(id(9)), email, profile(grants, vehicle, active).unwrap(), Timestamp::default())
        };
        let picker = person(&[grant(Role::Picker, None)], None, true);
        let riding = person(&[grant(Role::Courier, Some(1))], Some("bike"), true);
        let moved = person(&[grant(Role::Courier, Some(2))], Some("bike"), true);
        let resting = person(&[grant(Role::Courier, Some(1))], Some("bike"), false);
        let heard = |before, after| courier_news(before, after).map(|news| (news.store.0, news.active));
        assert_eq!(heard(None, &picker), None);
        assert_eq!(heard(None, &riding), Some((id(1), true)));
        assert_eq!(heard(Some(&riding), &riding), None);
        assert_eq!(heard(Some(&riding), &moved), Some((id(2), true)));
        assert_eq!(heard(Some(&riding), &resting), Some((id(1), false)));
        assert_eq!(heard(Some(&riding), &picker), Some((id(1), false)));
        assert_eq!(heard(Some(&resting), &picker), None);
        assert_eq!(heard(Some(&picker), &riding), Some((id(1), true)));
    }

    proptest! {
        /// Whatever changes follow each other, who hears all the news knows exactly whether somebody rides, and where.
        #[test]
        fn the_news_add_up(states in prop::collection::vec((0u64..3, any::<bool>()), 1..12)) {
            let mut told: Option<CourierChanged> = None;
            let mut before: Option<Person> = None;
            for (store, active) in states {
                let rides = grant(Role::Courier, Some(store));
                let next = if store == 0 { profile(&[grant(Role::Picker, None)], None, active) } else { profile(&[rides], Some("bike"), active) };
                let email = Email::parse("ada@example.org").unwrap();
                let after = match &before {
                    Some(before) => before.changed(next.clone().unwrap()),
                    None => Person::new(PersonId(id(9)), email, next.clone().unwrap(), Timestamp::default()),
                };
                told = courier_news(before.as_ref(), &after).or(told);
                let now = after.courier().filter(|courier| courier.active);
                prop_assert_eq!(told.clone().filter(|courier| courier.active), now);
                prop_assert_eq!(after.changed(next.unwrap()).version, after.version);
                before = Some(after);
            }
        }
    }
}
