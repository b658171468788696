//! What clients did while a role was away: every try, when it began and ended, and whether it went well; and the table of it.
//! Leaves trying to `clients`.

use std::fmt::Write;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it is waited for what must come.
const COMES_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// How wide the name of a deed is in the table, and the cell of a role.
const NAME_CHARS: usize = 28;
const CELL_CHARS: usize = 15;

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    SignIn,
    Browse,
    Reach,
    SeeSlots,
    MakeCart,
    Quote,
    OrderAsGuest,
    OrderAsShopper,
    /// The guest's order is held, paid and promised.
    GuestConfirmed,
    ShopperConfirmed,
    SeeOrder,
    Pick,
    Carry,
    /// A message about a confirmed order is there.
    BeTold,
}

impl Deed {
    pub(super) const ALL: [(Self, &'static str); 14] = [
        (Self::SignIn, "sign in"),
        (Self::Browse, "browse products"),
        (Self::Reach, "see what reaches an address"),
        (Self::SeeSlots, "see slots"),
        (Self::MakeCart, "make a cart"),
        (Self::Quote, "have it quoted"),
        (Self::OrderAsGuest, "order as a guest"),
        (Self::OrderAsShopper, "order, once signed in"),
        (Self::GuestConfirmed, "guest's order confirmed"),
        (Self::ShopperConfirmed, "shopper's order confirmed"),
        (Self::SeeOrder, "see an order"),
        (Self::Pick, "pick"),
        (Self::Carry, "deliver"),
        (Self::BeTold, "message written"),
    ];

    /// Whether it is a step on the way to an order.
    pub(super) fn is_ordering(self) -> bool {
        matches!(self, Self::Reach | Self::SeeSlots | Self::MakeCart | Self::Quote | Self::OrderAsGuest | Self::OrderAsShopper)
    }
}

/// One try.
#[derive(Clone, Copy, Debug)]
struct Try {
    deed: Deed,
    began: Instant,
    ended: Instant,
    went: bool,
}

/// All tries, as they end.
#[derive(Default)]
pub(super) struct Tally {
    tries: Mutex<Vec<Try>>,
    news: Condvar,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Vec<Try>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, deed: Deed, began: Instant, went: bool) {
        self.lock().push(Try { deed, began, ended: Instant::now(), went });
        self.news.notify_all();
    }

    /// How often `deed` has begun and gone well since `since`.
    pub(super) fn went(&self, deed: Deed, since: Instant) -> usize {
        self.lock().iter().filter(|tried| tried.deed == deed && tried.went && tried.began >= since).count()
    }

    /// Waits until it is so; what must come and does not is told.
    pub(super) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < COMES_WITHIN, "{what}: not within {} s", COMES_WITHIN.as_secs());
            drop(self.news.wait_timeout(self.lock(), LOOK));
        }
    }

    /// What became of what was under way at any moment of `outage`.
    pub(super) fn share(&self, deed: Deed, outage: &Range<Instant>) -> Share {
        let mut share = Share::default();
        for tried in self.lock().iter().filter(|tried| tried.deed == deed) {
            if tried.began >= outage.end || tried.ended <= outage.start {
                continue;
            }
            share.tried += 1;
            if tried.went {
                share.longest = share.longest.max(tried.ended - tried.began);
                *(if tried.ended < outage.end { &mut share.went } else { &mut share.late }) += 1;
            }
        }
        share
    }
}

/// What became of one deed in one outage.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Share {
    tried: usize,
    /// Meanwhile.
    went: usize,
    /// When it was over.
    late: usize,
    longest: Duration,
}

impl Share {
    /// How many of a hundred went well meanwhile.
    fn percent(self) -> usize {
        self.went * 100 / self.tried.max(1)
    }

    /// How many of a hundred failed, now and later.
    pub(super) fn failed_percent(self) -> usize {
        (self.tried - self.went - self.late) * 100 / self.tried.max(1)
    }

    fn cell(self) -> String {
        let longest = self.longest.as_secs_f64();
        match self {
            Self { tried: 0, .. } => "-".to_owned(),
            Self { went: 0, late: 0, tried, .. } => format!("none of {tried}"),
            Self { late: 0, .. } => format!("{}% {longest:.1}s", self.percent()),
            Self { late, tried, .. } => format!("{}+{}% {longest:.1}s", self.percent(), late * 100 / tried),
        }
    }
}

/// What happened to one role, and to everybody meanwhile.
pub(super) struct Column {
    pub(super) role: &'static str,
    /// What became of each deed, in the order of [`Deed::ALL`].
    pub(super) shares: Vec<Share>,
    pub(super) away: Duration,
    /// From when it was there again until nobody waited for anything any more.
    pub(super) caught_up: Duration,
}

/// The columns beside each other, as text.
pub(super) fn table(how: &str, columns: &[&Column]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!("{cell:>CELL_CHARS$}")).collect();
        // A string takes whatever is written to it.
        let _ = writeln!(text, "{name:<NAME_CHARS$}{cells}");
    };
    line(how, &mut columns.iter().map(|column| column.role.to_owned()));
    line("  away for", &mut columns.iter().map(|column| format!("{:.1}s", column.away.as_secs_f64())));
    for (row, (_, name)) in Deed::ALL.iter().enumerate() {
        line(&format!("  {name}"), &mut columns.iter().map(|column| column.shares[row].cell()));
    }
    line("  all caught up after", &mut columns.iter().map(|column| format!("{:.1}s", column.caught_up.as_secs_f64())));
    text
}
