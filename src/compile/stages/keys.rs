//! The keys of a stage: its tool, its arguments, and what it reads.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::request::environment::{self, VariableReader};
use crate::compile::request::machine::{self, asks_for_processor};
use crate::compile::request::messages;
use crate::compile::stages::{nameless, shape};
use crate::exec::Command;
use crate::includes::line_insensitive;
use crate::key::{Digest, StageFacts};
use crate::plan::{FileId, Stage, Tool};
use crate::toolchain::{HOST_LIBRARY, ToolForms};
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The form in which a stage's result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredForm {
    /// As the tool wrote it, under a key that includes the module id.
    Named,
    /// With a placeholder for the module id, which is not part of the key.
    Nameless,
}

/// The keys of one stage, by the form in which its result is stored.
pub(super) struct Keys {
    /// For [`StoredForm::Nameless`]. `None` if the tool uses the module id for more than names.
    pub nameless: Option<Pair>,
    /// For [`StoredForm::Named`]. `None` if every result is stored nameless.
    pub named: Option<Pair>,
}

/// The keys of one stage in one form.
pub(super) struct Pair {
    /// Over the exact inputs of the stage.
    pub exact: Digest,
    /// Over line-insensitive digests of its inputs; `None` if line numbers reach its output.
    pub line_insensitive: Option<Digest>,
}

impl Keys {
    /// Every key, in the order in which they are looked up.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Digest, StoredForm)> {
        let nameless = self
            .nameless
            .iter()
            .map(|pair| (pair, StoredForm::Nameless));
        let named = self.named.iter().map(|pair| (pair, StoredForm::Named));
        nameless.chain(named).flat_map(|(pair, form)| {
            let keys = std::iter::once(&pair.exact).chain(&pair.line_insensitive);
            keys.map(move |key| (key, form))
        })
    }
}

/// The data from which the keys of a unit's stages are computed. Digests are added as stages end.
pub(super) struct StageInputs<'a> {
    pub work: &'a UnitContext<'a>,
    /// What its passes read.
    pub read: &'a PassResults,
    /// The line-insensitive digests of the passes; `None` if every byte of the sources matters.
    pub line_insensitive: Option<&'a LineInsensitive>,
    /// The module id.
    pub id: &'a [u8],
    /// The digest of the portable form of each file in the workspace that a key may need.
    pub digests: HashMap<FileId, Digest>,
    /// Digests without the module id, of files that contain it only in names.
    pub nameless: HashMap<FileId, Digest>,
}

impl StageInputs<'_> {
    /// The stage's keys. `None` if the stage always runs, or reads a file without a known digest.
    pub(super) fn keys(&self, stage: &Stage, command: &Command) -> Option<Keys> {
        let pair = |exact: HashMap<FileId, Digest>, line_insensitive| {
            self.pair(stage, command, &exact, line_insensitive)
        };
        let line_insensitive = self.without_lines(stage);
        let nameless = match stage.tool {
            Tool::Cicc if !self.id.is_empty() => {
                let without_id = |mut digests: HashMap<FileId, Digest>| {
                    // No text has this digest.
                    digests.extend(self.work.unit.module_id.map(|file| (file, [0; 32])));
                    digests
                };
                pair(
                    without_id(self.digests.clone()),
                    line_insensitive.clone().map(without_id),
                )
            }
            Tool::Ptxas => self.carried(stage).and_then(|digests| pair(digests, None)),
            _ => None,
        };
        let named = match (stage.tool, &nameless) {
            (Tool::Ptxas, Some(_)) => None,
            _ => pair(self.digests.clone(), line_insensitive),
        };
        (nameless.is_some() || named.is_some()).then_some(Keys { nameless, named })
    }

    /// The keys over the digests `exact` and `line_insensitive` of what the stage reads.
    fn pair(
        &self,
        stage: &Stage,
        command: &Command,
        exact: &HashMap<FileId, Digest>,
        line_insensitive: Option<HashMap<FileId, Digest>>,
    ) -> Option<Pair> {
        Some(Pair {
            exact: self.key(stage, command, exact)?,
            line_insensitive: line_insensitive
                .and_then(|digests| self.key(stage, command, &digests)),
        })
    }

    /// The digests of what ptxas reads, without the module id; `None` if ptxas uses it for more than names.
    fn carried(&self, stage: &Stage) -> Option<HashMap<FileId, Digest>> {
        if self.id.is_empty() || shape::names_count(stage) {
            return None;
        }
        let mut digests = self.digests.clone();
        for file in &stage.reads {
            digests.insert(*file, *self.nameless.get(file)?);
            let path = self.work.commands.workspace.locate(self.work.plan, *file);
            if !nameless::is_carried_through(&fs::read(path).ok()?) {
                return None;
            }
        }
        Some(digests)
    }

    /// The line-insensitive digests of what the stage reads. `None` if line numbers reach its output (cudafe++ writes
    /// all of them), or if every byte of the sources matters.
    fn without_lines(&self, stage: &Stage) -> Option<HashMap<FileId, Digest>> {
        let line_insensitive = self.line_insensitive?;
        let mut digests = self.digests.clone();
        match stage.tool {
            Tool::Cicc => digests.extend(&line_insensitive.texts),
            Tool::HostCompile => {
                for &file in &stage.reads {
                    if let Some(text) = self.generated(file) {
                        digests.insert(
                            file,
                            line_insensitive::line_insensitive_digest(&text?)
                                .ok()?
                                .digest,
                        );
                    }
                }
            }
            _ => return None,
        }
        Some(digests)
    }

    /// The content of a C++ file that cudafe++ or cicc has written, with a fixed name for the stub. The outer `None`
    /// means that another stage has written the file, the inner one that this form could not be produced.
    fn generated(&self, file: FileId) -> Option<Option<Vec<u8>>> {
        let mut stages = self.work.unit.stages.iter().copied();
        let writer = stages.find(|&number| {
            let stage = self.work.stage(number);
            matches!(stage.tool, Tool::Cudafe | Tool::Cicc) && stage.writes.contains(&file)
        })?;
        let written = shape::written(self.work, self.work.stage(writer), writer);
        let written = written.and_then(|files| {
            let mut files = files.into_iter();
            files.find(|written| written.file == Some(file))
        });
        Some(written.and_then(|written| written.mention.rename(fs::read(&written.path).ok()?)))
    }

    /// The key over `digests` of what the stage reads. `None` if the stage always runs, or one of them is missing.
    pub(super) fn key(
        &self,
        stage: &Stage,
        command: &Command,
        digests: &HashMap<FileId, Digest>,
    ) -> Option<Digest> {
        let work = self.work;
        if work.cache.store.is_none() || shape::reads_sources(work, stage) {
            return None;
        }
        let tool = self.tool(stage, &command.program)?;
        let is_host = stage.tool == Tool::HostCompile;
        // Names are part of the key only where they reach the output.
        let has_names = shape::names_count(stage);
        let mut inputs = Vec::with_capacity(stage.reads.len());
        for file in &stage.reads {
            let name = shape::base_name(&work.plan.file(*file).path);
            let name = if has_names { name.as_bytes() } else { b"" };
            inputs.push((name.to_vec(), *digests.get(file)?));
        }
        let mut arguments = shape::arguments(work, stage);
        let directories = work.facts.directory.bytes();
        let has_directory = has_names || matches!(stage.tool, Tool::Cudafe | Tool::Cicc);
        let reader = if is_host {
            // A compiler driver looks for its parts relative to its own path.
            arguments.insert(0, stage.program.as_bytes().to_vec());
            VariableReader::HostCompiler
        } else {
            VariableReader::CudaTool
        };
        let mut environment = environment::reaching(reader, &work.facts.environment);
        if is_host {
            environment.extend(messages::facts(work.facts.diagnostics));
        }
        let facts = StageFacts {
            tool: &tool,
            inputs: &inputs,
            directory: if has_directory { &directories } else { &[] },
            environment: &environment,
            machine: &if arguments.iter().any(|word| asks_for_processor(word)) {
                machine::processor()
            } else {
                Vec::new()
            },
            diagnostics: if is_host {
                work.commands.diagnostics.name()
            } else {
                b"plain"
            },
            debug_directory: is_host.then(|| work.commands.mapped.as_bytes()),
            host: if is_host { &work.host.commands } else { &[] },
            host_headers: if is_host {
                &self.read.host_headers
            } else {
                &[]
            },
            arguments: &arguments,
        };
        Some(facts.key())
    }

    /// The identity of the stage's tool; `None` for tools whose stages always run.
    fn tool(&self, stage: &Stage, program: &Path) -> Option<Digest> {
        const HOST: [&str; 5] = ["host", HOST_LIBRARY, "cc1plus", "cc1", "as"];
        let toolchain = self.work.commands.toolchain;
        let real = fs::canonicalize(program).ok()?;
        match stage.tool {
            Tool::Cudafe => toolchain.part("cudafe++", &real, |role| role == "cudafe++"),
            Tool::Cicc => {
                // And libdevice (`.bc`).
                let is_part = |role: &str| role == "cicc" || role.ends_with(".bc");
                toolchain.part("cicc", &real, is_part)
            }
            Tool::Ptxas => toolchain.part("ptxas", &real, |role| role == "ptxas"),
            Tool::Fatbinary | Tool::EmptyFatbinary => {
                toolchain.part("fatbinary", &real, |role| role == "fatbinary")
            }
            // A script in place of a part may do something else each time.
            Tool::HostCompile if toolchain.front == ToolForms::Programs => {
                toolchain.part("host", &real, |role| HOST.contains(&role))
            }
            _ => None,
        }
    }
}
