//! Notifications from outside, on both engines: what is written on which events, how it leaves the shop, and who may read it.
//! Leaves the texts of the letters to the tests of the domain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Runs each test on both engines, on a fresh database.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::shop::Ground::fresh(testkit::Engine::Sqlite).await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::shop::Ground::fresh(testkit::Engine::Postgres).await).await;
                }
            )+
        }
    };
}

mod reading;
mod sending;
mod shop;
mod writing;
