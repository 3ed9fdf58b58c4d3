//! Why a dry run cannot be parsed into a plan. Every variant means: run the real nvcc.

use super::tool::Tool;
use crate::shell::ShellError;
use thiserror::Error;

/// Why a dry run cannot be parsed into a plan. The texts are for users; paths in them are lossy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// A command line that is more than plain words.
    #[error("{reason} in: {line}")]
    Shell {
        /// The command.
        line: String,
        /// Why it is more.
        reason: ShellError,
    },
    /// A program that is neither a known CUDA tool nor used as a host compiler.
    #[error("unknown tool {program}")]
    UnknownTool {
        /// The program.
        program: String,
    },
    /// A flag that reads or writes files of its own, or changes what the command does.
    #[error("{tool:?} has the flag {flag}")]
    RefusedFlag {
        /// The tool.
        tool: Tool,
        /// The argument.
        flag: String,
    },
    /// A flag whose value is missing or not of the form that nvcc prints.
    #[error("{tool:?} has no usable value for {flag}")]
    FlagValue {
        /// The tool.
        tool: Tool,
        /// The flag.
        flag: String,
    },
    /// A command that should have exactly one source or main output, and has none or several.
    #[error("{tool:?} has {found} {what}, not one")]
    NotOne {
        /// The tool.
        tool: Tool,
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An argument that mentions the keep directory, but is not known to name a file.
    #[error("{tool:?} names a file in a way that is not known: {argument}")]
    UnaccountedPath {
        /// The tool.
        tool: Tool,
        /// The argument.
        argument: String,
    },
    /// A temporary file that is read, but that no stage writes.
    #[error("nothing writes {path}")]
    NoWriter {
        /// Relative to the keep directory.
        path: String,
    },
    /// A file that two stages write: two sources of one name in one keep directory, or one output
    /// for two sources.
    #[error("two stages write {path}")]
    TwoWriters {
        /// The file.
        path: String,
    },
    /// A file outside the keep directory that one stage writes and another reads for more than a check.
    #[error("an intermediate file lies outside the keep directory: {path}")]
    OutsideKeepDir {
        /// The file.
        path: String,
    },
    /// Stages that wait for each other.
    #[error("stages wait for each other")]
    Cycle,
    /// A connected group of stages with more or less than one source.
    #[error("stages that belong together have {found} sources, not one")]
    UnitSources {
        /// How many sources there are.
        found: usize,
    },
    /// A stage in a unit that has two different module ids.
    #[error("one source has two module ids")]
    TwoModuleIds,
    /// A depfile that does not follow the preprocessing of a source, or is the second one of a source.
    #[error("the dependencies to be written to '{path}' are of no single source")]
    Depfile {
        /// The path of the depfile.
        path: String,
    },
    /// A keep directory that is empty or the root.
    #[error("the keep directory has no name")]
    KeepDir,
    /// A stage from which no preprocessing pass can be derived.
    #[error("stage {stage} cannot be turned into a preprocessing pass")]
    NoVariant {
        /// Its index.
        stage: usize,
    },
}
