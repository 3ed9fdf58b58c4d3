//! Asks the real nvcc for its plan.

use super::workspace::Workspace;
use crate::cmdline::Job;
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::Plan;
use crate::toolchain::nvcc_command;
use std::path::Path;
use std::process::Stdio;

/// The plan of `job` in `workspace`. The flags from nvcc's own environment variables are part of
/// the job already, so nvcc must not read them again.
pub fn plan(nvcc: &Path, job: &Job, workspace: &Workspace) -> Result<Plan, Fallback> {
    let directory = workspace.temporaries();
    let failed = |text: String| Fallback::new(FallbackReason::Dryrun, text);
    let output = nvcc_command(nvcc)
        .args(job.dryrun_args(&directory))
        .env_remove("NVCC_PREPEND_FLAGS")
        .env_remove("NVCC_APPEND_FLAGS")
        .env("TMPDIR", workspace.scratch())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{}: {error}", nvcc.display())))?;
    if !output.status.success() {
        return Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    Plan::parse(&output.stderr, &directory)
        .map_err(|error| Fallback::new(FallbackReason::PlanShape, error.to_string()))
}
