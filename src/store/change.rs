//! What the counters of a store are told when a file comes or goes. Counts nothing itself.

use super::kind::EntryKind;
use crate::stats::StoreChange;

/// Whether something comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    More,
    Less,
}

/// `amount` as a change.
pub(super) fn signed(amount: u64, sign: Sign) -> i64 {
    // No file is that large.
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    match sign {
        Sign::More => amount,
        Sign::Less => -amount,
    }
}

/// A change of the bytes alone.
pub(super) fn bytes_change(bytes: u64, sign: Sign) -> StoreChange {
    StoreChange {
        bytes: signed(bytes, sign),
        ..StoreChange::default()
    }
}

/// One file of a sort, without its bytes.
pub(super) fn one(kind: EntryKind, sign: Sign) -> StoreChange {
    let mut change = StoreChange::default();
    match kind {
        EntryKind::Entry => change.entries = signed(1, sign),
        EntryKind::Record => change.records = signed(1, sign),
    }
    change
}
