//! The commands that nvcc prints with `-v`, each before it runs: those of its dry run, which have the same text. If a
//! command prints something, only nvcc itself can put that into the right place.

use crate::cmdline::Job;
use crate::compile::deliver::delivery::Delivery;
use crate::compile::detour::Detour;
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Adds the commands of `nvcc args…` to what `delivery` prints, if the job asks for them.
///
/// # Errors
/// A command printed something, or the dry run fails.
pub(crate) fn add(
    delivery: &mut Delivery,
    job: &Job,
    nvcc: &Path,
    args: &[OsString],
) -> Result<(), Detour> {
    if !job.shows_commands {
        return Ok(());
    }
    if !delivery.printed.is_empty() {
        let detail = "a command prints something".to_owned();
        return Err(Bypass::new(BypassReason::Verbose, detail).into());
    }
    let failed = |detail: String| Fallback::new(FallbackReason::Dryrun, detail);
    let output = Command::new(nvcc)
        .args(args)
        .arg("--dryrun")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{}: {error}", nvcc.display())))?;
    if !output.status.success() || !output.stdout.is_empty() {
        return Err(failed("nvcc does not print its commands".to_owned()).into());
    }
    delivery.printed.stderr = output.stderr;
    Ok(())
}
