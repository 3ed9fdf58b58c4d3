//! nvcc's dry run as a graph: which commands a compile consists of, which files each reads and
//! writes, and which source each belongs to.
//!
//! nvcc explains itself: `nvcc --dryrun --keep --keep-dir W …` prints, on stderr,
//!
//! ```text
//! nvcc warning : …                              notices: nvcc's own words, not after "#$ "
//! #$ CICC_PATH=/opt/cuda/bin/../nvvm/bin        environment of every command
//! #$ gcc -E -x c++ … "a.cu" -o "W/a.cpp4.ii"    one shell-quoted command a line
//! #$ -- Filter Dependencies -- > a.d            with -MD: nvcc itself writes the depfile here
//! ```
//!
//! | module    | part                                                        |
//! |-----------|-------------------------------------------------------------|
//! | `shell`   | one command line into words                                 |
//! | `lines`   | the text into environment, notices, commands and depfiles   |
//! | `flags`   | what each tool's flags say about files: tables              |
//! | `stages`  | commands into stages, by those tables                       |
//! | `graph`   | implicit reads, and the checks that make the graph a graph  |
//! | `units`   | stages into one unit for each source, and the link          |
//! | `variant` | preprocessing passes that nvcc does not print               |
//! | `split`   | the host compile in two steps, of which one needs no device code |
//!
//! Everything is recognised by flag, never by position, because orders and spellings differ between
//! CUDA versions. What is not understood is a [`PlanError`], and the caller runs the real nvcc.
//!
//! This module is pure: it starts nothing, opens nothing and asks no environment. It does not know
//! whether a file exists, what is in it, or in which order or directory stages will run.

mod error;
mod flags;
mod graph;
mod lines;
mod shell;
mod split;
mod stages;
mod units;
mod variant;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

pub use error::{PlanError, ShellError};
pub use shell::{quote, words};
pub use split::Split;

/// A file of a [`Plan`]: an index into [`Plan::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

impl FileId {
    /// The place of the file in [`Plan::files`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What a file is to the compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Below the keep directory. Written by a stage, except module ids and the files that
    /// [`Plan::host_runtime_pass`] adds, which the caller writes.
    Temp,
    /// Written by a stage, outside the keep directory: what the user asked for.
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
    /// What it is to the compile.
    pub kind: FileKind,
}

/// A part of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Passed as it is.
    Text(OsString),
    /// The path of a file, which the caller may place elsewhere.
    File(FileId),
}

/// One element of a command's argument vector, after the shell's quoting is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument(pub Vec<Piece>);

/// What a stage does. Host compilers have any name, so they are told apart by their flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The host compiler preprocesses a source (`-E`); its line markers name every file it read.
    Preprocess,
    /// The host compiler preprocesses what cudafe++ wrote: the last step of `-cuda`.
    HostPreprocess,
    /// The host compiler compiles (`-c`) a host source or what cudafe++ wrote.
    HostCompile,
    /// The host compiler compiles `crt/link.stub` or `crt/prelink.stub` around a fatbinary.
    StubCompile,
    /// `cudafe++`: the host half of a preprocessed source.
    Cudafe,
    /// `cicc`: the device half, to PTX, LTO IR or OptiX IR.
    Cicc,
    /// `ptxas`: PTX to a cubin, or, with nothing to write, a check of the PTX.
    Ptxas,
    /// `fatbinary`: packs device code.
    Fatbinary,
    /// `fatbinary` with nothing to pack: the form of what the host compiler includes. In no plan of
    /// nvcc's: see [`Plan::split_host_compile`].
    EmptyFatbinary,
    /// The host compiler's driver assembles what it compiled; in no plan of nvcc's either.
    Assemble,
    /// `nvlink`: links device code. `-l` libraries are searched for, and are not among the reads.
    Nvlink,
    /// The host compiler links. `-l` libraries are not among the reads.
    HostLink,
    /// `ar cr`: adds to the archive that it writes, so one that is there already is read too.
    Archive,
    /// `rm`, of a file that nvlink will append to; nothing to do in a fresh keep directory.
    Remove,
}

/// How a stage's program is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// [`Stage::program`] is the program.
    Named,
    /// The program is what [`Stage::program`] prints, given `-print-prog-name=` and this name.
    PrintProgName(OsString),
}

/// One command, and the files it touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it does.
    pub tool: Tool,
    /// The program, with nvcc's variables expanded; not yet looked up in `PATH`.
    pub program: OsString,
    /// Whether `program` is run, or asked for the program to run.
    pub resolve: Resolve,
    /// The arguments after the program.
    pub args: Vec<Argument>,
    /// Files read, named by arguments or included by what is: no headers, no libraries.
    pub reads: Vec<FileId>,
    /// Files written.
    pub writes: Vec<FileId>,
    /// The main one of `writes`: `-o`, `--create` or `--gen_c_file_name`.
    pub output: Option<FileId>,
}

impl Stage {
    /// Whether the stage only checks what another wrote: since CUDA 13.0 ptxas looks at the PTX that
    /// the user asked for.
    pub fn is_check(&self) -> bool {
        self.tool == Tool::Ptxas && self.writes.is_empty()
    }
}

/// The stages of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The source.
    pub source: FileId,
    /// Its stages, in the order nvcc prints them.
    pub stages: Vec<usize>,
    /// Those that preprocess the source, in the same order: under `-MD` this is the order of the
    /// depfile. None for host sources without `-MD`; see [`Plan::preprocess_variant`].
    pub passes: Vec<usize>,
    /// The file that names the unit's internal symbols. The caller writes it before any stage
    /// runs; no stage generates it.
    pub module_id: Option<FileId>,
    /// What leaves the unit: outputs, and temporary files that link stages read.
    pub results: Vec<FileId>,
    /// Where nvcc would write the unit's dependencies.
    pub depfile: Option<OsString>,
}

/// What nvcc would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Variables of every command's environment, in the order they are set; names may repeat.
    pub env: Vec<(OsString, OsString)>,
    /// What nvcc said for itself, byte for byte.
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
    /// Reads what `nvcc --dryrun --keep --keep-dir keep_dir …` printed on stderr.
    ///
    /// `keep_dir` is spelled as it was given to nvcc. It should be a directory that nothing else
    /// on the command line names: an argument that mentions it without being understood is an error.
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
        let grouped = units::group(&drafts, &files, &script.depfiles)?;
        Ok(Self {
            env: script.env,
            notices: script.notices,
            files: files.list,
            stages: drafts.into_iter().map(|draft| draft.stage).collect(),
            units: grouped.units,
            link: grouped.link,
        })
    }

    /// One argument as it goes to `exec`, with each file where `path_of` says it is.
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

    /// The file behind an id of this plan.
    pub fn file(&self, id: FileId) -> &PlanFile {
        &self.files[id.0]
    }
}

/// The files seen so far, one for each spelling.
struct Files {
    list: Vec<PlanFile>,
    known: HashMap<(FileKind, OsString), FileId>,
    /// The keep directory and a slash.
    below: Vec<u8>,
}

impl Files {
    fn new(keep_dir: &Path) -> Result<Self, PlanError> {
        use std::os::unix::ffi::OsStrExt;
        let mut below = keep_dir.as_os_str().as_bytes().to_vec();
        // nvcc strips trailing slashes too; whatever else is odd in the spelling it keeps.
        while below.last() == Some(&b'/') {
            below.pop();
        }
        if below.is_empty() {
            return Err(PlanError::KeepDir);
        }
        below.push(b'/');
        Ok(Self {
            list: Vec::new(),
            known: HashMap::new(),
            below,
        })
    }

    /// The id of a path as nvcc spells it. Until [`graph::check`] knows the writers, whatever lies
    /// outside the keep directory counts as an input.
    fn intern(&mut self, path: &[u8]) -> FileId {
        use std::os::unix::ffi::OsStrExt;
        let (kind, path) = match path.strip_prefix(self.below.as_slice()) {
            Some(rest) if !rest.is_empty() => (FileKind::Temp, rest),
            _ => (FileKind::Input, path),
        };
        let path = OsStr::from_bytes(path).to_owned();
        let next = FileId(self.list.len());
        let list = &mut self.list;
        *self.known.entry((kind, path.clone())).or_insert_with(|| {
            list.push(PlanFile { path, kind });
            next
        })
    }

    /// A temporary file that is known already.
    fn temp(&self, path: &OsStr) -> Option<FileId> {
        self.known.get(&(FileKind::Temp, path.to_owned())).copied()
    }

    fn kind(&self, id: FileId) -> FileKind {
        self.list[id.0].kind
    }

    fn is_temp(&self, path: &[u8]) -> bool {
        path.len() > self.below.len() && path.starts_with(&self.below)
    }

    /// The path for people.
    fn show(&self, id: FileId) -> String {
        self.list[id.0].path.to_string_lossy().into_owned()
    }
}
