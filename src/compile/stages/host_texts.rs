//! The text that cudafe++ writes for the host compiler. It is by far the largest file of a compile, and is only read
//! again where the host compiler gets other options. So the store holds its digest alone, from which the key of the host
//! compile is made, and a note that the compile of this text is stored.

use crate::compile::inputs::directives;
use crate::compile::run::commands::Outputs;
use crate::compile::stages::keys::StageInputs;
use crate::compile::stages::shape::Written;
use crate::includes::shown;
use crate::key::{Digest, Digester, RootName, RootSet, Sink};
use crate::plan::{FileId, Stage, Tool};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that the store does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownText {
    /// The flag that names it.
    pub flag: String,
    /// The SHA-256 of its portable form, in hex.
    pub digest: String,
    /// The names of the roots that it shows.
    pub roots: Vec<String>,
}

impl KnownText {
    /// What is stored of the text `bytes`, which `stage` has written to `file`. `None` if the text must be stored: the
    /// checks of what the assembler reads have to look at it.
    pub(super) fn of(
        inputs: &StageInputs<'_>,
        stage: &Stage,
        file: &Written,
        bytes: &[u8],
    ) -> Option<Self> {
        if stage.tool != Tool::Cudafe {
            return None;
        }
        let digest = Sha256::digest(bytes).into();
        // Without a key, its host compile always runs.
        compiled_key(inputs, file.file?, &digest)?;
        directives::check(bytes).ok()?;
        let roots = shown::of_text(bytes, inputs.work.roots);
        Some(Self {
            flag: file.flag.clone(),
            digest: hex::encode(digest),
            roots: roots
                .names()
                .map(RootName::text)
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Its digest.
    pub(super) fn digest(&self) -> Option<Digest> {
        let mut digest = Digest::default();
        hex::decode_to_slice(&self.digest, &mut digest).ok()?;
        Some(digest)
    }

    /// The roots that it shows.
    pub(super) fn roots(&self) -> Option<RootSet> {
        RootSet::named(self.roots.iter().map(String::as_str))
    }
}

/// Whether the store has a host compile of the text with this digest in `file`.
pub(super) fn is_compiled(inputs: &StageInputs<'_>, file: FileId, text: &Digest) -> bool {
    let key = compiled_key(inputs, file, text);
    key.is_some_and(|key| inputs.work.cache.stage_record(&key).is_some())
}

/// Notes that the store has the host compile `stage` of the texts that it reads.
pub(super) fn note_compiled(inputs: &StageInputs<'_>, stage: &Stage) {
    let cache = inputs.work.cache;
    for file in stage
        .reads
        .iter()
        .filter(|file| is_by_cudafe(inputs, **file))
    {
        let text = inputs.digests.get(file);
        let key = text.and_then(|text| compiled_key(inputs, *file, text));
        if let Some(key) = key
            && cache.intermediate_record(&key).is_none()
        {
            let source = inputs.work.source();
            let note = serde_json::json!({"compiled": true, "source": source});
            cache.keep_stage_record(&key, note.to_string().as_bytes());
        }
    }
}

/// The key of the note: that of the host compile as far as it is known when cudafe++ ends.
fn compiled_key(inputs: &StageInputs<'_>, file: FileId, text: &Digest) -> Option<Digest> {
    let work = inputs.work;
    let number = compile_of(inputs, file)?;
    let stage = work.stage(number);
    let command = work
        .commands
        .command(work.plan, stage, number, Outputs::Private)
        .ok()?;
    let unknown = |read: &FileId| (*read, Digest::default());
    let digests = stage.reads.iter().map(unknown).chain([(file, *text)]);
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc compiled text 1");
    sink.one("key", &inputs.key(stage, &command, &digests.collect())?);
    Some(sink.finish())
}

/// The host compile that alone reads `file`.
fn compile_of(inputs: &StageInputs<'_>, file: FileId) -> Option<usize> {
    let work = inputs.work;
    let mut readers = work.unit.stages.iter().copied().filter(|number| {
        let stage = work.stage(*number);
        stage.reads.contains(&file)
    });
    let reader = readers.next()?;
    let is_alone = readers.next().is_none() && !work.unit.results.contains(&file);
    (is_alone && work.stage(reader).tool == Tool::HostCompile).then_some(reader)
}

fn is_by_cudafe(inputs: &StageInputs<'_>, file: FileId) -> bool {
    let mut stages = inputs.work.unit.stages.iter();
    stages.any(|number| {
        let stage = inputs.work.stage(*number);
        stage.tool == Tool::Cudafe && stage.writes.contains(&file)
    })
}
