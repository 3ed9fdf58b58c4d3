//! The environment variables that reach what the tools write, and those that forbid caching.
//! `docs/design/keys.md` gives the reason of each; a test ties the page to these tables.

use crate::outcome::{Bypass, BypassReason};
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VariableReader {
    /// The host compiler, with its parts.
    HostCompiler,
    /// One of CUDA's own tools.
    CudaTool,
    All,
    /// nvcc, which makes something of it in its plan. No stage sees it.
    Plan,
}

/// Variables whose values are part of the key, and who reads them. NVCC_PREPEND_FLAGS and NVCC_APPEND_FLAGS are not
/// among them: they are folded into the job; nor is NVCC_CCBIN: the plan shows what came of it.
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

/// Those `assignments` of [`keyed`] variables that reach a stage of `reader`.
pub(crate) fn reaching(reader: VariableReader, assignments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let name = |assignment: &[u8]| assignment.iter().position(|byte| *byte == b'=');
    let reaches = |assignment: &&Vec<u8>| {
        let name = name(assignment).map(|end| &assignment[..end]);
        let mut rows = KEYED.iter();
        let row = rows.find(|(known, _)| Some(known.as_bytes()) == name);
        // What is not in the table counts for all.
        row.is_none_or(|(_, by)| *by == VariableReader::All || *by == reader)
    };
    assignments.iter().filter(reaches).cloned().collect()
}

/// Whether the variable's value is part of the key.
pub fn is_keyed(name: &str) -> bool {
    KEYED.iter().any(|(known, _)| *known == name)
}

/// Variables by which a tool writes files that the command line does not ask for, or changes it.
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
pub(crate) fn planned(profile: &[String]) -> Vec<Vec<u8>> {
    let profile = profile.iter().map(String::as_str);
    let others = profile.filter(|name| !PLANNING.contains(name) && !SEARCHED.contains(name));
    assignments(PLANNING.iter().copied().chain(others))
}

/// `NAME=value` of the variables along which tools are found. nvcc's plan sets them anew, with the old
/// value behind its own.
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

/// A bypass when a forbidden variable is set.
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
    /// That of this process.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn current() -> std::io::Result<Self> {
        let physical = env::current_dir()?;
        let identity = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino()))
        };
        let spelled = env::var_os("PWD").map(PathBuf::from);
        let spelled = spelled.filter(|spelled| {
            let is_other = *spelled != physical && spelled.is_absolute();
            is_other && identity(spelled) == identity(&physical)
        });
        Ok(Self {
            spelled: spelled.unwrap_or_else(|| physical.clone()),
            physical,
        })
    }

    /// Both spellings, as keys have them.
    pub(crate) fn bytes(&self) -> [&[u8]; 2] {
        [&self.physical, &self.spelled].map(|path| path.as_os_str().as_bytes())
    }
}

/// Whether the value of one of nvcc's options depends on this machine: `-arch=native`.
pub(crate) fn value_depends_on_machine(value: &[u8]) -> bool {
    // Not memchr: its first call takes longer than a hit may.
    value.windows(6).any(|word| word == b"native")
}

/// Whether a word of a command depends on this machine: `-march=native`. Names of files may hold the word.
pub(crate) fn word_depends_on_machine(word: &[u8]) -> bool {
    word.windows(7).any(|part| part == b"=native")
}

/// What `-march=native` means: the first processor's description, without what varies from moment
/// to moment.
pub(crate) fn machine() -> Vec<u8> {
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
