//! The compiles that run now, from the kernel's list of processes: those of this user whose program is `pcache-nvcc`,
//! and the tools that they have started.

use super::view::RunningCompile;
use rustix::param::clock_ticks_per_second;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

const PROGRAM: &str = "pcache-nvcc";

/// The ends of the names of sources that nvcc compiles.
const SOURCES: [&str; 9] = ["C", "c", "c++", "cc", "cpp", "cu", "cxx", "gpu", "ptx"];

/// What the kernel says of one process.
#[derive(Debug, PartialEq, Eq)]
struct ProcessLine {
    /// The program's name, of which the kernel keeps 15 bytes.
    name: String,
    parent: u32,
    /// When it started, in ticks since the machine did.
    start: u64,
}

impl ProcessLine {
    /// Reads `/proc/PID/stat`. The name is in parentheses, and may have some itself.
    fn read(stat: &str) -> Option<Self> {
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        // The state, and the 17 fields between the parent and the start.
        let parent = fields.nth(1)?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            parent,
            start,
        })
    }
}

/// All compiles that run, the longest first. Empty without `/proc`.
pub(super) fn running_compiles() -> Vec<RunningCompile> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end while it is looked at.
        let stat = fs::read(entry.path().join("stat")).unwrap_or_default();
        if let Some(line) = ProcessLine::read(&String::from_utf8_lossy(&stat)) {
            processes.insert(pid, line);
        }
    }
    let now = uptime().unwrap_or_default();
    let ours = processes.keys().filter(|pid| is_ours(**pid));
    let mut running: Vec<_> = ours
        .map(|pid| running_compile(*pid, &processes, now))
        .collect();
    running.sort_by(|one, other| other.age.cmp(&one.age).then(one.name.cmp(&other.name)));
    running
}

/// Whether a process runs our program. Its link is readable for the processes of the same user.
fn is_ours(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|program| program.file_name() == Some(OsStr::new(PROGRAM)))
}

fn running_compile(
    pid: u32,
    processes: &HashMap<u32, ProcessLine>,
    now: Duration,
) -> RunningCompile {
    let age = |line: &ProcessLine| now.saturating_sub(since_boot(line.start));
    let tools = processes.values().filter(|line| line.parent == pid);
    let mut tools: Vec<_> = tools.map(|line| (line.name.clone(), age(line))).collect();
    tools.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    RunningCompile {
        name: name(&words),
        age: processes.get(&pid).map(age).unwrap_or_default(),
        tools,
    }
}

/// What a command line compiles: its sources without their directories.
fn name(words: &[u8]) -> String {
    let words: Vec<_> = words.split(|byte| *byte == 0).collect();
    let is_source = |word: &[u8]| {
        let end = Path::new(OsStr::from_bytes(word)).extension();
        let end = end.and_then(OsStr::to_str);
        !word.starts_with(b"-") && end.is_some_and(|end| SOURCES.contains(&end))
    };
    // What follows an option may be its value.
    let pairs = words.windows(2);
    let sources = pairs.filter(|pair| is_source(pair[1]) && !takes_file(pair[0]));
    let names = sources.map(|pair| {
        let base = pair[1].rsplit(|byte| *byte == b'/').next();
        String::from_utf8_lossy(base.unwrap_or_default()).into_owned()
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        "nvcc".to_owned()
    } else {
        names.join(" ")
    }
}

/// Options whose value can look like a source.
fn takes_file(option: &[u8]) -> bool {
    let options: [&[u8]; 4] = [b"-o", b"--output-file", b"-include", b"--pre-include"];
    options.contains(&option)
}

fn since_boot(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / clock_ticks_per_second().max(1))
}

/// How long the machine has run.
fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::{ProcessLine, name};

    #[test]
    fn lines_of_the_kernel_are_read_whatever_the_name_is() {
        let stat = "12 (a) (b c) S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2 3";
        let expected = ProcessLine {
            name: "a) (b c".to_owned(),
            parent: 7,
            start: 9876,
        };
        assert_eq!(ProcessLine::read(stat), Some(expected));
        assert_eq!(ProcessLine::read("12 (a) S 7"), None);
        assert_eq!(ProcessLine::read(""), None);
    }

    #[test]
    fn own_process_is_read() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let line = ProcessLine::read(&stat).unwrap();
        assert_eq!(line.parent, std::os::unix::process::parent_id());
        assert!(super::since_boot(line.start) <= super::uptime().unwrap());
    }

    #[test]
    fn compiles_are_called_by_their_sources() {
        for (words, expected) in [
            (&["nvcc", "-c", "src/a.cu", "-o", "a.cu.o"][..], "a.cu"),
            (&["nvcc", "b.cc", "-o", "x.c", "a.cu"], "b.cc a.cu"),
            (&["nvcc", "a.o", "-o", "app"], "nvcc"),
            (&[], "nvcc"),
        ] {
            assert_eq!(name(words.join("\0").as_bytes()), expected);
        }
    }
}
