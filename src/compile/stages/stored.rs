//! Finds the stored result of a stage.

use crate::compile::run::printed::Printed;
use crate::compile::stages::host_texts::{self, KnownText};
use crate::compile::stages::keys::StageInputs;
use crate::compile::stages::record::{SCHEMA, StageRecord};
use crate::compile::stages::shape::{self, Written};
use crate::key::Digest;
use crate::plan::Stage;

/// How the text that cudafe++ writes for the host compiler is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostTexts {
    /// Its digest is enough where the store has a host compile of it.
    ByDigest,
    /// It must be there.
    Whole,
}

/// A stage in the store.
pub(super) struct StoredStage {
    /// The files that this compile needs.
    pub outputs: Vec<(Written, StoredFile)>,
    pub printed: Printed,
}

/// A file of a stage in the store.
pub(super) enum StoredFile {
    /// Its bytes, in the form in which they are stored.
    Bytes(Vec<u8>),
    /// A text that is not stored, and need not be.
    Known(KnownText),
}

/// The stored stage, with all files that this compile needs. `None` if one is missing or damaged, or if a source
/// that the stage quotes has changed.
pub(super) fn fetch(
    inputs: &StageInputs<'_>,
    (stage, number): (&Stage, usize),
    key: &Digest,
    texts: HostTexts,
) -> Option<StoredStage> {
    let cache = inputs.work.cache;
    let record: StageRecord = serde_json::from_slice(&cache.intermediate_record(key)?).ok()?;
    if record.schema != SCHEMA || !record.sources.are_unchanged() {
        return None;
    }
    let written = shape::written(inputs.work, stage, number)?;
    let outputs = written.into_iter().filter(|file| file.needed).map(|file| {
        let mut outputs = record.outputs.iter();
        let stored = match outputs.find(|output| output.flag == file.flag) {
            Some(output) => StoredFile::Bytes(cache.artefact(&output.artefact)?),
            None if texts == HostTexts::ByDigest => {
                let text = record.texts.iter().find(|text| text.flag == file.flag)?;
                let is_compiled = host_texts::is_compiled(inputs, file.file?, &text.digest()?);
                StoredFile::Known(is_compiled.then(|| text.clone())?)
            }
            None => return None,
        };
        Some((file, stored))
    });
    Some(StoredStage {
        outputs: outputs.collect::<Option<_>>()?,
        printed: Printed::fetch(cache, [&record.stdout, &record.stderr])?,
    })
}
