//! The fields of direct mode's key: what is known of an invocation before any tool has run.

use crate::cmdline::Job;
use crate::compile::request::environment;
use crate::compile::request::facts::RequestFacts;
use crate::compile::request::machine;
use crate::includes::lookups::NotStored;
use crate::key::{CommonFacts, DirectFacts, Sink};
use crate::toolchain::Toolchain;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The fields of direct mode's key.
pub(crate) struct DirectKeyInputs<'a> {
    facts: &'a RequestFacts,
    toolchain: &'a Toolchain,
    programs: Vec<Vec<u8>>,
    planning: Vec<Vec<u8>>,
    sources: Vec<Vec<u8>>,
    machine: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

impl<'a> DirectKeyInputs<'a> {
    /// # Errors
    /// A source does not exist, or an option asks for GPUs that are unknown.
    pub(crate) fn new(
        nvcc: &Path,
        job: &Job,
        facts: &'a RequestFacts,
        toolchain: &'a Toolchain,
    ) -> Result<Self, NotStored> {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let mut programs = vec![nvcc.as_os_str().as_bytes().to_vec()];
        programs.extend(toolchain.found.iter().map(bytes));
        let real_path = |input: &Vec<u8>| {
            let input = Path::new(OsStr::from_bytes(input));
            fs::canonicalize(input).map_err(|error| format!("{}: {error}", input.display()))
        };
        let sources = facts.inputs.iter().map(real_path);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let outputs = job.outputs().into_iter();
        Ok(Self {
            facts,
            toolchain,
            programs,
            planning: environment::planned(&toolchain.profile_variables),
            sources: sources.iter().map(bytes).collect(),
            machine: machine::descriptions(facts, toolchain)
                .ok_or("an option asks for GPUs that are unknown")?,
            outputs: outputs.map(OsStringExt::into_vec).collect(),
        })
    }

    /// Writes every field of direct mode's key to `sink`.
    pub(crate) fn write(&self, sink: &mut impl Sink) {
        DirectFacts {
            common: self.facts.common(self.toolchain),
            programs: &self.programs,
            planning: &self.planning,
            inputs: &self.facts.inputs,
            sources: &self.sources,
            machine: &self.machine,
            outputs: &self.outputs,
        }
        .write(sink);
    }
}

impl RequestFacts {
    /// The fields that the keys of the invocation and of its units share.
    pub(crate) fn common<'a>(&'a self, toolchain: &'a Toolchain) -> CommonFacts<'a> {
        CommonFacts {
            toolchain: &toolchain.id,
            release: toolchain.release.as_bytes(),
            driver: self.driver.as_bytes(),
            directory: self.directory.bytes(),
            environment: &self.environment,
            diagnostics: self.diagnostics.name(),
            keep: self.keep.as_ref().map(|keep| keep.prefix.as_bytes()),
            job: &self.job,
        }
    }
}
