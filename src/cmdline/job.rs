//! A command line once it is read: its options, inputs and outputs.

use super::mode::Mode;
use super::options::OptionRow;
use std::ffi::{OsStr, OsString};

/// A command line and the environment variables that add to it, as nvcc would see them.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandLine<'a> {
    /// The arguments, without the program's own name.
    pub args: &'a [OsString],
    /// `NVCC_PREPEND_FLAGS`.
    pub prepend_flags: Option<&'a OsStr>,
    /// `NVCC_APPEND_FLAGS`.
    pub append_flags: Option<&'a OsStr>,
    /// `NVCC_CCBIN`.
    pub ccbin: Option<&'a OsStr>,
}

/// One meaningful piece of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A known option; an option with a list becomes one of these for each element.
    Option {
        /// Its row in the table.
        option: &'static OptionRow,
        /// Its value; `None` for flags.
        value: Option<OsString>,
    },
    /// An input file.
    Input(OsString),
    /// An unknown option that nvcc passes on to the host compiler or linker.
    Forwarded(OsString),
}

/// The make rules that a compile writes besides its output, or all that is written with `-M` and `-MM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependencies {
    /// Whether each header gets an empty rule (`-MP`).
    pub phony: bool,
    /// The target (`-MT`), empty for the default; nvcc does not split it at commas.
    pub targets: Vec<OsString>,
    /// Whether system headers are listed: `-MD` and `-M`, not `-MMD` and `-MM`.
    pub system: bool,
    /// Their file, if given: the value of `-MF`; with `-M` and `-MM` that of `-o` takes precedence.
    pub file: Option<OsString>,
}

/// One option, input or unknown option exactly as it was written.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    /// The one or two arguments that spell it.
    pub words: Vec<OsString>,
    /// Their meaning; a list may have no elements, or many.
    pub args: Vec<Arg>,
    /// The option's row; `None` for inputs and unknown options.
    pub option: Option<&'static OptionRow>,
}

/// A command line that is understood, with environment flags and option files folded in.
#[derive(Clone, Debug)]
pub struct Job {
    /// All options and inputs, in order.
    pub args: Vec<Arg>,
    /// The kind of output.
    pub mode: Mode,
    /// The input files, in order, as they were written.
    pub inputs: Vec<OsString>,
    /// The last `-o`, unless it names the file of [`Mode::Rules`].
    pub output: Option<OsString>,
    /// The last `-odir`.
    pub output_directory: Option<OsString>,
    /// The depfile, if one is written.
    pub dependencies: Option<Dependencies>,
    /// Where `--keep` leaves the intermediate files.
    pub keep: Option<OsString>,
    /// The host compiler, from `-ccbin` or `NVCC_CCBIN`.
    pub ccbin: Option<OsString>,
    /// Whether `-v` has the commands printed.
    pub shows_commands: bool,
    /// The last `-t`.
    pub threads: Option<OsString>,
    pub(super) spellings: Vec<Spelling>,
}

impl Job {
    /// The last value of the option with this long name, which is the one that nvcc uses.
    pub fn value_of(&self, long: &str) -> Option<&OsStr> {
        last_value(&self.args, long)
    }
}

/// The last value of the option whose long name is `long`.
pub(super) fn last_value<'a>(args: &'a [Arg], long: &str) -> Option<&'a OsStr> {
    args.iter().rev().find_map(|arg| match arg {
        Arg::Option { option, value } if option.long == long => value.as_deref(),
        _ => None,
    })
}

/// Whether the option whose long name is `long` occurs.
pub(super) fn has_option(args: &[Arg], long: &str) -> bool {
    args.iter()
        .any(|arg| matches!(arg, Arg::Option { option, .. } if option.long == long))
}
