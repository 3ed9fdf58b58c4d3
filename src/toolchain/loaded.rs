//! Libraries that the loader's variables load into the tools: `LD_PRELOAD`, `LD_AUDIT` and `LD_LIBRARY_PATH`. The
//! loader itself lists the libraries with and without them, so that values without effect on a tool do not matter.

use super::error::ToolchainError;
use super::places::EmptyPlaces;
use crate::includes::digests::DigestTable;
use crate::includes::probe::Probe;
use crate::stat::CoarseTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variables. They are part of the memo's name too.
pub(super) const VARIABLES: [&str; 3] = ["LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD"];

/// The library that `pcache run` adds to two of them. It has no effect in a tool.
const OWN: &str = "libpcache_nvcc.so";

/// Directories below those of `LD_LIBRARY_PATH` that the loader searches first, on x86-64. Those of glibc before 2.37
/// can be nested; nested ones are not searched here.
const VARIANTS: [&str; 7] = [
    "glibc-hwcaps/x86-64-v4",
    "glibc-hwcaps/x86-64-v3",
    "glibc-hwcaps/x86-64-v2",
    "tls",
    "haswell",
    "avx512_1",
    "x86_64",
];

/// Libraries that tools would not load without the variables.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Loaded {
    /// The files of the libraries.
    pub(super) files: BTreeSet<PathBuf>,
    /// Places where the loader searches for the tools' libraries and there is none.
    empty: EmptyPlaces,
}

impl Loaded {
    /// Finds the libraries of `tools`. `library_path` is the `LD_LIBRARY_PATH` that nvcc sets for its tools, which
    /// ends with the user's own value.
    ///
    /// # Errors
    /// The loader cannot be run, or a name in a variable is looked up by rules that are not known here.
    pub(super) fn find(
        tools: &BTreeSet<&Path>,
        library_path: Option<&OsStr>,
    ) -> Result<Self, ToolchainError> {
        let started = CoarseTime::now();
        let mut loaded = Self::default();
        let value = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        if VARIABLES.iter().all(|name| value(name).is_none()) {
            return Ok(loaded);
        }
        // The loader is not asked about auditors, so their names must be paths.
        for name in names(value("LD_AUDIT")) {
            let path = PathBuf::from(&name);
            let is_path = name.as_bytes().contains(&b'/');
            is_path
                .then_some(())
                .ok_or(ToolchainError::Missing { name })?;
            loaded.files.insert(path);
        }
        // Compares the libraries with all of the user's variables to those with none. nvcc's own directories stay.
        let users = value("LD_LIBRARY_PATH").unwrap_or_default();
        let with = library_path.map_or_else(|| users.clone(), OsStr::to_owned);
        let without = with.as_bytes().strip_suffix(users.as_bytes());
        let without = OsStr::from_bytes(without.unwrap_or_default());
        let mut sonames = BTreeSet::new();
        for tool in tools {
            let Some(loader) = interpreter(tool) else {
                continue;
            };
            let libraries = list(&loader, tool, &with, value("LD_PRELOAD").as_deref())?;
            let regular = list(&loader, tool, without, None)?;
            let names = libraries.iter().chain(&regular);
            sonames.extend(names.map(|library| library.name.clone()));
            let added = libraries
                .into_iter()
                .filter(|library| !regular.contains(library));
            loaded.files.extend(added.map(|library| library.file));
        }
        loaded.look_for_preloads(value("LD_PRELOAD"))?;
        loaded.look(&users, &sonames)?;
        loaded
            .files
            .retain(|path| path.file_name() != Some(OWN.as_ref()));
        loaded.empty.record(started);
        Ok(loaded)
    }

    /// Adds the preloaded libraries and, because the loader goes on without a missing one, the places of missing ones.
    /// Fails for a bare name that was not loaded, because the system looks it up by rules of its own.
    fn look_for_preloads(&mut self, value: Option<OsString>) -> Result<(), ToolchainError> {
        for name in names(value) {
            if name.as_bytes().contains(&b'/') {
                let place = PathBuf::from(&name);
                if self.look_at(&mut Probe::default(), &place)? {
                    self.files.insert(place);
                }
                continue;
            }
            let mut files = self.files.iter();
            let is_found = files.any(|file| file.file_name() == Some(&name));
            is_found
                .then_some(())
                .ok_or(ToolchainError::Missing { name })?;
        }
        Ok(())
    }

    /// Adds the files, and the empty places, at which the loader would find libraries of these names.
    fn look(&mut self, users: &OsStr, names: &BTreeSet<OsString>) -> Result<(), ToolchainError> {
        let mut probe = Probe::default();
        for directory in directories(users) {
            for variant in ["."].iter().chain(&VARIANTS) {
                let below = directory.join(variant);
                for name in names {
                    let place = below.join(name);
                    // Even if the loader skips the file, as one for another machine: it may be replaced.
                    if self.look_at(&mut probe, &place)? {
                        self.files.insert(place);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a file is at `place`. If not, adds the place as empty.
    fn look_at(&mut self, probe: &mut Probe, place: &Path) -> Result<bool, ToolchainError> {
        self.empty
            .look(probe, place)
            .map_err(|source| ToolchainError::Read {
                path: place.into(),
                source,
            })
    }

    /// Whether the same libraries would be loaded, provided that the files of the loaded ones have not changed.
    pub(super) fn hold(&self, table: &DigestTable) -> bool {
        self.empty.hold(table)
    }
}

/// The libraries of `program` that hold clang itself: many builds of clang are small programs in front of these.
pub(super) fn parts_of_clang(
    program: &Path,
    library_path: &OsStr,
) -> Result<Vec<PathBuf>, ToolchainError> {
    let Some(loader) = interpreter(program) else {
        return Ok(Vec::new());
    };
    let is_part = |library: &SharedLibrary| {
        let name = library.name.as_bytes();
        name.starts_with(b"libclang") || name.starts_with(b"libLLVM")
    };
    let libraries = list(&loader, program, library_path, None)?.into_iter();
    Ok(libraries.filter(is_part).map(|part| part.file).collect())
}

/// Whether a variable makes the loader search relative to the working directory.
pub(super) fn is_relative() -> bool {
    let listed = ["LD_AUDIT", "LD_PRELOAD"].map(|name| names(env::var_os(name)));
    let mut listed = listed.iter().flatten().map(Path::new);
    let searched = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut searched = directories(&searched);
    listed.any(|path| path.is_relative() && path.components().count() > 1)
        || searched.any(|directory| directory.is_relative())
}

/// The directories of `LD_LIBRARY_PATH`. An empty path means the working directory.
fn directories(users: &OsStr) -> impl Iterator<Item = PathBuf> {
    let parts = users.as_bytes().split(|byte| b":;".contains(byte));
    parts
        .filter(|_| !users.is_empty())
        .map(|part| PathBuf::from(OsStr::from_bytes(part)))
}

/// The names in a variable, which blanks and colons separate.
fn names(value: Option<OsString>) -> Vec<OsString> {
    let value = value.unwrap_or_default();
    let parts = value.as_bytes().split(|byte| b": ".contains(byte));
    let parts = parts.filter(|part| !part.is_empty());
    parts
        .map(|part| OsStr::from_bytes(part).to_owned())
        .collect()
}

/// A library of a program.
#[derive(Debug, PartialEq, Eq)]
struct SharedLibrary {
    /// The name by which the program asks for it.
    name: OsString,
    file: PathBuf,
}

/// The libraries that `loader` would load into `program`. Does not run the program.
fn list(
    loader: &Path,
    program: &Path,
    library_path: &OsStr,
    preload: Option<&OsStr>,
) -> Result<Vec<SharedLibrary>, ToolchainError> {
    let mut command = Command::new(loader);
    command
        .arg("--list")
        .arg(program)
        .env_remove("LD_AUDIT")
        .env_remove("LD_PRELOAD")
        .env("LD_LIBRARY_PATH", library_path)
        .stdin(Stdio::null());
    if let Some(preload) = preload {
        command.env("LD_PRELOAD", preload);
    }
    let output = command.output().map_err(|source| ToolchainError::Run {
        program: loader.into(),
        source,
    })?;
    Ok(output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(library)
        .collect())
}

/// Parses a line of the loader's list: `\tlibz.so.1 => /lib/libz.so.1 (0x…)`, or a path alone.
fn library(line: &[u8]) -> Option<SharedLibrary> {
    let line = line.strip_prefix(b"\t")?;
    let end = line.windows(4).rposition(|word| word == b" (0x")?;
    let line = &line[..end];
    let arrow = line.windows(4).position(|word| word == b" => ");
    let (name, file) = match arrow {
        Some(at) => (&line[..at], &line[at + 4..]),
        None => (line, line),
    };
    // The vDSO, which the kernel provides, has no file.
    let has_file = file.contains(&b'/');
    has_file.then(|| SharedLibrary {
        name: Path::new(OsStr::from_bytes(name))
            .file_name()
            .unwrap_or_default()
            .into(),
        file: PathBuf::from(OsStr::from_bytes(file)),
    })
}

/// The loader that a 64-bit ELF program names. `None` for scripts and statically linked programs.
fn interpreter(program: &Path) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let file = File::open(program).ok()?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    let is_elf64 = header.starts_with(b"\x7fELF\x02");
    let start = u64::from_ne_bytes(header[32..40].try_into().ok()?);
    let size = u64::from(u16::from_ne_bytes(header[54..56].try_into().ok()?));
    let count = u64::from(u16::from_ne_bytes(header[56..58].try_into().ok()?));
    for number in (0..count).filter(|_| is_elf64) {
        let mut segment = [0; 56];
        file.read_exact_at(&mut segment, start + number * size)
            .ok()?;
        if u32::from_ne_bytes(segment[..4].try_into().ok()?) == PT_INTERP {
            let at = u64::from_ne_bytes(segment[8..16].try_into().ok()?);
            let length = u64::from_ne_bytes(segment[32..40].try_into().ok()?);
            let mut path = vec![0; usize::try_from(length.min(4096)).ok()?];
            file.read_exact_at(&mut path, at).ok()?;
            let path = path.strip_suffix(b"\0").unwrap_or(&path);
            return fs::canonicalize(OsStr::from_bytes(path)).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{interpreter, library, names};
    use std::path::Path;

    #[test]
    fn lines_of_the_loader_are_read() {
        let found = library(b"\tlibz.so.1 => /a b/libz.so.1 (0x00007f)").unwrap();
        assert_eq!(
            (found.name.to_str(), found.file.to_str()),
            (Some("libz.so.1"), Some("/a b/libz.so.1"))
        );
        let found = library(b"\t/tmp/libpre.so (0x00007f)").unwrap();
        assert_eq!(found.file, Path::new("/tmp/libpre.so"));
        for line in ["\tlinux-vdso.so.1 (0x00007f)", "\tlibx.so => not found", ""] {
            assert_eq!(library(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn names_are_separated_by_blanks_and_colons() {
        assert_eq!(names(Some("/a.so: /b.so".into())), ["/a.so", "/b.so"]);
    }

    #[test]
    fn a_program_names_its_loader_and_a_script_none() {
        assert!(interpreter(Path::new("/proc/self/exe")).is_some());
        assert_eq!(interpreter(Path::new("/proc/self/status")), None);
    }
}
