//! The environment variables that NVRTC reads, found by watching `getenv` in 12.0 to 13.5.
//! `docs/design/nvrtc.md` gives reasons; a test compares that page with these tables.

use crate::outcome::NvrtcReason;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Variables whose values are part of the key.
const KEYED: &[&str] = &[
    "CAN_FINALIZE_DEBUG",
    "CUDA_CACHE_DISABLE",
    "EDG_BASE",
    "EDG_MODULES_PATH",
    "FINALIZER_CUBIE",
    "FINALIZER_USE_LEGACY_ELF_BUILDER",
    "LIBNVVM_DISABLE_CONCURRENT_API",
    "LLVM_OVERRIDE_PRODUCER",
    "NVRTCWIZ",
    "NVRTC_APPEND_FLAGS",
    "NVRTC_DISABLE_CONCURRENT_NVVM",
    "NVRTC_DISABLE_PCH",
    "NVRTC_PCH_HEAP_SIZE",
    "NVVM_IR_VER_CHK",
    "NV_NVVM_VERSION",
];

/// Variables that are read when the library is loaded, and not for each compile.
const LOADED: &[&str] = &[
    "LIBNVVM_DISABLE_CONCURRENT_API",
    "LLVM_OVERRIDE_PRODUCER",
    "NVRTC_DISABLE_CONCURRENT_NVVM",
    "NVRTC_DISABLE_PCH",
    "NVRTC_PCH_HEAP_SIZE",
    "NV_NVVM_VERSION",
];

/// Variables that make NVRTC write files the program did not ask for.
const FORBIDDEN: &[&str] = &[
    "AS_SECURE_LOG_FILE",
    "DUMP_KNOBS_TO_FILE",
    "EDG_AUXILIARY_INFO_DIR_NAME",
    "EDG_FRONT_END_DAEMON",
];

/// The environment with which a process was started.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// `NAME=value` of each of [`LOADED`] that was set.
    loaded: Vec<Vec<u8>>,
}

impl Start {
    /// Reads the start environment of this process.
    pub(super) fn read() -> Self {
        let environment = fs::read("/proc/self/environ").unwrap_or_default();
        let assignment = |name: &&str| {
            let prefix = [name.as_bytes(), b"="].concat();
            let mut assignments = environment.split(|&byte| byte == 0);
            let found = assignments.find(|assignment| assignment.starts_with(&prefix));
            found.map(<[u8]>::to_vec)
        };
        Self {
            loaded: LOADED.iter().filter_map(assignment).collect(),
        }
    }

    /// `NAME=value` of every keyed variable that is set, sorted by name.
    ///
    /// # Errors
    /// A variable forbids caching; or a variable that is read only once has changed since the start, so that it
    /// is unknown which value the library has seen.
    pub(super) fn keyed(&self) -> Result<Vec<Vec<u8>>, (NvrtcReason, Vec<u8>)> {
        let refused = |name: &str| Err((NvrtcReason::Environment, name.as_bytes().to_vec()));
        if let Some(name) = FORBIDDEN.iter().find(|name| env::var_os(name).is_some()) {
            return refused(name);
        }
        if assignments(LOADED) == self.loaded {
            Ok(assignments(KEYED))
        } else {
            refused("a variable that NVRTC reads when it is loaded")
        }
    }
}

/// The value of `NVRTC_APPEND_FLAGS`, which NVRTC appends to the options of every compile.
pub(super) fn appended() -> Option<OsString> {
    env::var_os("NVRTC_APPEND_FLAGS")
}

/// The working directory, as the system knows it and as `PWD` spells it; NVRTC reads both.
///
/// # Errors
/// The working directory does not exist any more.
pub(super) fn directories() -> io::Result<[PathBuf; 2]> {
    let physical = env::current_dir()?;
    let spelled = env::var_os("PWD").map(PathBuf::from);
    let spelled = spelled.filter(|path| path.is_absolute());
    Ok([physical.clone(), spelled.unwrap_or(physical)])
}

fn assignments(names: &[&str]) -> Vec<Vec<u8>> {
    let variables = names
        .iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    variables
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, KEYED, LOADED};

    #[test]
    fn tables_are_sorted_and_documented() {
        let page = include_str!("../../docs/design/nvrtc.md");
        for table in [KEYED, FORBIDDEN] {
            assert!(table.is_sorted());
            for name in table {
                let code = format!("`{name}`");
                assert!(page.contains(&code), "docs/design/nvrtc.md lacks {name}");
            }
        }
        assert!(LOADED.iter().all(|name| KEYED.contains(name)) && LOADED.is_sorted());
    }
}
