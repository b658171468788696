//! Inventory from outside, on both engines: what orders and delivery make it do, what it says, and what its routes answer.
//! Leaves the machine of holds and the making of slots to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Runs each test on both engines, on a shop of its own.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::shop::Shop::open(testkit::Engine::Sqlite).await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::shop::Shop::open(testkit::Engine::Postgres).await).await;
                }
            )+
        }
    };
}

mod crowds;
mod holds;
mod routes;
mod shop;
mod slots;
