//! Load on a living shop as it would come: shoppers, pickers and couriers who know nothing but the public HTTP API.
//! Leaves judging the shop at its end to `audit`, and arguments and exit codes to the program.
//!
//! Reading order: `replay` (who works when), `shopper`, `picker`, `courier`, then what they use: `client`, `city`, `names`.

mod baskets;
mod city;
mod client;
mod courier;
mod error;
mod figures;
mod history;
mod levels;
mod names;
mod people;
mod picker;
mod progress;
mod replay;
mod rush;
mod settle;
mod shopper;
mod tokens;
mod troubles;
mod world;

pub use client::encoded;
pub use error::LoadError;
pub use figures::{Latency, Summary};
pub use people::{Admin, admin_token};
pub use replay::{Replay, replay};
pub use rush::{Rush, RushSummary, rush};
pub use tokens::TokenMix;
