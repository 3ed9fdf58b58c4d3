//! Compiles some results again and compares them with what is stored. `pcache-nvcc` compiles each of them into a new
//! cache: a result under the same key must have the same bytes. If the key is another one, they cannot be compared.

use super::journal::{compiles, facts};
use super::progress::Progress;
use super::zone::Zone;
use crate::compile::{PLANNING, is_keyed};
use crate::config::Config;
use crate::explain::DependencyReport;
use crate::journal::{Compile, CompileOutcome};
use crate::store::FileStore;
use crate::store::policy::Nanos;
use anyhow::{Context as _, Error};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// What became of a sample: a member of `pcache verify --json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recompiled {
    /// How many were compiled to the same bytes.
    pub(super) same: u64,
    /// Those that were not.
    pub(super) differ: Vec<Differing>,
    /// How many could not be compared: something has changed since, nothing is stored any more, or a secret
    /// is not kept without which the compile cannot be repeated.
    pub(super) passed: u64,
}

/// A result that a compile does not give again.
#[derive(Debug, Serialize)]
pub(super) struct Differing {
    /// Its source.
    pub(super) source: String,
    /// When it was compiled.
    pub(super) compiled: String,
    /// The members of its record that differ.
    pub(super) parts: Vec<&'static str>,
}

/// Compiles again.
pub(super) struct Recompiler<'a> {
    pub(super) store: &'a FileStore,
    pub(super) config: &'a Config,
    /// The file of `pcache-nvcc`.
    pub(super) wrapper: PathBuf,
    /// Of the times in the result.
    pub(super) zone: Zone,
}

enum Outcome {
    Same,
    Differ(Vec<&'static str>),
    Passed,
}

impl Recompiler<'_> {
    /// Compares `wanted` results, or as many as there are. `now` decides which.
    pub(super) fn run(
        &self,
        wanted: u64,
        now: Nanos,
        progress: &mut Progress<'_>,
    ) -> Result<Recompiled, Error> {
        let compiles = compiles(self.store)?;
        let mut found = Recompiled::default();
        for (compile, key) in sample(&compiles, now) {
            let compared = found.same + found.differ.len() as u64;
            progress.show(compared, wanted);
            if compared >= wanted {
                break;
            }
            match self.compare(compile, key)? {
                Outcome::Same => found.same += 1,
                Outcome::Passed => found.passed += 1,
                Outcome::Differ(parts) => found.differ.push(Differing {
                    source: compile.sources.join(" "),
                    compiled: self.zone.time(compile.start),
                    parts,
                }),
            }
        }
        Ok(found)
    }

    fn compare(&self, compile: &Compile, key: &str) -> Result<Outcome, Error> {
        let (Some(stored), Some(facts)) = (record(self.store, key), facts(self.store, compile))
        else {
            return Ok(Outcome::Passed);
        };
        if facts.command.is_empty() || facts.lacks_values() || !are_unchanged(&facts) {
            return Ok(Outcome::Passed);
        }
        let place = tempfile::tempdir().context("cannot make a directory for a compile")?;
        self.compile(&facts, compile, place.path())?;
        let cache = place.path().join("cache");
        if !cache.exists() {
            return Ok(Outcome::Passed);
        }
        let other = FileStore::open_read_only(&cache, u64::MAX)?;
        let Some(made) = record(&other, key) else {
            return Ok(Outcome::Passed);
        };
        let parts = ["outputs", "streams"].into_iter();
        let parts: Vec<_> = parts.filter(|part| stored[part] != made[part]).collect();
        Ok(if parts.is_empty() {
            Outcome::Same
        } else {
            Outcome::Differ(parts)
        })
    }

    /// Compiles below `place`, with the variables of the first compile that matter.
    fn compile(
        &self,
        facts: &DependencyReport,
        compile: &Compile,
        place: &Path,
    ) -> Result<(), Error> {
        let output = compile.output.as_ref().map(PathBuf::from);
        let name = output.as_deref().and_then(Path::file_name);
        let name = name.unwrap_or("output".as_ref());
        let mut command = Command::new(&self.wrapper);
        let is_ours = |name: &str| {
            let counts = is_keyed(name) || PLANNING.contains(&name);
            counts || name.starts_with("PCACHE_") || name.starts_with("NVCC_")
        };
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_ours) {
                command.env_remove(&name);
            }
        }
        command.envs(facts.variables());
        let directory = facts.request("directory");
        if let [physical, spelled] = directory {
            command.current_dir(physical).env("PWD", spelled);
        }
        if let Some(nvcc) = facts.request("programs").first() {
            command.env("PCACHE_NVCC", nvcc);
        }
        // The key has their contents, which `variables` has in their place.
        command.env_remove("PCACHE_EXTRA_FILES");
        if let Ok(files) = env::join_paths(&self.config.extra_files.value.0) {
            command.env("PCACHE_EXTRA_FILES", files);
        }
        let stages = if self.config.stages.value { "1" } else { "0" };
        command
            .env("PCACHE_STAGES", stages)
            .env("PCACHE_DIR", place.join("cache"))
            // No configuration file of the user is there, and that of the system must not make this anything but a
            // compile into the new cache.
            .env("XDG_CONFIG_HOME", place)
            .env("PCACHE_REMOTE", "none")
            .env("PCACHE_READONLY", "0")
            .env("PCACHE_DISABLE", "0")
            .args(&facts.command)
            .arg("-o")
            .arg(place.join(name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // If it fails, it leaves no result, and the caller sees that.
        let ran = command.status();
        ran.map(drop)
            .with_context(|| format!("cannot run {:?}", self.wrapper))
    }
}

/// Compiles of one unit that made its result, each result once, in an order that `now` decides.
fn sample(compiles: &[Compile], now: Nanos) -> Vec<(&Compile, &str)> {
    let mut seen = HashSet::new();
    let made = compiles.iter().rev().filter_map(|compile| {
        let [unit] = compile.units.as_slice() else {
            return None;
        };
        let is_made = compile.level == CompileOutcome::Miss && unit.unstored.is_none();
        (is_made && seen.insert(&unit.key)).then_some((compile, unit.key.as_str()))
    });
    let mut made: Vec<_> = made.collect();
    made.sort_by_cached_key(|(_, key)| {
        let mut order = Sha256::new();
        order.update(now.to_le_bytes());
        order.update(key);
        order.finalize()
    });
    made
}

fn record(store: &FileStore, key: &str) -> Option<Value> {
    let stored = store.get_record(&hex::decode(key).ok()?).ok()??;
    serde_json::from_slice(&stored).ok()
}

/// Whether every file holds what the compile read.
fn are_unchanged(facts: &DependencyReport) -> bool {
    let directory = Path::new(facts.directory());
    facts.files.iter().all(|file| {
        let read = fs::read(directory.join(&file.path));
        read.is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)).starts_with(&file.digest))
    })
}

#[cfg(test)]
mod tests {
    use super::sample;
    use crate::journal::Compile;
    use serde_json::json;

    fn compile(level: &str, keys: &[&str], unstored: Option<&str>) -> Compile {
        let units = keys.iter().map(
            |key| json!({ "source": "a.cu", "level": level, "key": key, "unstored": unstored }),
        );
        let record = json!({ "v": 1, "start": 1, "wall": 1, "pid": 1, "directory": "/", "sources": ["a.cu"],
            "level": level, "units": units.collect::<Vec<_>>() });
        Compile::from_text(&record.to_string()).expect("a record")
    }

    #[test]
    fn each_stored_result_of_one_unit_is_in_the_sample_once() {
        let all = [
            compile("miss", &["aa"], None),
            compile("miss", &["aa"], None),
            compile("miss", &["bb"], Some("why")),
            compile("preprocessed_hit", &["cc"], None),
            compile("miss", &["dd", "ee"], None),
            compile("miss", &["ff"], None),
        ];
        let mut keys: Vec<_> = sample(&all, 7).iter().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["aa", "ff"]);
    }
}
