//! Passwords: which are good enough, and their argon2id hashes. Neither can be shown by accident.
//! Leaves when and where one is hashed to `service`, and chance for salts too.

use std::fmt;
use std::ops::RangeInclusive;

use argon2::password_hash::Error;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use kernel::Fault;
use serde::Deserialize;

use super::Email;

/// How long a password may be, in characters.
const CHARS: RangeInclusive<usize> = 10..=128;

/// What a hash costs: 19 MiB, two passes, one lane, the first choice of OWASP for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many bytes of chance each hash gets.
pub(crate) const SALT_BYTES: usize = 16;

/// The hash of nobody's password. One is compared with it where there is no other, so that an address that nobody has
/// costs as much time as a wrong password.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$+hFQHPPdtf5qb/7HCwTuRg$e/xXTUWqk54YTNbVa7mU07+JYmiXlpQLhMXkGc4bgn4";

/// The passwords of ten characters and more that are tried first, in lower case.
const BAD: [&str; 48] = [
    "0123456789",
    "0987654321",
    "1111111111",
    "1122334455",
    "1234512345",
    "1234554321",
    "123456789a",
    "123456789q",
    "1234567890",
    "12345678900",
    "12345678910",
    "123456789123",
    "1234567891011",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "aaaaaaaaaa",
    "abcdefghij",
    "abcd123456",
    "administrator",
    "alexander1",
    "basketball",
    "bismillah1",
    "changeme123",
    "charlie123",
    "computer123",
    "football123",
    "godisgood1",
    "iloveyou123",
    "jordan2323",
    "letmein123",
    "liverpool1",
    "manchester",
    "michael123",
    "mypassword",
    "password01",
    "password10",
    "password11",
    "password12",
    "password123",
    "password1234",
    "passwordpassword",
    "princess123",
    "q1w2e3r4t5",
    "qwerty1234",
    "qwerty12345",
    "qwertyuiop",
    "swiftcart1",
];

/// A password as somebody typed it. Its debug form hides it, and it has no other form outside this file.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The password `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it could be anybody's: what is longer than any password may be is not worth the hashing.
    pub(crate) fn within_bounds(&self) -> bool {
        self.0.chars().take(CHARS.end() + 1).count() <= *CHARS.end()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Refuses a new password that is too short, too long, known to everybody or the person's own address.
pub(crate) fn check_new(secret: &Secret, email: &Email) -> Result<(), Fault> {
    let refuse = |detail: &str| Err(Fault::invalid_field("/password", detail));
    if !secret.within_bounds() || secret.expose().chars().count() < *CHARS.start() {
        return refuse("a password has 10 to 128 characters");
    }
    let lower = secret.expose().to_lowercase();
    if BAD.contains(&lower.as_str()) {
        return refuse("this password is among the first that anybody would try: choose another, as four words of your own");
    }
    if lower == email.as_str() {
        return refuse("this password is the e-mail address: choose another, as four words of your own");
    }
    Ok(())
}

/// An argon2id hash in the form of the PHC (`$argon2id$v=19$…`). Its debug form hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HashedPassword(String);

impl HashedPassword {
    /// The hash of `secret` with a salt that is nobody else's. Takes a core for tens of milliseconds.
    pub(crate) fn of(secret: &Secret, salt: &[u8; SALT_BYTES]) -> Result<Self, Fault> {
        let hash = argon2id().hash_password_with_salt(secret.expose().as_bytes(), salt).map_err(|error| unusable(&error))?;
        Ok(Self(hash.to_string()))
    }

    /// Whether it is the hash of `secret`; compared in constant time, at the same cost as [`HashedPassword::of`].
    pub(crate) fn fits(&self, secret: &Secret) -> Result<bool, Fault> {
        let hash = PasswordHash::new(&self.0).map_err(|error| Fault::internal(format!("a stored hash is none: {error}")))?;
        match argon2id().verify_password(secret.expose().as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// The hash that was stored.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text to store.
    pub(crate) fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a password is compared with where there is nobody.
pub(crate) fn dummy_hash() -> HashedPassword {
    HashedPassword::stored(DUMMY)
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the costs above are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn unusable(error: &Error) -> Fault {
    Fault::internal(format!("argon2 refused: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Result<(), Fault> {
        check_new(&Secret::new(text), &Email::parse("ada.lovelace@example.org").unwrap())
    }

    #[test]
    fn new_passwords_are_long_enough_and_not_known() {
        for good in ["correct horse", "zehn zeich", "ünïcödé-ünï", &"x7".repeat(64)] {
            assert_eq!(new(good), Ok(()), "{good}");
        }
        for wrong in ["", "ninechars", "Password123", "QWERTYUIOP", "Ada.Lovelace@Example.org", &"x7y".repeat(43)] {
            assert_eq!(new(wrong).unwrap_err().fields[0].field, "/password", "{wrong}");
        }
        assert!(BAD.iter().all(|bad| bad.chars().count() >= *CHARS.start() && bad.to_lowercase() == *bad));
    }

    #[test]
    fn a_hash_fits_its_password_only_and_neither_shows_itself() {
        let (secret, other) = (Secret::new("correct horse"), Secret::new("correct house"));
        let hash = HashedPassword::of(&secret, &[7; SALT_BYTES]).unwrap();
        assert_eq!(hash.fits(&secret), Ok(true));
        assert_eq!(hash.fits(&other), Ok(false));
        assert_ne!(hash, HashedPassword::of(&secret, &[8; SALT_BYTES]).unwrap());
        assert_eq!(HashedPassword::stored(hash.as_stored()), hash);
        assert_eq!(format!("{secret:?} {hash:?}"), "*** ***");
        assert!(HashedPassword::stored("correct horse").fits(&secret).is_err());
    }

    #[test]
    fn the_dummy_costs_what_a_new_hash_costs() {
        let costs = |hash: &HashedPassword| hash.as_stored().rsplitn(3, '$').nth(2).map(str::to_owned);
        let hash = HashedPassword::of(&Secret::new("correct horse"), &[7; SALT_BYTES]).unwrap();
        assert_eq!(costs(&dummy_hash()), costs(&hash));
        assert_eq!(dummy_hash().as_stored().len(), hash.as_stored().len());
        assert_eq!(dummy_hash().fits(&Secret::new("correct horse")), Ok(false));
    }
}
