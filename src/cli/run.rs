//! `pcache run`: starts a program in which kernels that are compiled at run time are cached. Knows where the
//! library for that lies and how ld.so is told of it; not what it does there.

use super::{Scene, Status};
use anyhow::{Context, Error};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library's file.
const LIBRARY: &str = "libpcache_nvcc.so";

/// Where it is looked for, from the folder of this program.
const PLACES: [&str; 2] = ["", "../lib"];

/// What `pcache run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// The program, and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

/// Becomes the program; comes back only where that fails.
pub(super) fn run(arguments: &RunArguments, scene: &mut Scene<'_>) -> Result<Status, Error> {
    let (program, rest) = arguments
        .command
        .split_first()
        .context("no program given")?;
    let mut command = Command::new(program);
    command.args(rest);
    if scene.config.nvrtc.value {
        let library = find(scene.surroundings.program.as_deref())?;
        for variable in ["LD_AUDIT", "LD_PRELOAD"] {
            let given = (scene.surroundings.env)(variable);
            command.env(variable, listed(&library, given.as_deref()));
        }
    }
    let refused = command.exec();
    Err(Error::new(refused).context(format!("cannot start {program:?}")))
}

fn find(own: Option<&Path>) -> Result<PathBuf, Error> {
    let own = own.context("cannot tell where this program lies, and so where its library does")?;
    // A link leads to where both were installed.
    let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = PLACES.map(|place| folder.join(place).join(LIBRARY));
    let found = places.iter().find_map(|place| place.canonicalize().ok());
    let found = found.with_context(|| {
        let [beside, lib] = &places;
        format!(
            "cannot find {LIBRARY}: looked for {} and {}; install it beside pcache or in ../lib",
            beside.display(),
            lib.display()
        )
    })?;
    let bytes = found.as_os_str().as_bytes();
    match bytes.iter().any(|byte| b": ".contains(byte)) {
        false => Ok(found),
        // Both end a name in LD_PRELOAD.
        true => {
            anyhow::bail!("the dynamic linker cannot load {found:?}: no colons and spaces, please")
        }
    }
}

/// `library` before what the variable names already: ours must be there before any libnvrtc.
fn listed(library: &Path, given: Option<&OsStr>) -> OsString {
    let own = library.as_os_str();
    let given = given.map(OsStr::as_bytes).unwrap_or_default();
    let others = given.split(|byte| b": ".contains(byte));
    let mut list = own.to_owned();
    for other in others.filter(|name| !name.is_empty() && *name != own.as_bytes()) {
        list.push(":");
        list.push(OsStr::from_bytes(other));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::listed;
    use std::ffi::OsStr;
    use std::path::Path;

    #[track_caller]
    fn assert_listed(given: Option<&str>, expected: &str) {
        let list = listed(Path::new("/lib/p.so"), given.map(OsStr::new));
        assert_eq!(list, expected);
    }

    #[test]
    fn the_library_comes_first_and_once() {
        assert_listed(None, "/lib/p.so");
        assert_listed(Some(""), "/lib/p.so");
        assert_listed(Some("a.so b.so"), "/lib/p.so:a.so:b.so");
        assert_listed(Some("a.so:/lib/p.so"), "/lib/p.so:a.so");
    }
}
