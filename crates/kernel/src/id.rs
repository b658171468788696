//! Ids and buckets: a UUIDv7 that carries the bucket of its aggregate, so whoever has an id finds its place.
//! Leaves the choice of a bucket to the service that makes the id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Draw, Timestamp};

/// One partition of every topic, the unit that a shard owns and that moves between shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(pub u16);

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many buckets an installation has: a power of two of at most [`Buckets::MAX`], fixed at its birth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buckets(u16);

impl Default for Buckets {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Buckets {
    /// The largest number of buckets; the ten bits kept for a bucket in an id.
    pub const MAX: u16 = 1024;
    /// What an installation gets that does not ask for another number.
    pub const DEFAULT: Self = Self(64);

    /// `count` buckets, if it is a power of two of at most [`Buckets::MAX`].
    #[must_use]
    pub fn new(count: u16) -> Option<Self> {
        (count.is_power_of_two() && count <= Self::MAX).then_some(Self(count))
    }

    /// The number of buckets.
    #[must_use]
    pub fn count(self) -> u16 {
        self.0
    }

    /// The bucket that `bytes` fall into, by FNV-1a folded to the count; the same on every machine and for ever.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Bucket {
        let hash =
            bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let folded = (hash ^ (hash >> 32)) & u64::from(self.0 - 1);
        Bucket(u16::try_from(folded).unwrap_or_default())
    }

    /// A bucket by chance, for aggregates that merely spread.
    #[must_use]
    pub fn any(self, draw: &mut Draw) -> Bucket {
        let [low, high] = draw.bytes();
        Bucket(u16::from_le_bytes([low, high]) & (self.0 - 1))
    }
}

/// A UUIDv7 (RFC 9562) whose ten bits after the variant are the [`Bucket`] of the aggregate; the rest is chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// A new id of `bucket`, ordered by `at` in milliseconds.
    #[must_use]
    pub fn new(at: Timestamp, bucket: Bucket, draw: &mut Draw) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or_default().to_be_bytes();
        let mut bytes: [u8; 16] = draw.bytes();
        bytes[..6].copy_from_slice(&millis[2..]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        let [high, low] = (bucket.0 << 4).to_be_bytes();
        bytes[8] = 0x80 | (high & 0x3f);
        bytes[9] = low | (bytes[9] & 0x0f);
        Self(bytes)
    }

    /// The least id of `at`: every id that was made from then on is greater, every earlier one smaller.
    #[must_use]
    pub fn first_of(at: Timestamp) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or_default().to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis[2..]);
        Self(bytes)
    }

    /// When it was made, to the millisecond.
    #[must_use]
    pub fn made_at(self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0[..6]);
        Timestamp::from_millis(i64::from_be_bytes(millis))
    }

    /// The bucket written into the id. A forged id names a bucket too; nothing is found there.
    #[must_use]
    pub fn bucket(self) -> Bucket {
        Bucket(u16::from_be_bytes([self.0[8] & 0x3f, self.0[9]]) >> 4)
    }

    /// The sixteen bytes as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of sixteen stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no id: 32 hexadecimal digits in the form 8-4-4-4-12 are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdParseError;

impl fmt::Display for IdParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: expected 32 hexadecimal digits as 8-4-4-4-12")
    }
}

impl std::error::Error for IdParseError {}

impl FromStr for Id {
    type Err = IdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(IdParseError);
        }
        let mut bytes = [0; 16];
        let mut at = 0;
        for (index, byte) in bytes.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                if text[at] != b'-' {
                    return Err(IdParseError);
                }
                at += 1;
            }
            *byte = hex(text[at])? << 4 | hex(text[at + 1])?;
            at += 2;
        }
        Ok(Self(bytes))
    }
}

fn hex(digit: u8) -> Result<u8, IdParseError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(IdParseError),
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_carries_its_bucket_and_its_time_order(bucket in 0u16..1024, at in 0i64..200_000_000_000, seed: u64) {
            let mut draw = Draw::seeded(seed);
            let id = Id::new(Timestamp::from_millis(at), Bucket(bucket), &mut draw);
            let later = Id::new(Timestamp::from_millis(at + 1), Bucket(0), &mut draw);
            prop_assert_eq!(id.bucket(), Bucket(bucket));
            prop_assert!(id < later);
            prop_assert_eq!(id.made_at(), Timestamp::from_millis(at));
            prop_assert!(Id::first_of(id.made_at()) < id && id < Id::first_of(later.made_at()));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().as_bytes()[14], b'7');
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Id>();
        }
    }

    #[test]
    fn buckets_are_powers_of_two() {
        assert_eq!(Buckets::new(64), Some(Buckets::DEFAULT));
        for wrong in [0, 3, 2048] {
            assert_eq!(Buckets::new(wrong), None);
        }
    }
}
