//! Whether a slot can be ordered as far as the store's people say: open → withdrawn → open again, until it is over.
//! Leaves to `timetable` which slots there are, and what an order does whose slot is withdrawn to orders.

use kernel::{Fault, Timestamp};

/// Where a slot stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It can be ordered until its cut-off, as long as places are left.
    Open,
    /// The store's people took it away.
    Withdrawn,
    /// Its time has passed.
    Over,
}

/// What the store's people may do with a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    /// Take it away.
    Withdraw,
    /// Give it back.
    Reopen,
    /// Say how many places it has.
    SetPlaces,
}

impl State {
    /// The state of a slot.
    pub(crate) fn of(withdrawn: bool, ends_at: Timestamp, now: Timestamp) -> Self {
        match withdrawn {
            _ if ends_at <= now => Self::Over,
            true => Self::Withdrawn,
            false => Self::Open,
        }
    }

    /// The kebab-case word of the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Withdrawn => "withdrawn",
            Self::Over => "over",
        }
    }

    /// What may be done with it.
    fn legal(self) -> &'static [Move] {
        match self {
            Self::Open => &[Move::Withdraw, Move::SetPlaces],
            Self::Withdrawn => &[Move::Reopen],
            Self::Over => &[],
        }
    }

    /// Refuses what may not be done with it, and says what may.
    pub(crate) fn allow(self, wanted: Move) -> Result<(), Fault> {
        if self.legal().contains(&wanted) {
            return Ok(());
        }
        let legal: Vec<&str> = self.legal().iter().map(|legal| legal.as_str()).collect();
        let fix = match legal[..] {
            [] => "nothing can be done with it any more".to_owned(),
            _ => format!("what can be done with it now: {}", legal.join(", ")),
        };
        let fault = Fault::conflict(&format!("slot-{}", self.as_str()), format!("the slot is {}; {fix}", self.as_str()));
        Err(fault.with("state", self.as_str()).with("legal", legal))
    }
}

impl Move {
    /// The last word of its route.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Withdraw => "withdraw",
            Self::Reopen => "reopen",
            Self::SetPlaces => "places",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_move_is_allowed_where_it_makes_sense_and_refused_with_what_would() {
        let cases = [
            (State::Open, [None, Some("open: withdraw places"), None]),
            (State::Withdrawn, [Some("withdrawn: reopen"), None, Some("withdrawn: reopen")]),
            (State::Over, [Some("over: "); 3]),
        ];
        for (state, expected) in cases {
            for (wanted, expected) in [Move::Withdraw, Move::Reopen, Move::SetPlaces].into_iter().zip(expected) {
                let refused = state.allow(wanted).err().map(|fault| {
                    let words = fault.more["legal"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
                    format!("{}: {}", fault.more["state"].as_str().unwrap(), words.collect::<Vec<_>>().join(" "))
                });
                assert_eq!(refused.as_deref(), expected, "{state:?} {wanted:?}");
            }
        }
    }

    #[test]
    fn a_slot_is_over_at_its_end() {
        let at = Timestamp::from_millis;
        assert_eq!(State::of(false, at(10), at(9)), State::Open);
        assert_eq!(State::of(true, at(10), at(9)), State::Withdrawn);
        assert_eq!(State::of(true, at(10), at(10)), State::Over);
    }
}
