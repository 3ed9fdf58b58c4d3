//! Detects whether `#line` gives lines of one file the name of another, or all markers name files that were entered.

use super::lines::Change;

/// Flags 1 and 2: a file is entered, or returned to.
const MOVES: u8 = 1 << 1 | 1 << 2;

/// Reads the markers of a preprocessed text, in order.
#[derive(Default)]
pub(super) struct LineNames<'t> {
    main: Option<&'t [u8]>,
    current: &'t [u8],
    /// Whether a file other than the main one has been entered.
    entered: bool,
    /// Whether the preprocessor has returned from its own definitions to the main file.
    begun: bool,
    renames: bool,
}

impl<'t> LineNames<'t> {
    /// Takes the next marker.
    pub(super) fn see(&mut self, change: &Change<'t>) {
        let previous = std::mem::replace(&mut self.current, change.name);
        let moves = change.flags & MOVES != 0;
        self.entered |= moves;
        if moves || previous == change.name {
            return;
        }
        let Some(main) = self.main else {
            self.main = Some(change.name);
            return;
        };
        // GCC itself writes, in this order: the main file, its definitions, the command line's, the main file.
        let begins = !self.begun && is_own(previous) && change.name == main;
        let is_prologue = is_own(previous) || (previous == main && !self.entered);
        let defines = !self.begun && is_own(change.name) && is_prologue;
        self.begun |= begins;
        self.renames |= !begins && !defines;
    }

    /// Whether a marker has named a file that was not entered.
    pub(super) fn renames(&self) -> bool {
        self.renames
    }
}

fn is_own(name: &[u8]) -> bool {
    matches!(name, b"<built-in>" | b"<command-line>")
}
