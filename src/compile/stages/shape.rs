//! A stage as its key describes it: files in arguments are replaced by their index, names are included only where
//! they reach the output, and outputs are named by their flags. `docs/design/keys.md` has the experiments behind
//! these rules. Reads no files.

use crate::compile::inputs::context::UnitContext;
use crate::compile::run::mentions::Mention;
use crate::plan::{Argument, FileId, FileKind, Piece, Stage, Tool};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const STUB_NAME: &str = "--stub_file_name";

/// The flags for files that cicc writes besides device code. They change nothing else, so they are not part of any
/// key.
const SIDE_OUTPUTS: [&str; 3] = ["--gen_c_file_name", STUB_NAME, "--gen_device_file_name"];

/// A file that a stage writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The flag that names it, by which a record refers to it.
    pub flag: String,
    /// Its file in the plan; `None` if it is written only to be stored.
    pub file: Option<FileId>,
    pub path: PathBuf,
    /// The name that it mentions.
    pub mention: Mention,
    /// Whether a stage reads it, or the user gets it.
    pub needed: bool,
}

/// Whether file names reach what the stage writes: objects name the file that they were compiled
/// from, and cubins with debug information hold ptxas's command line.
pub(super) fn names_count(stage: &Stage) -> bool {
    match stage.tool {
        Tool::HostCompile => true,
        Tool::Ptxas => stage.args.iter().any(is_debug),
        _ => false,
    }
}

/// Whether the argument makes ptxas write debug information.
fn is_debug(argument: &Argument) -> bool {
    match &argument.0[..] {
        [Piece::Text(text)] => {
            let text = text.as_bytes();
            text.starts_with(b"-g") || text.starts_with(b"--device-debug")
        }
        _ => false,
    }
}

/// The stage's arguments for its key.
pub(super) fn arguments(work: &UnitContext<'_>, stage: &Stage) -> Vec<Vec<u8>> {
    let has_names = names_count(stage);
    let mut placeholder = |file: FileId| {
        let index = stage.reads.iter().position(|read| *read == file);
        let mut placeholder = match index {
            Some(index) => OsString::from(format!("{{read {index}}}")),
            None => OsString::from("{written}"),
        };
        // An object does not contain its own name.
        if has_names && (index.is_some() || stage.tool == Tool::Ptxas) {
            placeholder.push("/");
            placeholder.push(base_name(&work.plan.file(file).path));
        }
        placeholder
    };
    let mut arguments = Vec::with_capacity(stage.args.len());
    let mut rest = stage.args.iter();
    while let Some(argument) = rest.next() {
        let text = work.plan.render(argument, &mut placeholder).into_vec();
        let is_side_output = SIDE_OUTPUTS.iter().any(|flag| text == flag.as_bytes());
        match stage.tool {
            Tool::Cicc if is_side_output => drop(rest.next()),
            Tool::Cudafe if text == STUB_NAME.as_bytes() => {
                rest.next();
                arguments.push(text);
            }
            _ => arguments.push(text),
        }
    }
    arguments
}

/// Every file that stage `number` writes; `None` if a file has no flag of its own.
pub(super) fn written(
    work: &UnitContext<'_>,
    stage: &Stage,
    number: usize,
) -> Option<Vec<Written>> {
    let keeps = work.facts.keep.is_some();
    let is_read = |file: FileId| {
        let mut stages = work.plan.stages.iter();
        stages.any(|stage| stage.reads.contains(&file))
    };
    let mut written: Vec<Written> = Vec::with_capacity(stage.writes.len());
    for &file in &stage.writes {
        let path = work.commands.workspace.locate(work.plan, file);
        let flag = flag_of(stage, file)?;
        if written.iter().any(|other| other.flag == flag) {
            return None;
        }
        written.push(Written {
            mention: mention(stage, &flag, &path),
            needed: keeps || is_read(file) || work.unit.results.contains(&file),
            flag,
            file: Some(file),
            path,
        });
    }
    for (flag, path) in added(work, stage, number) {
        written.push(Written {
            mention: mention(stage, flag, &path),
            needed: false,
            flag: flag.to_owned(),
            file: None,
            path,
        });
    }
    Some(written)
}

/// The flags that are added to a cicc command that writes device code only, so that its stored result also serves
/// commands that write the other files.
pub(super) fn added(
    work: &UnitContext<'_>,
    stage: &Stage,
    number: usize,
) -> Vec<(&'static str, PathBuf)> {
    if stage.tool != Tool::Cicc || SIDE_OUTPUTS.iter().any(|flag| has_flag(stage, flag)) {
        return Vec::new();
    }
    let path = |flag: &str| work.commands.workspace.side_file(number, &flag[2..]);
    SIDE_OUTPUTS.map(|flag| (flag, path(flag))).into()
}

/// Whether an argument of the stage begins with `flag`.
fn has_flag(stage: &Stage, flag: &str) -> bool {
    let mut args = stage.args.iter();
    args.any(|argument| match &argument.0[..] {
        [Piece::Text(text), ..] => text.as_bytes().starts_with(flag.as_bytes()),
        _ => false,
    })
}

/// The name of the stub in the arguments of cudafe++.
pub(super) fn stub_name(stage: &Stage) -> Option<&OsStr> {
    let mut args = stage.args.iter().map(|argument| match &argument.0[..] {
        [Piece::Text(text)] => Some(text.as_os_str()),
        _ => None,
    });
    args.find(|text| *text == Some(OsStr::new(STUB_NAME)))?;
    args.next().flatten()
}

/// Whether the stage compiles a user's source itself, including its headers.
pub(super) fn reads_sources(work: &UnitContext<'_>, stage: &Stage) -> bool {
    let is_input = |file: &FileId| work.plan.file(*file).kind == FileKind::Input;
    stage.tool == Tool::HostCompile && stage.reads.iter().any(is_input)
}

/// Whether a later stage may need the file that `flag` names, in this form of the compile or in another.
pub(super) fn is_shared(stage: &Stage, flag: &str) -> bool {
    stage.tool == Tool::Cicc && flag == STUB_NAME
}

/// The last part of a path.
pub(super) fn base_name(path: &OsStr) -> &OsStr {
    Path::new(path).file_name().unwrap_or(path)
}

fn mention(stage: &Stage, flag: &str, path: &Path) -> Mention {
    let name = |name: &OsStr| Mention::Name(name.as_bytes().to_vec());
    match stage.tool {
        Tool::Cudafe => stub_name(stage).map_or(Mention::Nothing, name),
        Tool::Cicc if flag == STUB_NAME => name(path.as_os_str()),
        _ => Mention::Nothing,
    }
}

/// The flag that names `file`: the argument before it, or the text before it in the same argument.
fn flag_of(stage: &Stage, file: FileId) -> Option<String> {
    let holds = |argument: &Argument| argument.0.contains(&Piece::File(file));
    let index = stage.args.iter().position(holds)?;
    let flag = match &stage.args[index].0[..] {
        [Piece::Text(flag), ..] => flag,
        _ => match &stage.args.get(index.checked_sub(1)?)?.0[..] {
            [Piece::Text(flag)] => flag,
            _ => return None,
        },
    };
    Some(flag.to_str()?.trim_end_matches('=').to_owned())
}
