//! Whether the files that markers name are those that were entered, or `#line` gives the lines of one
//! file another's name.

use super::lines::Change;

/// Flags 1 and 2: a file is entered, or returned to.
const MOVES: u8 = 1 << 1 | 1 << 2;

/// Reads the markers of a preprocessed text, in order.
#[derive(Default)]
pub(super) struct LineNames<'t> {
    main: Option<&'t [u8]>,
    current: &'t [u8],
    /// Whether any file has been entered besides the main one.
    entered: bool,
    /// Whether the preprocessor has come from its own definitions back to the main file.
    begun: bool,
    renames: bool,
}

impl<'t> LineNames<'t> {
    /// Takes the next marker.
    pub(super) fn see(&mut self, change: &Change<'t>) {
        let before = std::mem::replace(&mut self.current, change.name);
        let moves = change.flags & MOVES != 0;
        self.entered |= moves;
        if moves || before == change.name {
            return;
        }
        let Some(main) = self.main else {
            self.main = Some(change.name);
            return;
        };
        // What GCC writes itself: the main file, its definitions, the command line's, the main file.
        let begins = !self.begun && is_own(before) && change.name == main;
        let is_before = is_own(before) || (before == main && !self.entered);
        let defines = !self.begun && is_own(change.name) && is_before;
        self.begun |= begins;
        self.renames |= !begins && !defines;
    }

    /// Whether some name is none of a file that was entered.
    pub(super) fn renames(&self) -> bool {
        self.renames
    }
}

fn is_own(name: &[u8]) -> bool {
    matches!(name, b"<built-in>" | b"<command-line>")
}
