//! What the stages of one unit left in the workspace, and the sources that it quotes.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::{QuotedSource, ReadFiles};
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

/// Takes what the stages left in the workspace.
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
            product.printed.push((*number, printed));
        }
    }
    Ok(product)
}

/// A check reads the user's own file, and its messages name that. They must not name ours.
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

/// The output as it is the same on every run: line markers in the text that `-cuda` gives name
/// the work directory.
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

/// The unit's temporaries that exist, as `--keep` leaves them.
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

/// The sources of which the product holds lines as they are written, or may.
pub(crate) fn quoted(
    work: &UnitContext<'_>,
    product: &Product,
    known: &ReadFiles,
    line_insensitive: Option<&LineInsensitive>,
) -> Option<Vec<QuotedSource>> {
    // What the host compiler reads itself it may warn of or digest as it is written, whatever a pass shows.
    let whole = work.passes.compile_sources();
    if whole || work.copies_sources() || work.measures_sources() {
        return quoted_sources::all(known);
    }
    // Messages of ptxas and fatbinary mention the PTX, not the sources.
    let may_quote = |number| !matches!(work.stage(number).tool, Tool::Ptxas | Tool::Fatbinary);
    let printed = product.printed.iter();
    let printed: Vec<_> = printed
        .filter(|(number, _)| may_quote(*number))
        .flat_map(|(_, printed)| printed.texts())
        .collect();
    let named = line_insensitive.filter(|line_insensitive| !line_insensitive.renames);
    match named.and_then(|_| quoted_sources::named(known, &printed)) {
        _ if printed.is_empty() => Some(Vec::new()),
        None => quoted_sources::all(known),
        named => named,
    }
}
