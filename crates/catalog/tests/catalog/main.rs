//! Catalog from outside, on both engines: what admins and managers write, what shoppers then see, and what others are told.
//! Leaves the rules of one product to the tests of the domain.

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

mod browsing;
mod refusals;
mod shop;
mod writing;
