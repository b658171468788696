//! Orders from outside, on both engines: what its routes answer, what it makes of others' events, and what it says itself.
//! The others only speak, so that everything here would go the same while they are down.
//! Leaves the machine of an order and the arithmetic of quotes to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Runs each test on both engines.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(testkit::Engine::Sqlite).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(testkit::Engine::Postgres).await;
                }
            )+
        }
    };
}

mod broken;
mod carts;
mod ends;
mod placing;
mod shop;
mod staff;
mod way;
