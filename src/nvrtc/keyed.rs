//! The data of a request's keys, and the parts of the disk that its results' keys depend on. Does not use the store.

use super::key::{Locality, NvrtcFacts, full_name};
use super::locality::Given;
use super::observed::CompilePlace;
use super::options::Options;
use super::program::{Library, NvrtcRequest, Program};
use crate::includes::path_set::PathSet;
use crate::key::{Digest, Roots};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The data of a request's keys, and the keys.
pub(crate) struct Keyed {
    /// The library that compiles.
    pub library: Library,
    /// SHA-256 of libnvrtc and of its builtins.
    pub digests: [Digest; 2],
    pub(super) program: Program,
    pub(super) expressions: Vec<Vec<u8>>,
    pub(super) options: Options,
    pub(super) environment: Vec<Vec<u8>>,
    pub(super) floating_point: String,
    pub(super) directories: [PathBuf; 2],
    pub(super) anywhere: Digest,
    pub(super) here: Digest,
}

impl Keyed {
    pub(super) fn key(&self, scope: Locality) -> &Digest {
        match scope {
            Locality::Anywhere => &self.anywhere,
            Locality::ThisDirectory => &self.here,
        }
    }

    pub(super) fn place(&self) -> CompilePlace<'_> {
        CompilePlace {
            directories: &self.directories,
            program: &self.program,
            given: self.given(),
        }
    }

    pub(super) fn given(&self) -> Given<'_> {
        Given {
            options: &self.options,
            expressions: &self.expressions,
        }
    }

    pub(super) fn facts<T>(
        &self,
        driver: &str,
        scope: Locality,
        then: impl FnOnce(&NvrtcFacts<'_>) -> T,
    ) -> T {
        then(&NvrtcFacts {
            library: [&self.digests[0], &self.digests[1]],
            driver: driver.as_bytes(),
            environment: &self.environment,
            floating_point: &self.floating_point,
            request: NvrtcRequest {
                library: &self.library,
                program: &self.program,
                expressions: &self.expressions,
                options: &[],
            },
            options: &self.options,
            directories: &self.directories,
            scope,
        })
    }

    /// The sizes and times of the program's file and of the set's files if the options ask for debug information,
    /// which contains them. Otherwise empty.
    pub(super) fn times(&self, set: &PathSet) -> Vec<u64> {
        if !self.options.tells_times {
            return Vec::new();
        }
        let own = self.directories[0].join(OsStr::from_bytes(full_name(&self.program)));
        let files = set.files(&Roots::default()).unwrap_or_default();
        let files = std::iter::once(own).chain(files);
        let times = |path: PathBuf| match fs::metadata(path) {
            Ok(metadata) => [metadata.len(), metadata.mtime().cast_unsigned()],
            Err(_) => [u64::MAX; 2],
        };
        files.flat_map(times).collect()
    }
}
