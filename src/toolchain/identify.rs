//! Which toolchain a compile would use: every tool's content, nvcc's release, the host compiler's
//! own parts. The answer is remembered in a file, and believed as long as every tool's `stat` and
//! every place on PATH says the same. Knows nothing of the compile.

use super::find::{nvcc_command, program};
use super::names::{FoundName, Names, SearchPath};
use super::profile;
use crate::includes::digests::DigestTable;
use crate::key::{Digest, Digester, Sink};
use crate::plan::{Plan, Tool};
use crate::stat::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

/// The version of the remembered record.
const SCHEMA: u32 = 5;
/// CUDA's own tools, by the names that plans use.
const CUDA_TOOLS: &[&str] = &["cudafe++", "cicc", "ptxas", "fatbinary", "nvlink"];
/// The host compiler's parts, as `-print-prog-name` knows them.
const HOST_PARTS: &[&str] = &["cc1plus", "cc1", "as"];
/// Names below which the probe's temporaries would lie; nothing is written there.
const PROBE_DIRECTORY: &str = "/pcache-nvcc-probe";

/// What family of options the host compiler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostFamily {
    /// GCC, with GNU as.
    Gnu,
    /// Clang, or something that is neither.
    Other,
}

/// The tools of a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// SHA-256 over the contents of all tools, by role.
    pub id: Digest,
    /// What `nvcc --version` prints.
    pub release: String,
    /// The host compiler's family.
    pub host: HostFamily,
    /// The file of every tool, links resolved.
    pub tools: Vec<PathBuf>,
    /// The role of each of them, such as `ptxas`, and the SHA-256 of its content.
    pub roles: Vec<(String, String)>,
    /// Where each name stood for that was found along PATH, links as they are: compilers look for
    /// their parts and headers beside themselves.
    pub found: Vec<PathBuf>,
    /// `CICC_PATH` and `NVVMIR_LIBRARY_DIR` as the probe had them.
    pub variables: BTreeMap<String, String>,
    /// Environment variables that `nvcc.profile` reads, sorted.
    pub profile_variables: Vec<String>,
    /// Whether what a preprocessing would start is known by its content.
    pub front: Front,
}

impl Toolchain {
    /// The identity of one tool with what it loads: SHA-256 over the contents of all tools whose role
    /// `is_part` of it. None if the file `real` has not the role `main`.
    pub fn part(&self, main: &str, real: &Path, is_part: impl Fn(&str) -> bool) -> Option<Digest> {
        let mut known = self.roles.iter().zip(&self.tools);
        if !known.any(|((role, _), path)| role == main && path == real) {
            return None;
        }
        let mut sink = Digester::default();
        for (role, sha256) in self.roles.iter().filter(|(role, _)| is_part(role)) {
            sink.field("tool", 2);
            sink.value(role.as_bytes());
            sink.value(sha256.as_bytes());
        }
        Some(sink.finish())
    }
}

/// What nvcc and the host compiler are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Programs, which read what is known that nvcc and compilers read.
    Programs,
    /// One at least is a script, which may read anything: another file, a variable.
    Scripts,
}

/// Why a toolchain could not be identified.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// A tool could not be run.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// The tool.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// nvcc would not print its plan.
    #[error("{} --dryrun: {text}", nvcc.display())]
    Probe {
        /// The nvcc in question.
        nvcc: PathBuf,
        /// What it said, or what was wrong with what it said.
        text: String,
    },
    /// A tool could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A tool is nowhere to be found.
    #[error("no {} on nvcc's PATH", name.display())]
    Missing {
        /// The name in nvcc's plan.
        name: OsString,
    },
}

/// Identifies the toolchain of `nvcc` with the host compiler `ccbin` (nvcc's own choice without),
/// remembering the answer in `memo`, a directory that need not exist. Tools that are asked leave
/// what they leave in `scratch`.
pub fn identify(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    memo: Option<&Path>,
    scratch: &Path,
) -> Result<Toolchain, ToolchainError> {
    if let Some(known) = recall(nvcc, ccbin, memo, None) {
        return Ok(known);
    }
    let file = memo.map(|directory| directory.join(memo_name(nvcc, ccbin)));
    let now = SystemTime::now();
    let record = Record::take(nvcc, ccbin, scratch)?;
    if let Some(file) = file
        && record.tools.iter().all(|tool| tool.stat.is_settled(now))
        && record.targets.stat.is_none_or(|stat| stat.is_settled(now))
    {
        // A memo that cannot be written costs time, nothing else.
        let _ = write_record(&file, &record);
    }
    record.toolchain(None).ok_or_else(|| ToolchainError::Probe {
        nvcc: nvcc.into(),
        text: "its tools changed while they were looked at".to_owned(),
    })
}

/// The toolchain as it is remembered in `memo`, if every tool is still what and where it was. Starts
/// no process. `digests` may know that directories have not changed.
pub fn recall(
    nvcc: &Path,
    ccbin: Option<&OsStr>,
    memo: Option<&Path>,
    digests: Option<&DigestTable>,
) -> Option<Toolchain> {
    read_record(&memo?.join(memo_name(nvcc, ccbin)))?.toolchain(digests)
}

/// Whether the file at `path` remembers a toolchain of which every tool is still what it was.
pub(super) fn is_current(path: &Path) -> bool {
    read_record(path).is_some_and(|record| record.toolchain(None).is_some())
}

/// One tool as remembered.
#[derive(Debug, Serialize, Deserialize)]
struct ToolRecord {
    role: String,
    path: PathBuf,
    stat: Stat,
    sha256: String,
    /// Whether it is no ELF program.
    script: bool,
}

/// The directory beside nvcc's whose presence, and what it holds, steers where nvcc has headers and
/// libraries looked for (`_TARGET_DIR_`).
#[derive(Debug, Serialize, Deserialize)]
struct Targets {
    path: PathBuf,
    stat: Option<Stat>,
    names: Vec<OsString>,
}

impl Targets {
    fn at(path: PathBuf) -> Self {
        // The stat first: names that change later change it too.
        let path = std::path::absolute(&path).unwrap_or(path);
        let stat = fs::metadata(&path).ok().map(|found| Stat::from(&found));
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        Self { path, stat, names }
    }

    fn write(&self, sink: &mut Digester) {
        sink.field(
            "targets",
            usize::from(self.stat.is_some()) + self.names.len(),
        );
        if self.stat.is_some() {
            sink.value(b"");
        }
        let names = self.names.iter();
        names.for_each(|name| sink.value(name.as_bytes()));
    }
}

/// Everything remembered of a toolchain.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    schema: u32,
    release: String,
    host: HostFamily,
    /// nvcc's PATH, along which the names below were found.
    search: OsString,
    /// What was found along it.
    names: Vec<FoundName>,
    tools: Vec<ToolRecord>,
    targets: Targets,
    variables: BTreeMap<String, String>,
    profile_variables: Vec<String>,
}

impl Record {
    fn take(nvcc: &Path, ccbin: Option<&OsStr>, scratch: &Path) -> Result<Self, ToolchainError> {
        let plan = probe(nvcc, ccbin, scratch)?;
        let variable = |name: &str| {
            let found = plan
                .env
                .iter()
                .rev()
                .find(|(known, _)| known.as_os_str() == name);
            found.map(|(_, value)| value.as_os_str())
        };
        let search = variable("PATH").map_or_else(own_path, OsStr::to_owned);
        let mut names = Names::along(&search);
        let nvcc_file = canonical(nvcc)?;
        let mut files = vec![("nvcc".to_owned(), nvcc_file.clone())];
        if let Some(here) = variable("_HERE_") {
            for name in ["nvcc", "nvcc.profile"] {
                let path = Path::new(here).join(name);
                let is_another = path.is_file() && path != nvcc_file;
                is_another.then(|| files.push((name.to_owned(), path)));
            }
        }
        let here = variable("_HERE_").map_or_else(|| nvcc.parent(), |here| Some(Path::new(here)));
        let targets = Targets::at(here.unwrap_or(Path::new(".")).join("../targets"));
        for name in CUDA_TOOLS {
            let in_plan = plan.stages.iter().map(|stage| stage.program.as_os_str());
            let mut named =
                in_plan.filter(|program| Path::new(program).file_name() == Some(name.as_ref()));
            let path = names.find(named.next_back().unwrap_or(name.as_ref()))?;
            files.push(((*name).to_owned(), canonical(&path)?));
        }
        if let Some(directory) = variable("NVVMIR_LIBRARY_DIR") {
            files.extend(libdevices(Path::new(directory)));
        }
        let host = host_program(&plan, nvcc)?;
        let driver = names.find(&host)?;
        files.push(("host".to_owned(), canonical(&driver)?));
        files.extend(host_parts(&driver, &mut names)?);
        let kept = ["CICC_PATH", "NVVMIR_LIBRARY_DIR"].into_iter();
        let profile = files.iter().find(|(role, _)| role == "nvcc.profile");
        let profile = profile.and_then(|(_, path)| fs::read(path).ok());
        let profile_variables = profile::variables(&profile.unwrap_or_default());
        Ok(Self {
            schema: SCHEMA,
            release: run(nvcc_command(nvcc).arg("--version"))?,
            host: family(&driver)?,
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

    fn front(&self) -> Front {
        let is_front = |role: &str| role == "nvcc" || role == "host" || HOST_PARTS.contains(&role);
        let mut tools = self.tools.iter();
        match tools.any(|tool| tool.script && is_front(&tool.role)) {
            true => Front::Scripts,
            false => Front::Programs,
        }
    }

    /// The toolchain, if every tool is still what it was, where it was.
    fn toolchain(&self, digests: Option<&DigestTable>) -> Option<Toolchain> {
        let stat = |path: &Path| fs::metadata(path).ok().map(|found| Stat::from(&found));
        let is_same = |tool: &ToolRecord| stat(&tool.path) == Some(tool.stat);
        if self.schema != SCHEMA
            || !self.tools.iter().all(is_same)
            || stat(&self.targets.path) != self.targets.stat
        {
            return None;
        }
        // A tool that was looked at above, by its own name, is a program and what it was.
        let seen = |path: &Path| {
            let tool = self.tools.iter().find(|tool| tool.path == *path);
            tool.map(|tool| tool.stat)
        };
        let look = |path: &Path| seen(path).or_else(|| Some(Stat::from(&program(path)?)));
        let search = SearchPath::new(&self.search);
        let is_undisturbed = digests.is_some_and(|table| search.is_undisturbed(&self.names, table));
        for name in &self.names {
            let place = match is_undisturbed {
                true => Some(name.place.clone()),
                false => search.find(&name.name, |path| look(path).is_some()),
            };
            // The same place and inode: links need not be followed step by step.
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
        .map_err(|found| error(found.to_string()))
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
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some("bc".as_ref()))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect();
    found.sort();
    found
}

/// The compiler proper and the assembler behind a driver (or behind a script that passes its
/// arguments on). A part that the driver does not know (clang's) is the driver's own content.
fn host_parts(driver: &Path, names: &mut Names) -> Result<Vec<(String, PathBuf)>, ToolchainError> {
    let mut parts = Vec::new();
    for part in HOST_PARTS {
        let Ok(text) = run(Command::new(driver).arg(format!("-print-prog-name={part}"))) else {
            continue;
        };
        let name = OsString::from_vec(text.trim_end().into());
        if let Ok(path) = names.find(&name) {
            parts.push(((*part).to_owned(), canonical(&path)?));
        }
    }
    Ok(parts)
}

fn family(driver: &Path) -> Result<HostFamily, ToolchainError> {
    let text = run(Command::new(driver).arg("--version"))?;
    let gnu = text.contains("Free Software Foundation");
    Ok(if gnu {
        HostFamily::Gnu
    } else {
        HostFamily::Other
    })
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

/// Reads all tools, some hundred megabytes, on all cores.
fn tool_records(files: Vec<(String, PathBuf)>) -> Result<Vec<ToolRecord>, ToolchainError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let read_some = || {
        let mut read = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            read.push(tool_record(file.clone()));
        }
        read
    };
    let read = thread::scope(|scope| {
        let readers: Vec<_> = (1..cores).map(|_| scope.spawn(read_some)).collect();
        let mut read = read_some();
        for reader in readers {
            read.extend(reader.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        read
    });
    let mut records = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    let place = |record: &ToolRecord| {
        let is_it = |(role, path): &(String, PathBuf)| *role == record.role && *path == record.path;
        files.iter().position(is_it)
    };
    records.sort_by_key(place);
    Ok(records)
}

fn tool_record((role, path): (String, PathBuf)) -> Result<ToolRecord, ToolchainError> {
    let error = |source| ToolchainError::Read {
        path: path.clone(),
        source,
    };
    let mut file = fs::File::open(&path).map_err(error)?;
    let stat = Stat::from(&file.metadata().map_err(error)?);
    let mut magic = [0; 4];
    let script = file.read_exact_at(&mut magic, 0).is_err() || &magic != b"\x7fELF";
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(error)?;
    Ok(ToolRecord {
        role,
        path,
        stat,
        sha256: hex::encode(hasher.finalize()),
        script,
    })
}

pub(super) fn canonical(path: &Path) -> Result<PathBuf, ToolchainError> {
    fs::canonicalize(path).map_err(|source| ToolchainError::Read {
        path: path.into(),
        source,
    })
}

fn own_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// One file for each way of choosing tools: nvcc, ccbin, and what steers the search for parts.
fn memo_name(nvcc: &Path, ccbin: Option<&OsStr>) -> String {
    let mut sink = Digester::default();
    sink.one("nvcc", nvcc.as_os_str().as_bytes());
    sink.one("ccbin", ccbin.unwrap_or_default().as_bytes());
    for name in [
        "PATH",
        "NVCC_CCBIN",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "GCC_ROOT",
        "G++_ROOT",
        "BINUTILS_ROOT",
    ] {
        sink.one(
            "variable",
            std::env::var_os(name).unwrap_or_default().as_bytes(),
        );
    }
    format!("{}.json", hex::encode(sink.finish()))
}

fn read_record(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_record(path: &Path, record: &Record) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.persist(path)?;
    Ok(())
}
