//! The environment variables that reach what the tools write, and those that forbid caching.
//! `docs/keys.md` gives the reason of each; a test ties the page to these tables.

use crate::outcome::{Bypass, BypassReason};
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Variables whose values are part of the key. NVCC_PREPEND_FLAGS and NVCC_APPEND_FLAGS are not
/// among them: they are folded into the job; nor is NVCC_CCBIN: the plan shows what came of it.
pub const KEYED: &[&str] = &[
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "COMPILER_PATH",
    "CUDA_VISIBLE_DEVICES",
    "EDG_BASE",
    "EDG_MODULES_PATH",
    "GCC_COLORS",
    "GCC_EXEC_PREFIX",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LIBNVVM_DISABLE_CONCURRENT_API",
    "LLVM_OVERRIDE_PRODUCER",
    "NVVM_IR_VER_CHK",
    "NV_NVVM_VERSION",
    "SOURCE_DATE_EPOCH",
];

/// Those of [`KEYED`] that only the host compiler reads.
const HOST_COMPILER: &[&str] = &[
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "GCC_COLORS",
    "GCC_EXEC_PREFIX",
    "SOURCE_DATE_EPOCH",
];

/// Those of [`KEYED`] that only CUDA's own tools read.
const CUDA_TOOLS: &[&str] = &[
    "EDG_BASE",
    "EDG_MODULES_PATH",
    "LIBNVVM_DISABLE_CONCURRENT_API",
    "LLVM_OVERRIDE_PRODUCER",
    "NVVM_IR_VER_CHK",
    "NV_NVVM_VERSION",
];

/// Those of [`KEYED`] that reach stages by what nvcc makes of them in its plan.
const PLAN_ONLY: &[&str] = &["CUDA_VISIBLE_DEVICES"];

/// Whose environment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The host compiler, with its parts.
    HostCompiler,
    /// One of CUDA's own tools.
    CudaTool,
}

/// Those `assignments` of [`keyed`] variables that reach a stage of `reader`.
pub fn reaching(reader: Reader, assignments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let others = match reader {
        Reader::HostCompiler => CUDA_TOOLS,
        Reader::CudaTool => HOST_COMPILER,
    };
    let is_set = |name: &str, assignment: &[u8]| {
        let rest = assignment.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    let foreign = |assignment: &Vec<u8>| {
        let mut names = others.iter().chain(PLAN_ONLY);
        names.any(|name| is_set(name, assignment))
    };
    let reaching = assignments.iter().filter(|found| !foreign(found));
    reaching.cloned().collect()
}

/// Variables by which a tool writes files that nobody asked for on the command line, or changes it.
pub const FORBIDDEN: &[&str] = &[
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "COMPILER_PROFILE_FILE",
    "DEPENDENCIES_OUTPUT",
    "EDG_AUXILIARY_INFO_DIR_NAME",
    "EDG_FRONT_END_DAEMON",
    "GCC_COMPARE_DEBUG",
    "SUNPRO_DEPENDENCIES",
];

/// Variables that nvcc reads to make its plan, besides those that it folds into the command line.
/// The key of a translation unit has what came of them; that of direct mode, their values.
pub const PLANNING: &[&str] = &[
    "CICC_PATH",
    "CUDAFE_FLAGS",
    "INCLUDES",
    "LIBRARIES",
    "LLVMC_FLAGS",
    "LLVMDIS_FLAGS",
    "NVASM_FLAGS",
    "NVCC_CCBIN",
    "NVDISASM_FLAGS",
    "NVLINK_FLAGS",
    "NVVMIR_LIBRARY_DIR",
    "NVVM_FLAGS",
    "OCG_FLAGS",
    "PTXAS_FLAGS",
    "SYSTEM_INCLUDES",
    "TOP",
    "_HERE_",
    "_SPACE_",
    "_TARGET_DIR_",
    "_TARGET_SIZE_",
    "compiler-bindir",
];

/// Variables whose effect is in the toolchain: what is found along them is keyed by path and content.
const SEARCHED: &[&str] = &["LD_LIBRARY_PATH", "PATH"];

/// `NAME=value` of every variable that is set and that nvcc's plan depends on; `profile` are those that
/// `nvcc.profile` reads.
pub fn planned(profile: &[String]) -> Vec<Vec<u8>> {
    let profile = profile.iter().map(String::as_str);
    let others = profile.filter(|name| !PLANNING.contains(name) && !SEARCHED.contains(name));
    assignments(PLANNING.iter().copied().chain(others))
}

/// `NAME=value` of the variables along which tools are found. nvcc's plan sets them anew, with the old
/// value behind its own.
pub fn searched() -> Vec<Vec<u8>> {
    assignments(SEARCHED.iter().copied())
}

/// `NAME=value` of every keyed variable that is set, sorted by name.
pub fn keyed() -> Vec<Vec<u8>> {
    assignments(KEYED.iter().copied())
}

fn assignments<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let set = names.filter_map(|name| Some((name, env::var_os(name)?)));
    set.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect()
}

/// A bypass when a forbidden variable is set.
pub fn check() -> Result<(), Bypass> {
    match FORBIDDEN.iter().find(|name| env::var_os(name).is_some()) {
        Some(name) => Err(Bypass::new(BypassReason::Environment, *name)),
        None => Ok(()),
    }
}

/// The working directory: as the system knows it, and as `PWD` spells it. gcc and nvcc use the
/// latter where it names the same directory.
pub fn directories() -> std::io::Result<[PathBuf; 2]> {
    let physical = env::current_dir()?;
    let spelled = match env::var_os("PWD").map(PathBuf::from) {
        Some(spelled) if spelled != physical => spelled,
        _ => return Ok([physical.clone(), physical]),
    };
    let identity = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    let is_same = spelled.is_absolute() && identity(&spelled) == identity(&physical);
    let spelled = if is_same { spelled } else { physical.clone() };
    Ok([physical, spelled])
}

/// What `-march=native` means: the first processor's description, without what varies from moment
/// to moment.
pub fn machine() -> Vec<u8> {
    const TELLING: &[&str] = &[
        "vendor_id",
        "cpu family",
        "model",
        "stepping",
        "flags",
        "Features",
        "CPU part",
    ];
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let telling = first.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        TELLING.contains(&name)
    });
    telling.collect::<Vec<_>>().join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{CUDA_TOOLS, FORBIDDEN, HOST_COMPILER, KEYED, PLAN_ONLY, PLANNING};
    use super::{Reader, reaching};

    #[test]
    fn tables_are_sorted_and_documented() {
        let page = include_str!("../../docs/keys.md");
        for table in [KEYED, FORBIDDEN, PLANNING] {
            for name in table {
                assert!(
                    page.contains(&format!("`{name}`")),
                    "docs/keys.md lacks {name}"
                );
            }
        }
        assert!(FORBIDDEN.is_sorted() && KEYED.iter().all(|name| !FORBIDDEN.contains(name)));
    }

    #[test]
    fn a_stage_sees_its_own_tools_variables_alone() {
        let parts = [HOST_COMPILER, CUDA_TOOLS, PLAN_ONLY];
        assert!(
            parts
                .iter()
                .all(|part| part.iter().all(|name| KEYED.contains(name)))
        );
        let set = [
            "CPATH=/x",
            "EDG_BASE=/y",
            "LC_ALL=C",
            "CUDA_VISIBLE_DEVICES=1",
        ];
        let set = set.map(|text| text.as_bytes().to_vec());
        let host = reaching(Reader::HostCompiler, &set);
        assert_eq!(host, [b"CPATH=/x".to_vec(), b"LC_ALL=C".to_vec()]);
        let cuda = reaching(Reader::CudaTool, &set);
        assert_eq!(cuda, [b"EDG_BASE=/y".to_vec(), b"LC_ALL=C".to_vec()]);
    }
}
