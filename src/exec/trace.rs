//! Runs a command and observes which paths it asks the system for: the kernel stops its processes at each system call
//! (`ptrace(2)`). Works for any program, and where no library can be brought in; costs some microseconds for each call.

use libc::{c_int, c_long, pid_t};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsString, c_void};
use std::io::{self, Error, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The paths that a command asked for, as it spelled them, and whether something was there.
pub type AskedPaths = BTreeMap<PathBuf, bool>;

/// Bytes that are read of a process at once. Divides the size of any page.
const CHUNK: usize = 256;

/// The longest path that Linux takes.
const LONGEST: usize = 4096;

/// The kernel's number for our own system calls (`AUDIT_ARCH_…` of `linux/audit.h`). A program for another architecture
/// numbers its calls differently.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else {
    0
};

/// The kinds of stops at a system call (`PTRACE_SYSCALL_INFO_…` of `linux/ptrace.h`).
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// Set in the numbers of a program of x86-64 with pointers of 32 bits.
const SHORT_POINTERS: u64 = 0x4000_0000;

/// Runs `command`, which must succeed, and returns the paths that its processes asked for after one of them had opened a
/// file that `begins`. Reads of links and of directories' names are not observed.
///
/// # Errors
/// The system allows no tracing, the command fails, a signal arrives, or a process asks in a way that is not understood:
/// relative to an open directory, where it has no permission, or after a change of its directory.
pub fn paths_asked(
    command: &mut Command,
    begins: &dyn Fn(&Path) -> bool,
) -> io::Result<AskedPaths> {
    let ask_for_tracing = || trace_request(libc::PTRACE_TRACEME, 0, 0);
    command.process_group(0);
    // SAFETY: the closure makes one system call and allocates nothing, as the time between fork and exec demands.
    unsafe { command.pre_exec(ask_for_tracing) };
    let child = command.spawn()?;
    let mut tracer = Tracer {
        group: child.id().cast_signed(),
        begins,
        has_begun: false,
        asks: HashMap::new(),
        asked: BTreeMap::new(),
    };
    let traced = tracer.run();
    // What is left of the group waits for us.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    while tracer.wait().is_ok() {}
    traced.map(|()| tracer.asked)
}

struct Tracer<'f> {
    /// The process group of the command, whose leader is the first process.
    group: pid_t,
    begins: &'f dyn Fn(&Path) -> bool,
    /// Whether a process has opened the file with which the record begins.
    has_begun: bool,
    /// What each process asks for in its present system call.
    asks: HashMap<pid_t, Asks>,
    asked: AskedPaths,
}

/// What a system call asks for.
enum Asks {
    Nothing,
    Path { path: PathBuf, opens: bool },
    Unknown(&'static str),
}

/// What `PTRACE_GET_SYSCALL_INFO` gives (`struct ptrace_syscall_info` of `linux/ptrace.h`).
#[repr(C)]
#[derive(Default)]
struct CallInfo {
    kind: u8,
    padding: [u8; 3],
    architecture: u32,
    addresses: [u64; 2],
    /// At the entry, the number and the arguments; at the exit, the result.
    words: [u64; 7],
}

impl Tracer<'_> {
    /// Ends when the first process does.
    fn run(&mut self) -> io::Result<()> {
        self.wait()?;
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_EXITKILL;
        let first = self.group;
        self.asks.insert(first, Asks::Nothing);
        trace_request(libc::PTRACE_SETOPTIONS, first, options as usize)?;
        trace_request(libc::PTRACE_SYSCALL, first, 0)?;
        loop {
            let (pid, status) = self.wait()?;
            if libc::WIFSTOPPED(status) {
                let signal = self.stopped(pid, status)?;
                trace_request(libc::PTRACE_SYSCALL, pid, signal as usize)?;
            } else if pid == first {
                let has_succeeded = status == 0;
                let failed = || Error::other("the command fails");
                return has_succeeded.then_some(()).ok_or_else(failed);
            } else {
                self.asks.remove(&pid);
            }
        }
    }

    /// Waits until a process of the group stops or ends.
    fn wait(&self) -> io::Result<(pid_t, c_int)> {
        let mut status = 0;
        // SAFETY: `status` is a valid place for an integer during the call.
        let pid = unsafe { libc::waitpid(-self.group, &raw mut status, libc::__WALL) };
        if pid < 0 {
            return Err(Error::last_os_error());
        }
        Ok((pid, status))
    }

    /// Notes why a process has stopped. Returns the signal with which it is to go on.
    fn stopped(&mut self, pid: pid_t, status: c_int) -> io::Result<c_int> {
        const SYSTEM_CALL: c_int = libc::SIGTRAP | 0x80;
        let signal = libc::WSTOPSIG(status);
        if signal == SYSTEM_CALL {
            self.at_call(pid)?;
            return Ok(0);
        }
        // A new process stops for us, and so does one that starts another program.
        let is_new = !self.asks.contains_key(&pid);
        self.asks.entry(pid).or_insert(Asks::Nothing);
        let is_ours = status >> 16 != 0 || is_new && signal == libc::SIGSTOP;
        Ok(if is_ours { 0 } else { signal })
    }

    /// Notes what a process asks for that stops at the entry or exit of a system call.
    fn at_call(&mut self, pid: pid_t) -> io::Result<()> {
        let info = CallInfo::of(pid)?;
        match info.kind {
            ENTRY => {
                let asks = info.asks(pid)?;
                self.asks.insert(pid, asks);
                Ok(())
            }
            EXIT => match self.asks.insert(pid, Asks::Nothing) {
                Some(Asks::Path { path, opens }) => {
                    self.answered(path, opens, info.words[0].cast_signed())
                }
                Some(Asks::Unknown(how)) if self.has_begun => Err(Error::other(how)),
                _ => Ok(()),
            },
            _ => Err(Error::other("a stop that is not understood")),
        }
    }

    /// Notes the answer to a question for `path`.
    fn answered(&mut self, path: PathBuf, opens: bool, result: i64) -> io::Result<()> {
        self.has_begun |= opens && result >= 0 && (self.begins)(&path);
        if !self.has_begun {
            return Ok(());
        }
        let exists = match i32::try_from(-result) {
            Ok(libc::ENOENT | libc::ENOTDIR) => false,
            Ok(error) if error > 0 => {
                let error = Error::from_raw_os_error(error);
                return Err(Error::other(format!("{}: {error}", path.display())));
            }
            _ => true,
        };
        if self.asked.insert(path, exists) == Some(!exists) {
            return Err(Error::other("a file came or went meanwhile"));
        }
        Ok(())
    }
}

impl CallInfo {
    fn of(pid: pid_t) -> io::Result<Self> {
        let mut info = Self::default();
        let size = size_of::<Self>();
        let address = (&raw mut info).cast::<c_void>();
        // SAFETY: the kernel writes at most as many bytes as the size says, and any bytes are a valid `CallInfo`.
        let written = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, address) };
        if written < 0 {
            return Err(Error::last_os_error());
        }
        let is_short = cfg!(target_arch = "x86_64") && info.words[0] & SHORT_POINTERS != 0;
        // At the exit, the word is the result.
        if info.architecture != ARCHITECTURE || info.kind == ENTRY && is_short {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a program of another architecture",
            ));
        }
        Ok(info)
    }

    /// What the system call asks for, at its entry.
    fn asks(&self, pid: pid_t) -> io::Result<Asks> {
        let (number, arguments) = (self.words[0].cast_signed() as c_long, &self.words[1..]);
        let reads = |flags: u64| (flags as c_int) & libc::O_ACCMODE == libc::O_RDONLY;
        let (directory, address, opens) = match number {
            libc::SYS_setsid | libc::SYS_setpgid | libc::SYS_chdir | libc::SYS_fchdir => {
                return Err(Error::other("a process leaves its group or directory"));
            }
            libc::SYS_openat if !reads(arguments[2]) => return Ok(Asks::Nothing),
            libc::SYS_openat | libc::SYS_openat2 => (arguments[0] as c_int, arguments[1], true),
            libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_faccessat | libc::SYS_faccessat2 => {
                (arguments[0] as c_int, arguments[1], false)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open if !reads(arguments[1]) => return Ok(Asks::Nothing),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => (libc::AT_FDCWD, arguments[0], true),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => {
                (libc::AT_FDCWD, arguments[0], false)
            }
            _ => return Ok(Asks::Nothing),
        };
        let Ok(text) = text_at(pid, address) else {
            return Ok(Asks::Unknown("a path that cannot be read"));
        };
        let path = PathBuf::from(OsString::from_vec(text));
        Ok(if path.as_os_str().is_empty() {
            // An open file's own state.
            Asks::Nothing
        } else if directory != libc::AT_FDCWD && path.is_relative() {
            Asks::Unknown("a path below an open directory")
        } else {
            Asks::Path { path, opens }
        })
    }
}

/// The text up to a NUL at an address of another process.
fn text_at(pid: pid_t, address: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = usize::try_from(address).map_err(Error::other)?;
    while text.len() < LONGEST {
        let mut chunk = [0_u8; CHUNK];
        // Up to a border, so that no part lies in a page that the text does not reach.
        let length = CHUNK - at % CHUNK;
        let local = libc::iovec {
            iov_base: chunk.as_mut_ptr().cast(),
            iov_len: length,
        };
        let remote = libc::iovec {
            iov_base: at as *mut c_void,
            iov_len: length,
        };
        // SAFETY: `local` is a buffer of that length; the kernel only reads from the other process, at any address.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        let read = usize::try_from(read).map_err(|_| Error::last_os_error())?;
        let part = &chunk[..read];
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&part[..end]);
            return Ok(text);
        }
        text.extend_from_slice(part);
        at += read;
    }
    Err(Error::other("a path without an end"))
}

/// A request that takes a number where others take a pointer.
fn trace_request(request: libc::c_uint, pid: pid_t, data: usize) -> io::Result<()> {
    // SAFETY: the kernel follows no pointer for the requests of this module; all four arguments have their full width.
    let done = unsafe { libc::ptrace(request, pid, 0_usize, data) };
    (done == 0).then_some(()).ok_or_else(Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::paths_asked;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};

    #[test]
    fn what_a_command_asks_for_after_its_beginning_is_observed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("first"), "").unwrap();
        fs::write(at("there"), "").unwrap();
        let text =
            "test -e before; read line < first; test -e there; (test -e gone); : > out; cat out";
        let trace = |begin: &'static str| {
            let mut command = Command::new("sh");
            command
                .args(["-c", text])
                .current_dir(dir.path())
                .stdin(Stdio::null());
            paths_asked(&mut command, &|path| path == Path::new(begin))
        };
        let asked = trace("first").unwrap();
        for (name, exists) in [
            ("first", true),
            ("there", true),
            ("gone", false),
            ("out", true),
        ] {
            assert_eq!(asked.get(Path::new(name)), Some(&exists), "{name}");
        }
        assert_eq!(asked.get(Path::new("before")), None);
        // A look is no beginning, and nor is a file that is written.
        for begin in ["there", "gone"] {
            assert!(trace(begin).unwrap().is_empty(), "{begin}");
        }
        assert!(!trace("out").unwrap().contains_key(Path::new("there")));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let begins = |path: &Path| path == Path::new("/dev/null");
        let trace = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            paths_asked(&mut command, &begins)
        };
        assert!(trace("read line < /dev/null; test -e /nowhere; true").is_ok());
        for text in [
            "read line < /dev/null; exit 3",
            "kill -9 $$",
            "cd /",
            "setsid true",
            "read line < /dev/null; test -e /dev/null/$(head -c 5000 /dev/zero | tr '\\0' a)",
        ] {
            assert!(trace(text).is_err(), "{text}");
        }
        assert!(paths_asked(&mut Command::new("/nowhere/program"), &begins).is_err());
    }

    #[test]
    fn a_process_that_lingers_is_not_waited_for() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & read line < /dev/null; true"]);
        let asked = paths_asked(&mut command, &|path| path == Path::new("/dev/null"));
        assert_eq!(asked.unwrap().get(Path::new("/dev/null")), Some(&true));
    }
}
