//! Settings that nothing reads, that cannot be used, or that switch the cache off.

use super::findings::{Findings, Severity};
use crate::config::{Config, ConfigProblem, unknown_variables};
use crate::toolchain::KeyedSettings;
use rustix::fs::{Access, access};
use std::ffi::OsString;
use std::io::{Error, ErrorKind};
use std::path::Path;

const ABOUT: &str = "settings";

pub(super) fn examine(
    config: &Config,
    variables: &[OsString],
    problems: &[ConfigProblem],
    findings: &mut Findings,
) {
    let before = findings.0.len();
    examine_variables(variables, findings);
    for problem in problems {
        let advice = "correct it, or remove it: pcache config lists all settings";
        findings.advise(Severity::Warning, ABOUT, problem.to_string(), advice);
    }
    examine_switches(config, findings);
    examine_extra_files(config, findings);
    examine_log(config, findings);
    if findings.0.len() == before {
        findings.ok(
            ABOUT,
            "all PCACHE_* variables and configuration keys are recognised",
        );
    }
}

/// A name that no setting has looks set and does nothing.
fn examine_variables(variables: &[OsString], findings: &mut Findings) {
    for unknown in unknown_variables(variables.iter().cloned()) {
        let advice = unknown.advice();
        findings.advise(Severity::Warning, ABOUT, unknown.to_string(), &advice);
    }
}

fn examine_switches(config: &Config, findings: &mut Findings) {
    let from = |source| format!("({source})");
    if config.disable.value {
        findings.advise(
            Severity::Warning,
            ABOUT,
            format!(
                "disable is set {}: every compile goes to nvcc",
                from(&config.disable.source)
            ),
            "set it to false to use the cache",
        );
    }
    if config.recache.value {
        findings.advise(
            Severity::Warning,
            ABOUT,
            format!(
                "recache is set {}: nothing is a hit",
                from(&config.recache.source)
            ),
            "set it to false when the cache has been filled again",
        );
    }
    if config.readonly.value {
        findings.note(
            ABOUT,
            format!(
                "readonly is set {}: nothing is stored",
                from(&config.readonly.source)
            ),
        );
    }
    for (name, setting) in [
        ("direct", &config.direct),
        ("stages", &config.stages),
        ("semantic", &config.semantic),
    ] {
        if !setting.value {
            let text = format!(
                "{name} is off {}: hits are slower, or fewer",
                from(&setting.source)
            );
            findings.note(ABOUT, text);
        }
    }
}

/// Without one of them nothing is cached.
fn examine_extra_files(config: &Config, findings: &mut Findings) {
    if let Err(error) = KeyedSettings::of(config).assignments(None) {
        let from = &config.extra_files.source;
        findings.advise(
            Severity::Warning,
            ABOUT,
            format!("extra_files is set ({from}), and every compile goes to nvcc: {error}"),
            "make the file, or take it out of the list",
        );
    }
}

/// A log that cannot be written fails no compile, so the user only misses the file.
fn examine_log(config: &Config, findings: &mut Findings) {
    let Some(path) = &config.log.value else {
        return;
    };
    let from = &config.log.source;
    if !path.is_absolute() {
        let text = format!(
            "log is {path:?} ({from}): each compile writes to a file of its own working directory"
        );
        return findings.advise(Severity::Note, ABOUT, text, "set a full path for one log");
    }
    if let Err(error) = writable(path) {
        findings.advise(
            Severity::Warning,
            ABOUT,
            format!("log is set ({from}), and nothing is logged: cannot write {path:?}: {error}"),
            "make its directory, or set PCACHE_LOG to a file that you may write",
        );
    }
}

/// Whether a compile could append to the file at `path`, or make it. Makes nothing.
fn writable(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let place = if path.exists() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    Ok(access(place, Access::WRITE_OK)?)
}
