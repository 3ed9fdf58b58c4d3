//! `pcache doctor`: looks at everything that the cache needs or that stands in its way, and says what to
//! do about it. Changes nothing, apart from files in a directory of its own that it removes.
//!
//! | module      | looks at                                              |
//! |-------------|-------------------------------------------------------|
//! | `toolchain` | nvcc, its parts, the host compiler, the driver        |
//! | `cache`     | the directory, and what its file system can do        |
//! | `trust`     | whose results are believed, and this user's own files |
//! | `probe`     | a file system, by trying                              |
//! | `launchers` | other caches that would wrap the same compiles        |
//! | `builds`    | the same in a CMake build directory                   |
//! | `remote`    | servers that share results between machines           |
//! | `settings`  | settings that nothing reads, or that switch it off    |

mod builds;
mod cache;
mod findings;
mod launchers;
mod probe;
mod remote;
mod settings;
mod toolchain;
mod trust;

use super::context::{Context, Status};
use super::screen::{print_json, say, say_coloured};
use super::styles::{BAD, DOUBTFUL, FAINT, GOOD, PLAIN, STRONG};
use crate::config::ConfigProblem;
use anstyle::Style;
use anyhow::Error;
use findings::{Finding, Findings, Severity};
use serde::Serialize;
use std::path::PathBuf;

/// What `pcache doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// CMake build directory to check too; if left out, the working directory, if it is one
    #[arg(value_name = "BUILD_DIR")]
    build: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache doctor --json`.
#[derive(Serialize)]
struct DoctorReport<'a> {
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

pub(super) fn run(
    arguments: &DoctorArguments,
    context: &mut Context<'_>,
    problems: &[ConfigProblem],
) -> Result<Status, Error> {
    let mut findings = Findings::default();
    let nvcc = toolchain::examine(context, &mut findings);
    cache::examine(context.config, context.env, &mut findings);
    launchers::examine(context.env, nvcc.as_ref(), &mut findings);
    remote::examine(context.config, &mut findings);
    builds::examine(arguments.build.as_deref(), context.env, &mut findings);
    settings::examine(
        context.config,
        &context.env.variables,
        problems,
        &mut findings,
    );
    if arguments.json {
        let report = DoctorReport {
            errors: findings.count(Severity::Error),
            warnings: findings.count(Severity::Warning),
            findings: &findings.0,
        };
        print_json(&mut context.out, &report)?;
    } else {
        print(&findings, context)?;
    }
    Ok(findings.status())
}

fn print(findings: &Findings, context: &mut Context<'_>) -> Result<(), Error> {
    for found in &findings.0 {
        let (word, style) = word(found.level);
        let word = format!("{word:<8}");
        let text = format!(" {:<16}{}", found.about, found.text);
        say_coloured(&mut context.out, &[(style, &word), (PLAIN, &text)])?;
        if let Some(advice) = &found.advice {
            say(&mut context.out, format_args!("{:<25}→ {advice}", ""))?;
        }
    }
    let (errors, warnings) = (
        findings.count(Severity::Error),
        findings.count(Severity::Warning),
    );
    let text = format!(
        "{}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    say(&mut context.out, format_args!(""))?;
    say_coloured(&mut context.out, &[(STRONG, &text)])
}

fn word(level: Severity) -> (&'static str, Style) {
    match level {
        Severity::Ok => ("ok", GOOD),
        Severity::Note => ("note", FAINT),
        Severity::Warning => ("warning", DOUBTFUL),
        Severity::Error => ("error", BAD),
    }
}

fn counted(n: usize, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {what}{ending}")
}
