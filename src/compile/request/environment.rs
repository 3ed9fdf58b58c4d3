//! The environment variables that reach what the tools write, and those that forbid caching.
//! `docs/design/keys.md` gives the reason of each; a test ties the page to these tables.

use crate::outcome::{Bypass, BypassReason};
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which program reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VariableReader {
    /// The host compiler driver and the programs that it starts.
    HostCompiler,
    /// One of CUDA's own tools.
    CudaTool,
    All,
    /// nvcc, when it makes its plan. No stage reads it.
    Plan,
}

/// Variables whose values are part of the key, and the programs that read them. NVCC_PREPEND_FLAGS and
/// NVCC_APPEND_FLAGS are not listed, since they are folded into the job; nor is NVCC_CCBIN, whose effect the plan
/// shows.
pub(crate) const KEYED: &[(&str, VariableReader)] = &[
    ("BINUTILS_ROOT", VariableReader::HostCompiler),
    ("CLANG_NO_DEFAULT_CONFIG", VariableReader::HostCompiler),
    ("COMPILER_PATH", VariableReader::HostCompiler),
    ("CPATH", VariableReader::HostCompiler),
    ("CPLUS_INCLUDE_PATH", VariableReader::HostCompiler),
    ("CUDA_VISIBLE_DEVICES", VariableReader::Plan),
    ("C_INCLUDE_PATH", VariableReader::HostCompiler),
    ("DRIVERKIT_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("EDG_BASE", VariableReader::CudaTool),
    ("EDG_MODULES_PATH", VariableReader::CudaTool),
    ("G++_ROOT", VariableReader::HostCompiler),
    ("GCC_COLORS", VariableReader::HostCompiler),
    ("GCC_EXEC_PREFIX", VariableReader::HostCompiler),
    ("GCC_EXTRA_DIAGNOSTIC_OUTPUT", VariableReader::HostCompiler),
    ("GCC_ROOT", VariableReader::HostCompiler),
    ("GCC_URLS", VariableReader::HostCompiler),
    ("GCONV_PATH", VariableReader::All),
    ("IPHONEOS_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("LANG", VariableReader::All),
    ("LANGUAGE", VariableReader::All),
    ("LC_ALL", VariableReader::All),
    ("LC_CTYPE", VariableReader::All),
    ("LC_MESSAGES", VariableReader::All),
    ("LIBNVVM_DISABLE_CONCURRENT_API", VariableReader::CudaTool),
    ("LLVM_OVERRIDE_PRODUCER", VariableReader::All),
    ("LOCPATH", VariableReader::All),
    ("MACOSX_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("NLSPATH", VariableReader::All),
    ("NO_COLOR", VariableReader::HostCompiler),
    ("NVVM_IR_VER_CHK", VariableReader::CudaTool),
    ("NV_NVVM_VERSION", VariableReader::CudaTool),
    ("OUTPUT_CHARSET", VariableReader::All),
    ("POSIXLY_CORRECT", VariableReader::All),
    ("SDKROOT", VariableReader::HostCompiler),
    ("SOURCE_DATE_EPOCH", VariableReader::HostCompiler),
    ("TERM_URLS", VariableReader::HostCompiler),
    ("TVOS_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("WATCHOS_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("XROS_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
];

/// The `assignments` of [`keyed`] variables that the program `reader` reads.
pub(crate) fn reaching(reader: VariableReader, assignments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let reaches = |assignment: &&Vec<u8>| {
        let end = assignment.iter().position(|byte| *byte == b'=');
        let name = end.map(|end| &assignment[..end]);
        let mut rows = KEYED.iter();
        let row = rows.find(|(variable, _)| Some(variable.as_bytes()) == name);
        // A variable that is not in the table is assumed to be read by every program.
        row.is_none_or(|(_, by)| *by == VariableReader::All || *by == reader)
    };
    assignments.iter().filter(reaches).cloned().collect()
}

/// Whether the variable's value is part of the key.
pub fn is_keyed(name: &str) -> bool {
    KEYED.iter().any(|(variable, _)| *variable == name)
}

/// Variables that make a tool write files that the command line does not ask for, or that change its command line.
pub(crate) const FORBIDDEN: &[&str] = &[
    "AS_SECURE_LOG_FILE",
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_HEADERS",
    "CC_PRINT_INTERNAL_STAT",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_PROC_STAT",
    "COMPILER_PROFILE_FILE",
    "DEPENDENCIES_OUTPUT",
    "EDG_AUXILIARY_INFO_DIR_NAME",
    "EDG_FRONT_END_DAEMON",
    "EXPERIMENTAL_SARIF_SOCKET",
    "FORCE_CLANG_DIAGNOSTICS_CRASH",
    "GCC_COMPARE_DEBUG",
    "QA_OVERRIDE_GCC3_OPTIONS",
    "SUNPRO_DEPENDENCIES",
];

/// Variables that nvcc reads to make its plan, besides those that it folds into the command line.
/// The key of a translation unit holds their effect on the plan; direct mode's key holds their values.
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

/// Search path variables. They are not keyed; the tools found along them are, by path and content.
const SEARCHED: &[&str] = &["LD_LIBRARY_PATH", "PATH"];

/// `NAME=value` of every variable that is set and that nvcc's plan depends on. `profile` are the variables that
/// `nvcc.profile` reads.
pub(crate) fn planned(profile: &[String]) -> Vec<Vec<u8>> {
    let profile = profile.iter().map(String::as_str);
    let others = profile.filter(|name| !PLANNING.contains(name) && !SEARCHED.contains(name));
    assignments(PLANNING.iter().copied().chain(others))
}

/// `NAME=value` of the search path variables that are set. nvcc's plan sets them again, with the old value after
/// its own directories.
pub(crate) fn searched() -> Vec<Vec<u8>> {
    assignments(SEARCHED.iter().copied())
}

/// `NAME=value` of every keyed variable that is set, sorted by name.
pub(crate) fn keyed() -> Vec<Vec<u8>> {
    assignments(KEYED.iter().map(|(name, _)| *name))
}

fn assignments<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let set = names.filter_map(|name| Some((name, env::var_os(name)?)));
    set.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect()
}

/// Returns a bypass if a forbidden variable is set.
pub(crate) fn check() -> Result<(), Bypass> {
    match FORBIDDEN.iter().find(|name| env::var_os(name).is_some()) {
        Some(name) => Err(Bypass::new(BypassReason::Environment, *name)),
        None => Ok(()),
    }
}

/// The working directory in its two spellings.
pub(crate) struct WorkingDirectory {
    /// As the system knows it.
    pub physical: PathBuf,
    /// As `PWD` spells it, which gcc and nvcc use if it names the same directory.
    pub spelled: PathBuf,
}

impl WorkingDirectory {
    /// The working directory of this process.
    ///
    /// # Errors
    /// It has been removed.
    pub(crate) fn current() -> std::io::Result<Self> {
        let physical = env::current_dir()?;
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        let spelled = env::var_os("PWD").map(PathBuf::from).filter(|spelled| {
            let is_other = *spelled != physical && spelled.is_absolute();
            is_other && identity(spelled) == identity(&physical)
        });
        Ok(Self {
            spelled: spelled.unwrap_or_else(|| physical.clone()),
            physical,
        })
    }

    /// Both spellings, in the order that keys use.
    pub(crate) fn bytes(&self) -> [&[u8]; 2] {
        [&self.physical, &self.spelled].map(|path| path.as_os_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, KEYED, PLANNING, VariableReader, is_keyed, reaching};

    #[test]
    fn tables_are_sorted_and_documented() {
        let page = include_str!("../../../docs/design/keys.md");
        let keyed = KEYED.iter().map(|(name, _)| *name);
        let all = keyed.chain([FORBIDDEN, PLANNING].concat());
        for name in all {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/design/keys.md lacks {name}"
            );
        }
        assert!(FORBIDDEN.is_sorted() && FORBIDDEN.iter().all(|name| !is_keyed(name)));
        assert!(KEYED.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn a_stage_sees_its_own_tools_variables_alone() {
        let set = [
            "CPATH=/x",
            "EDG_BASE=/y",
            "LC_ALL=C",
            "CUDA_VISIBLE_DEVICES=1",
            "UNKNOWN=1",
        ];
        let set = set.map(|text| text.as_bytes().to_vec());
        let host = reaching(VariableReader::HostCompiler, &set);
        assert_eq!(
            host,
            ["CPATH=/x", "LC_ALL=C", "UNKNOWN=1"].map(|text| text.as_bytes().to_vec())
        );
        let cuda = reaching(VariableReader::CudaTool, &set);
        assert_eq!(
            cuda,
            ["EDG_BASE=/y", "LC_ALL=C", "UNKNOWN=1"].map(|text| text.as_bytes().to_vec())
        );
    }
}
