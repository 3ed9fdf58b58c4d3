//! `pcache` in a home of its own.

// Each test program uses some of it.
#![allow(dead_code)]

use pcache_nvcc::store::FileStore;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A home directory, in which `pcache` finds no settings but those that a test makes.
pub struct Home {
    /// Where it is.
    pub dir: tempfile::TempDir,
}

impl Home {
    /// A new one, removed at the end.
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Where its cache is.
    pub fn cache(&self) -> PathBuf {
        self.dir.path().join(".cache/pcache-nvcc")
    }

    /// Its cache as a store.
    pub fn store(&self) -> FileStore {
        FileStore::open(&self.cache(), 1 << 30).unwrap()
    }

    /// The command `pcache` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pcache"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path());
        command
    }

    /// What it does.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a request that succeeds in silence prints.
    #[track_caller]
    pub fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(self.dir.path().to_str().unwrap(), "~")
    }

    /// The JSON that a request prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }
}
