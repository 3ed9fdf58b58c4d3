//! The real CUDA compiler under the tests. Never absent: a test that cannot find one fails with
//! the line that says how to get it. Knows nothing of pcache-nvcc.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where one CUDA toolkit lies.
#[derive(Debug)]
pub struct Toolkit {
    root: PathBuf,
}

impl Toolkit {
    /// The toolkit of this test run: `PCACHE_TEST_CUDA`, else `target/cuda/13.2`, else the one
    /// whose nvcc is on PATH.
    pub fn get() -> &'static Self {
        static TOOLKIT: OnceLock<Toolkit> = OnceLock::new();
        TOOLKIT.get_or_init(|| {
            let root = find_root().unwrap_or_else(|| {
                panic!(
                    "no CUDA toolkit for the tests: run scripts/get-cuda once, \
                     put nvcc on PATH, or set PCACHE_TEST_CUDA"
                )
            });
            Self { root }
        })
    }

    /// The folder that holds `bin`, `include` and `nvvm`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of nvcc and the tools beside it.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The real nvcc.
    pub fn nvcc(&self) -> PathBuf {
        self.bin().join("nvcc")
    }
}

fn find_root() -> Option<PathBuf> {
    if let Some(given) = env::var_os("PCACHE_TEST_CUDA").filter(|v| !v.is_empty()) {
        let root = PathBuf::from(given);
        assert!(
            root.join("bin/nvcc").exists(),
            "PCACHE_TEST_CUDA={} holds no bin/nvcc; scripts/get-cuda prints a root that does",
            root.display()
        );
        return root.canonicalize().ok();
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda/13.2");
    if fetched.join("bin/nvcc").exists() {
        return fetched.canonicalize().ok();
    }
    let nvcc = env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join("nvcc"))
        .find(|nvcc| nvcc.is_file())?;
    Some(nvcc.canonicalize().ok()?.parent()?.parent()?.to_path_buf())
}
