//! Each test on both engines, in modules `sqlite` and `postgres` beside it.
//! Leaves databases to `database`.

/// Makes two tests of each named function: `on_both! { one two }` gives it an engine, `on_both! { Shop::open => one two }` what
/// that makes of one.
#[macro_export]
macro_rules! on_both {
    ($shop:ident :: $open:ident => $($test:ident)+) => {
        mod sqlite {
            $(
                #[$crate::tokio::test(flavor = "multi_thread", crate = "testkit::tokio")]
                async fn $test() {
                    super::$test(super::$shop::$open($crate::Engine::Sqlite).await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[$crate::tokio::test(flavor = "multi_thread", crate = "testkit::tokio")]
                async fn $test() {
                    super::$test(super::$shop::$open($crate::Engine::Postgres).await).await;
                }
            )+
        }
    };
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[$crate::tokio::test(flavor = "multi_thread", crate = "testkit::tokio")]
                async fn $test() {
                    super::$test($crate::Engine::Sqlite).await;
                }
            )+
        }

        mod postgres {
            $(
                #[$crate::tokio::test(flavor = "multi_thread", crate = "testkit::tokio")]
                async fn $test() {
                    super::$test($crate::Engine::Postgres).await;
                }
            )+
        }
    };
}
