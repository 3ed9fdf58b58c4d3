//! Semantic matching: sources that differ only in comments, blanks, and line numbers that no output observes.
//! `docs/design/semantic.md` says why sources that are equal in this sense have equal outputs.
//!
//! There are two rules for two moments. [`TokenSet`]: all tokens and their lines are the same, which is checked before
//! any tool runs. [`LineInsensitive`]: lines have moved, which is checked after preprocessing.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::preprocess;
use crate::compile::inputs::preprocess::PassResults;
use crate::includes::line_insensitive::{self, LineInsensitiveDigest};
use crate::key::{Digest, Digester, Pass, Roots, Sink};
use crate::plan::FileId;
use memchr::memmem;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

/// Which source positions the output can observe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObservedPositions {
    #[default]
    Lines,
    Columns,
}

/// The built-in functions that return columns.
const COLUMN_BUILTINS: [&[u8]; 2] = [b"__builtin_COLUMN", b"__builtin_source_location"];

/// Why semantic matching is off for `work`, if it is.
pub(crate) fn semantic_off_reason(work: &UnitContext<'_>, read: &PassResults) -> Option<String> {
    let reason = match () {
        () if work.exact.is_some() => return work.exact.map(str::to_owned),
        () if !work.commands.toolchain.ends_in_gcc() => "the host compiler is not GCC",
        () if work.host.additions.is_some() => return work.host.additions.clone(),
        () if work.passes.compile_sources() => "a host source is compiled without a pass",
        () if read.known.raw().next().is_some() => "an input is not preprocessed",
        () if read.passes.iter().any(|pass| pass.printed.is_some()) => "the preprocessor prints",
        () => return None,
    };
    Some(reason.to_owned())
}

/// Scans the preprocessed texts for builtins that observe columns. `None` if a text cannot be read.
pub(crate) fn observed(work: &UnitContext<'_>) -> Option<ObservedPositions> {
    let stages = work.passes.stages(work.plan, work.unit);
    let texts = stages.iter().map(|(_, stage)| {
        let text = preprocess::text(work, stage).ok()?;
        let is_called = |name: &[u8]| memmem::find(&text, name).is_some();
        Some(if COLUMN_BUILTINS.into_iter().any(is_called) {
            ObservedPositions::Columns
        } else {
            ObservedPositions::Lines
        })
    });
    texts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The line-insensitive digests of a unit's passes.
pub(crate) struct LineInsensitive {
    /// The passes for the key, sorted.
    pub passes: Vec<Pass>,
    /// The digest of each pass's text, for stages.
    pub texts: HashMap<FileId, Digest>,
    /// The digest of each pass's text with the names of files below those of roots, for the module id.
    pub placeless: HashMap<FileId, Digest>,
    /// Whether a `#line` directive gives the lines of some file another file name.
    pub renames: bool,
}

impl LineInsensitive {
    /// Reads the passes of `work`. `None` if one cannot be read.
    pub(crate) fn of(work: &UnitContext<'_>) -> Option<Self> {
        let numbers = work.unit.passes.iter();
        let stages: Vec<_> = numbers.map(|&number| work.stage(number)).collect();
        let texts = stages
            .iter()
            .map(|stage| preprocess::text(work, stage).ok());
        let digests = all_digests(&texts.collect::<Option<Vec<_>>>()?, work.roots)?;
        let mut result = Self {
            passes: Vec::new(),
            texts: HashMap::new(),
            placeless: HashMap::new(),
            renames: false,
        };
        for (stage, text) in stages.into_iter().zip(digests) {
            let output = stage.output?;
            result.texts.insert(output, text.digest);
            result.placeless.insert(output, text.placeless);
            result.renames |= text.renames;
            result.passes.push(Pass {
                command: preprocess::pass_name(work.plan, stage),
                digest: text.placeless,
                printed: None,
            });
        }
        result
            .passes
            .sort_by_key(|pass| (pass.command.clone(), pass.digest));
        Some(result)
    }
}

/// Computes the line-insensitive digests of `texts` in parallel.
fn all_digests(texts: &[Vec<u8>], roots: &Roots) -> Option<Vec<LineInsensitiveDigest>> {
    thread::scope(|scope| {
        let texts = texts.iter();
        let readers: Vec<_> = texts
            .map(|text| scope.spawn(|| line_insensitive::digest_in_place(text, roots)))
            .collect();
        let mut digests = Vec::with_capacity(readers.len());
        for reader in readers {
            digests.push(
                reader
                    .join()
                    .unwrap_or_else(|panic| resume_unwind(panic))
                    .ok()?,
            );
        }
        Some(digests)
    })
}

/// The line-insensitive key of a unit. `exact` is its exact key, computed with [`LineInsensitive::passes`].
pub(crate) fn line_insensitive_key(exact: &Digest) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc semantic 1");
    sink.one("unit", exact);
    sink.finish()
}
