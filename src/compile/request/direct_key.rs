//! The fields of direct mode's key: what is known of an invocation before any tool has run. Paths stand below the names
//! of their roots, so that another checkout has the same key.

use crate::cmdline::Job;
use crate::compile::request::environment;
use crate::compile::request::facts::RequestFacts;
use crate::compile::request::{machine, roots};
use crate::config::BaseDir;
use crate::includes::lookups::NotStored;
use crate::key::{CommonFacts, DirectFacts, Roots, Shortener, Sink};
use crate::toolchain::Toolchain;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The fields of direct mode's key.
pub(crate) struct DirectKeyInputs<'a> {
    facts: &'a RequestFacts,
    toolchain: &'a Toolchain,
    /// The roots of the invocation.
    pub roots: Roots,
    directory: [Vec<u8>; 2],
    environment: Vec<Vec<u8>>,
    keep: Option<Vec<u8>>,
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    programs: Vec<Vec<u8>>,
    planning: Vec<Vec<u8>>,
    inputs: Vec<Vec<u8>>,
    sources: Vec<Vec<u8>>,
    machine: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    places: Vec<Vec<u8>>,
}

impl<'a> DirectKeyInputs<'a> {
    /// # Errors
    /// A source does not exist, an option asks for GPUs that are unknown, or a value holds a control character.
    pub(crate) fn new(
        nvcc: &Path,
        job: &Job,
        facts: &'a RequestFacts,
        toolchain: &'a Toolchain,
        base_dir: &BaseDir,
    ) -> Result<Self, NotStored> {
        let real_path = |input: &Vec<u8>| {
            let input = Path::new(OsStr::from_bytes(input));
            fs::canonicalize(input).map_err(|error| format!("{}: {error}", input.display()))
        };
        let sources = facts.inputs.iter().map(real_path);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let roots = roots::find(base_dir, &sources, facts, nvcc, toolchain);
        let mut short = Shortener::new(&roots);
        let programs = std::iter::once(nvcc).chain(toolchain.found.iter().map(PathBuf::as_path));
        let job_fields = short.job(&facts.job);
        let environment = facts.environment.iter();
        let planning = environment::planned(&toolchain.profile_variables);
        let keep = facts.keep.as_ref();
        let inputs = Self {
            directory: facts.directory.bytes().map(|path| short.word(path)),
            environment: environment.map(|value| short.word(value)).collect(),
            keep: keep.map(|keep| short.word(keep.prefix.as_bytes())),
            job: job_fields,
            programs: programs
                .map(|path| short.word(path.as_os_str().as_bytes()))
                .collect(),
            planning: planning.iter().map(|value| short.word(value)).collect(),
            inputs: facts.inputs.iter().map(|input| short.word(input)).collect(),
            sources: sources
                .iter()
                .map(|path| short.source(path.as_os_str().as_bytes()))
                .collect(),
            machine: machine::descriptions(facts, toolchain)
                .ok_or("an option asks for GPUs that are unknown")?,
            outputs: job
                .outputs()
                .iter()
                .map(|name: &OsString| short.word(name.as_bytes()))
                .collect(),
            places: short.places(),
            facts,
            toolchain,
            roots: roots.clone(),
        };
        if short.is_ambiguous() {
            return Err("a control character in the command line".to_owned());
        }
        Ok(inputs)
    }

    /// Writes every field of direct mode's key to `sink`.
    pub(crate) fn write(&self, sink: &mut impl Sink) {
        DirectFacts {
            common: CommonFacts {
                directory: self.directory.each_ref().map(Vec::as_slice),
                environment: &self.environment,
                keep: self.keep.as_deref(),
                job: &self.job,
                ..self.facts.common(self.toolchain)
            },
            programs: &self.programs,
            planning: &self.planning,
            inputs: &self.inputs,
            sources: &self.sources,
            machine: &self.machine,
            outputs: &self.outputs,
            places: &self.places,
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
            keep: self.keep.as_ref().map(|keep| keep.prefix.as_bytes()),
            job: &self.job,
        }
    }
}
