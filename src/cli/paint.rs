//! Colours on terminals that want them.

use super::surroundings::Surroundings;

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
    pub(super) fn of(surroundings: &Surroundings<'_>) -> Self {
        let value = |name: &str| (surroundings.env)(name).unwrap_or_default();
        let is_wanted = value("NO_COLOR").is_empty() && value("TERM") != "dumb";
        if surroundings.out_is_terminal && is_wanted {
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
    use super::{Ink, Paint, Surroundings};
    use std::ffi::OsString;

    /// Where both streams lead.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Streams {
        Terminal,
        File,
    }

    fn surroundings<'a>(
        env: &'a dyn Fn(&str) -> Option<OsString>,
        streams: Streams,
    ) -> Surroundings<'a> {
        Surroundings {
            env,
            variables: Vec::new(),
            program: None,
            out_is_terminal: streams == Streams::Terminal,
            err_is_terminal: streams == Streams::Terminal,
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let none = |_: &str| None;
        let refused = |name: &str| (name == "NO_COLOR").then(|| "1".into());
        let empty = |name: &str| (name == "NO_COLOR").then(OsString::new);
        let dumb = |name: &str| (name == "TERM").then(|| "dumb".into());
        assert_eq!(
            Paint::of(&surroundings(&none, Streams::Terminal)),
            Paint::Colours
        );
        assert_eq!(
            Paint::of(&surroundings(&empty, Streams::Terminal)),
            Paint::Colours
        );
        assert_eq!(Paint::of(&surroundings(&none, Streams::File)), Paint::Plain);
        assert_eq!(
            Paint::of(&surroundings(&refused, Streams::Terminal)),
            Paint::Plain
        );
        assert_eq!(
            Paint::of(&surroundings(&dumb, Streams::Terminal)),
            Paint::Plain
        );
        assert_eq!(Paint::Colours.with(Ink::Bad, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint::Plain.with(Ink::Bad, "x"), "x");
    }
}
