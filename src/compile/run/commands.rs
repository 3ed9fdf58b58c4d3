//! Turns stages of a plan into commands to run, and into text for a key. Runs nothing.

use crate::compile::run::printed::OutputStream;
use crate::compile::run::workspace::Workspace;
use crate::exec::Command;
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Argument, FileId, FileKind, Piece, Plan, PlanFile, Stage, Tool};
use crate::toolchain::{HostFamily, Toolchain, look_up};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Whether the host compiler colours its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Diagnostics {
    /// Standard error is not a terminal.
    Plain,
    /// Standard error is a terminal. gcc would print colours there, and gets a flag to do so here, where it writes
    /// to a file.
    Colour,
}

impl Diagnostics {
    /// The name in the key.
    pub(crate) fn name(self) -> &'static [u8] {
        match self {
            Self::Plain => b"plain",
            Self::Colour => b"colour",
        }
    }
}

/// Where a stage writes the outputs of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// Into the workspace, from where they are delivered. The stage's tool must be part of the toolchain.
    Private,
    /// Where nvcc would: link stages, whose tools are in no key.
    InPlace,
}

/// What the commands of all stages of an invocation have in common.
pub(crate) struct Commands<'a> {
    /// Where stages write.
    pub workspace: &'a Workspace,
    /// The tools that may run.
    pub toolchain: &'a Toolchain,
    pub diagnostics: Diagnostics,
    /// The variables that nvcc sets for its children, and TMPDIR.
    pub environment: Vec<(OsString, OsString)>,
    /// The name of the work directory in debug information: the user's keep directory, or `.`.
    pub mapped: OsString,
}

impl Commands<'_> {
    /// The command for `stage`; what it prints goes to the workspace under `number`.
    pub(crate) fn command(
        &self,
        plan: &Plan,
        stage: &Stage,
        number: usize,
        outputs: Outputs,
    ) -> Result<Command, Fallback> {
        let program = self.program(plan, stage, outputs)?;
        let mut locate = |file| match (outputs, plan.file(file)) {
            (
                Outputs::InPlace,
                PlanFile {
                    path,
                    kind: FileKind::Output,
                },
            ) => path.clone(),
            _ => self.workspace.locate(plan, file).into_os_string(),
        };
        let mut args: Vec<_> = stage
            .args
            .iter()
            .map(|arg| plan.render(arg, &mut locate))
            .collect();
        args.extend(self.additions(stage, number, outputs));
        Ok(Command {
            program,
            args,
            stdout: self.workspace.stream(number, OutputStream::Stdout),
            stderr: self.workspace.stream(number, OutputStream::Stderr),
        })
    }

    /// The arguments that are added after nvcc's own. None of them changes a byte of the output, except the
    /// work directory's name in debug information.
    fn additions(&self, stage: &Stage, number: usize, outputs: Outputs) -> Vec<OsString> {
        let (tool, family) = (stage.tool, self.toolchain.host);
        let mut args = Vec::new();
        let preprocesses = matches!(
            tool,
            Tool::Preprocess | Tool::HostPreprocess | Tool::HostCompile | Tool::StubCompile
        );
        if preprocesses && family == HostFamily::Gnu && self.diagnostics == Diagnostics::Colour {
            args.push("-fdiagnostics-color=always".into());
        }
        // What a link writes is not stored, so nothing has to show what it read.
        if outputs == Outputs::InPlace {
            return args;
        }
        let [compiler, assembler] =
            ["d", "asd"].map(|suffix| self.workspace.side_file(number, suffix));
        let depfiles = [compiler.as_os_str(), assembler.as_os_str()];
        args.extend(dependency_flags(tool, family, depfiles, || {
            self.debug_map()
        }));
        args
    }

    /// The flag that replaces the work directory's name in the host compiler's debug information.
    pub(crate) fn debug_map(&self) -> OsString {
        let temporaries = self.workspace.temporaries();
        let mut map = joined("-fdebug-prefix-map=", temporaries.as_os_str());
        map.push("=");
        map.push(&self.mapped);
        map
    }

    /// The path of the stage's program. If its output is to be stored, the program must be part of the toolchain.
    fn program(&self, plan: &Plan, stage: &Stage, outputs: Outputs) -> Result<PathBuf, Fallback> {
        match outputs {
            Outputs::Private => self.find(plan, &stage.program),
            Outputs::InPlace => look_up(&stage.program, &search_path(plan))
                .ok_or_else(|| unknown_tool(&stage.program)),
        }
    }

    /// The path of the toolchain's tool that the plan calls `program`.
    pub(crate) fn find(&self, plan: &Plan, program: &OsStr) -> Result<PathBuf, Fallback> {
        let path = look_up(program, &search_path(plan));
        let real = path.as_ref().and_then(|path| fs::canonicalize(path).ok());
        match (path, real) {
            (Some(path), Some(real)) if self.toolchain.tools.contains(&real) => Ok(path),
            _ => Err(unknown_tool(program)),
        }
    }
}

/// The flags that make compiler and assembler write the files that they read to two depfiles, for `evidence`, and
/// the flag `debug_map`.
pub(crate) fn dependency_flags(
    tool: Tool,
    family: HostFamily,
    [compiler_depfile, assembler_depfile]: [&OsStr; 2],
    debug_map: impl FnOnce() -> OsString,
) -> Vec<OsString> {
    let mut flags = Vec::new();
    let compiles = matches!(tool, Tool::HostCompile | Tool::StubCompile);
    if compiles || tool == Tool::HostPreprocess {
        flags.extend(["-MD".into(), "-MF".into(), compiler_depfile.to_owned()]);
    }
    let is_gnu = family == HostFamily::Gnu;
    if tool == Tool::Assemble || (compiles && is_gnu) {
        flags.push(joined("-Wa,--MD,", assembler_depfile));
    }
    if compiles {
        flags.push(debug_map());
    }
    flags
}

fn unknown_tool(program: &OsStr) -> Fallback {
    Fallback::new(FallbackReason::UnknownTool, program.display().to_string())
}

/// The PATH that nvcc gives its children.
pub(crate) fn search_path(plan: &Plan) -> OsString {
    let assignment = plan.env.iter().rev().find(|(name, _)| name == "PATH");
    assignment
        .map(|(_, value)| value.clone())
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default()
}

/// The stage as text for a key: nvcc's own words, in which temporaries have their names in the keep directory.
/// Outputs have no name, except those of ptxas, which writes the file name of the cubin into its debug
/// information.
pub(crate) fn template(plan: &Plan, stage: &Stage) -> Vec<u8> {
    let mut text = stage.program.as_bytes().to_vec();
    let mut name = |file: FileId| {
        let file = plan.file(file);
        match file.kind {
            FileKind::Temp => joined("{temp}/", &file.path),
            FileKind::Input => file.path.clone(),
            FileKind::Output if stage.tool == Tool::Ptxas && !stage.is_check() => {
                joined("{output}/", base_name(&file.path))
            }
            FileKind::Output => OsString::from("{output}"),
        }
    };
    for arg in &stage.args {
        text.push(0);
        text.extend(plan.render(arg, &mut name).into_vec());
    }
    text
}

/// The stage's arguments without files, and without a `-o` before a file.
pub(crate) fn plain_arguments(plan: &Plan, stage: &Stage) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut nothing = |_| OsString::new();
    for argument in &stage.args {
        let Argument(pieces) = argument;
        if pieces.iter().any(|piece| matches!(piece, Piece::File(_))) {
            args.pop_if(|last| last.as_os_str() == "-o");
        } else {
            args.push(plan.render(argument, &mut nothing));
        }
    }
    args
}

fn joined(prefix: &str, rest: &OsStr) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(rest);
    text
}

fn base_name(path: &OsStr) -> &OsStr {
    Path::new(path).file_name().unwrap_or(path)
}
