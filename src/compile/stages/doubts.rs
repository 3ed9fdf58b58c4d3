//! Doubts about the result of a stage: what keeps it out of the store.

use crate::compile::inputs::assembly::{check_line_files, included_binaries};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::evidence::check_headers;
use crate::compile::inputs::known_files::RealFiles;
use crate::compile::run::mentions::mentions;
use crate::compile::run::printed::Printed;
use crate::compile::stages::keys::StageInputs;
use crate::compile::stages::shape;
use crate::includes::lookups::NotStored;
use crate::plan::{Stage, Tool};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Checks that the result depends on nothing but what the key holds.
pub(super) fn check(
    inputs: &StageInputs<'_>,
    is_split: bool,
    (stage, number): (&Stage, usize),
    contents: &[&[u8]],
) -> Result<(), NotStored> {
    let work = inputs.work;
    work.mounts.check()?;
    let workspace = work.commands.workspace;
    let root = workspace.root().as_os_str().as_bytes();
    let printed = workspace.printed(number);
    let mut texts = contents.iter().copied().chain(printed.texts());
    if texts.any(|bytes| mentions(bytes, root)) {
        return Err("it names the work directory".to_owned());
    }
    // What else a tool may read or mention depends on the tool.
    match stage.tool {
        Tool::Cudafe => check_stub_name(work, stage, &printed),
        Tool::Ptxas => {
            check_line_files(work, stage, &inputs.read.known.resolve()?)?;
            if shape::names_count(stage) {
                return Ok(());
            }
            let files = stage.reads.iter().chain(&stage.writes);
            let mut names = files.map(|file| shape::base_name(&work.plan.file(*file).path));
            let is_mentioned = |name: &&OsStr| {
                let mut cubins = contents.iter();
                cubins.any(|cubin| mentions(cubin, name.as_bytes()))
            };
            match names.find(is_mentioned) {
                Some(name) => Err(format!("it names {}", name.display())),
                None => Ok(()),
            }
        }
        Tool::HostCompile => {
            let headers = inputs.read.host_headers.iter();
            let paths = headers.map(|header| Path::new(OsStr::from_bytes(&header.path)));
            let headers = RealFiles::of(paths)?;
            check_headers(workspace, number, &headers)?;
            work.check_host()?;
            if !is_split {
                // They are in the key of the unit alone.
                if let Some(binary) = included_binaries(work, stage, number)?.first() {
                    return Err(format!("the assembler read {}", binary.display()));
                }
            }
            headers.check_unchanged(work.started)
        }
        _ => Ok(()),
    }
}

/// Checks that the output of cudafe++ mentions the stub's name only because of its flag: neither the source nor
/// another argument contains it. Nor does `printed`, which is stored as it is.
fn check_stub_name(
    work: &UnitContext<'_>,
    stage: &Stage,
    printed: &Printed,
) -> Result<(), NotStored> {
    let Some(name) = shape::stub_name(stage).map(|name| name.as_bytes()) else {
        return Ok(());
    };
    let arguments = shape::arguments(work, stage);
    let mut texts = arguments.iter().map(Vec::as_slice).chain(printed.texts());
    let mut is_elsewhere = texts.any(|text| mentions(text, name));
    for file in &stage.reads {
        let path = work.commands.workspace.locate(work.plan, *file);
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        is_elsewhere |= mentions(&text, name);
    }
    if is_elsewhere {
        Err("the source mentions its stub".to_owned())
    } else {
        Ok(())
    }
}

/// More than this that fatbinary wrote is not stored: it takes 9 ms to write 0.5 MB, in which the device code is
/// compressed already.
const LONGEST_FATBINARY: usize = 64 << 10;

/// Fails if what `stage` wrote takes more room in the store than the stage is worth.
pub(super) fn worth_storing(stage: &Stage, contents: &[&[u8]]) -> Result<(), NotStored> {
    let length: usize = contents.iter().map(|bytes| bytes.len()).sum();
    if stage.tool == Tool::Fatbinary && length > LONGEST_FATBINARY {
        return Err(format!(
            "{length} bytes are written again as fast as they are read"
        ));
    }
    Ok(())
}
