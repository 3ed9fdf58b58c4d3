//! Where one test takes place: `pcache` and its library as they are installed, a home directory, a folder to
//! work in, and the programs that are run in it, with the cache and without.

use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The directory of one fetched NVRTC.
#[track_caller]
pub fn nvrtc(version: &str) -> PathBuf {
    let lib = fetched(version).join("lib");
    assert!(
        lib.is_dir(),
        "no NVRTC {version} for the tests: run scripts/get-nvrtc {version} once"
    );
    lib
}

/// What a fetching script has put below `target/nvrtc`.
pub fn fetched(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/nvrtc")
        .join(name)
}

/// libnvrtc itself.
#[track_caller]
pub fn libnvrtc(version: &str) -> String {
    let lib = nvrtc(version).join(soname(version));
    lib.to_str().unwrap().to_owned()
}

pub fn soname(version: &str) -> String {
    format!("libnvrtc.so.{}", &version[..2])
}

/// How often the cache answered, and how often it did not.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    pub bypassed: u64,
}

pub struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let scene = Self { dir };
        for folder in ["bin", "lib", "home", "work"] {
            fs::create_dir(scene.path(folder)).unwrap();
        }
        let built = env::current_exe().unwrap();
        let library = built.with_file_name("libpcache_nvcc.so");
        fs::hard_link(library, scene.library()).unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_pcache"), scene.pcache()).unwrap();
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn library(&self) -> PathBuf {
        self.path("lib/libpcache_nvcc.so")
    }

    pub fn pcache(&self) -> PathBuf {
        self.path("bin/pcache")
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `program` in this scene, without the cache.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .current_dir(self.path("work"));
        command
    }

    /// `program` in this scene, with the cache.
    pub fn cached(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(self.pcache());
        command.args(["run", "--"]).arg(program);
        command
    }

    /// The C program, made with these flags.
    #[track_caller]
    pub fn client(&self, flags: &[&str]) -> PathBuf {
        let program = self.path("client");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvrtc/client.c");
        let made = self
            .command("gcc")
            .args(["-Wall", "-Werror", "-O1", "-o"])
            .arg(&program)
            .arg(source)
            .args(flags)
            .args(["-ldl", "-lpthread"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        program
    }

    pub fn counts(&self) -> Counts {
        let told = self
            .command(self.pcache())
            .args(["stats", "--json"])
            .output();
        let stats: Value = serde_json::from_slice(&told.unwrap().stdout).unwrap();
        let nvrtc = &stats["nvrtc"];
        let reasons = nvrtc["bypassed"].as_object().unwrap().values();
        Counts {
            hits: nvrtc["hits"].as_u64().unwrap(),
            misses: nvrtc["misses"].as_u64().unwrap(),
            bypassed: reasons.map(|n| n.as_u64().unwrap()).sum(),
        }
    }

    /// Runs a program without the cache, then twice with it, changed by `with`: all three print the same. The first
    /// misses `misses` times, the second hits so often and misses nothing.
    #[track_caller]
    pub fn assert_second_hits(
        &self,
        program: impl AsRef<OsStr>,
        misses: u64,
        with: impl Fn(&mut Command) -> &mut Command,
    ) {
        let plain = text(with(&mut self.command(&program)));
        let cold = text(with(&mut self.cached(&program)));
        assert_eq!(cold, plain, "the first run");
        let before = self.counts();
        assert_eq!((before.hits, before.misses), (0, misses), "the first run");
        let warm = text(with(&mut self.cached(&program)));
        assert_eq!(warm, plain, "the second run");
        let after = self.counts();
        assert_eq!(
            (after.hits, after.misses),
            (misses, misses),
            "the second run"
        );
    }
}

/// What a program prints that succeeds, and says nothing on standard error.
#[track_caller]
pub fn text(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&stderr),
        String::from_utf8(stdout).unwrap(),
    );
    assert!(
        status.success() && said.is_empty(),
        "{status} {said}\n{told}"
    );
    assert!(!told.is_empty());
    told
}
