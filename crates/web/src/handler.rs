//! What may answer a route: an async function whose arguments are extractors and whose result is an answer or a fault.
//! Leaves the arguments to their extractors and the form of a fault to `problem`.

use std::future::Future;

use kernel::{BoxFuture, Fault};

use crate::answer::Answer;
use crate::incoming::{Extract, Incoming};

/// An async function of up to seven extractors; `Args` is the tuple of them and only tells the forms apart.
pub trait Handler<S, Args>: Clone + Send + Sync + 'static {
    /// Takes the arguments out of `incoming` and runs the function.
    fn call(self, incoming: Incoming, state: S) -> BoxFuture<'static, Result<Answer, Fault>>;
}

macro_rules! handler {
    ($($arg:ident)*) => {
        #[allow(non_snake_case, unused_mut, reason = "one name serves as type and as value; without arguments nothing is taken")]
        impl<S, F, Fut, $($arg,)*> Handler<S, ($($arg,)*)> for F
        where
            S: Send + Sync + 'static,
            F: FnOnce($($arg,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Answer, Fault>> + Send,
            $($arg: Extract<S> + Send,)*
        {
            fn call(self, mut incoming: Incoming, state: S) -> BoxFuture<'static, Result<Answer, Fault>> {
                Box::pin(async move {
                    $(let $arg = $arg::extract(&mut incoming, &state).await?;)*
                    incoming.refuse_leftovers()?;
                    drop((incoming, state));
                    self($($arg,)*).await
                })
            }
        }
    };
}

handler!();
handler!(A1);
handler!(A1 A2);
handler!(A1 A2 A3);
handler!(A1 A2 A3 A4);
handler!(A1 A2 A3 A4 A5);
handler!(A1 A2 A3 A4 A5 A6);
handler!(A1 A2 A3 A4 A5 A6 A7);
