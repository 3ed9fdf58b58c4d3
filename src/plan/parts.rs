//! The types of a plan: files, arguments, stages and units.

use super::tool::Tool;
use std::ffi::OsString;

/// A file of a [`Plan`]: an index into [`Plan::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) usize);

impl FileId {
    /// The index of the file in [`Plan::files`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The role of a file in the compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Below the keep directory. Written by a stage, except module ids and the files that
    /// [`Plan::host_runtime_pass`] adds, which the caller writes.
    Temp,
    /// Written by a stage, outside the keep directory: an output that the user asked for.
    Output,
    /// Read, and written by no stage.
    Input,
}

/// A file that a stage names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// Relative to the keep directory for [`FileKind::Temp`]; otherwise as nvcc spells it, so
    /// relative to the directory that nvcc was run in.
    pub path: OsString,
    /// Its role in the compile.
    pub kind: FileKind,
}

/// A part of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Passed unchanged.
    Text(OsString),
    /// The path of a file, which the caller may move elsewhere.
    File(FileId),
}

/// One element of a command's argument vector, without the shell's quoting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument(pub Vec<Piece>);

/// How a stage's program is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// [`Stage::program`] is the program.
    Named,
    /// The program is what [`Stage::program`] prints, given `-print-prog-name=` and this name.
    PrintProgName(OsString),
}

/// One command, with the files that it reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The tool that it runs.
    pub tool: Tool,
    /// The program, with nvcc's variables expanded; not yet looked up in `PATH`.
    pub program: OsString,
    /// Whether `program` is run, or asked for the program to run.
    pub resolve: Resolve,
    /// The arguments after the program.
    pub args: Vec<Argument>,
    /// Files read: named by arguments, or included by such files. Headers and libraries are left out.
    pub reads: Vec<FileId>,
    /// Files written.
    pub writes: Vec<FileId>,
    /// The main file of `writes`: `-o`, `--create` or `--gen_c_file_name`.
    pub output: Option<FileId>,
}

impl Stage {
    /// Whether the stage only checks the output of another one: since CUDA 13.0 nvcc has ptxas check the PTX that
    /// the user asked for.
    pub fn is_check(&self) -> bool {
        self.tool == Tool::Ptxas && self.writes.is_empty()
    }
}

/// Where nvcc writes the make rules of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesTarget {
    /// To this file.
    File(OsString),
    /// To standard output: `-M` and `-MM` without the name of a file.
    Stdout,
}

/// The stages of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The source.
    pub source: FileId,
    /// Its stages, in the order nvcc prints them.
    pub stages: Vec<usize>,
    /// The stages that preprocess the source, in the same order: with `-MD` this is the order of the
    /// depfile. Empty for host sources without `-MD`; see [`Plan::preprocess_variant`].
    pub passes: Vec<usize>,
    /// The file with the module id, which names the unit's internal symbols. The caller writes it before any stage
    /// runs; no stage generates it.
    pub module_id: Option<FileId>,
    /// The results of the unit: outputs, and temporary files that link stages read.
    pub results: Vec<FileId>,
    /// Where nvcc would write the unit's make rules, if the job asks for any.
    pub rules: Option<RulesTarget>,
}

/// What nvcc would run for a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Variables of every command's environment, in the order they are set; names may repeat.
    pub env: Vec<(OsString, OsString)>,
    /// nvcc's own messages, byte for byte.
    pub notices: Vec<u8>,
    /// Every file that a stage names.
    pub files: Vec<PlanFile>,
    /// Every command, in the order nvcc prints them.
    pub stages: Vec<Stage>,
    /// One for each source.
    pub units: Vec<Unit>,
    /// The stages that belong to no source and run after all units, in order.
    pub link: Vec<usize>,
}

impl Plan {
    /// One argument as it is passed to the program, with the path that `path_of` returns for each file.
    pub fn render(
        &self,
        argument: &Argument,
        path_of: &mut dyn FnMut(FileId) -> OsString,
    ) -> OsString {
        let mut rendered = OsString::new();
        for piece in &argument.0 {
            match piece {
                Piece::Text(text) => rendered.push(text),
                Piece::File(id) => rendered.push(path_of(*id)),
            }
        }
        rendered
    }

    /// The file with this id.
    pub fn file(&self, id: FileId) -> &PlanFile {
        &self.files[id.0]
    }

    /// Whether a file is one that the user asked for.
    pub fn is_output(&self, id: FileId) -> bool {
        self.file(id).kind == FileKind::Output
    }
}
