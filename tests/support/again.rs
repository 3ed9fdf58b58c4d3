//! This test program again, as another process: told apart by environment variables.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Leads to the directory where the processes meet.
pub const ROOT: &str = "PCACHE_TEST_ROOT";
/// Tells the number of a process.
pub const WRITER: &str = "PCACHE_TEST_WRITER";

/// Starts `test` of this program as writer number `writer` on the cache in `root`.
pub fn start(test: &str, root: &Path, writer: usize) -> Child {
    command(test, root, writer).spawn().unwrap()
}

/// What [`start`] starts.
pub fn command(test: &str, root: &Path, writer: usize) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(ROOT, root)
        .env(WRITER, writer.to_string())
        .stdout(Stdio::null());
    command
}

/// Root and number, in a process made by [`start`].
pub fn role() -> Option<(PathBuf, usize)> {
    let root = PathBuf::from(env::var_os(ROOT)?);
    Some((root, env::var(WRITER).unwrap().parse().unwrap()))
}
