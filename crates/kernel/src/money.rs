//! Exact money: integer minor units of one currency, and the one rounding rule.
//! Leaves prices, taxes and fees, which are rules, to orders.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The parts of a whole in which rates are given: 490 of them are 4.9 %.
pub const BASIS_POINTS: i64 = 10_000;

/// An ISO 4217 code of three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The text is no currency: three capital letters are wanted, as `USD`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurrencyParseError;

impl fmt::Display for CurrencyParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a currency: expected three capital letters, as USD")
    }
}

impl std::error::Error for CurrencyParseError {}

impl FromStr for Currency {
    type Err = CurrencyParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| CurrencyParseError)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(CurrencyParseError) }
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount in minor units (cents) of one currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; never a float.
    pub minor: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl Money {
    /// So many minor units of `currency`.
    #[must_use]
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum, or `None` if it overflows or the currencies differ.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self::new(self.minor.checked_add(other.minor)?, self.currency))
    }

    /// The amount taken `quantity` times, or `None` if it overflows.
    #[must_use]
    pub fn times(self, quantity: i64) -> Option<Self> {
        Some(Self::new(self.minor.checked_mul(quantity)?, self.currency))
    }

    /// `part` of `whole` equal parts of the amount, by the one rounding rule: all parts are exactly the amount, and a larger
    /// part is never less. `None` if the result does not fit, `whole` is not positive or another argument is negative.
    #[must_use]
    pub fn share_of(self, part: i64, whole: i64) -> Option<Self> {
        Some(Self::new(rounded(self.minor, part, whole)?, self.currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{:02}", self.currency, self.minor / 100, self.minor.unsigned_abs() % 100)
    }
}

/// `minor` times `basis_points`, rounded half up to a whole minor unit: the one rounding rule of the house.
/// `None` if the result does not fit or an argument is negative.
#[must_use]
pub fn share_of(minor: i64, basis_points: i64) -> Option<i64> {
    rounded(minor, basis_points, BASIS_POINTS)
}

fn rounded(minor: i64, part: i64, whole: i64) -> Option<i64> {
    if minor < 0 || part < 0 || whole <= 0 {
        return None;
    }
    let whole = i128::from(whole);
    let scaled = i128::from(minor) * i128::from(part);
    i64::try_from((scaled + whole / 2) / whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_half_up() {
        assert_eq!(share_of(1000, 890), Some(89));
        assert_eq!(share_of(50, 100), Some(1));
        assert_eq!(share_of(49, 100), Some(0));
        assert_eq!(share_of(i64::MAX, BASIS_POINTS), Some(i64::MAX));
        assert_eq!(share_of(i64::MAX, BASIS_POINTS + 1), None);
        assert_eq!(share_of(-1, 1), None);
    }

    #[test]
    fn parts_of_an_amount_add_up() {
        let tax = Money::new(59, "USD".parse().unwrap());
        let parts: Vec<i64> = (0..=3).map(|part| tax.share_of(part, 3).unwrap().minor).collect();
        assert_eq!(parts, [0, 20, 39, 59]);
        assert_eq!(tax.share_of(1, 0), None);
        assert_eq!(tax.share_of(-1, 3), None);
    }

    #[test]
    fn money_refuses_overflow_and_other_currencies() {
        let (usd, eur): (Currency, Currency) = ("USD".parse().unwrap(), "EUR".parse().unwrap());
        assert_eq!(Money::new(1, usd).plus(Money::new(1, eur)), None);
        assert_eq!(Money::new(i64::MAX, usd).plus(Money::new(1, usd)), None);
        assert_eq!(Money::new(i64::MAX, usd).times(2), None);
        assert_eq!("usd".parse::<Currency>(), Err(CurrencyParseError));
    }
}
