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
//! | `settings`  | settings that nobody reads, or that switch it off     |

mod builds;
mod cache;
mod launchers;
mod probe;
mod settings;
mod toolchain;
mod trust;

use super::paint::Ink;
use super::scene::{Scene, Status};
use super::screen::{print_json, say, say_coloured};
use crate::config::ConfigProblem;
use crate::secret::hide_text;
use anyhow::Error;
use serde::Serialize;
use std::path::PathBuf;

/// What `pcache doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Also look at this CMake build directory; the working directory, if it is one
    #[arg(value_name = "BUILD_DIR")]
    build: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Costs time, or does not do what somebody wants.
    Warning,
    /// Compiles fail, or gain nothing.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at.
    about: &'static str,
    text: String,
    /// What to do.
    advice: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Level::Ok, about, text, None);
    }

    /// A note that asks for nothing.
    fn note(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Level::Note, about, text, None);
    }

    fn advise(&mut self, level: Level, about: &'static str, text: impl Into<String>, advice: &str) {
        self.add(level, about, text, Some(advice.to_owned()));
    }

    fn add(
        &mut self,
        level: Level,
        about: &'static str,
        text: impl Into<String>,
        advice: Option<String>,
    ) {
        let text: String = text.into();
        self.0.push(Finding {
            level,
            about,
            // Variables and settings are shown with their values, which may be commands.
            text: hide_text(&text).into_owned(),
            advice,
        });
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|found| found.level == level).count()
    }

    fn status(&self) -> Status {
        match self.0.iter().map(|found| found.level).max() {
            Some(Level::Error) => Status::Trouble,
            Some(Level::Warning) => Status::Findings,
            _ => Status::Fine,
        }
    }
}

/// The shape of `pcache doctor --json`.
#[derive(Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

pub(super) fn run(
    arguments: &DoctorArguments,
    scene: &mut Scene<'_>,
    problems: &[ConfigProblem],
) -> Result<Status, Error> {
    let mut findings = Findings::default();
    let nvcc = toolchain::examine(scene, &mut findings);
    cache::examine(scene.config, scene.surroundings, &mut findings);
    launchers::examine(scene.surroundings, nvcc.as_ref(), &mut findings);
    builds::examine(
        arguments.build.as_deref(),
        scene.surroundings,
        &mut findings,
    );
    settings::examine(
        scene.config,
        &scene.surroundings.variables,
        problems,
        &mut findings,
    );
    if arguments.json {
        let report = Report {
            errors: findings.count(Level::Error),
            warnings: findings.count(Level::Warning),
            findings: &findings.0,
        };
        print_json(&mut scene.out, &report)?;
    } else {
        print(&findings, scene)?;
    }
    Ok(findings.status())
}

fn print(findings: &Findings, scene: &mut Scene<'_>) -> Result<(), Error> {
    for found in &findings.0 {
        let (word, ink) = word(found.level);
        let word = format!("{word:<8}");
        let text = format!(" {:<16}{}", found.about, found.text);
        say_coloured(&mut scene.out, &[(Some(ink), &word), (None, &text)])?;
        if let Some(advice) = &found.advice {
            say(&mut scene.out, format_args!("{:<25}→ {advice}", ""))?;
        }
    }
    let (errors, warnings) = (findings.count(Level::Error), findings.count(Level::Warning));
    let text = format!(
        "{}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    say(&mut scene.out, format_args!(""))?;
    say_coloured(&mut scene.out, &[(Some(Ink::Strong), &text)])
}

fn word(level: Level) -> (&'static str, Ink) {
    match level {
        Level::Ok => ("ok", Ink::Good),
        Level::Note => ("note", Ink::Faint),
        Level::Warning => ("warning", Ink::Doubtful),
        Level::Error => ("error", Ink::Bad),
    }
}

fn counted(n: usize, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {what}{ending}")
}
