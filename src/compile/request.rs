//! What is known of an invocation before any tool has run: the facts of direct mode's key.

use super::{Facts, environment};
use crate::cmdline::Job;
use crate::key::{DirectFacts, Sink};
use crate::toolchain::Toolchain;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// An invocation as direct mode's key describes it.
pub struct Request<'a> {
    facts: &'a Facts,
    toolchain: &'a Toolchain,
    programs: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    sources: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

impl<'a> Request<'a> {
    /// None where a source is not there.
    pub fn new(nvcc: &Path, job: &Job, facts: &'a Facts, toolchain: &'a Toolchain) -> Option<Self> {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let mut programs = vec![nvcc.as_os_str().as_bytes().to_vec()];
        programs.extend(toolchain.found.iter().map(bytes));
        let mut variables = facts.environment.clone();
        variables.extend(environment::planned(&toolchain.profile_variables));
        let mut named = facts.job.clone();
        named.push(("input", facts.inputs.clone()));
        let real = |input: &Vec<u8>| fs::canonicalize(OsStr::from_bytes(input)).ok();
        let sources = facts.inputs.iter().map(real).collect::<Option<Vec<_>>>()?;
        let outputs = job.outputs().into_iter();
        Some(Self {
            facts,
            toolchain,
            programs,
            environment: variables,
            job: named,
            sources: sources.iter().map(bytes).collect(),
            outputs: outputs.map(OsStringExt::into_vec).collect(),
        })
    }

    /// Writes every field of direct mode's key to `sink`.
    pub fn write(&self, sink: &mut impl Sink) {
        let directories = &self.facts.directories;
        DirectFacts {
            toolchain: &self.toolchain.id,
            release: self.toolchain.release.as_bytes(),
            programs: &self.programs,
            driver: self.facts.driver.as_bytes(),
            directory: [
                directories[0].as_os_str().as_bytes(),
                directories[1].as_os_str().as_bytes(),
            ],
            environment: &self.environment,
            diagnostics: self.facts.diagnostics.name(),
            job: &self.job,
            sources: &self.sources,
            outputs: &self.outputs,
        }
        .write(sink);
    }
}
