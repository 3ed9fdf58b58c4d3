//! Identifies the toolchain that a compile would use: every tool's content, nvcc's release, the host compiler's own
//! parts. The answer is stored in a memo, which is believed as long as every tool's `stat` is the same and every name
//! is found at the same place on PATH.

use super::error::ToolchainError;
use super::find::{nvcc_command, program};
use super::host::{HostDriver, HostFamily};
use super::loaded::{self, Loaded};
use super::memos::{MemoSelection, Memos};
use super::names::{FoundName, FoundNames, SearchPath};
use super::parts::{Host, PROGRAMS, Parts};
use super::profile;
use super::tools::{SeenTool, Targets, ToolRecord, canonical, tool_records};
use crate::includes::digests::{Boot, DigestTable};
use crate::key::{Digest, Digester, Sink};
use crate::plan::{Plan, Tool};
use crate::stat::{CoarseTime, Stat};
use crate::text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of the memo's format.
const SCHEMA: u32 = 9;
/// CUDA's own tools, by the names that plans use.
const CUDA_TOOLS: &[&str] = &["cudafe++", "cicc", "ptxas", "fatbinary", "nvlink"];
/// The role of a library that the loader's variables load into tools.
const LOADED: &str = "loaded";
/// The directory for the probe's temporary files. Only their names matter; nothing is written there.
const PROBE_DIRECTORY: &str = "/pcache-nvcc-probe";

/// The tools of a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// SHA-256 over the contents of all tools, by role.
    pub id: Digest,
    /// What `nvcc --version` prints.
    pub release: String,
    /// The host compiler's family. That of a wrapper may change; see `compile::inputs::host`.
    pub host: HostFamily,
    /// The kind of the host compiler's driver.
    pub driver: HostDriver,
    /// The path at which the host compiler was found, links not resolved.
    pub host_place: PathBuf,
    /// nvcc's PATH for its tools.
    pub search: OsString,
    /// The file of every tool, links resolved.
    pub tools: Vec<PathBuf>,
    /// The role of each tool, such as `ptxas`, and the SHA-256 of its content.
    pub roles: Vec<(String, String)>,
    /// The path of each program that was found along PATH, links not resolved: compilers look for
    /// their parts and headers beside themselves.
    pub found: Vec<PathBuf>,
    /// `CICC_PATH` and `NVVMIR_LIBRARY_DIR` in nvcc's plan.
    pub variables: BTreeMap<String, String>,
    /// Environment variables that `nvcc.profile` reads, sorted.
    pub profile_variables: Vec<String>,
    /// Whether nvcc and the host compiler's parts are programs or scripts.
    pub front: ToolForms,
}

impl Toolchain {
    /// Whether nvcc and the host compiler's parts are programs, not scripts, and the parts are GCC's, so that their
    /// behaviour depends only on their contents, arguments and inputs. A program in front of GCC may still add
    /// arguments.
    pub fn ends_in_gcc(&self) -> bool {
        self.front == ToolForms::Programs && self.host == HostFamily::Gnu
    }

    /// The file of the tool with a role, links resolved.
    pub fn tool(&self, role: &str) -> Option<&Path> {
        let mut tools = self.roles.iter().zip(&self.tools);
        let found = tools.find(|((other, _), _)| other == role);
        found.map(|(_, path)| path.as_path())
    }

    /// Whether nvcc starts GCC's own driver, with no other program in front of it.
    pub fn starts_gcc(&self) -> bool {
        self.ends_in_gcc() && self.driver == HostDriver::Own
    }

    /// The identity of one tool with the libraries that it loads: SHA-256 over the contents of all tools whose role
    /// `is_part` of it, and of the libraries that the loader's variables load into any tool. `None` if the
    /// file `real` does not have the role `main`.
    pub fn part(&self, main: &str, real: &Path, is_part: impl Fn(&str) -> bool) -> Option<Digest> {
        let mut tools = self.roles.iter().zip(&self.tools);
        if !tools.any(|((role, _), path)| role == main && path == real) {
            return None;
        }
        let mut sink = Digester::default();
        let is_in = |role: &str| is_part(role) || role == LOADED;
        for (role, sha256) in self.roles.iter().filter(|(role, _)| is_in(role)) {
            sink.field("tool", 2);
            sink.value(role.as_bytes());
            sink.value(sha256.as_bytes());
        }
        Some(sink.finish())
    }
}

/// Whether nvcc and the host compiler's parts are programs. The host compiler's driver is classified separately
/// ([`HostDriver`]), because it can be asked for its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolForms {
    /// All are programs, whose inputs are known: those of nvcc and of compilers.
    Programs,
    /// At least one is a script, which may read anything: another file, a variable.
    Scripts,
}

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
    let record = ToolchainRecord::take(nvcc, ccbin, scratch)?;
    if let Some(memos) = memos
        && record.tools.iter().all(|tool| tool.seen.is_proof(started))
        && record
            .targets
            .seen
            .is_none_or(|seen| seen.is_proof(started))
        && let Ok(bytes) = serde_json::to_vec(&record)
    {
        // Best effort: without a memo, the next compile identifies the toolchain again.
        let _ = memos.write(&record.name, &bytes);
    }
    record.toolchain(None).ok_or_else(|| ToolchainError::Probe {
        nvcc: nvcc.into(),
        text: "its tools changed while they were examined".to_owned(),
    })
}

/// The toolchain from its memo, if every tool is unchanged and still found at the same place. Starts
/// no process. With `digests`, unchanged directories need not be searched again.
pub fn recall(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    memos: Option<&Memos>,
    digests: Option<&DigestTable>,
) -> Option<Toolchain> {
    let name = memo_name(nvcc, ccbin);
    let record: ToolchainRecord = serde_json::from_slice(&memos?.read(&name)?).ok()?;
    // A memo that was renamed to the name of another is not believed.
    let record = (record.name == name).then_some(record)?;
    record.toolchain(digests)
}

/// Removes memos. Returns their number and their size in bytes.
///
/// # Errors
/// The directory cannot be listed, or a file cannot be removed.
pub fn forget(memos: &Memos, which: MemoSelection) -> io::Result<(u64, u64)> {
    memos.remove(which, |bytes| {
        let record = serde_json::from_slice::<ToolchainRecord>(bytes);
        record.is_ok_and(|record| record.toolchain(None).is_some())
    })
}

/// The memo of a toolchain.
#[derive(Debug, Serialize, Deserialize)]
struct ToolchainRecord {
    schema: u32,
    /// The memo's own name.
    name: String,
    /// The boot in which the device and mount numbers below are valid.
    boot: Option<Boot>,
    release: String,
    host: HostFamily,
    driver: HostDriver,
    host_place: PathBuf,
    /// Places where GCC's driver would find other parts.
    parts: Parts,
    /// Libraries that the loader's variables load into the tools.
    loaded: Loaded,
    /// nvcc's PATH, along which the names below were found.
    #[serde(with = "text")]
    search: OsString,
    /// The programs that were found along `search`.
    names: Vec<FoundName>,
    tools: Vec<ToolRecord>,
    targets: Targets,
    variables: BTreeMap<String, String>,
    profile_variables: Vec<String>,
}

impl ToolchainRecord {
    /// Identifies a toolchain by running nvcc and the host compiler and reading every tool.
    fn take(nvcc: &Path, ccbin: Option<&OsStr>, scratch: &Path) -> Result<Self, ToolchainError> {
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
        // Only now, because the loader is asked about every tool found so far.
        let programs: BTreeSet<_> = files.iter().map(|(_, path)| path.as_path()).collect();
        let loaded = Loaded::find(&programs, variable("LD_LIBRARY_PATH"))?;
        for path in &loaded.files {
            files.push((LOADED.to_owned(), canonical(path)?));
        }
        let kept = ["CICC_PATH", "NVVMIR_LIBRARY_DIR"].into_iter();
        let profile = files.iter().find(|(role, _)| role == "nvcc.profile");
        let profile = profile.and_then(|(_, path)| fs::read(path).ok());
        let profile_variables = profile::variables(&profile.unwrap_or_default());
        Ok(Self {
            schema: SCHEMA,
            name: memo_name(nvcc, ccbin),
            boot: boot(None),
            release: run(nvcc_command(nvcc).arg("--version"))?,
            host: host.family,
            driver: host.driver,
            host_place: place,
            parts: host.parts,
            loaded,
            search,
            tools: tool_records(files)?,
            targets,
            names: names.found,
            variables: kept
                .filter_map(|name| Some((name.to_owned(), variable(name)?.to_str()?.to_owned())))
                .collect(),
            profile_variables,
        })
    }

    fn front(&self) -> ToolForms {
        let is_front = |role: &str| role == "nvcc" || PROGRAMS.contains(&role);
        let mut tools = self.tools.iter();
        if tools.any(|tool| tool.script && is_front(&tool.role)) {
            ToolForms::Scripts
        } else {
            ToolForms::Programs
        }
    }

    /// The toolchain, if every tool is unchanged and would still be found at the same place.
    fn toolchain(&self, digests: Option<&DigestTable>) -> Option<Toolchain> {
        let nowhere = DigestTable::nowhere();
        let table = digests.unwrap_or(&nowhere);
        let is_same = |tool: &ToolRecord| SeenTool::at(&tool.path) == Some(tool.seen);
        if self.schema != SCHEMA
            || boot(digests) != self.boot
            || !self.tools.iter().all(is_same)
            || SeenTool::at(&self.targets.path) != self.targets.seen
            || !self.parts.hold(table)
            || !self.loaded.hold(table)
        {
            return None;
        }
        // The tools were compared with their stat above, so it need not be read again for a name that leads to one.
        let seen = |path: &Path| {
            let tool = self.tools.iter().find(|tool| tool.path == *path);
            tool.map(|tool| tool.seen.stat)
        };
        let look = |path: &Path| seen(path).or_else(|| Some(Stat::from(&program(path)?)));
        let search = SearchPath::new(&self.search);
        let is_undisturbed = digests.is_some_and(|table| search.is_undisturbed(&self.names, table));
        for name in &self.names {
            let place = if is_undisturbed {
                Some(name.place.clone())
            } else {
                search.find(&name.name, |path| look(path).is_some())
            };
            // Same path and same inode, so links need not be followed step by step.
            let is_same =
                place.as_ref() == Some(&name.place) && look(&name.place) == seen(&name.real);
            is_same.then_some(())?;
        }
        let mut sink = Digester::default();
        for tool in &self.tools {
            sink.field("tool", 2);
            sink.value(tool.role.as_bytes());
            sink.value(tool.sha256.as_bytes());
        }
        self.targets.write(&mut sink);
        Some(Toolchain {
            id: sink.finish(),
            release: self.release.clone(),
            host: self.host,
            driver: self.driver,
            host_place: self.host_place.clone(),
            search: self.search.clone(),
            tools: self.tools.iter().map(|tool| tool.path.clone()).collect(),
            found: self.names.iter().map(|name| name.place.clone()).collect(),
            roles: self
                .tools
                .iter()
                .map(|tool| (tool.role.clone(), tool.sha256.clone()))
                .collect(),
            variables: self.variables.clone(),
            profile_variables: self.profile_variables.clone(),
            front: self.front(),
        })
    }
}

/// The current boot, from the table if there is one.
fn boot(digests: Option<&DigestTable>) -> Option<Boot> {
    digests.map_or_else(|| DigestTable::nowhere().boot(), DigestTable::boot)
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

/// The name of a memo: a digest of everything that chooses the tools: nvcc, ccbin, and the variables that determine
/// the search for parts and libraries.
fn memo_name(nvcc: &Path, ccbin: Option<&OsStr>) -> String {
    let mut sink = Digester::default();
    sink.one("nvcc", nvcc.as_os_str().as_bytes());
    sink.one("ccbin", ccbin.unwrap_or_default().as_bytes());
    for name in [
        "PATH",
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
