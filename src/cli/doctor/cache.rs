//! The directory of the cache: space, rights, and what its file system can do for it.

use super::findings::{Findings, Severity};
use super::probe::{Features, Reach, file_system, free_bytes, free_files, try_out};
use super::trust;
use crate::cli::env::Env;
use crate::config::{ByteSize, Config};
use crate::stats::Stats;
use crate::store::STRANGE_PREFIX;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ABOUT: &str = "cache";
const SYSTEM: &str = "file system";

/// With fewer free files than this, a cache soon cannot store anything.
const FEW_FILES: u64 = 10_000;
/// Room for the files of some large compiles at once.
const LITTLE_ROOM: u64 = 1 << 30;
/// A tick of a slow kernel, and some.
const COARSE: Duration = Duration::from_millis(100);

pub(super) fn examine(config: &Config, env: &Env<'_>, findings: &mut Findings) {
    let root = &config.dir.value;
    if !root.is_absolute() {
        let advice = "set PCACHE_DIR to a directory for the cache";
        findings.advise(Severity::Error, ABOUT, "no home directory is known", advice);
        return;
    }
    if let Some(obstacle) = obstacle(root) {
        let advice = "set PCACHE_DIR to a directory for the cache";
        let text = format!("{obstacle:?} is not a directory: nothing is cached");
        findings.advise(Severity::Error, ABOUT, text, advice);
        return;
    }
    if root.is_dir() {
        examine_size(config, findings);
    } else if config.readonly.value {
        let advice = "set PCACHE_DIR to a cache that is there, or unset PCACHE_READONLY";
        let text = format!("{root:?} is not there, and PCACHE_READONLY is set: nothing is cached");
        findings.advise(Severity::Warning, ABOUT, text, advice);
    } else {
        let text = format!("{root:?} is not there yet; the first compile makes it");
        findings.note(ABOUT, text);
    }
    let Some(place) = existing(root) else { return };
    examine_space(config, &place, findings);
    if root.is_dir() {
        trust::examine(config, findings);
        examine_strange(root, findings);
    }
    if !config.readonly.value {
        examine_features(&place, findings);
    }
    examine_scratch(env, findings);
}

/// What is in the way of the cache's directory.
fn obstacle(root: &Path) -> Option<&Path> {
    let mut existing = root
        .ancestors()
        .filter(|place| place.symlink_metadata().is_ok());
    existing.next().filter(|place| !place.is_dir())
}

/// The cache, or the directory in which it would be made.
fn existing(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .find(|place| place.is_dir())
        .map(Path::to_owned)
}

fn examine_size(config: &Config, findings: &mut Findings) {
    let root = &config.dir.value;
    let stats = Stats::open_existing(root);
    let held = stats.store_size().map_or(0, |size| size.bytes);
    let most = config.max_size.value.bytes();
    let sizes = (ByteSize::approximate(held), ByteSize::approximate(most));
    let text = format!("{root:?} holds {} of {}", sizes.0, sizes.1);
    if held > most.saturating_add(most / 10) {
        findings.advise(Severity::Warning, ABOUT, text, "run pcache gc");
    } else {
        findings.ok(ABOUT, text);
    }
    if !config.readonly.value && root.join("counters").exists() && !stats.is_shared() {
        let advice = "correct owner and mode of the files counters and shards, or remove them";
        findings.advise(
            Severity::Warning,
            ABOUT,
            "its counters cannot be used",
            advice,
        );
    }
}

/// Whether the free space is enough for the cache to grow to its limit.
fn examine_space(config: &Config, place: &Path, findings: &mut Findings) {
    let held = Stats::open_existing(&config.dir.value).store_size();
    let held = held.map_or(0, |size| size.bytes);
    let Ok(free) = free_bytes(place) else { return };
    let most = config.max_size.value.bytes();
    let free_text = format!("{} free", ByteSize::approximate(free));
    if free < most.saturating_sub(held) {
        let text = format!(
            "{free_text}: less than the cache may still grow by ({})",
            ByteSize::approximate(most.saturating_sub(held))
        );
        let advice = "lower max_size, or set PCACHE_DIR to a place on a larger disk; a full disk fails no \
                      build, but stores nothing";
        findings.advise(Severity::Warning, ABOUT, text, advice);
    } else {
        findings.ok(ABOUT, free_text);
    }
    if let Some(files) = free_files(place).filter(|files| *files < FEW_FILES) {
        let text = format!("the file system has room for {files} more files");
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "remove files there, or set PCACHE_DIR",
        );
    }
}

/// What was in the way of the store's own files, and was moved aside.
fn examine_strange(root: &Path, findings: &mut Findings) {
    let entries = std::fs::read_dir(root.join("tmp"))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|entry| entry.file_name());
    let strange = names.filter(|name| {
        name.as_encoded_bytes()
            .starts_with(STRANGE_PREFIX.as_bytes())
    });
    let strange: Vec<_> = strange.collect();
    if let Some(first) = strange.first() {
        let text = format!(
            "{} things that are none of the cache's were in its way, and are now in tmp/, such as {first:?}",
            strange.len()
        );
        findings.advise(
            Severity::Warning,
            ABOUT,
            text,
            "look at them, and remove them",
        );
    }
}

fn examine_features(place: &Path, findings: &mut Findings) {
    let made = tempfile::Builder::new()
        .prefix("pcache-doctor-")
        .tempdir_in(place);
    let features = made.and_then(|directory| try_out(directory.path()));
    let features = match features {
        Ok(features) => features,
        Err(error) => {
            let text = format!("cannot write in {place:?}: {error}");
            let advice =
                "correct its owner and mode, set PCACHE_DIR to another place, or PCACHE_READONLY";
            findings.advise(Severity::Error, ABOUT, text, advice);
            return;
        }
    };
    let (name, reach) = file_system(place).unwrap_or(("unknown", Reach::Local));
    match reach {
        Reach::Local => findings.ok(SYSTEM, name),
        Reach::Remote => findings.advise(
            Severity::Warning,
            SYSTEM,
            format!("{name}: other hosts may change it, so that every hit reads all its headers"),
            "set PCACHE_DIR to a local disk, unless hosts are to share results",
        ),
    }
    report(&features, findings);
}

/// A line for each feature: what is lost without it.
fn report(features: &Features, findings: &mut Findings) {
    let elsewhere = "set PCACHE_DIR to a place on another file system";
    let needs = [
        (
            features.renames_over,
            Severity::Error,
            "rename over a file",
            "results cannot be stored safely",
        ),
        (
            features.shared_counters,
            Severity::Warning,
            "shared counters",
            "nothing is counted",
        ),
        (
            features.byte_locks,
            Severity::Warning,
            "byte-range locks",
            "the same compile can run several times at once",
        ),
        (
            features.flocks,
            Severity::Warning,
            "flock",
            "several processes can evict at once",
        ),
        (
            features.access_times,
            Severity::Warning,
            "access times",
            "results are evicted by age, not by last use",
        ),
        (
            features.digests,
            Severity::Warning,
            "a table of digests",
            "every hit reads all its headers",
        ),
    ];
    let (has, lacks): (Vec<_>, Vec<_>) = needs.into_iter().partition(|(has, ..)| *has);
    let has: Vec<_> = has.into_iter().map(|(_, _, what, _)| what).collect();
    findings.ok(SYSTEM, format!("has {}", has.join(", ")));
    for (_, level, what, loss) in lacks {
        findings.advise(level, SYSTEM, format!("has no {what}: {loss}"), elsewhere);
    }
    report_clock(features, findings);
}

/// How finely the file system counts time, and whether it agrees with the system's clock.
fn report_clock(features: &Features, findings: &mut Findings) {
    match features.grain {
        Some(grain) if grain <= COARSE => {
            let text = match grain.as_micros() {
                0..100 => "its clock steps by less than 0.1 ms".to_owned(),
                micros => format!("its clock steps by {:.1} ms", micros as f64 / 1e3),
            };
            findings.ok(SYSTEM, text);
        }
        _ => findings.advise(
            Severity::Note,
            SYSTEM,
            "its clock steps by more than 100 ms",
            "files edited a moment ago are read again; nothing needs to be done",
        ),
    }
    if features.skew > Duration::from_secs(2) {
        let text = format!(
            "its clock differs from the system's by {:.0} s",
            features.skew.as_secs_f64()
        );
        let advice =
            "synchronise the clocks of both hosts: ages and lifetimes are computed from file times";
        findings.advise(Severity::Warning, SYSTEM, text, advice);
    }
}

/// The directory of work directories, in which every miss runs.
fn examine_scratch(env: &Env<'_>, findings: &mut Findings) {
    let about = "TMPDIR";
    let place = (env.var)("TMPDIR").filter(|place| !place.is_empty());
    let place = place.map_or_else(|| "/tmp".into(), PathBuf::from);
    if place.to_string_lossy().contains(',') {
        let text = format!("{place:?} has a comma, at which nvcc's tools cut arguments");
        let advice = "set TMPDIR to a path without: until then every compile goes to nvcc uncached";
        findings.advise(Severity::Error, about, text, advice);
        return;
    }
    let made = tempfile::Builder::new()
        .prefix("pcache-doctor-")
        .tempdir_in(&place);
    if let Err(error) = made {
        let advice = "set TMPDIR to a directory where you may write; nvcc needs one too";
        findings.advise(
            Severity::Error,
            about,
            format!("cannot write in {place:?}: {error}"),
            advice,
        );
        return;
    }
    match free_bytes(&place) {
        Ok(free) if free < LITTLE_ROOM => findings.advise(
            Severity::Warning,
            about,
            format!("{place:?} has {} free", ByteSize::approximate(free)),
            "a large compile may need more: set TMPDIR to a larger place",
        ),
        Ok(free) => findings.ok(
            about,
            format!("{place:?}, {} free", ByteSize::approximate(free)),
        ),
        Err(_) => {}
    }
}
