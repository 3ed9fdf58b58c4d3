//! The compilers that a compile would use. What stands in front of them is for `launchers`.

use super::findings::{Findings, Severity};
use crate::cli::context::Context;
use crate::config::{DriverVersion, Effective};
use crate::store::FileStore;
use crate::toolchain::{
    HOST_LIBRARY, HostDriver, MemoAccess, Memos, Search, ToolForms, Toolchain, driver_version,
    find_nvcc, identify, look_up, nvcc_command,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The releases that the end-to-end tests have seen, or whose plans are like theirs.
const OLDEST: (u32, u32) = (11, 8);
const NEWEST_MAJOR: u32 = 13;

/// The real nvcc and what it uses, as far as it was found.
pub(super) struct Compilers {
    pub(super) nvcc: PathBuf,
    pub(super) toolchain: Option<Toolchain>,
}

pub(super) fn examine(context: &Context<'_>, findings: &mut Findings) -> Option<Compilers> {
    let var = context.env.var;
    let path = var("PATH").unwrap_or_default();
    let beside = context.env.program.as_deref().and_then(Path::parent);
    let beside = beside.map(|directory| directory.join("pcache-nvcc"));
    let wrapper = look_up("pcache-nvcc".as_ref(), &path);
    findings.ok("pcache", env!("CARGO_PKG_VERSION").to_owned());
    match (&wrapper, &beside) {
        (Some(place), _) => findings.ok("pcache-nvcc", place.display().to_string()),
        (None, Some(place)) if place.is_file() => findings.advise(
            Severity::Warning,
            "pcache-nvcc",
            format!("{} is not on PATH", place.display()),
            "add its directory to PATH, or give build systems its full path",
        ),
        _ => findings.advise(
            Severity::Error,
            "pcache-nvcc",
            "neither on PATH nor beside pcache",
            "install it: cargo install --path . puts both into one directory",
        ),
    }
    let search = Search {
        setting: context.config.nvcc.value.clone(),
        launcher: None,
        called: None,
        path: Some(path),
        cuda_home: var("CUDA_HOME").or_else(|| var("CUDA_PATH")),
        own: wrapper.or(beside),
    };
    let nvcc = match find_nvcc(&search) {
        Ok(nvcc) => nvcc,
        Err(error) => {
            let advice = "install a CUDA toolkit, or set PCACHE_NVCC to the path of its nvcc";
            findings.advise(Severity::Error, "nvcc", error.to_string(), advice);
            return None;
        }
    };
    let toolchain = examine_parts(context, &nvcc, findings);
    let library_path = var("LD_LIBRARY_PATH");
    let detected = driver_version(&DriverVersion::Auto, library_path.as_deref());
    examine_driver(&context.config.driver, &detected, findings);
    Some(Compilers { nvcc, toolchain })
}

/// The tools that nvcc itself would run.
fn examine_parts(context: &Context<'_>, nvcc: &Path, findings: &mut Findings) -> Option<Toolchain> {
    let scratch = tempfile::tempdir().ok()?;
    // Of a cache that compiles leave alone, nothing is believed here either.
    let store = FileStore::reading(context.config).ok();
    let own = store.as_ref().and_then(FileStore::own_root);
    let memos = own.map(|own| Memos::open_in(Arc::clone(own), MemoAccess::Read));
    let toolchain = match identify(nvcc, None, memos.as_ref(), scratch.path()) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            let release = first_line(nvcc_command(nvcc).arg("--version"));
            let release = release.unwrap_or_else(|| "which does not run".into());
            findings.note("nvcc", format!("{}, {release}", nvcc.display()));
            let advice = "every compile goes to nvcc uncached until nvcc --dryrun works; \
                          install the missing part, or a host compiler that nvcc accepts";
            findings.advise(Severity::Error, "toolkit", error.to_string(), advice);
            return None;
        }
    };
    let line = toolchain
        .release
        .lines()
        .find(|line| line.contains("release"));
    examine_release(nvcc, line.unwrap_or("of unknown release"), findings);
    for ((role, _), path) in toolchain.roles.iter().zip(&toolchain.tools) {
        match role.as_str() {
            "nvcc" | "nvcc.profile" | "cc1" | "cc1plus" | "as" | HOST_LIBRARY => {}
            "host" => {
                let version = first_line(Command::new(path).arg("--version"));
                let version = version.unwrap_or_else(|| "of unknown version".into());
                findings.ok("host compiler", format!("{}, {version}", path.display()));
            }
            _ => findings.ok("toolkit", path.display().to_string()),
        }
    }
    if toolchain.front == ToolForms::Scripts {
        let text = "nvcc, or cc1plus or as of the host compiler, is a script, which may read anything: an \
                    edited source costs a dry run, and preprocessing is not skipped where that could matter";
        let advice = "set PCACHE_NVCC to nvcc's own program";
        findings.advise(Severity::Note, "toolkit", text, advice);
    }
    if toolchain.driver == HostDriver::Wrapper {
        let text = "the host compiler is a program or script in front of another: each compile asks it what \
                    it would run, which costs a process or two";
        let advice = "name the compiler itself with -ccbin where the wrapper adds nothing";
        findings.advise(Severity::Note, "host compiler", text, advice);
    }
    Some(toolchain)
}

fn examine_release(nvcc: &Path, line: &str, findings: &mut Findings) {
    let text = format!("{}, {}", nvcc.display(), line.trim());
    match release(line) {
        Some(found) if found < OLDEST || found.0 > NEWEST_MAJOR => findings.advise(
            Severity::Warning,
            "nvcc",
            text,
            "tested with releases 11.8 to 13.x; others work as far as their plans look the same, and \
             go to nvcc uncached otherwise: see pcache stats",
        ),
        Some(_) => findings.ok("nvcc", text),
        None => findings.note("nvcc", text),
    }
}

/// Of `Cuda compilation tools, release 13.2, V13.2.51`.
fn release(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once("release ")?;
    let (number, _) = rest.split_once(',')?;
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The driver version that keys hold. `detected` is that of this machine.
fn examine_driver(setting: &Effective<DriverVersion>, detected: &str, findings: &mut Findings) {
    const ABOUT: &str = "driver";
    match &setting.value {
        DriverVersion::Fixed(version) => {
            let source = &setting.source;
            let text = format!(
                "{version}, which driver is set to ({source}); that of this machine, {detected}, is not looked at"
            );
            findings.ok(ABOUT, text);
        }
        DriverVersion::Auto if detected == DriverVersion::NONE => findings.advise(
            Severity::Note,
            ABOUT,
            "none: compiles work; results are kept apart from those of machines with a driver",
            "to share results with those, set PCACHE_DRIVER to one value on all machines: none, or the \
             version of their driver",
        ),
        DriverVersion::Auto => findings.advise(
            Severity::Ok,
            ABOUT,
            detected,
            "to share results with machines that have another driver or none, set PCACHE_DRIVER to one \
             value on all of them",
        ),
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{examine_driver, release};
    use crate::cli::doctor::findings::{Findings, Severity};
    use crate::config::{DriverVersion, Effective, SettingSource};

    #[test]
    fn machines_without_a_driver_and_with_one_are_told_how_to_share() {
        let found = |setting: &str, detected| {
            let setting = Effective {
                value: setting.parse::<DriverVersion>().unwrap(),
                source: SettingSource::Environment,
            };
            let mut findings = Findings::default();
            examine_driver(&setting, detected, &mut findings);
            findings.0.pop().unwrap()
        };
        let way = |advice: Option<String>| {
            let advice = advice.unwrap();
            assert!(
                advice.contains("set PCACHE_DRIVER to one value on all"),
                "{advice}"
            );
        };
        let builder = found("auto", "none");
        assert_eq!(builder.level, Severity::Note);
        way(builder.advice);
        let desktop = found("auto", "595.71.05");
        assert_eq!((desktop.level, &*desktop.text), (Severity::Ok, "595.71.05"));
        way(desktop.advice);
        let set = found("550.54.15", "595.71.05");
        assert_eq!((set.level, set.advice), (Severity::Ok, None));
        assert!(
            set.text
                .starts_with("550.54.15, which driver is set to (environment)")
        );
    }

    #[test]
    fn release_is_read_from_nvccs_line() {
        let line = "Cuda compilation tools, release 13.2, V13.2.51";
        assert_eq!(release(line), Some((13, 2)));
        assert_eq!(release("Cuda compilation tools"), None);
    }
}
