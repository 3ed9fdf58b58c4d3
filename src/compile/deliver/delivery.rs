//! Writes the results of an invocation where nvcc would have written them: outputs, depfiles, kept files.

use crate::cmdline::Job;
use crate::compile::deliver::outputs::mode;
use crate::compile::deliver::write_output::{self, OutputContent, OutputTarget, WriteMode};
use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::preprocess;
use crate::compile::request::facts::RequestFacts;
use crate::compile::run::printed::Printed;
use crate::compile::run::workspace::Workspace;
use crate::compile::unit::product::{Product, intermediates};
use crate::includes::depfile;
use crate::outcome::{Bypass, Fallback, FallbackReason};
use crate::plan::{FileKind, Plan, RulesTarget};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// An output with its path.
pub(crate) struct PlacedOutput {
    /// As nvcc spells it.
    pub path: PathBuf,
    /// How a file that is already there is treated.
    pub mode: WriteMode,
    pub bytes: Vec<u8>,
    /// The file of the cache that holds the bytes.
    pub source: Option<File>,
}

/// Everything that an invocation writes and prints, except the outputs of link stages.
#[derive(Default)]
pub(crate) struct Delivery {
    pub outputs: Vec<PlacedOutput>,
    pub depfiles: Vec<(PathBuf, Vec<u8>)>,
    /// Make rules for standard output.
    pub rules: Vec<u8>,
    /// Intermediate files in the user's keep directory.
    pub kept: Vec<(PathBuf, Vec<u8>)>,
    pub printed: Printed,
}

impl Delivery {
    /// The delivery of the unit `work`, whose result is `product`.
    pub(crate) fn of(job: &Job, work: &UnitContext<'_>, product: Product) -> Result<Self, Detour> {
        let mut delivery = Self::default();
        let text = match product.depfile {
            Some(text) => Some(text),
            None => depfile(job, work)?,
        };
        match (text, &work.unit.rules) {
            (Some(text), Some(RulesTarget::File(path))) => {
                delivery.depfiles.push((path.into(), text));
            }
            (Some(text), Some(RulesTarget::Stdout)) => delivery.rules = text,
            _ => {}
        }
        for (file, bytes) in product.outputs {
            if work.plan.is_output(file) {
                delivery.outputs.push(PlacedOutput {
                    path: work.plan.file(file).path.clone().into(),
                    mode: mode(work.plan, file),
                    bytes,
                    source: None,
                });
            }
        }
        if let Some(keep) = &work.facts.keep {
            for (name, bytes) in product.kept {
                let mut path = keep.prefix.clone();
                path.push(name);
                delivery.kept.push((path.into(), bytes));
            }
        }
        for (_, printed) in product.printed {
            delivery.printed.append(printed);
        }
        Ok(delivery)
    }

    /// Checks what is at the paths of outputs and depfiles. A bypass if only nvcc can write one of them properly.
    pub(crate) fn targets(&self) -> Result<Vec<OutputTarget>, Bypass> {
        let outputs = self
            .outputs
            .iter()
            .map(|output| write_output::check(&output.path, output.mode));
        let depfiles = self
            .depfiles
            .iter()
            .map(|(path, _)| write_output::check_depfile(path));
        outputs.chain(depfiles).collect()
    }

    /// Checks what is at the paths of kept files, like [`Delivery::targets`].
    pub(crate) fn kept_targets(&self) -> Result<Vec<OutputTarget>, Bypass> {
        let check = |(path, _): &(PathBuf, _)| write_output::check(path, WriteMode::Rewrite);
        self.kept.iter().map(check).collect()
    }

    /// Writes outputs and depfiles. `targets` are fresh results of [`Delivery::targets`].
    pub(crate) fn write(&self, targets: &[OutputTarget]) -> Result<(), Fallback> {
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|output| {
            let content = OutputContent {
                bytes: &output.bytes,
                source: output.source.as_ref(),
            };
            (&output.path, content)
        });
        let depfiles = self.depfiles.iter();
        let depfiles = depfiles.map(|(path, bytes)| (path, OutputContent::of(bytes)));
        let mut files = outputs.chain(depfiles).zip(targets);
        files.try_for_each(|((path, content), target)| write_output::write(path, content, *target))
    }

    /// Writes kept files. `targets` are fresh results of [`Delivery::kept_targets`].
    pub(crate) fn write_kept(&self, targets: &[OutputTarget]) -> Result<(), Fallback> {
        let mut files = self.kept.iter().zip(targets);
        files.try_for_each(|((path, bytes), target)| {
            write_output::write(path, OutputContent::of(bytes), *target)
        })
    }

    /// The make rules for standard output, if there are any, and those of every depfile.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &Vec<u8>> {
        let depfiles = self.depfiles.iter().map(|(_, text)| text);
        let rules = std::iter::once(&self.rules).filter(|text| !text.is_empty());
        rules.chain(depfiles)
    }

    /// Prints what nvcc would have printed.
    pub(crate) fn show(&self) {
        self.printed.show_after(&self.rules);
    }

    /// Adds the delivery of the next unit.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.outputs.append(&mut other.outputs);
        self.depfiles.append(&mut other.depfiles);
        self.rules.append(&mut other.rules);
        self.kept.append(&mut other.kept);
        self.printed.append(other.printed);
    }
}

/// Writes the intermediate files that link stages and [`keep_files`] read to the workspace.
pub(crate) fn write_temporaries(work: &UnitContext<'_>, product: &Product) -> Result<(), Fallback> {
    let workspace = work.commands.workspace;
    for (file, bytes) in &product.outputs {
        if !work.plan.is_output(*file) {
            write_temporary(&workspace.locate(work.plan, *file), bytes)?;
        }
    }
    for (name, bytes) in &product.kept {
        write_temporary(&workspace.temporaries().join(name), bytes)?;
    }
    Ok(())
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<(), Fallback> {
    fs::write(path, bytes).map_err(|error| {
        Fallback::new(
            FallbackReason::WorkDirectory,
            format!("{}: {error}", path.display()),
        )
    })
}

/// The make rules that nvcc itself writes, which list the files of all passes. `None` if the job asks for none.
pub(crate) fn depfile(job: &Job, work: &UnitContext<'_>) -> Result<Option<Vec<u8>>, Detour> {
    let (Some(requested), Some(_)) = (&job.dependencies, &work.unit.rules) else {
        return Ok(None);
    };
    let source = &work.plan.file(work.unit.source).path;
    let options = depfile::TargetOptions {
        named: requested.targets.last().map(OsString::as_os_str),
        output: job.output.as_deref(),
        directory: job.output_directory.as_deref(),
    };
    let targets = [depfile::target(source, options)];
    let texts = preprocess::texts(work)?;
    let listed = if requested.system {
        depfile::ListedHeaders::All
    } else {
        depfile::ListedHeaders::User
    };
    let dependencies = depfile::dependencies(texts.iter().map(Vec::as_slice), source, listed)
        .map_err(|error| Fallback::new(FallbackReason::Preprocess, error.to_string()))?;
    let phony = if requested.phony {
        depfile::Phony::Targets
    } else {
        depfile::Phony::None
    };
    Ok(Some(depfile::render(&targets, &dependencies, phony)))
}

/// Copies every intermediate file to the user's keep directory.
pub(crate) fn keep_files(
    facts: &RequestFacts,
    plan: &Plan,
    workspace: &Workspace,
) -> Result<(), Detour> {
    let Some(keep) = &facts.keep else {
        return Ok(());
    };
    // Only files that nvcc's own stages write; the extra passes are not nvcc's.
    let linked = plan
        .link
        .iter()
        .flat_map(|number| &plan.stages[*number].writes);
    let units = plan.units.iter().flat_map(|unit| intermediates(plan, unit));
    let files: BTreeSet<_> = linked.copied().chain(units).collect();
    for file in files.into_iter().map(|file| plan.file(file)) {
        if file.kind != FileKind::Temp {
            continue;
        }
        let name = &file.path;
        let Ok(bytes) = fs::read(workspace.temporaries().join(name)) else {
            continue;
        };
        let mut target = keep.prefix.clone();
        target.push(name);
        let bytes = facts.as_kept(workspace, name, bytes);
        let target = Path::new(&target);
        write_output::write(
            target,
            OutputContent::of(&bytes),
            write_output::check(target, WriteMode::Rewrite)?,
        )?;
    }
    Ok(())
}
