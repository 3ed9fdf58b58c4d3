//! Collects the result of a unit from the workspace, and the sources that it quotes.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::{QuotedSources, ReadFiles};
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::quoted_sources;
use crate::compile::run::mentions::mentions;
use crate::compile::run::printed::Printed;
use crate::compile::unit::product::{Product, intermediates};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Stage, Tool};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Reads the unit's outputs, kept files and messages from the workspace.
pub(crate) fn collect(work: &UnitContext<'_>) -> Result<Product, Detour> {
    let mut product = Product::default();
    for file in &work.unit.results {
        let path = work.commands.workspace.locate(work.plan, *file);
        let bytes = fs::read(&path).map_err(|error| {
            let name = work.plan.file(*file).path.display();
            Fallback::new(FallbackReason::MissingOutput, format!("{name}: {error}"))
        })?;
        product
            .outputs
            .push((*file, without_work_directory(work, *file, bytes)));
    }
    if work.facts.keep.is_some() {
        product.kept = kept(work);
    }
    for number in &work.unit.stages {
        let printed = work.commands.workspace.printed(*number);
        if work.stage(*number).is_check() {
            check_words(work, &printed)?;
        }
        if !printed.is_empty() {
            let printed = Printed {
                stdout: work.commands.workspace.as_printed(&printed.stdout),
                stderr: work.commands.workspace.as_printed(&printed.stderr),
            };
            product.printed.push((*number, printed));
        }
    }
    Ok(product)
}

/// Refuses messages that name the work directory. A check of the user's output names that file, which lies in the
/// work directory here.
fn check_words(work: &UnitContext<'_>, printed: &Printed) -> Result<(), Fallback> {
    let root = work.commands.workspace.root().as_os_str().as_bytes();
    if printed.texts().iter().any(|text| mentions(text, root)) {
        Err(Fallback::new(
            FallbackReason::Stage,
            "a check of the output names its file",
        ))
    } else {
        Ok(())
    }
}

/// The output in the form that is the same on every run: in the text that `-cuda` writes, line markers name the
/// work directory, which the keep directory replaces.
fn without_work_directory(work: &UnitContext<'_>, file: FileId, bytes: Vec<u8>) -> Vec<u8> {
    let mut stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let preprocessed =
        |stage: &Stage| stage.tool == Tool::HostPreprocess && stage.output == Some(file);
    if !stages.any(preprocessed) {
        return bytes;
    }
    let prefix = work.facts.keep.as_ref().map(|keep| keep.prefix.as_bytes());
    work.commands
        .workspace
        .renamed(&bytes, prefix.unwrap_or_default())
}

/// The unit's intermediate files that exist, as `--keep` leaves them.
fn kept(work: &UnitContext<'_>) -> Vec<(String, Vec<u8>)> {
    let files = intermediates(work.plan, work.unit).into_iter();
    let temps = files.filter(|file| work.plan.file(*file).kind == FileKind::Temp);
    temps
        .filter_map(|file| {
            let name = work.plan.file(file).path.to_str()?.to_owned();
            let bytes = fs::read(work.commands.workspace.locate(work.plan, file)).ok()?;
            let bytes = work
                .facts
                .as_kept(work.commands.workspace, OsStr::new(&name), bytes);
            Some((name, bytes))
        })
        .collect()
}

/// The sources whose lines the product may hold verbatim. `None` if one cannot be read.
pub(crate) fn quoted(
    work: &UnitContext<'_>,
    product: &Product,
    read_files: &ReadFiles,
    line_insensitive: Option<&LineInsensitive>,
) -> Option<QuotedSources> {
    // A host compiler that reads the sources itself may warn about them, or digest them, as they are written,
    // whatever the passes show.
    let reads_sources = work.passes.compile_sources();
    if reads_sources || work.copies_sources() || work.measures_sources() {
        return quoted_sources::all(read_files);
    }
    // Messages of ptxas and fatbinary mention the PTX, not the sources.
    let may_quote = |number| !matches!(work.stage(number).tool, Tool::Ptxas | Tool::Fatbinary);
    let printed = product.printed.iter();
    let printed: Vec<_> = printed
        .filter(|(number, _)| may_quote(*number))
        .flat_map(|(_, printed)| printed.texts())
        .collect();
    if printed.is_empty() {
        return Some(QuotedSources::default());
    }
    // Files are found by their names in messages, unless `#line` gives some file another name.
    line_insensitive
        .filter(|line_insensitive| !line_insensitive.renames)
        .and_then(|_| quoted_sources::named(read_files, &printed))
        .or_else(|| quoted_sources::all(read_files))
}
