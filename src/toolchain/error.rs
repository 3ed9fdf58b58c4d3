//! The error of identifying a toolchain.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why a toolchain could not be identified.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// A tool could not be run.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// The tool.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// nvcc did not print a plan.
    #[error("{} --dryrun: {text}", nvcc.display())]
    Probe {
        /// The path of nvcc.
        nvcc: PathBuf,
        /// Its message, or what is wrong with its plan.
        text: String,
    },
    /// A tool could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A tool was not found.
    #[error("no {} on nvcc's PATH", name.display())]
    Missing {
        /// The name in nvcc's plan.
        name: OsString,
    },
}
