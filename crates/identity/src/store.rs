//! The tables of identity and what is asked of them. Secrets stand in columns whose types hide them in every debug form.
//! Leaves the meaning of a row to `domain`.

use std::fmt;

use contracts::{PersonId, StoreId};
use engine::{Document, Entity, Field, document_columns, tally};
use kernel::{Bucket, Fault, Id, Timestamp};
use store::{Column, Error, Key, Kind, Migration, Read, Row, Rows, Table, Value};
use web::Role;

use crate::domain::{Attempts, Email, HashedPassword, Person};

/// The tables, for the test that holds them against the database.
pub(crate) static TABLES: &[&Table] = &[&PERSON, &ROLE, &EMAIL, &CREDENTIAL, &ATTEMPT, &SIGNING_KEY, &STORE];

/// The reads, for the test that prepares them.
pub(crate) static READS: &[&Read] = &[&PEOPLE, &PEOPLE_BY_ROLE, &ANYBODY, &ATTEMPTS_FORGOTTEN];

/// The migrations.
pub(crate) static MIGRATIONS: &[Migration] =
    &[Migration { service: "identity", number: 1, name: "people", sql: include_str!("../migrations/0001_people.sql") }];

/// The table `identity_person`.
pub(crate) static PERSON: Table =
    Table { name: "identity_person", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Move };

impl Document for Person {
    type Id = PersonId;
    const TABLE: &'static Table = &PERSON;

    fn id(&self) -> PersonId {
        self.id
    }

    fn id_values(id: &PersonId) -> Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.id.bucket()
    }
}

tally! {
    /// One role of one person, wherever they have it.
    pub(crate) struct RoleHeld in ROLE = "identity_role", Move {
        key { role: String, person: PersonId, }
        bucket: Bucket,
    }
}

tally! {
    /// Whose an address is.
    pub(crate) struct EmailTaken in EMAIL = "identity_email", Stay {
        key { address: Email, }
        person: PersonId,
    }
}

tally! {
    /// What a person proves themselves with.
    pub(crate) struct Credential in CREDENTIAL = "identity_credential", Move {
        key { person: PersonId, }
        bucket: Bucket,
        hash: HashedPassword,
        changed_at: Timestamp,
    }
}

tally! {
    /// The attempts on one address that were not followed by a success.
    pub(crate) struct AttemptsOn in ATTEMPT = "identity_attempt", Stay {
        key { account: String, }
        failures: i64,
        locked_until: Timestamp,
        forgotten_at: Timestamp,
    }
}

impl AttemptsOn {
    pub(crate) fn new(account: &str, attempts: Attempts) -> Self {
        let Attempts { failures, locked_until, forgotten_at } = attempts;
        Self { account: account.to_owned(), failures, locked_until, forgotten_at }
    }

    pub(crate) fn attempts(&self) -> Attempts {
        Attempts { failures: self.failures, locked_until: self.locked_until, forgotten_at: self.forgotten_at }
    }
}

tally! {
    /// A key that signs tokens.
    pub(crate) struct StoredSigningKey in SIGNING_KEY = "identity_signing_key", Stay {
        key { number: i64, }
        kid: String,
        pkcs8: KeyBytes,
        made_at: Timestamp,
    }
}

tally! {
    /// A store that there is.
    pub(crate) struct KnownStore in STORE = "identity_store", Stay {
        key { store: StoreId, }
    }
}

/// The bytes of a private key. Their debug form hides them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyBytes(pub(crate) Vec<u8>);

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Field for KeyBytes {
    const KIND: Kind = Kind::Blob;

    fn value(&self) -> Value {
        self.0.clone().into()
    }

    fn of(row: &Row, index: usize) -> Result<Self, Error> {
        row.blob(index).map(|bytes| Self(bytes.to_vec()))
    }
}

impl Field for HashedPassword {
    const KIND: Kind = Kind::Text;

    fn value(&self) -> Value {
        self.as_stored().into()
    }

    fn of(row: &Row, index: usize) -> Result<Self, Error> {
        row.text(index).map(Self::stored)
    }
}

impl Field for Email {
    const KIND: Kind = Kind::Text;

    fn value(&self) -> Value {
        self.as_str().into()
    }

    fn of(row: &Row, index: usize) -> Result<Self, Error> {
        row.text(index).map(Self::stored)
    }
}

static PEOPLE: Read = Read {
    name: "identity.people",
    sql: "SELECT id, bucket, doc_v, doc FROM identity_person WHERE id > $1 ORDER BY id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Int, Kind::Text],
};

static PEOPLE_BY_ROLE: Read = Read {
    name: "identity.people-by-role",
    sql: "SELECT p.id, p.bucket, p.doc_v, p.doc FROM identity_role r \
          JOIN identity_person p ON p.id = r.person AND p.bucket = r.bucket \
          WHERE r.role = $1 AND r.person > $2 ORDER BY r.person LIMIT $3",
    arguments: &[Kind::Text, Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Int, Kind::Text],
};

static ANYBODY: Read = Read {
    name: "identity.anybody",
    sql: "SELECT id FROM identity_person ORDER BY id LIMIT 1",
    arguments: &[],
    answer: &[Kind::Id],
};

static ATTEMPTS_FORGOTTEN: Read = Read {
    name: "identity.attempts-forgotten",
    sql: "SELECT account FROM identity_attempt WHERE forgotten_at <= $1 ORDER BY forgotten_at LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: &[Kind::Text],
};

/// Up to `limit` people after `after` in the order in which they were entered: all, or those of one role.
pub(crate) async fn people(
    handle: &engine::Handle,
    role: Option<Role>,
    after: Option<PersonId>,
    limit: i64,
) -> Result<Vec<Person>, Fault> {
    let after = after.map_or(Id::from_bytes([0; 16]), Id::from);
    let rows = match role {
        Some(role) => handle.read(&PEOPLE_BY_ROLE, vec![role.as_str().into(), after.into(), limit.into()]).await?,
        None => handle.read(&PEOPLE, vec![after.into(), limit.into()]).await?,
    };
    rows.iter().map(|row| Person::from_row(row).map_err(|error| broken(&error))).collect()
}

/// Whether there is anybody at all.
pub(crate) async fn anybody(handle: &engine::Handle) -> Result<bool, Fault> {
    Ok(!handle.read(&ANYBODY, Vec::new()).await?.is_empty())
}

/// Up to `limit` accounts whose attempts were forgotten by `now`.
pub(crate) async fn attempts_forgotten(handle: &engine::Handle, now: Timestamp, limit: i64) -> Result<Vec<String>, Fault> {
    let rows = handle.read(&ATTEMPTS_FORGOTTEN, vec![now.into(), limit.into()]).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned).map_err(|error| broken(&error))).collect()
}

fn broken(error: &Error) -> Fault {
    Fault::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_secrets_hide_them() {
        let person = PersonId(Id::from_bytes([7; 16]));
        let hash = HashedPassword::stored("$argon2id$v=19$secret");
        let credential = Credential { person, bucket: person.bucket(), hash, changed_at: Timestamp::default() };
        let pkcs8 = KeyBytes(vec![251, 252, 253]);
        let key = StoredSigningKey { number: 1, kid: "kid".to_owned(), pkcs8, made_at: Timestamp::default() };
        let shown = format!("{credential:?} {key:?}");
        assert!(shown.contains("hash: ***") && shown.contains("pkcs8: ***"), "{shown}");
        assert!(!shown.contains("argon2id") && !shown.contains("252"), "{shown}");
        assert_eq!(Credential::from_row(&Row(credential.to_row())), Ok(credential));
        assert_eq!(StoredSigningKey::from_row(&Row(key.to_row())), Ok(key));
    }
}
