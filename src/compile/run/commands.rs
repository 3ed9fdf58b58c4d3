//! Stages of a plan as commands to run, and as text for a key. Runs nothing.

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

/// How the host compiler's messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Diagnostics {
    /// Standard error is no terminal.
    Plain,
    /// It is one: gcc would print colours, and is asked to, since it writes to a file here.
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

/// Where a stage writes what the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// Into the workspace; `place` moves it. The stage's tool must be of the toolchain.
    Private,
    /// Where nvcc would: link stages, whose tools are in no key.
    InPlace,
}

/// What every stage of an invocation has in common.
pub(crate) struct Commands<'a> {
    /// Where stages work.
    pub workspace: &'a Workspace,
    /// Which tools may run.
    pub toolchain: &'a Toolchain,
    /// How the host compiler prints.
    pub diagnostics: Diagnostics,
    /// nvcc's variables for its children, and where they put temporary files of their own.
    pub environment: Vec<(OsString, OsString)>,
    /// What debug information calls the work directory: the user's keep directory, or `.`.
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
        args.extend(self.additions(stage, number));
        Ok(Command {
            program,
            args,
            stdout: self.workspace.stream(number, OutputStream::Stdout),
            stderr: self.workspace.stream(number, OutputStream::Stderr),
        })
    }

    /// Arguments of ours behind nvcc's own. None of them changes a byte of the output, but for the
    /// work directory's name in debug information.
    fn additions(&self, stage: &Stage, number: usize) -> Vec<OsString> {
        let (tool, family) = (stage.tool, self.toolchain.host);
        let mut added = Vec::new();
        let preprocesses = matches!(
            tool,
            Tool::Preprocess | Tool::HostPreprocess | Tool::HostCompile
        );
        if preprocesses && family == HostFamily::Gnu && self.diagnostics == Diagnostics::Colour {
            added.push("-fdiagnostics-color=always".into());
        }
        let [read, assembled] = ["d", "asd"].map(|suffix| self.workspace.side_file(number, suffix));
        let files = [read.as_os_str(), assembled.as_os_str()];
        added.extend(dependency_flags(tool, family, files, || self.debug_map()));
        added
    }

    /// The flag that gives the work directory its name in the host compiler's debug information.
    pub(crate) fn debug_map(&self) -> OsString {
        let temporaries = self.workspace.temporaries();
        let mut map = joined("-fdebug-prefix-map=", temporaries.as_os_str());
        map.push("=");
        map.push(&self.mapped);
        map
    }

    /// The stage's program, which must be one of the identified toolchain where its work is stored.
    fn program(&self, plan: &Plan, stage: &Stage, outputs: Outputs) -> Result<PathBuf, Fallback> {
        match outputs {
            Outputs::Private => self.find(plan, &stage.program),
            Outputs::InPlace => look_up(&stage.program, &search_path(plan))
                .ok_or_else(|| unknown_tool(&stage.program)),
        }
    }

    /// Where the tool of the identified toolchain lies that plans call `program`.
    pub(crate) fn find(&self, plan: &Plan, program: &OsStr) -> Result<PathBuf, Fallback> {
        let found = look_up(program, &search_path(plan));
        let real = found
            .as_ref()
            .and_then(|found| fs::canonicalize(found).ok());
        match (found, real) {
            (Some(found), Some(real)) if self.toolchain.tools.contains(&real) => Ok(found),
            _ => Err(unknown_tool(program)),
        }
    }
}

/// What a stage is given besides so that it tells what compiler and assembler really read, for `evidence`, into two
/// `files`; and the `map` of debug information.
pub(crate) fn dependency_flags(
    tool: Tool,
    family: HostFamily,
    [read, assembled]: [&OsStr; 2],
    map: impl FnOnce() -> OsString,
) -> Vec<OsString> {
    let mut added = Vec::new();
    if matches!(tool, Tool::HostPreprocess | Tool::HostCompile) {
        added.extend(["-MD".into(), "-MF".into(), read.to_owned()]);
    }
    let gnu = family == HostFamily::Gnu;
    if tool == Tool::Assemble || (tool == Tool::HostCompile && gnu) {
        added.push(joined("-Wa,--MD,", assembled));
    }
    if tool == Tool::HostCompile {
        added.push(map());
    }
    added
}

fn unknown_tool(program: &OsStr) -> Fallback {
    Fallback::new(FallbackReason::UnknownTool, program.display().to_string())
}

/// nvcc's PATH for its children.
pub(crate) fn search_path(plan: &Plan) -> OsString {
    let named = plan.env.iter().rev().find(|(name, _)| name == "PATH");
    named
        .map(|(_, value)| value.clone())
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default()
}

/// The stage as text for a key: nvcc's own words, with temporaries called by their names in the
/// keep directory. Outputs are called by none, but for ptxas, which writes the file name of the cubin
/// into its debug information.
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

/// The stage's arguments without files, and without the `-o` before one.
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
