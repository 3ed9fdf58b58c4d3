//! The environment variables that reach what the tools write, and those that forbid caching.
//! `docs/design/keys.md` gives the reason of each; a test ties the page to these tables.

use crate::outcome::{Bypass, BypassReason};
use crate::toolchain::PathUse;
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
    /// The host compiler, for what it prints. A result without messages does not depend on it.
    Messages,
    /// The preprocessor, for `__DATE__` and its like. A result without a time does not depend on it.
    Time,
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
    ("C_INCLUDE_PATH", VariableReader::HostCompiler),
    ("DRIVERKIT_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("EDG_BASE", VariableReader::CudaTool),
    ("EDG_MODULES_PATH", VariableReader::CudaTool),
    ("G++_ROOT", VariableReader::HostCompiler),
    ("GCC_COLORS", VariableReader::Messages),
    ("GCC_EXEC_PREFIX", VariableReader::HostCompiler),
    ("GCC_EXTRA_DIAGNOSTIC_OUTPUT", VariableReader::Messages),
    ("GCC_ROOT", VariableReader::HostCompiler),
    ("GCC_URLS", VariableReader::Messages),
    ("GCONV_PATH", VariableReader::All),
    ("IPHONEOS_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("LANG", VariableReader::Messages),
    ("LANGUAGE", VariableReader::Messages),
    ("LC_ALL", VariableReader::Messages),
    ("LC_CTYPE", VariableReader::Messages),
    ("LC_MESSAGES", VariableReader::Messages),
    ("LIBNVVM_DISABLE_CONCURRENT_API", VariableReader::CudaTool),
    ("LIBRARY_PATH", VariableReader::Messages),
    ("LLVM_OVERRIDE_PRODUCER", VariableReader::All),
    ("LOCPATH", VariableReader::Messages),
    ("MACOSX_DEPLOYMENT_TARGET", VariableReader::HostCompiler),
    ("NLSPATH", VariableReader::Messages),
    ("NO_COLOR", VariableReader::Messages),
    ("NVVM_IR_VER_CHK", VariableReader::CudaTool),
    ("NV_NVVM_VERSION", VariableReader::CudaTool),
    ("OUTPUT_CHARSET", VariableReader::Messages),
    ("POSIXLY_CORRECT", VariableReader::All),
    ("SDKROOT", VariableReader::HostCompiler),
    ("SOURCE_DATE_EPOCH", VariableReader::Time),
    ("TERM_URLS", VariableReader::Messages),
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

/// Whether the variable's value is part of some key.
pub fn is_keyed(name: &str) -> bool {
    KEYED.iter().any(|(variable, _)| *variable == name)
}

/// Whether the variable matters for messages or times alone.
pub(crate) fn is_conditional(name: &str) -> bool {
    let reader = KEYED.iter().find(|(variable, _)| *variable == name);
    reader.is_some_and(|(_, reader)| is_for_some(*reader))
}

fn is_for_some(reader: VariableReader) -> bool {
    matches!(reader, VariableReader::Messages | VariableReader::Time)
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

/// `NAME=value` of those of them whose value a plan depends on, and not only what is found along it.
pub(crate) fn searched_by_value(path_use: PathUse) -> Vec<Vec<u8>> {
    let names = SEARCHED.iter().copied();
    assignments(names.filter(|name| path_use == PathUse::Value || *name != "PATH"))
}

/// `NAME=value` of every keyed variable that is set and that every result depends on, sorted by name.
pub(crate) fn keyed() -> Vec<Vec<u8>> {
    let rows = KEYED.iter().filter(|(_, reader)| !is_for_some(*reader));
    let mut set = assignments(rows.map(|(name, _)| *name));
    // GCC takes an empty list of directories for none.
    set.retain(|assignment| !EMPTY_IS_UNSET.contains(&assignment.as_slice()));
    set
}

/// `NAME=value` of the variables that are set and that only results with messages, or with times, depend on.
pub(crate) fn conditional(has_messages: bool, has_times: bool) -> Vec<Vec<u8>> {
    let rows = KEYED.iter().filter(|(_, reader)| match reader {
        VariableReader::Messages => has_messages,
        VariableReader::Time => has_times,
        _ => false,
    });
    assignments(rows.map(|(name, _)| *name))
}

/// Variables that mean the same whether they are empty or unset.
const EMPTY_IS_UNSET: [&[u8]; 3] = [b"CPATH=", b"CPLUS_INCLUDE_PATH=", b"C_INCLUDE_PATH="];

/// The value of SOURCE_DATE_EPOCH, which replaces the time of a compile.
pub(crate) fn source_date() -> Option<Vec<u8>> {
    Some(env::var_os("SOURCE_DATE_EPOCH")?.as_bytes().to_vec())
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
            "POSIXLY_CORRECT=1",
            "LC_ALL=C",
            "UNKNOWN=1",
        ];
        let set = set.map(|text| text.as_bytes().to_vec());
        let host = reaching(VariableReader::HostCompiler, &set);
        assert_eq!(
            host,
            ["CPATH=/x", "POSIXLY_CORRECT=1", "UNKNOWN=1"].map(|text| text.as_bytes().to_vec())
        );
        let cuda = reaching(VariableReader::CudaTool, &set);
        assert_eq!(
            cuda,
            ["EDG_BASE=/y", "POSIXLY_CORRECT=1", "UNKNOWN=1"].map(|text| text.as_bytes().to_vec())
        );
    }
}
