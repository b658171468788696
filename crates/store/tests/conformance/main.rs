//! What every engine must do alike: each test of `writes`, `log`, `trim`, `reads` and `migrations` runs on both.
//! Leaves to `file` and `server` what only one of them can suffer, and to `sabotage` whether these tests see anything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Runs each test on both engines, on a fresh database with the tables of `support`.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::support::ready(testkit::Engine::Sqlite).await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::support::ready(testkit::Engine::Postgres).await).await;
                }
            )+
        }
    };
}

mod carry;
mod file;
mod log;
mod migrations;
mod reads;
mod server;
mod support;
mod tls;
mod trim;
mod writes;
