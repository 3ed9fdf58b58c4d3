//! Sources that differ in what no compiler sees: comments, blanks, and the numbers of lines where
//! nothing tells them. `docs/design/semantic.md` says why what is equal here makes equal outputs.
//!
//! Two rules, for two moments. [`TokenSet`]: files keep their tokens and the lines that these stand
//! on; known before anything runs. [`LineInsensitive`]: lines have moved; known after preprocessing.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::preprocess;
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::run::commands::template;
use crate::includes::line_insensitive::{self, LineInsensitiveDigest};
use crate::key::{Digest, Digester, Pass, Sink};
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

/// The built-in functions that tell columns.
const TELLING_COLUMNS: [&[u8]; 2] = [b"__builtin_COLUMN", b"__builtin_source_location"];

/// Why every byte of the sources of `work` counts, if it does.
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

/// Scans the preprocessed texts for builtins that observe columns.
pub(crate) fn observed(work: &UnitContext<'_>) -> Option<ObservedPositions> {
    let stages = work.passes.stages(work.plan, work.unit);
    let texts = stages.iter().map(|(_, stage)| {
        let text = preprocess::text(work, stage).ok()?;
        let told = |name: &[u8]| memmem::find(&text, name).is_some();
        Some(if TELLING_COLUMNS.into_iter().any(told) {
            ObservedPositions::Columns
        } else {
            ObservedPositions::Lines
        })
    });
    texts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The passes of a unit without the numbers of lines that reach no output.
pub(crate) struct LineInsensitive {
    /// For the key, sorted.
    pub passes: Vec<Pass>,
    /// Of each pass's text.
    pub texts: HashMap<FileId, Digest>,
    /// Whether `#line` gives the lines of some file another name.
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
        let digests = all_digests(&texts.collect::<Option<Vec<_>>>()?)?;
        let mut found = Self {
            passes: Vec::new(),
            texts: HashMap::new(),
            renames: false,
        };
        for (stage, moved) in stages.into_iter().zip(digests) {
            found.texts.insert(stage.output?, moved.digest);
            found.renames |= moved.renames;
            found.passes.push(Pass {
                command: template(work.plan, stage),
                digest: moved.digest,
                printed: None,
            });
        }
        let order = |pass: &Pass| (pass.command.clone(), pass.digest);
        found.passes.sort_by_key(order);
        Some(found)
    }
}

/// The digests of `texts` without the numbers of lines, taken side by side.
fn all_digests(texts: &[Vec<u8>]) -> Option<Vec<LineInsensitiveDigest>> {
    thread::scope(|scope| {
        let texts = texts.iter();
        let readers: Vec<_> = texts
            .map(|text| scope.spawn(|| line_insensitive::line_insensitive_digest(text)))
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

/// The key of a unit whose `exact` key was made with [`LineInsensitive::passes`].
pub(crate) fn line_insensitive_key(exact: &Digest) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc semantic 1");
    sink.one("unit", exact);
    sink.finish()
}
