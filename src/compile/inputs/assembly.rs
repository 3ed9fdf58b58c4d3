//! Finds what the assemblers of a unit read besides their input: by their depfiles if they write them, otherwise by
//! looking for directives in their input.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::directives;
use crate::compile::inputs::evidence::{files_of_assembler, line_files};
use crate::compile::inputs::known_files::RealFiles;
use crate::compile::inputs::preprocess;
use crate::includes::lookups::NotStored;
use crate::plan::{FileId, FileKind, Piece, Stage, Tool};
use crate::toolchain::HostFamily;
use std::collections::BTreeSet;
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

/// The files that the assembler of a host compile included. GNU as lists the files it read, but a file with the same
/// name as its own source goes unnoticed. If there is such a file, and if clang assembles by itself, its input must not
/// have directives that read files.
pub(crate) fn included_binaries(
    work: &UnitContext<'_>,
    stage: &Stage,
    number: usize,
) -> Result<BTreeSet<PathBuf>, NotStored> {
    let paths = stage
        .reads
        .iter()
        .map(|file| Path::new(&work.plan.file(*file).path));
    let names: Vec<_> = paths.filter_map(Path::file_name).collect();
    if work.commands.toolchain.host == HostFamily::Gnu {
        binaries_besides(work, number, &names, &names)
    } else {
        check_directives(work, directives::check).map(|()| BTreeSet::new())
    }
}

/// The files that the assembler of stage `number` included. Its depfile calls its input by one of `inputs`; `sources`
/// are those of the host compile.
pub(crate) fn binaries_besides(
    work: &UnitContext<'_>,
    number: usize,
    inputs: &[&OsStr],
    sources: &[&OsStr],
) -> Result<BTreeSet<PathBuf>, NotStored> {
    let files = files_of_assembler(work.commands.workspace, number, inputs)?;
    check_own_names(work, sources)?;
    check_binaries(work, &files)?;
    Ok(files)
}

/// Checks that the assembler included `files` by their own names, each as a path from the working directory. It looks
/// there before it searches the directories of `-I`, so no other file can take the place of one. `.include` searches in
/// another order.
fn check_binaries(work: &UnitContext<'_>, files: &BTreeSet<PathBuf>) -> Result<(), NotStored> {
    let Some(first) = files.first() else {
        return Ok(());
    };
    if !work.commands.toolchain.ends_in_gcc() || work.host.additions.is_some() {
        return Err(format!("the assembler read {}", first.display()));
    }
    check_directives(work, directives::check_besides_incbin)?;
    for stage in host_compiles(work) {
        // A path below `.` is one from the working directory.
        let is_other = |path: &&Path| path.as_os_str() != "." && !path.as_os_str().is_empty();
        for directory in directories(stage).filter(is_other) {
            let prefix = [directory.as_os_str().as_bytes(), b"/"].concat();
            let is_below = |path: &&PathBuf| path.as_os_str().as_bytes().starts_with(&prefix);
            if let Some(path) = files.iter().find(is_below) {
                let path = path.display();
                return Err(format!("the assembler may have searched for {path}"));
            }
        }
    }
    Ok(())
}

/// Checks for directives if the assembler may find other files with the names of its sources: its depfile does not
/// distinguish them.
fn check_own_names(work: &UnitContext<'_>, names: &[&OsStr]) -> Result<(), NotStored> {
    if host_compiles(work).any(|stage| names.iter().any(|name| may_assemble(stage, name))) {
        check_directives(work, directives::check)
    } else {
        Ok(())
    }
}

/// Returns the doubt that `check` has about an input of the host compiler.
pub(crate) fn check_directives(
    work: &UnitContext<'_>,
    check: fn(&[u8]) -> Result<(), NotStored>,
) -> Result<(), NotStored> {
    let mut compiles = host_compiles(work).peekable();
    if compiles.peek().is_none() {
        return Ok(());
    }
    let is_generated = |file: &&FileId| work.plan.file(**file).kind == FileKind::Temp;
    // Only the output of cudafe++: the stub and the fatbinary hold no text of the user's.
    let generated: Vec<_> = compiles
        .flat_map(|stage| stage.reads.iter().filter(is_generated))
        .map(|file| work.commands.workspace.locate(work.plan, *file))
        .filter(|path| path.as_os_str().as_bytes().ends_with(b".cpp"))
        .collect();
    // A text that the store does not hold has passed the strictest check.
    let exists = |path: &PathBuf| path.exists();
    let read =
        |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let runtime = work.passes.runtime.iter();
    let has_stub = host_compiles(work).any(|stage| stage.tool == Tool::StubCompile);
    let texts = if has_stub {
        // The output of fatbinary, which the pass leaves out, holds no text of the user's.
        let texts = runtime.map(|(_, pass)| preprocess::text(work, pass));
        let texts = texts.collect::<Result<_, _>>();
        texts.map_err(|_| "a pass is gone".to_owned())?
    } else if generated.is_empty() {
        preprocess::texts(work).map_err(|_| "a pass is gone".to_owned())?
    } else {
        let generated = generated.iter().filter(|path| exists(path));
        generated.map(read).collect::<Result<Vec<_>, _>>()?
    };
    texts.iter().try_for_each(|text| check(text))
}

/// The host compiles of the unit.
fn host_compiles<'a>(work: &UnitContext<'a>) -> impl Iterator<Item = &'a Stage> {
    let plan = work.plan;
    let stages = work.unit.stages.iter().map(|number| &plan.stages[*number]);
    stages.filter(|stage| matches!(stage.tool, Tool::HostCompile | Tool::StubCompile))
}

/// Whether the assembler of `stage` may find a file called `name`: in its working directory, or along `-I`.
fn may_assemble(stage: &Stage, name: &OsStr) -> bool {
    let mut directories = directories(stage).chain([Path::new("")]);
    directories.any(|directory| directory.join(name).exists())
}

/// The directories that the assembler of `stage` may search, which are those of `-I`, and other arguments: any argument
/// may be a directory, since the value of -I may be an argument of its own.
fn directories(stage: &Stage) -> impl Iterator<Item = &Path> {
    let pieces = stage.args.iter().flat_map(|argument| &argument.0);
    let texts = pieces.filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_bytes()),
        Piece::File(_) => None,
    });
    texts
        .map(|text| text.strip_prefix(b"-I").unwrap_or(text))
        .map(|text| Path::new(OsStr::from_bytes(text)))
}
