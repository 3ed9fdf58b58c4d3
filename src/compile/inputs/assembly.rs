//! Checks that the assemblers of a unit read only their input: by their depfiles if they write them, otherwise by
//! looking for directives in their input.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::directives;
use crate::compile::inputs::evidence::{assembler_read_only, line_files};
use crate::compile::inputs::known_files::RealFiles;
use crate::compile::inputs::preprocess;
use crate::includes::lookups::NotStored;
use crate::plan::{FileId, FileKind, Piece, Stage, Tool};
use crate::toolchain::HostFamily;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Checks the files that the PTX of a ptxas stage names for its lines. ptxas looks at them, and `#line` or the PTX's
/// author may have named any file. The result stays valid only if all of them are sources that its record lists.
pub(crate) fn check_line_files(
    work: &UnitContext<'_>,
    stage: &Stage,
    files: &RealFiles,
) -> Result<(), NotStored> {
    let paths = stage.reads.iter();
    for path in paths.map(|file| work.commands.workspace.locate(work.plan, *file)) {
        let ptx = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let paths = line_files(&ptx).ok_or("line information names files in no plain way")?;
        let is_listed = |path: &PathBuf| work.measures_sources() && files.holds(path);
        if let Some(stray) = paths.iter().find(|path| !is_listed(path)) {
            return Err(format!("line information names {}", stray.display()));
        }
    }
    Ok(())
}

/// Checks what the assembler of a host compile read. GNU as lists the files it read, but a file with the same name as
/// its own source goes unnoticed. If there is such a file, and if clang assembles by itself, its input must not have
/// directives that read files.
pub(crate) fn check_assembly(
    work: &UnitContext<'_>,
    stage: &Stage,
    number: usize,
) -> Result<(), NotStored> {
    let paths = stage
        .reads
        .iter()
        .map(|file| Path::new(&work.plan.file(*file).path));
    let names: Vec<_> = paths.filter_map(Path::file_name).collect();
    if work.commands.toolchain.host == HostFamily::Gnu {
        assembler_read_only(work.commands.workspace, number, &names)
            .and_then(|()| check_own_names(work, &names))
    } else {
        check_directives(work)
    }
}

/// Checks for directives if the assembler may find other files with the names of its sources: its depfile does not
/// distinguish them.
pub(crate) fn check_own_names(work: &UnitContext<'_>, names: &[&OsStr]) -> Result<(), NotStored> {
    let stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let mut compiles = stages.filter(|stage| stage.tool == Tool::HostCompile);
    if compiles.any(|stage| names.iter().any(|name| may_assemble(stage, name))) {
        check_directives(work)
    } else {
        Ok(())
    }
}

/// Checks that no input of the host compiler has directives that make its assembler read a file.
pub(crate) fn check_directives(work: &UnitContext<'_>) -> Result<(), NotStored> {
    let compiles = work.unit.stages.iter().map(|number| work.stage(*number));
    let compiles = compiles.filter(|stage| stage.tool == Tool::HostCompile);
    if compiles.clone().next().is_none() {
        return Ok(());
    }
    let is_generated = |file: &&FileId| work.plan.file(**file).kind == FileKind::Temp;
    // Only the output of cudafe++: the stub and the fatbinary hold no text of the user's.
    let generated: Vec<_> = compiles
        .flat_map(|stage| stage.reads.iter().filter(is_generated))
        .map(|file| work.commands.workspace.locate(work.plan, *file))
        .filter(|path| path.as_os_str().as_bytes().ends_with(b".cpp"))
        .collect();
    let read =
        |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let texts = if generated.is_empty() {
        preprocess::texts(work).map_err(|_| "a pass is gone".to_owned())?
    } else {
        generated.iter().map(read).collect::<Result<Vec<_>, _>>()?
    };
    texts.iter().try_for_each(|text| directives::check(text))
}

/// Whether the assembler of `stage` may find a file called `name`: in its working directory, or along `-I`.
fn may_assemble(stage: &Stage, name: &OsStr) -> bool {
    let pieces = stage.args.iter().flat_map(|argument| &argument.0);
    let texts = pieces.filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_bytes()),
        Piece::File(_) => None,
    });
    // Any argument may be a directory, since the value of -I may be an argument of its own.
    let mut directories = texts
        .map(|text| text.strip_prefix(b"-I").unwrap_or(text))
        .map(|text| Path::new(OsStr::from_bytes(text)))
        .chain([Path::new("")]);
    directories.any(|directory| directory.join(name).exists())
}
