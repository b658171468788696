//! Words of the contracts as a request may hold them: what is not known is refused, where an event would be read without it.
//! Leaves what a word means to `contracts`.

use contracts::orders::Contact;
use contracts::{Address, Point};
use kernel::{Currency, Money};
use serde::Deserialize;

/// Where a shopper wants the goods.
#[derive(Deserialize)]
#[serde(remote = "Address", deny_unknown_fields)]
pub(super) struct StrictAddress {
    street: String,
    #[serde(default)]
    note: String,
    #[serde(with = "StrictPoint")]
    point: Point,
}

#[derive(Deserialize)]
#[serde(remote = "Point", deny_unknown_fields)]
struct StrictPoint {
    lat: f64,
    lon: f64,
}

/// How to reach a shopper.
#[derive(Deserialize)]
#[serde(remote = "Contact", deny_unknown_fields)]
pub(super) struct StrictContact {
    name: String,
    email: String,
    #[serde(default)]
    phone: String,
}

/// An amount.
#[derive(Deserialize)]
#[serde(remote = "Money", deny_unknown_fields)]
pub(super) struct StrictMoney {
    minor: i64,
    currency: Currency,
}
