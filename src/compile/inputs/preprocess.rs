//! Runs the passes of one unit, and collects what they read.

use crate::compile::detour::Detour;
use crate::compile::file_digest::digest_file;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::{Entered, ReadFiles};
use crate::compile::inputs::lookup_race::LookupRace;
use crate::compile::run::commands::Outputs;
use crate::compile::run::printed::OutputStream;
use crate::compile::run::runner::StageLog;
use crate::exec::{Command, Work};
use crate::includes::markers::{self, SourceFile};
use crate::includes::placeless::placeless_digest;
use crate::journal::StageEnd;
use crate::key::{Digest, HostHeader, Pass};
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Stage};
use crate::toolchain::HostFamily;
use memchr::memmem;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The results of a unit's passes.
pub(crate) struct PassResults {
    /// The passes for the key, sorted.
    pub passes: Vec<Pass>,
    /// The headers of the host compile for the key, sorted.
    pub host_headers: Vec<HostHeader>,
    /// Every file read.
    pub known: ReadFiles,
    /// SHA-256 of each pass's text and of each input that a stage reads as it is.
    pub digests: HashMap<FileId, Digest>,
}

/// Runs all passes of `work`'s unit and computes the digests of their outputs.
pub(crate) fn preprocess(work: &UnitContext<'_>) -> Result<PassResults, Detour> {
    for (file, text) in &work.passes.snippets {
        let path = work.commands.workspace.locate(work.plan, *file);
        fs::write(&path, text).map_err(|error| unreadable(&path, &error))?;
    }
    let stages = work.passes.stages(work.plan, work.unit);
    run_passes(work, &stages)?;
    // Of the passes over the toolkit's headers, the headers matter; of all others, the text.
    let mut results = PassResults {
        passes: Vec::new(),
        host_headers: Vec::new(),
        known: ReadFiles::default(),
        digests: HashMap::new(),
    };
    let runtime: Vec<_> = work
        .passes
        .runtime
        .iter()
        .map(|(number, _)| *number)
        .collect();
    for (number, stage) in &stages {
        if runtime.contains(number) {
            results
                .host_headers
                .extend(host_headers(work, stage, &mut results.known)?);
        } else {
            let (pass, exact) = pass(work, *number, stage, &mut results.known)?;
            results
                .digests
                .extend(stage.output.map(|file| (file, exact)));
            results.passes.push(pass);
        }
    }
    // A host source is compiled from its own headers, not from the text of a pass.
    if !work.passes.variants.is_empty() {
        check_precompiled(&results.known)?;
        let paths: Vec<_> = results.known.preprocessed().cloned().collect();
        for path in paths {
            results.known.add_precompilable(path);
        }
    }
    for file in &work.passes.raw {
        let pass = raw_pass(work, *file, &mut results.known)?;
        results.digests.insert(*file, pass.digest);
        results.passes.push(pass);
    }
    results
        .passes
        .sort_by(|a, b| (&a.command, a.digest).cmp(&(&b.command, b.digest)));
    results.host_headers.sort_by(|a, b| a.path.cmp(&b.path));
    results.host_headers.dedup();
    Ok(results)
}

/// The preprocessed text of every pass whose files the depfile lists, in nvcc's order.
pub(crate) fn texts(work: &UnitContext<'_>) -> Result<Vec<Vec<u8>>, Detour> {
    let own = work
        .unit
        .passes
        .iter()
        .map(|number| &work.plan.stages[*number]);
    let added = work.passes.variants.iter().map(|(_, stage)| stage);
    let stages: Vec<_> = if work.unit.passes.is_empty() {
        added.collect()
    } else {
        own.collect()
    };
    stages.into_iter().map(|stage| text(work, stage)).collect()
}

/// Runs `passes`, which may include extra passes. The numbers name the files for what they print.
fn run_passes(work: &UnitContext<'_>, passes: &[(usize, &Stage)]) -> Result<(), Detour> {
    struct Passes<'a, 'b>(&'b UnitContext<'a>, &'b [(usize, &'b Stage)], StageLog<'b>);

    impl Work for Passes<'_, '_> {
        type Error = Detour;

        fn begin(&mut self, step: usize) -> Result<Option<Command>, Detour> {
            let Self(work, passes, log) = self;
            log.begin(step);
            let (number, pass) = passes[step];
            let commands = work.commands;
            commands.workspace.prepare(work.plan, &pass.writes)?;
            let mut command = commands.command(work.plan, pass, number, Outputs::Private)?;
            if is_extra(work, number) && commands.toolchain.host == HostFamily::Gnu {
                command.args.push(SHOW_PRECOMPILED.into());
            }
            Ok(Some(command))
        }

        fn started(&mut self, step: usize) {
            self.2.start(step);
        }

        fn end(&mut self, step: usize) -> Result<(), Detour> {
            self.2.end(step, StageEnd::Ran);
            Ok(())
        }

        fn rivals(&self) -> Vec<(usize, BorrowedFd<'_>)> {
            let race = self.0.lookup_race.into_iter();
            race.flat_map(LookupRace::rivals).collect()
        }

        fn overtaken_by(&mut self, rival: usize) -> Result<Option<usize>, Detour> {
            let race = self.0.lookup_race;
            race.map_or(Ok(()), |race| race.answered(rival))?;
            Ok(None)
        }
    }

    let stages: Vec<_> = passes.iter().map(|(_, stage)| *stage).collect();
    let log = StageLog::of(work.runner.recorder, work.plan, passes);
    work.runner.run(
        &stages,
        &mut Passes(work, passes, log),
        &work.commands.environment,
        FallbackReason::Preprocess,
    )
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(
        FallbackReason::Preprocess,
        format!("{}: {error}", path.display()),
    )
}

/// The preprocessed text that the pass `stage` has written.
pub(crate) fn text(work: &UnitContext<'_>, stage: &Stage) -> Result<Vec<u8>, Detour> {
    let output = stage.output.ok_or_else(|| {
        Fallback::new(
            FallbackReason::PlanShape,
            "a preprocessing pass without output",
        )
    })?;
    let path = work.commands.workspace.locate(work.plan, output);
    Ok(fs::read(&path).map_err(|error| unreadable(&path, &error))?)
}

/// Computes the digests of a pass that has run, for the unit's key and for stages, and adds what it read to
/// `read_files`.
fn pass(
    work: &UnitContext<'_>,
    number: usize,
    stage: &Stage,
    read_files: &mut ReadFiles,
) -> Result<(Pass, Digest), Detour> {
    let bytes = text(work, stage)?;
    if is_extra(work, number) {
        check_pragma(&bytes)?;
    }
    let files = markers::files(&bytes);
    for file in &files {
        read_files.add(file.path.clone().into(), entered(work, &files, file));
    }
    let printed = printed(work, number)?;
    read_files.add_times(&bytes);
    read_files.add_times(&printed);
    let pass = Pass {
        command: pass_name(work.plan, stage),
        digest: placeless_digest(&bytes, work.roots),
        printed: (!printed.is_empty()).then(|| Sha256::digest(&printed).into()),
    };
    Ok((pass, Sha256::digest(&bytes).into()))
}

/// The name of a pass in keys: that of the file that it writes. Its command acts through the text.
pub(crate) fn pass_name(plan: &Plan, stage: &Stage) -> Vec<u8> {
    let file = stage.output.map(|file| plan.file(file));
    match file {
        Some(file) if file.kind == FileKind::Temp => [b"{temp}/", file.path.as_bytes()].concat(),
        _ => b"{output}".to_vec(),
    }
}

/// How a pass that entered `files` came to `file`. An includer in the workspace, which is text of ours, is left out.
fn entered(work: &UnitContext<'_>, files: &[SourceFile], file: &SourceFile) -> Entered {
    let by = file.includer.map(|at| PathBuf::from(&files[at].path));
    Entered {
        by: by.filter(|by| !work.commands.workspace.holds(by)),
        origin: file.origin,
    }
}

/// What stage `number` printed, since a message may leave no trace in the preprocessed text.
fn printed(work: &UnitContext<'_>, number: usize) -> Result<Vec<u8>, Detour> {
    let mut printed = Vec::new();
    for stream in OutputStream::ALL {
        let path = work.commands.workspace.stream(number, stream);
        printed.extend(fs::read(&path).map_err(|error| unreadable(&path, &error))?);
    }
    Ok(work.commands.workspace.as_printed(&printed))
}

/// Whether nvcc has no such pass: it shows what the host compiler will read when it compiles.
fn is_extra(work: &UnitContext<'_>, number: usize) -> bool {
    number >= work.plan.stages.len()
}

/// Makes GCC look for precompiled headers in a pass as it does when it compiles, and print [`PRECOMPILED`] in place of one.
const SHOW_PRECOMPILED: &str = "-fpch-preprocess";

/// The beginning of the line by which GCC shows that it would read a precompiled header.
const PRECOMPILED: &[u8] = b"#pragma GCC pch_preprocess ";

/// Returns a bypass if the host compiler would read a precompiled header, wherever it has found that.
fn check_pragma(text: &[u8]) -> Result<(), Bypass> {
    let Some(at) = memmem::find(text, PRECOMPILED) else {
        return Ok(());
    };
    let name = text[at + PRECOMPILED.len()..].split(|&byte| byte == b'\n');
    let name = name.map(String::from_utf8_lossy).next();
    Err(Bypass::new(
        BypassReason::Precompiled,
        name.unwrap_or_default(),
    ))
}

/// Returns a bypass if there is a precompiled header. gcc reads `x.h.gch` instead of `x.h` when it compiles a host
/// source, but not when it only preprocesses, so the pass does not show what the compile reads.
fn check_precompiled(read_files: &ReadFiles) -> Result<(), Bypass> {
    let mut precompiled = read_files.preprocessed().map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".gch");
        PathBuf::from(name)
    });
    match precompiled.find(|path| path.exists()) {
        Some(path) => Err(Bypass::new(
            BypassReason::Precompiled,
            path.display().to_string(),
        )),
        None => Ok(()),
    }
}

/// The digest of every header that the pass read. The pass's text alone is not enough: a macro that the
/// generated code uses leaves no trace in it.
fn host_headers(
    work: &UnitContext<'_>,
    stage: &Stage,
    read_files: &mut ReadFiles,
) -> Result<Vec<HostHeader>, Detour> {
    let bytes = text(work, stage)?;
    check_pragma(&bytes)?;
    read_files.add_times(&bytes);
    let mut headers = Vec::new();
    let files = markers::files(&bytes);
    for file in &files {
        let path = Path::new(&file.path);
        if work.commands.workspace.holds(path) {
            continue;
        }
        let digest = digest_file(path).map_err(|error| unreadable(path, &error))?;
        read_files.add(path.to_owned(), entered(work, &files, file));
        read_files.add_precompilable(path.to_owned());
        headers.push(HostHeader {
            path: path.as_os_str().as_bytes().to_vec(),
            digest,
        });
    }
    Ok(headers)
}

/// The digest of an input that a stage reads without preprocessing, in the form of a pass.
fn raw_pass(
    work: &UnitContext<'_>,
    file: FileId,
    read_files: &mut ReadFiles,
) -> Result<Pass, Detour> {
    let path = Path::new(&work.plan.file(file).path);
    let digest = digest_file(path).map_err(|error| unreadable(path, &error))?;
    read_files.add_raw(path.to_owned());
    Ok(Pass {
        command: [b"input\0", path.as_os_str().as_bytes()].concat(),
        digest,
        printed: None,
    })
}
