//! The streams that `pcache` writes to. All output goes through here. Control characters in it are escaped, apart from
//! this program's own colours and progress bar. A screen is no `Write`, since what is printed has to say which of its
//! newlines are layout. `tests/house` holds that nothing else in `cli` writes.

use super::env::Colours;
use super::styles::PLAIN;
use crate::visible;
use anstyle::Style;
use anyhow::{Context as _, Error};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// A stream, and whether it is coloured.
pub(super) struct Screen<'a> {
    to: &'a mut dyn Write,
    colours: Colours,
}

impl<'a> Screen<'a> {
    pub(super) fn new(to: &'a mut dyn Write, colours: Colours) -> Self {
        Self { to, colours }
    }

    /// The same stream for a while.
    pub(super) fn lend(&mut self) -> Screen<'_> {
        Screen {
            to: self.to,
            colours: self.colours,
        }
    }

    /// A line. A newline in it is no layout.
    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let text = fmt::format(text);
        writeln!(self.to, "{}", visible::line(&text))
    }

    /// A line of parts, each with its style.
    pub(super) fn coloured(&mut self, parts: &[(Style, &str)]) -> io::Result<()> {
        for (style, text) in parts {
            let style = match self.colours {
                Colours::Shown => *style,
                Colours::None => PLAIN,
            };
            write!(self.to, "{style}{}{style:#}", visible::line(text))?;
        }
        writeln!(self.to)
    }

    /// A text of several lines.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(visible::lines(text).as_bytes())
    }

    /// Draws the last line of a terminal anew.
    pub(super) fn redraw(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let text = fmt::format(text);
        write!(self.to, "\r{}\x1b[K", visible::line(&text))?;
        self.to.flush()
    }

    /// Begins a view of the whole terminal, on a screen of its own and without a cursor. Long lines are cut.
    pub(super) fn enter_view(&mut self) -> io::Result<()> {
        self.to.write_all(b"\x1b[?1049h\x1b[?25l\x1b[?7l")
    }

    /// Draws the lines of a view from the top.
    pub(super) fn draw_view(&mut self, lines: &[String]) -> io::Result<()> {
        let lines: Vec<_> = lines.iter().map(|line| visible::line(line)).collect();
        // Not a newline behind the last, which would scroll.
        write!(self.to, "\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\n"))?;
        self.to.flush()
    }

    /// Ends a view: the terminal shows what it did before.
    pub(super) fn leave_view(&mut self) -> io::Result<()> {
        self.to.write_all(b"\x1b[?7h\x1b[?25h\x1b[?1049l")?;
        self.to.flush()
    }

    /// The stream itself, for bytes that are no text.
    pub(super) fn bytes(&mut self) -> &mut dyn Write {
        self.to
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Prints a line.
pub(super) fn say(out: &mut Screen<'_>, line: fmt::Arguments<'_>) -> Result<(), Error> {
    let said = out.line(line);
    said.context("cannot write to standard output")
}

/// Prints a line of parts.
pub(super) fn say_coloured(out: &mut Screen<'_>, parts: &[(Style, &str)]) -> Result<(), Error> {
    let said = out.coloured(parts);
    said.context("cannot write to standard output")
}

/// Prints a text of several lines.
pub(super) fn say_text(out: &mut Screen<'_>, text: &str) -> Result<(), Error> {
    out.text(text).context("cannot write to standard output")
}

/// Complains on standard error, in our voice.
pub(super) fn complain(err: &mut Screen<'_>, text: fmt::Arguments<'_>) -> Result<(), Error> {
    let said = err.line(format_args!("pcache: {text}"));
    said.context("cannot write to standard error")
}

/// Writes `text` to the file that `-o` names, or to standard output.
pub(super) fn write_to(path: Option<&Path>, text: &str, out: &mut Screen<'_>) -> Result<(), Error> {
    let text = visible::lines(text);
    match path {
        Some(path) => fs::write(path, &*text).with_context(|| format!("cannot write {path:?}")),
        None => say_text(out, &format!("{text}\n")),
    }
}

/// Prints `value` as JSON that people can read too.
pub(super) fn print_json(out: &mut Screen<'_>, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    say_text(out, &format!("{}\n", visible::json(&text)))
}

/// `value` as JSON on one line, for files.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(value).context("cannot write JSON")?;
    Ok(visible::json(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Colours, PLAIN, Screen, print_json, write_to};
    use crate::cli::styles::BAD;

    /// What `write` leaves on a screen with colours.
    fn written(write: impl FnOnce(&mut Screen<'_>)) -> String {
        let mut to = Vec::new();
        write(&mut Screen::new(&mut to, Colours::Shown));
        String::from_utf8(to).unwrap()
    }

    const ODD: &str = "\u{1b}[2J\u{9b}1m\n\u{202e}";
    const SEEN: &str = r"\u{1b}[2J\u{9b}1m\n\u{202e}";

    #[test]
    fn only_colours_and_layout_of_our_own_are_left() {
        let line = written(|screen| screen.line(format_args!("name {ODD}")).unwrap());
        assert_eq!(line, format!("name {SEEN}\n"));
        let parts = [(BAD, ODD), (PLAIN, ODD)];
        let line = written(|screen| screen.coloured(&parts).unwrap());
        assert_eq!(line, format!("\u{1b}[31m{SEEN}\u{1b}[0m{SEEN}\n"));
        let text = written(|screen| screen.text("a\tb\n\u{1b}\n").unwrap());
        assert_eq!(text, "a\tb\n\\u{1b}\n");
        let bar = written(|screen| screen.redraw(format_args!("{ODD}")).unwrap());
        assert_eq!(bar, format!("\r{SEEN}\u{1b}[K"));
    }

    #[test]
    fn styles_are_left_out_where_there_are_no_colours() {
        let mut to = Vec::new();
        let mut screen = Screen::new(&mut to, Colours::None);
        screen.coloured(&[(BAD, "bad"), (PLAIN, " plain")]).unwrap();
        assert_eq!(to, b"bad plain\n");
    }

    #[test]
    fn json_is_read_back_as_it_was() {
        let text = written(|screen| print_json(screen, &[ODD]).unwrap());
        assert!(
            text.is_ascii() && text.contains("\\u009b") && text.contains("\\u202e"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [ODD]);
    }

    #[test]
    fn files_are_written_as_the_screen_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let text = written(|screen| {
            write_to(Some(&path), "a\n\u{9b}", screen).unwrap();
            write_to(None, "a\n\u{9b}", screen).unwrap();
        });
        assert_eq!(text, "a\n\\u{9b}\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\n\\u{9b}");
    }
}
