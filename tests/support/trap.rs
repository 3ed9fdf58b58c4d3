//! "Change one thing, build again, compare with nvcc": the shape of every trap.

use super::outcome::Outcome;
use super::workspace::Workspace;

/// Builds cold, builds again (a hit), lets `change` change one thing, builds again, and holds
/// the result against nvcc in the same state. The change must show in the outputs or words.
/// Sources whose objects hold no module id (external kernels, no `-rdc`) are compared with
/// `nvcc --keep` byte for byte.
#[track_caller]
pub fn rebuild_and_compare(
    ws: &mut Workspace,
    args: &[&str],
    change: impl FnOnce(&mut Workspace),
) -> Rebuilt {
    let first = ws.build(args);
    first.succeeds();
    assert_eq!(first.counted.hits, 0, "the cold build counted a hit");
    let again = ws.build(args);
    again
        .same_as(&first)
        .counts(&super::counters::Counters::hits(first.counted.events()));
    change(ws);
    let changed = ws.build(args);
    changed.same_as(&ws.kept(args));
    changed.differs_from(&first);
    Rebuilt { first, changed }
}

/// Both sides of a trap.
pub struct Rebuilt {
    /// The cold build.
    pub first: Outcome,
    /// The build after the change.
    pub changed: Outcome,
}
