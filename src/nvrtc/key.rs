//! The keys of programs compiled at run time: which path sets belong to a request, and which result to
//! a path set whose files have certain contents. Pure: every fact arrives as an argument.
//! `docs/keys.md` lists the fields, with reasons.

use super::options::Options;
use super::program::{Program, Request};
use crate::key::{Digest, Digester, Sink, list};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Raised when fields, or what a path set means, change.
const SCHEMA: &[u8] = b"pcache-nvcc nvrtc 1";

/// What NVRTC calls a program without a name.
const UNNAMED: &[u8] = b"default_program";

/// How much of the program's name, and whether the working directory, counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The name without its directory, in any working directory.
    Anywhere,
    /// The whole name, in this working directory.
    Here,
}

/// Everything that is known of a compile before NVRTC has read any file.
#[derive(Clone, Copy, Debug)]
pub struct NvrtcFacts<'a> {
    /// SHA-256 of libnvrtc and of its builtins.
    pub library: [&'a Digest; 2],
    /// The driver's version.
    pub driver: &'a [u8],
    /// `NAME=value` of every variable that NVRTC reads.
    pub environment: &'a [Vec<u8>],
    /// What is compiled.
    pub request: Request<'a>,
    /// Its options, those of the environment among them.
    pub options: &'a Options,
    /// The working directory.
    pub directory: &'a Path,
    /// What of name and directory counts.
    pub scope: Scope,
}

/// The fields in their order.
pub const NVRTC_FIELDS: &[&str] = &[
    "schema",
    "library",
    "driver",
    "environment",
    "scope",
    "directory",
    "name",
    "job",
    "expressions",
    "headers",
    "source",
];

impl NvrtcFacts<'_> {
    /// The key of the path sets.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field.
    pub fn write(&self, sink: &mut impl Sink) {
        let Request {
            program,
            expressions,
            ..
        } = self.request;
        sink.one("schema", SCHEMA);
        list(sink, "library", self.library.iter().map(|found| &found[..]));
        sink.one("driver", self.driver);
        let environment = self.environment.iter().map(Vec::as_slice);
        list(sink, "environment", environment);
        let (scope, directory, name): (&[u8], &[u8], _) = match self.scope {
            Scope::Anywhere => (b"anywhere", b"", base_name(program)),
            Scope::Here => (
                b"here",
                self.directory.as_os_str().as_bytes(),
                full_name(program),
            ),
        };
        sink.one("scope", scope);
        sink.one("directory", directory);
        sink.one("name", name);
        self.options.write(sink);
        let expressions = expressions.iter().map(Vec::as_slice);
        list(sink, "expressions", expressions);
        sink.field("headers", 2 * program.headers.len());
        for header in &program.headers {
            sink.value(&header.name);
            sink.value(&Sha256::digest(&header.source));
        }
        sink.one("source", &Sha256::digest(&program.source));
    }
}

/// The program's name as NVRTC knows it.
pub fn full_name(program: &Program) -> &[u8] {
    let name = program.name.as_deref();
    name.filter(|name| !name.is_empty()).unwrap_or(UNNAMED)
}

/// What is behind the last slash of it.
pub fn base_name(program: &Program) -> &[u8] {
    let name = full_name(program);
    let slash = name.iter().rposition(|&byte| byte == b'/');
    &name[slash.map_or(0, |slash| slash + 1)..]
}

/// The name for people.
pub fn shown_name(program: &Program) -> &OsStr {
    OsStr::from_bytes(full_name(program))
}

/// The key of the result of the compile `request` where the files of the path set `set` (its digest)
/// have the digests `contents`, in the set's order.
pub fn result_key(request: &Digest, set: &Digest, contents: &[Digest]) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", SCHEMA);
    sink.one("request", request);
    sink.one("set", set);
    sink.one("contents", contents.as_flattened());
    sink.finish()
}
