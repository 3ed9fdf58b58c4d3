//! Where the path of a root can begin in a text. Pure.

/// Where paths can begin in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStarts {
    /// At the beginning, behind a separator or quotes, and behind an option that a directory joins.
    Words,
    /// Behind a double quote: the preprocessor cannot look into a string.
    Strings,
    /// At the beginning, and behind blanks that are not escaped: a depfile.
    Blanks,
}

impl PathStarts {
    /// Whether a path can begin behind `before`.
    pub(super) fn may_begin(self, before: &[u8]) -> bool {
        const JOINED: [&[u8]; 8] = [
            b"-I",
            b"-L",
            b"-B",
            b"-isystem",
            b"-iquote",
            b"-idirafter",
            b"-include",
            b"-imacros",
        ];
        match (self, before) {
            // A quote may stand for itself in a character.
            (Self::Strings, _) => before.ends_with(b"\"") && !before.contains(&b'\''),
            (Self::Words | Self::Blanks, []) => true,
            (Self::Blanks, [.., b'\\', b' ']) => false,
            (Self::Blanks, [.., last]) => matches!(last, b' ' | b'\n'),
            (Self::Words, [.., last]) if is_separator(*last) => true,
            (Self::Words, _) => JOINED.iter().any(|option| {
                let rest = before.strip_suffix(*option);
                rest.is_some_and(|rest| match rest {
                    // The letter by which the job tells host options apart.
                    [] | [b'X' | b'F'] => true,
                    [.., last] => is_separator(*last),
                })
            }),
        }
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'=' | b',' | b':' | b';' | b'"' | b'\'' | b' ' | 0)
}
