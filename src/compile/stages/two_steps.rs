//! Runs a host compile in two steps: gives the compiler the form of the fatbinary to include, and splices the
//! numbers into its assembly.

use crate::compile::inputs::assembly::binaries_besides;
use crate::compile::inputs::context::UnitContext;
use crate::compile::run::mentions::mentions;
use crate::compile::run::workspace::write;
use crate::compile::stages::splice;
use crate::includes::lookups::NotStored;
use crate::key::Digest;
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, Split, Stage, Tool};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The two steps of one unit's host compile.
pub(super) struct TwoSteps<'a> {
    split: &'a Split,
    form: Vec<u8>,
    /// Whether the host compile has to be done in one step.
    misfit: bool,
    /// The files that the assembler included.
    binaries: Result<BTreeSet<PathBuf>, NotStored>,
}

impl<'a> TwoSteps<'a> {
    pub(super) fn new(split: &'a Split) -> Self {
        Self {
            split,
            form: Vec::new(),
            misfit: false,
            binaries: Ok(BTreeSet::new()),
        }
    }

    /// Prepares the input of a step: writes the form before the compile, and the spliced assembly before the
    /// assembler runs. Returns the form's file and digest once it is written.
    pub(super) fn begin(
        &mut self,
        work: &UnitContext<'_>,
        stage: &Stage,
    ) -> Result<Option<(FileId, Digest)>, Fallback> {
        match stage.tool {
            Tool::HostCompile => {
                let text = read(work, self.split.form)?;
                self.form = splice::form(&text).ok_or_else(|| self.misfit("its form is new"))?;
                write(&locate(work, self.split.form), &self.form)?;
                let digest = Sha256::digest(&self.form).into();
                Ok(Some((self.split.form, digest)))
            }
            Tool::Assemble => {
                let assembly = read(work, self.split.assembly)?;
                let fatbinary = read(work, self.split.fatbinary)?;
                let spliced = splice::splice(&assembly, &self.form, &fatbinary);
                let spliced = spliced.ok_or_else(|| self.misfit("it has another form"))?;
                write(&locate(work, self.split.assembly), &spliced)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Checks what a step printed, and what the assembler read.
    pub(super) fn end(
        &mut self,
        work: &UnitContext<'_>,
        stage: &Stage,
        number: usize,
    ) -> Result<(), Fallback> {
        let workspace = work.commands.workspace;
        let printed = workspace.printed(number);
        match stage.tool {
            // Line numbers in the form differ from those in the fatbinary's text, so a message would be wrong.
            Tool::HostCompile => {
                let form = base_name(work, self.split.form).as_bytes();
                if printed.texts().iter().any(|text| mentions(text, form)) {
                    Err(self.misfit("the host compiler mentions it"))
                } else {
                    Ok(())
                }
            }
            Tool::Assemble if !printed.is_empty() => {
                Err(self.misfit("the assembler has something to say"))
            }
            Tool::Assemble => {
                let stages = work.plan.stages.iter();
                let compiles = stages.filter(|stage| stage.tool == Tool::HostCompile);
                let sources = compiles.flat_map(|stage| &stage.reads);
                // The assembler lists its input by its full path, and the sources as the assembly names them.
                let input = locate(work, self.split.assembly);
                let sources: Vec<_> = sources.map(|file| base_name(work, *file)).collect();
                let names = [&sources[..], &[input.as_os_str()]].concat();
                self.binaries = binaries_besides(work, number, &names, &sources);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the host compile has to be done in one step.
    pub(super) fn is_misfit(&self) -> bool {
        self.misfit
    }

    /// The files that the assembler included.
    pub(super) fn binaries(self) -> Result<BTreeSet<PathBuf>, NotStored> {
        self.binaries
    }

    fn misfit(&mut self, why: &str) -> Fallback {
        self.misfit = true;
        Fallback::new(FallbackReason::Stage, format!("fatbinary's text: {why}"))
    }
}

fn read(work: &UnitContext<'_>, file: FileId) -> Result<Vec<u8>, Fallback> {
    let path = locate(work, file);
    fs::read(&path).map_err(|error| {
        let detail = format!("{}: {error}", path.display());
        Fallback::new(FallbackReason::WorkDirectory, detail)
    })
}

fn locate(work: &UnitContext<'_>, file: FileId) -> PathBuf {
    work.commands.workspace.locate(work.plan, file)
}

fn base_name<'a>(work: &'a UnitContext<'_>, file: FileId) -> &'a OsStr {
    let path = &work.plan.file(file).path;
    Path::new(path).file_name().unwrap_or(path)
}
