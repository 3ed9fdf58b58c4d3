//! What pcache-nvcc knows of the toolkit once it has looked at every program of it, a quarter of a gigabyte. Found once
//! and put into each workspace's cache, so that not every test pays for it. pcache-nvcc believes it as long as the
//! programs have not changed; a test that uses another nvcc, host compiler or cache finds nothing of it there.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::toolkit::Toolkit;
use super::workspace::program;

/// Where a cache keeps it.
const MEMOS: &str = "manifests/toolchains";

/// The memos by their names.
type Memos = Vec<(OsString, Vec<u8>)>;

/// Puts what is known of the toolkit, as it is seen along `path`, into the empty cache `cache`.
pub fn plant(cache: &Path, path: &OsStr) {
    static KNOWN: OnceLock<Memos> = OnceLock::new();
    let memos = KNOWN.get_or_init(|| find(path));
    let directory = cache.join(MEMOS);
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&directory);
    made.expect("a folder of memos");
    for (name, bytes) in memos {
        fs::write(directory.join(name), bytes).expect("a memo");
    }
}

/// Takes what an earlier process has found for the same build of the same programs, or finds it.
fn find(path: &OsStr) -> Memos {
    let place = place(path);
    if let Ok(memos) = read(&place) {
        return memos;
    }
    let above = place.parent().expect("a folder");
    fs::create_dir_all(above).expect("a folder for what is known");
    let made = tempfile::tempdir_in(above).expect("a temporary folder");
    let cache = made.path().join("cache");
    let source = made.path().join("unit.cu");
    fs::write(&source, "__global__ void k() {}\n").expect("a source");
    let mut command = Command::new(program("pcache-nvcc"));
    command
        .args(["-c", "unit.cu", "-o", "unit.o"])
        .env_clear()
        .env("PATH", path)
        .env("HOME", made.path())
        .env("TMPDIR", made.path())
        .env("PCACHE_DIR", &cache)
        .current_dir(made.path());
    let output = command.output().expect("run pcache-nvcc");
    assert!(output.status.success(), "{command:?}: {output:?}");
    let memos = read(&cache.join(MEMOS)).unwrap_or_default();
    // Another process may have been faster; and a toolkit that was made just now is remembered by none.
    let _ = fs::rename(cache.join(MEMOS), place);
    memos
}

/// A folder for these programs: a later build of pcache-nvcc might find something else.
fn place(path: &OsStr) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for program in [program("pcache-nvcc"), Toolkit::get().nvcc()] {
        let seen = fs::metadata(&program).expect("a program");
        let times = (
            seen.mtime(),
            seen.mtime_nsec(),
            seen.ctime(),
            seen.ctime_nsec(),
        );
        (program, seen.size(), times).hash(&mut hasher);
    }
    path.hash(&mut hasher);
    let name = format!("toolchains/{:016x}", hasher.finish());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn read(directory: &Path) -> io::Result<Memos> {
    let entries = fs::read_dir(directory)?;
    let memo = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), fs::read(entry.path())?))
    };
    entries.map(memo).collect()
}
