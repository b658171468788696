//! E-mail addresses in the one form in which they are compared and stored.
//! Leaves whether mail arrives there to whoever sends it, and whose an address is to the database.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use kernel::Fault;
use serde::{Deserialize, Serialize};

/// The longest address (RFC 5321 leaves 254 characters for one).
const BYTES_MAX: usize = 254;

const WRONG: &str = "not an e-mail address: expected one as name@example.org, of at most 254 bytes and without spaces";

/// An address, trimmed and lower-cased: two that differ only in that are the same person's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// The address that `text` is, as a member `/email` of a request.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        Self::normalised(text).ok_or_else(|| Fault::invalid_field("/email", WRONG))
    }

    fn normalised(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        // Before it is lower-cased, so that the work is bounded; lower case may be longer, so it is asked again.
        if trimmed.len() > BYTES_MAX {
            return None;
        }
        let address = trimmed.to_lowercase();
        let (name, domain) = address.rsplit_once('@')?;
        let plain = !address.chars().any(|c| c.is_whitespace() || c.is_control());
        let whole = !name.is_empty() && !name.contains('@') && !domain.is_empty();
        (plain && whole && address.len() <= BYTES_MAX).then_some(Self(address))
    }

    /// The address that was stored.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for it where the address itself need not be kept: people also type into that field what is no address.
    pub(crate) fn digest(&self) -> String {
        digest(&SHA256, self.0.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_compared_trimmed_and_lower_cased() {
        for text in ["ada@example.org", "  Ada@Example.ORG\n", "ADA@EXAMPLE.ORG"] {
            assert_eq!(Email::normalised(text).unwrap().as_str(), "ada@example.org", "{text}");
        }
        assert_eq!(Email::normalised("JÜRGEN@müller.example").unwrap().as_str(), "jürgen@müller.example");
        let long = format!("{}@example.org", "a".repeat(300));
        for wrong in ["", "@", "ada", "ada@", "@example.org", "a@b@c", "a b@example.org", "a\u{0}@example.org", &long] {
            assert_eq!(Email::normalised(wrong), None, "{wrong}");
        }
        // 'İ' has two bytes and three when lower-cased.
        assert_eq!(Email::normalised(&format!("{}@x", "İ".repeat(126))), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_normal_stays(text in "\\PC{0,300}|.{0,20}@.{0,20}|[A-Z]{1,9}@[a-zA-ZÀ-ž.]{1,9}") {
            if let Some(email) = Email::normalised(&text) {
                prop_assert_eq!(Email::normalised(email.as_str()), Some(email.clone()));
                prop_assert_eq!(Email::normalised(&format!(" {text}\t")), Some(email.clone()));
                prop_assert_eq!(email.digest().len(), 64);
            }
        }
    }
}
