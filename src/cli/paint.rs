//! Colours on terminals that want them.

use super::env::Env;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

/// A colour, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Good,
    Doubtful,
    Bad,
    Faint,
    Strong,
}

impl Paint {
    /// Colours on a terminal that knows them, unless `NO_COLOR` is set to anything.
    pub(super) fn of(env: &Env<'_>) -> Self {
        let value = |name: &str| (env.var)(name).unwrap_or_default();
        let is_wanted = value("NO_COLOR").is_empty() && value("TERM") != "dumb";
        if env.out_is_terminal && is_wanted {
            Self::Colours
        } else {
            Self::Plain
        }
    }

    pub(super) fn with(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Good => "32",
            Ink::Doubtful => "33",
            Ink::Bad => "31",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ink, Paint};
    use crate::cli::env::{Streams, leading_to};
    use std::ffi::OsString;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let none = |_: &str| None;
        let refused = |name: &str| (name == "NO_COLOR").then(|| "1".into());
        let empty = |name: &str| (name == "NO_COLOR").then(OsString::new);
        let dumb = |name: &str| (name == "TERM").then(|| "dumb".into());
        assert_eq!(
            Paint::of(&leading_to(&none, Streams::Terminal)),
            Paint::Colours
        );
        assert_eq!(
            Paint::of(&leading_to(&empty, Streams::Terminal)),
            Paint::Colours
        );
        assert_eq!(Paint::of(&leading_to(&none, Streams::File)), Paint::Plain);
        assert_eq!(
            Paint::of(&leading_to(&refused, Streams::Terminal)),
            Paint::Plain
        );
        assert_eq!(
            Paint::of(&leading_to(&dumb, Streams::Terminal)),
            Paint::Plain
        );
        assert_eq!(Paint::Colours.with(Ink::Bad, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint::Plain.with(Ink::Bad, "x"), "x");
    }
}
