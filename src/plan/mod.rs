//! nvcc's dry run as a graph: the commands of a compile, the files that each reads and writes, and the source that
//! each belongs to.
//!
//! `nvcc --dryrun --keep --keep-dir W …` prints on stderr:
//!
//! ```text
//! nvcc warning : …                              notices: nvcc's own messages, not after "#$ "
//! #$ CICC_PATH=/opt/cuda/bin/../nvvm/bin        environment of every command
//! #$ gcc -E -x c++ … "a.cu" -o "W/a.cpp4.ii"    one shell-quoted command a line
//! #$ -- Filter Dependencies -- > a.d            with -MD, -M: nvcc itself writes the rules here
//! ```
//!
//! | module    | part                                                             |
//! |-----------|------------------------------------------------------------------|
//! | `parts`   | the types of a plan                                              |
//! | `tool`    | the tools that stages run                                        |
//! | `files`   | the files seen so far, one for each spelling                     |
//! | `lines`   | splits the text into environment, notices, commands, depfiles    |
//! | `flags`   | tables: which flags of each tool name files                      |
//! | `stages`  | turns commands into stages, by those tables                      |
//! | `graph`   | adds implicit reads, and checks the graph                        |
//! | `units`   | groups stages into one unit for each source, and the link        |
//! | `variant` | preprocessing passes that nvcc does not print                    |
//! | `split`   | the host compile in two steps, of which one needs no device code |
//!
//! Everything is recognised by flag, never by position, because orders and spellings differ between
//! CUDA versions. What is not understood is a [`PlanError`], and the caller runs the real nvcc.
//!
//! This module is pure: it starts no process, opens no file and reads no environment. It does not know
//! whether a file exists, what is in it, or in which order or directory stages will run.

mod error;
mod files;
mod flags;
mod graph;
mod lines;
mod parts;
mod split;
mod stages;
mod tool;
mod units;
mod variant;

pub use error::PlanError;
pub use parts::{
    Argument, FileId, FileKind, Piece, Plan, PlanFile, Resolve, RulesTarget, Stage, Unit,
};
pub(crate) use split::ADDED_STAGES;
pub use split::Split;
pub use tool::Tool;

use files::Files;
use std::path::Path;

impl Plan {
    /// Reads what `nvcc --dryrun --keep --keep-dir keep_dir …` printed on stderr.
    ///
    /// `keep_dir` is spelled as it was given to nvcc. It should be a directory that nothing else
    /// on the command line names: an argument that mentions it and is not understood is an error.
    pub fn parse(dryrun_stderr: &[u8], keep_dir: &Path) -> Result<Self, PlanError> {
        let script = lines::parse(dryrun_stderr)?;
        let mut files = Files::new(keep_dir)?;
        let mut drafts = Vec::new();
        for entry in &script.commands {
            drafts.push(stages::draft(entry, &mut files)?);
        }
        graph::implicit_reads(&mut drafts, &files)?;
        graph::chain_appends(&mut drafts);
        graph::check(&drafts, &mut files)?;
        let grouped = units::group(&drafts, &files, &script.rules)?;
        Ok(Self {
            env: script.env,
            notices: script.notices,
            files: files.list,
            stages: drafts.into_iter().map(|draft| draft.stage).collect(),
            units: grouped.units,
            link: grouped.link,
        })
    }
}
