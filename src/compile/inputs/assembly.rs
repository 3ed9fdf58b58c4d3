//! What the assemblers of a unit read besides what they are given: asked where they tell it, and ruled out by
//! the text that they are given where they do not.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::directives;
use crate::compile::inputs::evidence::{assembler_read_only, line_files};
use crate::compile::inputs::known_files::RealFiles;
use crate::compile::inputs::preprocess;
use crate::includes::lookups::Doubt;
use crate::plan::{FileId, FileKind, Piece, Stage, Tool};
use crate::toolchain::HostFamily;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// ptxas looks at the files that its PTX names for lines, which `#line` or the PTX's author may have
/// chosen. The result is only known to be right while these are sources that it is tied to.
pub(crate) fn check_line_files(
    work: &UnitContext<'_>,
    stage: &Stage,
    files: &RealFiles,
) -> Result<(), Doubt> {
    let paths = stage.reads.iter();
    for path in paths.map(|file| work.commands.workspace.locate(work.plan, *file)) {
        let ptx = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let named = line_files(&ptx).ok_or("line information names files in no plain way")?;
        let is_tied = |path: &PathBuf| work.measures_sources() && files.holds(path);
        if let Some(stray) = named.iter().find(|path| !is_tied(path)) {
            return Err(format!("line information names {}", stray.display()));
        }
    }
    Ok(())
}

/// GNU as says what it read, but for files called like its own source. Where there is one, and where
/// clang assembles by itself, what it is given must not have the directives that read files.
pub(crate) fn check_assembly(
    work: &UnitContext<'_>,
    stage: &Stage,
    number: usize,
) -> Result<(), Doubt> {
    let paths = stage
        .reads
        .iter()
        .map(|file| Path::new(&work.plan.file(*file).path));
    let names: Vec<_> = paths.filter_map(Path::file_name).collect();
    let gnu = work.commands.toolchain.host == HostFamily::Gnu;
    if gnu {
        assembler_read_only(work.commands.workspace, number, &names)
            .and_then(|()| check_own_names(work, &names))
    } else {
        check_directives(work)
    }
}

/// The assembler names its sources, which are called `names`, and cannot tell others of these names from
/// them.
pub(crate) fn check_own_names(work: &UnitContext<'_>, names: &[&OsStr]) -> Result<(), Doubt> {
    let stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let mut compiles = stages.filter(|stage| stage.tool == Tool::HostCompile);
    if compiles.any(|stage| names.iter().any(|name| may_assemble(stage, name))) {
        check_directives(work)
    } else {
        Ok(())
    }
}

/// Nothing that the host compiler is given makes its assembler read a file.
pub(crate) fn check_directives(work: &UnitContext<'_>) -> Result<(), Doubt> {
    let compiles = work.unit.stages.iter().map(|number| work.stage(*number));
    let compiles = compiles.filter(|stage| stage.tool == Tool::HostCompile);
    if compiles.clone().next().is_none() {
        return Ok(());
    }
    let is_own = |file: &&FileId| work.plan.file(**file).kind == FileKind::Temp;
    let generated = compiles.flat_map(|stage| stage.reads.iter().filter(is_own));
    let generated = generated.map(|file| work.commands.workspace.locate(work.plan, *file));
    // Text that cudafe++ has written, and beside it the stub and the fatbinary, which hold none of the user's.
    let generated: Vec<_> = generated
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

/// Whether the assembler of `stage` finds a file called `name`: where it runs, or where headers are.
fn may_assemble(stage: &Stage, name: &OsStr) -> bool {
    // A blank may stand behind the option.
    let told = stage.args.iter().flat_map(|argument| &argument.0);
    let told = told.filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_bytes()),
        Piece::File(_) => None,
    });
    let directories = told.map(|text| text.strip_prefix(b"-I").unwrap_or(text));
    let directories = directories.map(|text| Path::new(OsStr::from_bytes(text)));
    let mut places = directories.chain([Path::new("")]);
    places.any(|directory| directory.join(name).exists())
}
