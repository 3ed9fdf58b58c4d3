//! Identifies the toolchain that a compile would use: every tool's content, nvcc's release, the host compiler's own
//! parts. The answer is stored in a memo, which is believed as long as every tool's `stat` is the same and every name
//! is found at the same place, along whatever PATH.

use super::error::ToolchainError;
use super::find::nvcc_command;
use super::host::{HostDriver, HostFamily};
use super::identity::{HOST_LIBRARY, LOADED, ToolForms, Toolchain};
use super::loaded::{self, Loaded};
use super::memos::{MemoSelection, Memos};
use super::names::FoundNames;
use super::parts::{Host, PROGRAMS};
use super::profile;
use super::record::{self, SCHEMA, ToolchainRecord};
use super::search::{PathUse, ToolSearch};
use super::tools::{Targets, ToolRecord, canonical, tool_records};
use crate::includes::digests::DigestTable;
use crate::key::{Digester, Sink};
use crate::plan::{Plan, Tool};
use crate::stat::CoarseTime;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// CUDA's own tools, by the names that plans use.
const CUDA_TOOLS: &[&str] = &["cudafe++", "cicc", "ptxas", "fatbinary", "nvlink"];
/// The directory for the probe's temporary files. Only their names matter; nothing is written there.
const PROBE_DIRECTORY: &str = "/pcache-nvcc-probe";

/// Identifies the toolchain of `nvcc` with the host compiler `ccbin` (`None` = nvcc's own choice), and
/// stores the answer in `memos`. Tools that are run may write temporary files to `scratch`.
pub fn identify(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    memos: Option<&Memos>,
    scratch: &Path,
) -> Result<Toolchain, ToolchainError> {
    if let Some(toolchain) = recall(nvcc, ccbin, memos, None) {
        return Ok(toolchain);
    }
    let started = CoarseTime::now();
    let record = take(nvcc, ccbin, scratch)?;
    if let Some(memos) = memos.filter(|_| record.is_proof(started)) {
        let former = memos.read(&record.name).unwrap_or_default();
        if let Ok(bytes) = record::with_older(&record, &former) {
            // Best effort: without a memo, the next compile identifies the toolchain again.
            let _ = memos.write(&record.name, &bytes);
        }
    }
    let toolchain = record.toolchain(&own_path(), None);
    toolchain.ok_or_else(|| ToolchainError::Probe {
        nvcc: nvcc.into(),
        text: "its tools changed while they were examined".to_owned(),
    })
}

/// The toolchain from its memo, if every tool is unchanged and is found at the same place. PATH may be another one than
/// it was when the toolchain was identified. Starts no process. With `digests`, unchanged directories need not be
/// searched again.
pub fn recall(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    memos: Option<&Memos>,
    digests: Option<&DigestTable>,
) -> Option<Toolchain> {
    let name = memo_name(nvcc, ccbin);
    let bytes = memos?.read(&name)?;
    let path = own_path();
    // A memo that was renamed to the name of another is not believed.
    let mut records = record::all(&bytes).filter(|record| record.name == name);
    records.find_map(|record| record.toolchain(&path, digests))
}

/// Removes memos. Returns their number and their size in bytes.
///
/// # Errors
/// The directory cannot be listed, or a file cannot be removed.
pub fn forget(memos: &Memos, which: MemoSelection) -> io::Result<(u64, u64)> {
    memos.remove(which, |bytes| {
        record::all(bytes).any(|record| record.holds())
    })
}

/// The variables of a plan that say where cicc and libdevice are.
pub(crate) const PLACES_OF_TOOLS: [&str; 2] = ["CICC_PATH", "NVVMIR_LIBRARY_DIR"];

/// Identifies a toolchain by running nvcc and the host compiler and reading every tool.
fn take(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    scratch: &Path,
) -> Result<ToolchainRecord, ToolchainError> {
    let plan = probe(nvcc, ccbin, scratch)?;
    let variable = |name: &str| variable(&plan, name);
    let search = variable("PATH").map_or_else(own_path, OsStr::to_owned);
    let mut names = FoundNames::along(&search);
    let mut files = own_files(nvcc, &plan)?;
    let here = variable("_HERE_").map_or_else(|| nvcc.parent(), |here| Some(Path::new(here)));
    let targets = Targets::at(here.unwrap_or(Path::new(".")).join("../targets"));
    files.extend(cuda_tools(&plan, &mut names)?);
    if let Some(directory) = variable("NVVMIR_LIBRARY_DIR") {
        files.extend(libdevices(Path::new(directory)));
    }
    let host = host_program(&plan, nvcc)?;
    let place = names.find(&host)?;
    files.push(("host".to_owned(), canonical(&place)?));
    files.extend(host_parts(&place, &mut names)?);
    let host = Host::examine(&place, &search)?;
    let specs = host.parts.specs.values().cloned();
    files.extend(specs.map(|path| ("specs".to_owned(), path)));
    if host.family == HostFamily::Clang {
        files.extend(clang_libraries(&place, variable("LD_LIBRARY_PATH"))?);
    }
    // Only now, because the loader is asked about every tool found so far.
    let programs: BTreeSet<_> = files.iter().map(|(_, path)| path.as_path()).collect();
    let loaded = Loaded::find(&programs, variable("LD_LIBRARY_PATH"))?;
    for path in &loaded.files {
        files.push((LOADED.to_owned(), canonical(path)?));
    }
    let kept = PLACES_OF_TOOLS.into_iter();
    let profile = files.iter().find(|(role, _)| role == "nvcc.profile");
    let profile = profile.and_then(|(_, path)| fs::read(path).ok());
    let profile = profile.unwrap_or_default();
    let tools = tool_records(files)?;
    let path_use = path_use(&tools, &host);
    Ok(ToolchainRecord {
        schema: SCHEMA,
        name: memo_name(nvcc, ccbin),
        boot: record::boot(None),
        release: run(nvcc_command(nvcc).arg("--version"))?,
        host: host.family,
        driver: host.driver,
        host_place: place,
        parts: host.parts,
        loaded,
        search: ToolSearch::new(own_path(), search, &profile, path_use),
        tools,
        targets,
        names: names.found,
        variables: kept
            .filter_map(|name| Some((name.to_owned(), variable(name)?.to_str()?.to_owned())))
            .collect(),
        profile_variables: profile::variables(&profile),
    })
}

/// How tools use PATH: GCC's own driver, if it has found its parts, and an nvcc that is the program of its directory
/// only look programs up in it. Anything in front of them may do more.
fn path_use(tools: &[ToolRecord], host: &Host) -> PathUse {
    let mut nvccs = tools.iter().filter(|tool| tool.role == "nvcc");
    // The directory may have another name, so the second is often the same file.
    let first = nvccs.next().map(|tool| tool.seen);
    let is_one_nvcc = nvccs.all(|tool| Some(tool.seen) == first);
    let is_found = |part: &&str| tools.iter().any(|tool| tool.role == **part);
    if is_one_nvcc
        && record::front(tools) == ToolForms::Programs
        && (host.family, host.driver) == (HostFamily::Gnu, HostDriver::Own)
        && PROGRAMS.iter().all(is_found)
    {
        PathUse::Lookups
    } else {
        PathUse::Value
    }
}

/// The plan that nvcc prints for a probe.
fn probe(nvcc: &Path, ccbin: Option<&OsStr>, scratch: &Path) -> Result<Plan, ToolchainError> {
    let mut command = nvcc_command(nvcc);
    command.args([
        "--dryrun",
        "--keep",
        "--keep-dir",
        PROBE_DIRECTORY,
        "-c",
        "probe.cu",
    ]);
    command
        .env_remove("NVCC_PREPEND_FLAGS")
        .env_remove("NVCC_APPEND_FLAGS")
        .env("TMPDIR", scratch);
    if let Some(ccbin) = ccbin {
        command.arg("--compiler-bindir").arg(ccbin);
    }
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| ToolchainError::Run {
        program: nvcc.into(),
        source,
    })?;
    let error = |text: String| ToolchainError::Probe {
        nvcc: nvcc.into(),
        text,
    };
    if !output.status.success() {
        return Err(error(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    Plan::parse(&output.stderr, Path::new(PROBE_DIRECTORY))
        .map_err(|parse_error| error(parse_error.to_string()))
}

/// The last value of a variable in the plan.
fn variable<'p>(plan: &'p Plan, name: &str) -> Option<&'p OsStr> {
    let mut variables = plan.env.iter().rev();
    let variable = variables.find(|(known, _)| known.as_os_str() == name);
    variable.map(|(_, value)| value.as_os_str())
}

/// nvcc's file, and the files in the directory that nvcc takes for its own (`_HERE_`), each with its role.
fn own_files(nvcc: &Path, plan: &Plan) -> Result<Vec<(String, PathBuf)>, ToolchainError> {
    let nvcc_file = canonical(nvcc)?;
    let mut files = vec![("nvcc".to_owned(), nvcc_file.clone())];
    if let Some(here) = variable(plan, "_HERE_") {
        for name in ["nvcc", "nvcc.profile"] {
            let path = Path::new(here).join(name);
            let is_another = path.is_file() && path != nvcc_file;
            is_another.then(|| files.push((name.to_owned(), path)));
        }
    }
    Ok(files)
}

/// The files of CUDA's own tools with their roles: as the plan names them, or else as PATH finds them.
fn cuda_tools(
    plan: &Plan,
    names: &mut FoundNames,
) -> Result<Vec<(String, PathBuf)>, ToolchainError> {
    let mut files = Vec::new();
    for name in CUDA_TOOLS {
        let programs = plan.stages.iter().map(|stage| stage.program.as_os_str());
        let mut in_plan =
            programs.filter(|program| Path::new(program).file_name() == Some(name.as_ref()));
        let path = names.find(in_plan.next_back().unwrap_or(name.as_ref()))?;
        files.push(((*name).to_owned(), canonical(&path)?));
    }
    Ok(files)
}

fn host_program(plan: &Plan, nvcc: &Path) -> Result<OsString, ToolchainError> {
    let stage = plan
        .stages
        .iter()
        .find(|stage| stage.tool == Tool::HostCompile);
    stage
        .map(|stage| stage.program.clone())
        .ok_or_else(|| ToolchainError::Probe {
            nvcc: nvcc.into(),
            text: "its plan has no host compile".to_owned(),
        })
}

/// Every `*.bc` of the directory, by name.
fn libdevices(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut libraries: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some("bc".as_ref()))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect();
    libraries.sort();
    libraries
}

/// The compiler proper and the assembler that a driver starts (or a script that passes its
/// arguments on to one). clang has no such parts: they are in the driver's own file.
fn host_parts(
    driver: &Path,
    names: &mut FoundNames,
) -> Result<Vec<(String, PathBuf)>, ToolchainError> {
    let mut parts = Vec::new();
    for part in PROGRAMS {
        let Ok(text) = run(Command::new(driver).arg(format!("-print-prog-name={part}"))) else {
            continue;
        };
        let name = OsString::from_vec(text.trim_end().into());
        if let Ok(path) = names.find(&name) {
            parts.push((part.to_owned(), canonical(&path)?));
        }
    }
    Ok(parts)
}

/// The libraries that hold the parts of the clang at `driver`.
fn clang_libraries(
    driver: &Path,
    library_path: Option<&OsStr>,
) -> Result<Vec<(String, PathBuf)>, ToolchainError> {
    let library_path = library_path.unwrap_or_default();
    let parts = loaded::parts_of_clang(&canonical(driver)?, library_path)?;
    let role = || HOST_LIBRARY.to_owned();
    let libraries = parts.iter().map(|part| Ok((role(), canonical(part)?)));
    libraries.collect()
}

fn run(command: &mut Command) -> Result<String, ToolchainError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ToolchainError::Run {
            program: command.get_program().into(),
            source,
        })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn own_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The name of a memo: a digest of everything that chooses the tools except PATH, where the records of the memo say what
/// was found: nvcc, ccbin, and the variables that determine the search for parts and libraries.
fn memo_name(nvcc: &Path, ccbin: Option<&OsStr>) -> String {
    let mut sink = Digester::default();
    sink.one("nvcc", nvcc.as_os_str().as_bytes());
    sink.one("ccbin", ccbin.unwrap_or_default().as_bytes());
    for name in [
        "NVCC_CCBIN",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "LIBRARY_PATH",
        "GCC_ROOT",
        "G++_ROOT",
        "BINUTILS_ROOT",
    ] {
        sink.one(
            "variable",
            std::env::var_os(name).unwrap_or_default().as_bytes(),
        );
    }
    for name in loaded::VARIABLES {
        sink.one(
            "variable",
            std::env::var_os(name).unwrap_or_default().as_bytes(),
        );
    }
    if loaded::is_relative() {
        let directory = std::env::current_dir().unwrap_or_default();
        sink.one("directory", directory.as_os_str().as_bytes());
    }
    hex::encode(sink.finish())
}
