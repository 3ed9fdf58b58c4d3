//! A home directory of its own for each test of `pcache`, and the real program run in it.

use pcache_nvcc::store::FileStore;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A home directory, in which `pcache` finds no settings but those that a test makes.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn cache(&self) -> PathBuf {
        self.dir.path().join(".cache/pcache-nvcc")
    }

    pub fn store(&self) -> FileStore {
        FileStore::open(&self.cache(), 1 << 30).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pcache"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("TZ", "UTC");
        command
    }

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

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }
}
