//! The keys of a stage at work: what its tool is, is told and reads.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::request::environment::{self, VariableReader, word_depends_on_machine};
use crate::compile::stages::{nameless, shape};
use crate::exec::Command;
use crate::includes::line_insensitive;
use crate::key::{Digest, StageFacts};
use crate::plan::{FileId, Stage, Tool};
use crate::toolchain::Front;
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How a stage's result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredForm {
    /// As the tool wrote it, under a key that holds the module id.
    Named,
    /// With a place for the module id, which is in no key.
    Nameless,
}

/// The keys of one stage by the form of what is under them.
pub(super) struct Keys {
    /// Of the form without the module id; `None` if the tool makes more of that than names.
    pub nameless: Option<Pair>,
    /// `None` if every result has the other form.
    pub named: Option<Pair>,
}

/// The keys of one stage in one form.
pub(super) struct Pair {
    /// Of what it reads as it is.
    pub exact: Digest,
    /// Without the numbers of lines that do not reach what the stage writes; `None` if they do.
    pub line_insensitive: Option<Digest>,
}

impl Keys {
    /// Every key, in the order in which they are asked for.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Digest, StoredForm)> {
        let nameless = self
            .nameless
            .iter()
            .map(|pair| (pair, StoredForm::Nameless));
        let named = self.named.iter().map(|pair| (pair, StoredForm::Named));
        let both = nameless.chain(named);
        both.flat_map(|(pair, form)| {
            let keys = std::iter::once(&pair.exact).chain(&pair.line_insensitive);
            keys.map(move |key| (key, form))
        })
    }
}

/// What the keys of a unit's stages are made of; grows as stages are done.
pub(super) struct StageInputs<'a> {
    pub work: &'a UnitContext<'a>,
    /// What its passes read.
    pub read: &'a PassResults,
    /// The passes without the numbers of lines; `None` if every byte counts.
    pub line_insensitive: Option<&'a LineInsensitive>,
    /// The module id.
    pub id: &'a [u8],
    /// Of the portable form of each file in the workspace that a key may need.
    pub digests: HashMap<FileId, Digest>,
    /// Digests without the module id, of files that hold it in names alone.
    pub nameless: HashMap<FileId, Digest>,
}

impl StageInputs<'_> {
    /// The stage's keys; `None` for one that always runs, or reads a file without a known digest.
    pub(super) fn keys(&self, stage: &Stage, command: &Command) -> Option<Keys> {
        let pair = |exact: HashMap<FileId, Digest>,
                    line_insensitive: Option<HashMap<FileId, Digest>>| {
            Some(Pair {
                exact: self.key(stage, command, &exact)?,
                line_insensitive: line_insensitive
                    .and_then(|digests| self.key(stage, command, &digests)),
            })
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

    /// The digests of what ptxas reads, without the module id; `None` if it makes more of that than
    /// names.
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

    /// The digests of what the stage reads, without the numbers of lines that do not reach what it
    /// writes; `None` if they do, or if every byte counts. cudafe++ writes them all.
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

    /// The text of a file of C++ that cudafe++ or cicc has written, whatever its stub is called here; none
    /// inside where there is no such text.
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

    fn key(
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
        let host = stage.tool == Tool::HostCompile;
        let named = shape::names_count(stage);
        let mut inputs = Vec::with_capacity(stage.reads.len());
        for file in &stage.reads {
            let name = shape::base_name(&work.plan.file(*file).path);
            let name = if named { name.as_bytes() } else { b"" };
            inputs.push((name.to_vec(), *digests.get(file)?));
        }
        let mut arguments = shape::arguments(work, stage);
        let directories = work.facts.directory.bytes();
        let located = named || matches!(stage.tool, Tool::Cudafe | Tool::Cicc);
        let reader = if host {
            // Compilers look for their parts beside themselves.
            arguments.insert(0, stage.program.as_bytes().to_vec());
            VariableReader::HostCompiler
        } else {
            VariableReader::CudaTool
        };
        let facts = StageFacts {
            tool: &tool,
            inputs: &inputs,
            directory: if located { &directories } else { &[] },
            environment: &environment::reaching(reader, &work.facts.environment),
            machine: &if arguments.iter().any(|word| word_depends_on_machine(word)) {
                environment::machine()
            } else {
                Vec::new()
            },
            diagnostics: if host {
                work.commands.diagnostics.name()
            } else {
                b"plain"
            },
            debug_directory: host.then(|| work.commands.mapped.as_bytes()),
            host: if host { &work.host.commands } else { &[] },
            host_headers: if host { &self.read.host_headers } else { &[] },
            arguments: &arguments,
        };
        Some(facts.key())
    }

    /// The identity of the stage's tool; none for tools whose stages always run.
    fn tool(&self, stage: &Stage, program: &Path) -> Option<Digest> {
        const HOST: [&str; 4] = ["host", "cc1plus", "cc1", "as"];
        let toolchain = self.work.commands.toolchain;
        let real = fs::canonicalize(program).ok()?;
        match stage.tool {
            Tool::Cudafe => toolchain.part("cudafe++", &real, |role| role == "cudafe++"),
            Tool::Cicc => {
                // And libdevice.
                let is_part = |role: &str| role == "cicc" || role.ends_with(".bc");
                toolchain.part("cicc", &real, is_part)
            }
            Tool::Ptxas => toolchain.part("ptxas", &real, |role| role == "ptxas"),
            Tool::Fatbinary | Tool::EmptyFatbinary => {
                toolchain.part("fatbinary", &real, |role| role == "fatbinary")
            }
            // A script in the place of a part may do something else each time.
            Tool::HostCompile if toolchain.front == Front::Programs => {
                toolchain.part("host", &real, |role| HOST.contains(&role))
            }
            _ => None,
        }
    }
}
