//! This test program again, as another process: one that runs a single test, and is told by environment variables
//! that it is started for that.

use std::any::type_name;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Holds the directory where the processes meet.
pub const ROOT: &str = "PCACHE_TEST_ROOT";
/// Holds the number of a process.
pub const WRITER: &str = "PCACHE_TEST_WRITER";

/// The name by which this program selects the test `_test`, such as `slots::signal_gives_every_token_back`.
pub fn name_of<T: Fn()>(_test: T) -> &'static str {
    let (_program, name) = type_name::<T>().split_once("::").unwrap();
    name
}

/// Adds to `command`, which ends in this program or starts it, what makes it run the test `name` on `root`.
fn select<'c>(command: &'c mut Command, name: &str, root: &Path) -> &'c mut Command {
    let command = command.args(["--exact", name, "--nocapture", "--include-ignored"]);
    command.env(ROOT, root)
}

/// Starts the test `name` of this program as writer number `writer` on the cache in `root`.
pub fn start(name: &str, root: &Path, writer: usize) -> Child {
    command(name, root, writer).spawn().unwrap()
}

/// What [`start`] starts.
pub fn command(name: &str, root: &Path, writer: usize) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    select(&mut command, name, root)
        .env(WRITER, writer.to_string())
        .stdout(Stdio::null());
    command
}

/// Root and number, in a process made by [`start`].
pub fn role() -> Option<(PathBuf, usize)> {
    Some((root()?, env::var(WRITER).unwrap().parse().unwrap()))
}

/// The directory to work in, in a process made by this module.
pub fn root() -> Option<PathBuf> {
    env::var_os(ROOT).map(PathBuf::from)
}

/// Runs the test `name` on `root` through `command`, which starts this program with what is added to its words, and
/// panics unless the test passes there.
#[track_caller]
pub fn passes(mut command: Command, name: &str, root: &Path) {
    let command = select(&mut command, name, root).env("RUST_BACKTRACE", "0");
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let is_run = said.contains("test result: ok. 1 passed");
    assert!(
        output.status.success() && is_run,
        "{name} failed in its own process: {said}"
    );
}

/// What starts this program in a name space with mounts of its own: root's, or any user's where user name spaces are
/// allowed. Where they are not, a test that needs one fails. The words `before` come before the program.
pub fn mounting(before: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg("--mount").args(before);
    command.arg(env::current_exe().unwrap());
    command
}
