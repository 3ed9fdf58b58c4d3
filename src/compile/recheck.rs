//! `PCACHE_RECHECK`: compiles some hits again and compares, as a farm's check on what it is served. The compile that is
//! checked waits for it.

use crate::config::{Config, MillionthShare};
use crate::stats::{Counter, Stats};
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// Whether this hit is one of those that are checked.
pub fn is_due(config: &Config) -> bool {
    let share = config.recheck.value;
    // The standard library's hasher has random keys; a hit must not ask the system for them in vain.
    share != MillionthShare(0) && share.takes(RandomState::new().build_hasher().finish())
}

/// Compiles again what was served to the file of `-o`, with an empty cache. Returns the file if its bytes are others
/// now: the new ones stay there, as the cache is not to be believed. `None` also where there is no such option.
///
/// # Errors
/// The compile cannot be run, or fails; what was served is in its place again.
pub fn recheck(args: &[OsString], stats: &Stats) -> io::Result<Option<PathBuf>> {
    let named = args.iter().position(|arg| arg == "-o");
    let Some(output) = named.and_then(|at| args.get(at + 1)).map(Path::new) else {
        return Ok(None);
    };
    let served = fs::read(output)?;
    let compiled = compile_anew().and_then(|()| fs::read(output));
    match compiled {
        Err(error) => {
            fs::write(output, served)?;
            Err(error)
        }
        Ok(compiled) => {
            stats.add(Counter::Rechecked, 1);
            if compiled == served {
                return Ok(None);
            }
            stats.add(Counter::RecheckDiffered, 1);
            Ok(Some(output.to_owned()))
        }
    }
}

/// Runs this process's own command line once more.
fn compile_anew() -> io::Result<()> {
    let cache = tempfile::tempdir()?;
    let status = Command::new("/proc/self/exe")
        .args(env::args_os().skip(1))
        .env("PCACHE_DIR", cache.path())
        .env("PCACHE_RECHECK", "0%")
        // Not empty, which would leave the servers of the configuration file in force: what they serve is to be checked.
        .env("PCACHE_REMOTE", "none")
        .env("PCACHE_READONLY", "0")
        .env_remove("PCACHE_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("the compile ended with {status}")))
    }
}
