//! Parses arguments into spellings: options, values, inputs, and unknown options. Validates their
//! form only; `classify` decides what an option means to the cache.
//!
//! nvcc accepts `--long`, `--long=v`, `--long v`, `-short`, `-short=v`, `-short v`, and, for the
//! letters in [`JOINED`], `-Xv`. It accepts neither abbreviations nor `--short`. A value in an argument
//! of its own may have any form: `-D -c` defines the macro `-c`.

use super::expand::{Stray, split_escaped, split_file, split_flags, split_list, split_paths};
use super::job::{Arg, CommandLine, Spelling};
use super::options::{Arity, Effect, JOINED, OptionRow, by_long, by_short};
use crate::outcome::{Bypass, BypassReason};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Reads an option file.
pub(super) type Open<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// How deep option files may be nested. Real ones never are; the limit stops a file that names itself.
const DEEPEST: usize = 16;

/// How many spellings a command line may have. Option files that name each other can double
/// their number at every level.
const MOST: usize = 100_000;

/// Every spelling of `line`, with environment flags and option files expanded in place.
pub(super) fn parse(line: &CommandLine, open: Open) -> Result<Vec<Spelling>, Bypass> {
    let mut parser = Parser {
        open,
        spellings: Vec::new(),
    };
    parser.flags("NVCC_PREPEND_FLAGS", line.prepend_flags)?;
    parser.words(line.args, 0)?;
    parser.flags("NVCC_APPEND_FLAGS", line.append_flags)?;
    Ok(parser.spellings)
}

struct Parser<'a> {
    open: Open<'a>,
    spellings: Vec<Spelling>,
}

impl Parser<'_> {
    /// Reads the flags of one environment variable.
    fn flags(&mut self, name: &str, flags: Option<&OsStr>) -> Result<(), Bypass> {
        let Some(flags) = flags else { return Ok(()) };
        let words = split_flags(flags.as_bytes()).map_err(|stray| bad(OsStr::new(name), stray))?;
        self.words(&words, 0)
    }

    /// Reads one source of arguments: the command line, an environment variable or a file. A
    /// value must come from the same source as its option.
    fn words(&mut self, words: &[OsString], depth: usize) -> Result<(), Bypass> {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if self.spellings.len() >= MOST {
                return Err(Bypass::new(
                    BypassReason::BadArguments,
                    "too many arguments",
                ));
            }
            let bytes = word.as_bytes();
            // Inputs first: everything that does not begin with a dash, and a dash alone.
            match bytes {
                [] => return Err(Bypass::new(BypassReason::BadArguments, "an empty argument")),
                [b'-', _, ..] => {}
                _ => {
                    self.push(vec![word.clone()], vec![Arg::Input(word.clone())], None);
                    continue;
                }
            }
            match find(bytes) {
                FoundOption::Unknown => {
                    self.push(vec![word.clone()], vec![Arg::Forwarded(word.clone())], None);
                }
                FoundOption::Alone(row) if row.arity == Arity::Flag => {
                    let arg = Arg::Option {
                        option: row,
                        value: None,
                    };
                    self.push(vec![word.clone()], vec![arg], Some(row));
                }
                FoundOption::Alone(row) => {
                    let Some(value) = rest.next() else {
                        return Err(bad_word(word, "needs a value"));
                    };
                    self.option(row, vec![word.clone(), value.clone()], value, depth)?;
                }
                FoundOption::With(row, _) if row.arity == Arity::Flag => {
                    return Err(bad_word(word, "takes no value"));
                }
                FoundOption::With(row, value) => {
                    let value = OsString::from_vec(value.to_vec());
                    self.option(row, vec![word.clone()], &value, depth)?;
                }
            }
        }
        Ok(())
    }

    /// Adds an option with its value, which occupy `words`.
    fn option(
        &mut self,
        row: &'static OptionRow,
        words: Vec<OsString>,
        value: &OsStr,
        depth: usize,
    ) -> Result<(), Bypass> {
        let values = match row.arity {
            Arity::List => split_list(value.as_bytes()),
            Arity::Escaped => split_escaped(value.as_bytes()),
            Arity::Paths => split_paths(value.as_bytes()),
            _ => Ok(vec![value.to_os_string()]),
        };
        let values = values.map_err(|stray| bad(value, stray))?;
        if row.effect == Effect::OptionFile {
            for file in values {
                self.file(&file, depth)?;
            }
            return Ok(());
        }
        let args = values.into_iter().map(|value| Arg::Option {
            option: row,
            value: Some(value),
        });
        let args = args.collect();
        self.push(words, args, Some(row));
        Ok(())
    }

    /// Adds the contents of an option file.
    fn file(&mut self, name: &OsStr, depth: usize) -> Result<(), Bypass> {
        let refused = |why: String| {
            let detail = format!("{}: {why}", name.to_string_lossy());
            Bypass::new(BypassReason::OptionFile, detail)
        };
        if depth >= DEEPEST {
            return Err(refused("option files are nested too deeply".to_owned()));
        }
        let text = (self.open)(Path::new(name)).map_err(|error| refused(error.to_string()))?;
        let words = split_file(&text).map_err(|stray| refused(stray.describe().to_owned()))?;
        self.words(&words, depth + 1)
    }

    fn push(&mut self, words: Vec<OsString>, args: Vec<Arg>, option: Option<&'static OptionRow>) {
        self.spellings.push(Spelling {
            words,
            args,
            option,
        });
    }
}

/// The parsed form of an argument that begins with a dash.
enum FoundOption<'a> {
    /// A name by itself.
    Alone(&'static OptionRow),
    /// A name with a value in the same argument.
    With(&'static OptionRow, &'a [u8]),
    Unknown,
}

fn find(word: &[u8]) -> FoundOption<'_> {
    let (name, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(equals) => (&word[..equals], Some(&word[equals + 1..])),
        None => (word, None),
    };
    let row = match name.strip_prefix(b"--") {
        Some(long) => by_long(long),
        None => by_short(&name[1..]),
    };
    match (row, value) {
        (Some(row), None) => FoundOption::Alone(row),
        (Some(row), Some(value)) => FoundOption::With(row, value),
        (None, _) => match by_short(&word[1..2]) {
            Some(row) if JOINED.contains(&row.short) => FoundOption::With(row, &word[2..]),
            _ => FoundOption::Unknown,
        },
    }
}

fn bad(what: &OsStr, stray: Stray) -> Bypass {
    bad_word(what, stray.describe())
}

fn bad_word(what: &OsStr, why: &str) -> Bypass {
    let detail = format!("{}: {why}", what.to_string_lossy());
    Bypass::new(BypassReason::BadArguments, detail)
}
