//! Derives preprocessing passes that nvcc does not print from stages that it does print.
//!
//! A key needs the preprocessed text of everything that is compiled. nvcc compiles host sources in one
//! stage, and the headers that its own generated code includes appear in no pass at all.
//! This module rewrites the arguments; the caller writes the files.

use super::error::PlanError;
use super::parts::{Argument, FileId, FileKind, Piece, Plan, PlanFile, Stage};
use super::tool::Tool;
use std::ffi::OsStr;

impl Plan {
    /// The stage that preprocesses what stage `stage`, a [`Tool::HostCompile`] of a user's source,
    /// compiles. It writes the new temporary file `output`, a path relative to the keep directory.
    ///
    /// The file is added to the plan; the stage is not.
    pub fn preprocess_variant(&mut self, stage: usize, output: &OsStr) -> Result<Stage, PlanError> {
        let (original, source) = self.host_stage(stage, &[Tool::HostCompile])?;
        if self.file(source).kind != FileKind::Input {
            return Err(PlanError::NoVariant { stage });
        }
        let output = self.add_temp(stage, output)?;
        preprocess(stage, &original, (source, source), output)
    }

    /// The stage that preprocesses `snippet` with the flags of stage `stage`, a [`Tool::HostCompile`] or
    /// [`Tool::HostPreprocess`] of cudafe++'s output. The caller writes the snippet, which includes the headers that
    /// nvcc's generated code includes: `"crt/host_runtime.h"` and `"fatbinary_section.h"`.
    ///
    /// Both paths are relative to the keep directory. Both files are added to the plan; the stage is not.
    pub fn host_runtime_pass(
        &mut self,
        stage: usize,
        snippet: &OsStr,
        output: &OsStr,
    ) -> Result<Stage, PlanError> {
        let tools = [Tool::HostCompile, Tool::HostPreprocess];
        let (original, source) = self.host_stage(stage, &tools)?;
        if self.file(source).kind != FileKind::Temp {
            return Err(PlanError::NoVariant { stage });
        }
        let snippet = self.add_temp(stage, snippet)?;
        let output = self.add_temp(stage, output)?;
        preprocess(stage, &original, (source, snippet), output)
    }

    /// The stage that preprocesses what stage `stage`, a [`Tool::StubCompile`], compiles: the toolkit's stub, which
    /// includes the output of fatbinary. It includes `snippet` instead, so that it can run before fatbinary. The caller
    /// writes the snippet, which includes what that output includes.
    ///
    /// Both paths are relative to the keep directory. Both files are added to the plan; the stage is not.
    pub fn stub_pass(
        &mut self,
        stage: usize,
        snippet: &OsStr,
        output: &OsStr,
    ) -> Result<Stage, PlanError> {
        let (mut original, fatbinary) = self.host_stage(stage, &[Tool::StubCompile])?;
        let kind = |file: FileId| self.file(file).kind;
        let [_, stub] = original.reads[..] else {
            return Err(PlanError::NoVariant { stage });
        };
        if (kind(fatbinary), kind(stub)) != (FileKind::Temp, FileKind::Input) {
            return Err(PlanError::NoVariant { stage });
        }
        let snippet = self.add_temp(stage, snippet)?;
        let output = self.add_temp(stage, output)?;
        let pieces = original
            .args
            .iter_mut()
            .flat_map(|argument| &mut argument.0);
        for piece in pieces.filter(|piece| **piece == Piece::File(fatbinary)) {
            *piece = Piece::File(snippet);
        }
        let pass = preprocess(stage, &original, (stub, stub), output)?;
        Ok(Stage {
            reads: vec![stub, snippet],
            ..pass
        })
    }

    /// A stage of the host compiler and the first of its reads, which is its source unless it compiles a stub.
    fn host_stage(&self, stage: usize, tools: &[Tool]) -> Result<(Stage, FileId), PlanError> {
        let original = self.stages.get(stage);
        let original = original.filter(|original| tools.contains(&original.tool));
        let source = original.and_then(|original| original.reads.first());
        match (original, source) {
            (Some(original), Some(source)) => Ok((original.clone(), *source)),
            _ => Err(PlanError::NoVariant { stage }),
        }
    }

    fn add_temp(&mut self, stage: usize, path: &OsStr) -> Result<FileId, PlanError> {
        let is_taken = |file: &PlanFile| file.kind == FileKind::Temp && file.path == path;
        if path.is_empty() || self.files.iter().any(is_taken) {
            return Err(PlanError::NoVariant { stage });
        }
        self.files.push(PlanFile {
            path: path.to_owned(),
            kind: FileKind::Temp,
        });
        Ok(FileId(self.files.len() - 1))
    }
}

/// The stage `original` with `-E` instead of `-c`, which reads `read` instead of `source` and writes `output`.
fn preprocess(
    stage: usize,
    original: &Stage,
    (source, read): (FileId, FileId),
    output: FileId,
) -> Result<Stage, PlanError> {
    let (mut modes, mut sources, mut outputs) = (0, 0, 0);
    let mut args = Vec::with_capacity(original.args.len());
    for Argument(pieces) in &original.args {
        args.push(match &pieces[..] {
            [Piece::Text(text)] if text == "-c" || text == "-E" => {
                modes += 1;
                Argument(vec![Piece::Text("-E".into())])
            }
            [Piece::File(id)] if *id == source => {
                sources += 1;
                Argument(vec![Piece::File(read)])
            }
            [Piece::File(id)] if Some(*id) == original.output => {
                outputs += 1;
                Argument(vec![Piece::File(output)])
            }
            _ => Argument(pieces.clone()),
        });
    }
    if (modes, sources, outputs) != (1, 1, 1) {
        return Err(PlanError::NoVariant { stage });
    }
    Ok(Stage {
        tool: Tool::Preprocess,
        program: original.program.clone(),
        resolve: original.resolve.clone(),
        args,
        reads: vec![read],
        writes: vec![output],
        output: Some(output),
    })
}
