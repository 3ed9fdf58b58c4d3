//! The real toolkit, for tests that compare with it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory whose name cannot end in that of the keep directory, `W`.
pub fn directory() -> tempfile::TempDir {
    let made = tempfile::Builder::new().suffix(".d").tempdir();
    made.expect("a temporary directory can be made")
}

/// An nvcc.
pub struct Toolkit {
    nvcc: PathBuf,
}

impl Toolkit {
    /// `$PCACHE_TEST_CUDA`, else what `scripts/get-cuda` fetched, else the nvcc on `PATH`. Tests that
    /// need one fail without it: a comparison that was not made is not a comparison that held.
    pub fn find() -> Self {
        let named = std::env::var_os("PCACHE_TEST_CUDA").map(PathBuf::from);
        let fetched = || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda/13.2");
            root.join("bin/nvcc").is_file().then_some(root)
        };
        let nvcc = match named.or_else(fetched) {
            Some(root) => root.join("bin/nvcc"),
            None => which::which("nvcc").unwrap_or_else(|_| {
                panic!(
                    "no nvcc: run scripts/get-cuda, or name a toolkit's root in PCACHE_TEST_CUDA, \
                    or put nvcc on PATH"
                )
            }),
        };
        assert!(nvcc.is_file(), "there is no nvcc at {}", nvcc.display());
        Self { nvcc }
    }

    /// Runs nvcc in `dir`.
    pub fn nvcc(&self, dir: &Path, args: &[&str]) -> Output {
        run(dir, &[], self.nvcc.as_os_str(), args)
    }

    /// What a dry run prints, with the keep directory `W`.
    pub fn dryrun(&self, dir: &Path, args: &[&str]) -> Vec<u8> {
        let mut all = vec!["--dryrun", "--keep", "--keep-dir", "W"];
        all.extend(args);
        self.nvcc(dir, &all).stderr
    }
}

/// Runs a program that should succeed, with variables set.
pub fn run(
    dir: &Path,
    env: &[(OsString, OsString)],
    program: &OsStr,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Output {
    // The program is looked up in the PATH that it is given, as a shell would.
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value);
    let found = path.and_then(|path| which::which_in(program, Some(path), dir).ok());
    let mut command = Command::new(found.as_deref().map_or(program, Path::as_os_str));
    command
        .current_dir(dir)
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)));
    for variable in ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "NVCC_CCBIN"] {
        command.env_remove(variable);
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.to_string_lossy()));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
