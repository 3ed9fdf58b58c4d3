//! Reads what an invocation asks for from its command line, its environment and its standard streams.

use crate::cmdline::{self, CommandLine, Job, Observed};
use crate::compile::detour::work_directory;
use crate::compile::request::environment::{self, WorkingDirectory};
use crate::compile::run::commands::Diagnostics;
use crate::compile::run::workspace::Workspace;
use crate::config::DriverVersion;
use crate::key::Roots;
use crate::outcome::{Bypass, Fallback};
use crate::toolchain::driver_version;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// `--keep` as the user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// What nvcc puts before the names of intermediate files: empty, or the directory and a slash.
    pub prefix: OsString,
}

/// The facts of an invocation that every unit shares.
pub(crate) struct RequestFacts {
    /// The canonical job without its inputs.
    pub job: Vec<(&'static str, Vec<Vec<u8>>)>,
    pub inputs: Vec<Vec<u8>>,
    pub driver: String,
    pub directory: WorkingDirectory,
    pub environment: Vec<Vec<u8>>,
    pub diagnostics: Diagnostics,
    pub keep: Option<Keep>,
    /// What the options let a compile observe of its sources besides their tokens.
    pub observed: Observed,
    /// The value of `-t`.
    pub threads: Option<usize>,
}

impl RequestFacts {
    /// The path of a file as module ids have it: absolute, below the base if it lies there. So two checkouts have the same
    /// ids, and two directories of one checkout have not. Without a base, two directories may go into one link.
    pub(crate) fn module_path(&self, path: &OsStr, roots: &Roots) -> Vec<u8> {
        let path = self.absolute(path);
        roots.below_base(&path).unwrap_or(path)
    }

    /// The absolute path of a file. A link to the working directory may lead elsewhere at the next compile.
    pub(crate) fn absolute(&self, path: &OsStr) -> Vec<u8> {
        let path = self.directory.physical.join(path);
        path.into_os_string().into_vec()
    }

    /// The content of an intermediate file as `--keep` would have left it: in text files, the keep directory
    /// replaces the work directory.
    pub(crate) fn as_kept(&self, workspace: &Workspace, name: &OsStr, bytes: Vec<u8>) -> Vec<u8> {
        const TEXT_SUFFIXES: &[&str] = &["c", "cpp", "gpu", "i", "ii", "ptx", "module_id"];
        let suffix = Path::new(name)
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        match &self.keep {
            Some(keep) if TEXT_SUFFIXES.contains(&suffix) => {
                workspace.renamed(&bytes, keep.prefix.as_bytes())
            }
            _ => bytes,
        }
    }
}

impl Keep {
    /// The directory that debug information names instead of the work directory.
    pub(crate) fn mapped(&self) -> OsString {
        let name = self.prefix.as_bytes().strip_suffix(b"/").unwrap_or(b".");
        OsStr::from_bytes(name).to_owned()
    }
}

/// Reads the command line, with what variables and option files add to it.
pub(crate) fn read_job(args: &[OsString]) -> Result<Job, Bypass> {
    let prepend = env::var_os("NVCC_PREPEND_FLAGS");
    let append = env::var_os("NVCC_APPEND_FLAGS");
    let line = CommandLine {
        args,
        prepend_flags: prepend.as_deref(),
        append_flags: append.as_deref(),
        // NVCC_CCBIN is left to nvcc, of which 12.4 ignores it; the plan shows its effect.
        ccbin: None,
    };
    cmdline::read(&line, &mut |path| fs::read(path))
}

/// Collects the facts of the invocation of `job`. `driver` is the setting.
pub(crate) fn facts(job: &Job, driver: &DriverVersion) -> Result<RequestFacts, Fallback> {
    let (inputs, canonical): (Vec<_>, Vec<_>) = job
        .canonical()
        .into_iter()
        .partition(|(name, _)| *name == "input");
    let bytes =
        |values: Vec<OsString>| -> Vec<_> { values.into_iter().map(OsString::into_vec).collect() };
    let keep = job.keep.as_ref().map(|directory| {
        let mut prefix = directory.clone();
        match directory.as_bytes() {
            b"." | b"" => prefix.clear(),
            [.., b'/'] => {}
            _ => prefix.push("/"),
        }
        Keep { prefix }
    });
    Ok(RequestFacts {
        job: canonical
            .into_iter()
            .map(|(name, values)| (name, bytes(values)))
            .collect(),
        inputs: inputs
            .into_iter()
            .flat_map(|(_, values)| bytes(values))
            .collect(),
        driver: driver_version(driver, env::var_os("LD_LIBRARY_PATH").as_deref()),
        directory: WorkingDirectory::current().map_err(|error| work_directory(&error))?,
        environment: environment::keyed(),
        diagnostics: diagnostics(),
        keep,
        observed: job.observed(),
        threads: job
            .threads
            .as_deref()
            .and_then(OsStr::to_str)
            .and_then(|text| text.parse().ok()),
    })
}

fn diagnostics() -> Diagnostics {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    if io::stderr().is_terminal() && !is_dumb {
        Diagnostics::Colour
    } else {
        Diagnostics::Plain
    }
}
