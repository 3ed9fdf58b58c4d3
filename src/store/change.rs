//! Changes of the store's totals when a file is added or removed.

use super::kind::EntryKind;
use crate::stats::StoreChange;

/// Whether a total grows or shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    More,
    Less,
}

/// `amount` as a change.
pub(super) fn signed(amount: u64, sign: Sign) -> i64 {
    // Saturates only beyond the size that any file has.
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

/// A change by one file of `kind`, without its bytes.
pub(super) fn one(kind: EntryKind, sign: Sign) -> StoreChange {
    let mut change = StoreChange::default();
    match kind {
        EntryKind::Entry => change.entries = signed(1, sign),
        EntryKind::Record => change.records = signed(1, sign),
    }
    change
}
