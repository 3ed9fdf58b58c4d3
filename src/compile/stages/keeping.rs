//! Stores what a stage has made.

use crate::compile::inputs::known_files::QuotedSources;
use crate::compile::inputs::quoted_sources;
use crate::compile::run::printed::Printed;
use crate::compile::stages::host_texts::KnownText;
use crate::compile::stages::keys::{Keys, StoredForm};
use crate::compile::stages::nameless;
use crate::compile::stages::record::{SCHEMA, StageOutput, StageRecord};
use crate::compile::stages::stage_cache::{Stages, WrittenContent};
use crate::plan::{Stage, Tool};

impl Stages<'_> {
    /// Stores the stage's result under the keys of its form. Best effort: if it fails, the stage runs again next time.
    pub(super) fn store(
        &self,
        stage: &Stage,
        number: usize,
        (keys, form): (&Keys, StoredForm),
        contents: &[WrittenContent],
    ) -> Option<()> {
        self.inputs.work.check_settings().ok()?;
        let cache = self.inputs.work.cache;
        let printed = self.inputs.work.commands.workspace.printed(number);
        // CUDA's own tools quote the preprocessed text, which is their input and so part of the key. The host
        // compiler's messages quote lines of the sources.
        let quotes_sources = match stage.tool {
            Tool::HostCompile => !printed.is_empty(),
            Tool::Cicc => self.inputs.work.copies_sources(),
            Tool::Ptxas => self.inputs.work.measures_sources(),
            _ => false,
        };
        let sources = if quotes_sources {
            self.sources()?
        } else {
            QuotedSources::default()
        };
        let (outputs, texts) = self.keep_files(stage, contents)?;
        // What is printed may name the module id too, so it is stored in the form of the files.
        let [stdout, stderr] = self.in_form(&printed, form)?.keep(cache)?;
        let record = StageRecord {
            schema: SCHEMA,
            outputs,
            texts,
            stdout,
            stderr,
            sources,
            source: self.inputs.work.source(),
        };
        let keys = match form {
            StoredForm::Named => keys.named.as_ref()?,
            StoredForm::Nameless => keys.nameless.as_ref()?,
        };
        cache.keep_stage_record(&keys.exact, &serde_json::to_vec(&record).ok()?);
        // Under this key, the files that messages mention must be unchanged, as their lines must not have moved.
        if let Some(line_insensitive) = &keys.line_insensitive
            && let Some(sources) = self.named(&printed)
        {
            let record = StageRecord { sources, ..record };
            cache.keep_stage_record(line_insensitive, &serde_json::to_vec(&record).ok()?);
        }
        Some(())
    }

    /// Stores the files of a stage: their bytes, or what is known of a text.
    fn keep_files(
        &self,
        stage: &Stage,
        contents: &[WrittenContent],
    ) -> Option<(Vec<StageOutput>, Vec<KnownText>)> {
        let cache = self.inputs.work.cache;
        let mut outputs = Vec::with_capacity(contents.len());
        let mut texts = Vec::new();
        for content in contents {
            if self.two_steps.is_some()
                && let Some(text) =
                    KnownText::of(&self.inputs, stage, &content.file, &content.bytes)
            {
                texts.push(text);
                continue;
            }
            let bytes = content.nameless.as_ref().unwrap_or(&content.bytes);
            let is_result = content
                .file
                .file
                .is_some_and(|file| self.inputs.work.unit.results.contains(&file));
            outputs.push(StageOutput {
                flag: content.file.flag.clone(),
                artefact: if is_result {
                    cache.keep_artefact(bytes)?
                } else {
                    cache.keep_intermediate(bytes)?
                },
            });
        }
        Some((outputs, texts))
    }

    /// The files that `printed` may mention; `None` if they cannot be determined.
    fn named(&self, printed: &Printed) -> Option<QuotedSources> {
        if printed.is_empty() {
            return Some(QuotedSources::default());
        }
        self.inputs
            .line_insensitive
            .filter(|line_insensitive| !line_insensitive.renames)?;
        self.sources()?;
        quoted_sources::named(&self.inputs.read.known, &printed.texts())
    }

    /// What a stage printed, in the form in which it is stored.
    fn in_form(&self, printed: &Printed, form: StoredForm) -> Option<Printed> {
        match form {
            StoredForm::Named => Some(printed.clone()),
            StoredForm::Nameless => Some(Printed {
                stdout: nameless::remove(&printed.stdout, self.inputs.id)?,
                stderr: nameless::remove(&printed.stderr, self.inputs.id)?,
            }),
        }
    }

    /// Every file that the unit's passes read. `None` if one has changed since they read it.
    fn sources(&self) -> Option<QuotedSources> {
        self.sources.get_or_init(|| self.digest_sources()).clone()
    }

    fn digest_sources(&self) -> Option<QuotedSources> {
        let files = self.inputs.read.known.resolve().ok()?;
        let sources = files.sources()?;
        files.check_unchanged(self.inputs.work.started).ok()?;
        Some(sources)
    }
}
