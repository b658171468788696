//! Identity from outside, on both engines: signing in and up, people, tokens, and what others are told.
//! Leaves the rules of one person, address, password or attempt to the tests of the domain.

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

mod people;
mod shop;
mod sign_in;
mod sign_up;
mod start;
