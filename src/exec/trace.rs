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

/// Runs `command`, which must succeed, and returns the paths that each of its processes asked for after it had asked for
/// one that `begins`. Reads of links and of directories' names are not observed.
///
/// # Errors
/// The system allows no tracing, the command fails, or it asks in a way that is not understood: relative to an open
/// directory, or where it has no permission.
pub fn paths_asked(
    command: &mut Command,
    begins: &dyn Fn(&Path) -> bool,
) -> io::Result<AskedPaths> {
    let ask_for_tracing = || {
        // SAFETY: `ptrace` is a bare system call, and this request takes no pointer.
        let asked = unsafe { libc::ptrace(libc::PTRACE_TRACEME) };
        (asked == 0).then_some(()).ok_or_else(Error::last_os_error)
    };
    command.process_group(0);
    // SAFETY: the closure makes one system call and allocates nothing, as the time between fork and exec demands.
    unsafe { command.pre_exec(ask_for_tracing) };
    let child = command.spawn()?;
    let mut tracer = Tracer {
        group: child.id().cast_signed(),
        begins,
        processes: HashMap::new(),
        asked: BTreeMap::new(),
        status: None,
    };
    let traced = tracer.run();
    if traced.is_err() {
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        while tracer.wait().is_ok() {}
    }
    traced.map(|()| tracer.asked)
}

struct Tracer<'f> {
    /// The process group of the command, whose leader is the first process.
    group: pid_t,
    begins: &'f dyn Fn(&Path) -> bool,
    processes: HashMap<pid_t, TracedProcess>,
    asked: AskedPaths,
    /// How the first process ended.
    status: Option<c_int>,
}

/// A process that is traced.
#[derive(Default)]
struct TracedProcess {
    /// Whether it has asked for the path with which the record begins.
    has_begun: bool,
    /// What it asks for in the present system call.
    asks: Option<PathBuf>,
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
    fn run(&mut self) -> io::Result<()> {
        self.wait()?;
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_EXITKILL;
        let first = self.group;
        self.processes.insert(first, TracedProcess::default());
        request(libc::PTRACE_SETOPTIONS, first, options as usize)?;
        request(libc::PTRACE_SYSCALL, first, 0)?;
        loop {
            let (pid, status) = match self.wait() {
                Ok(stopped) => stopped,
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
                Err(error) => return Err(error),
            };
            if libc::WIFSTOPPED(status) {
                let signal = self.stopped(pid, status)?;
                request(libc::PTRACE_SYSCALL, pid, signal as usize)?;
            } else {
                self.processes.remove(&pid);
                self.status = (pid == first).then_some(status).or(self.status);
            }
        }
        match self.status {
            Some(0) => Ok(()),
            _ => Err(Error::other("the command fails")),
        }
    }

    /// Waits until a process of the group stops or ends.
    fn wait(&self) -> io::Result<(pid_t, c_int)> {
        loop {
            let mut status = 0;
            // SAFETY: `status` is a valid place for an integer during the call.
            let pid = unsafe { libc::waitpid(-self.group, &raw mut status, libc::__WALL) };
            let error = Error::last_os_error();
            match pid {
                -1 if error.kind() == ErrorKind::Interrupted => {}
                -1 => return Err(error),
                pid => return Ok((pid, status)),
            }
        }
    }

    /// Notes why a process has stopped. Returns the signal with which it is to go on.
    fn stopped(&mut self, pid: pid_t, status: c_int) -> io::Result<c_int> {
        const SYSTEM_CALL: c_int = libc::SIGTRAP | 0x80;
        let is_new = !self.processes.contains_key(&pid);
        let process = self.processes.entry(pid).or_default();
        let signal = libc::WSTOPSIG(status);
        if signal == SYSTEM_CALL {
            let asked = process.at_call(pid)?;
            if let Some((path, exists)) = asked {
                process.has_begun |= (self.begins)(&path);
                if process.has_begun && self.asked.insert(path, exists) == Some(!exists) {
                    return Err(Error::other("a file came or went meanwhile"));
                }
            }
            return Ok(0);
        }
        // A new process stops for us, and so does one that starts another program.
        let is_ours = status >> 16 != 0 || is_new && signal == libc::SIGSTOP;
        Ok(if is_ours { 0 } else { signal })
    }
}

impl TracedProcess {
    /// The path that a system call has asked for, if the process stops at its end, and whether something is there.
    fn at_call(&mut self, pid: pid_t) -> io::Result<Option<(PathBuf, bool)>> {
        const ENTRY: u8 = 1;
        let mut info = CallInfo::default();
        let address = (&raw mut info).cast::<c_void>();
        // SAFETY: the kernel writes at most as many bytes as the size says, and any bytes are a valid `CallInfo`.
        let size = unsafe {
            libc::ptrace(
                libc::PTRACE_GET_SYSCALL_INFO,
                pid,
                size_of::<CallInfo>(),
                address,
            )
        };
        if size < 0 {
            return Err(Error::last_os_error());
        }
        if info.kind == ENTRY {
            self.asks = asked_path(pid, &info.words)?;
            return Ok(None);
        }
        let Some(path) = self.asks.take() else {
            return Ok(None);
        };
        let result = info.words[0].cast_signed();
        let exists = match i32::try_from(-result) {
            Ok(libc::ENOENT | libc::ENOTDIR) => false,
            Ok(error) if error > 0 => {
                let error = Error::from_raw_os_error(error);
                return Err(Error::other(format!("{}: {error}", path.display())));
            }
            _ => true,
        };
        Ok(Some((path, exists)))
    }
}

/// The path that a system call with this number and these arguments asks for.
fn asked_path(pid: pid_t, words: &[u64; 7]) -> io::Result<Option<PathBuf>> {
    let (number, arguments) = (words[0].cast_signed() as c_long, &words[1..]);
    let (directory, address) = match number {
        libc::SYS_openat if (arguments[2] as c_int) & libc::O_ACCMODE != libc::O_RDONLY => {
            return Ok(None);
        }
        libc::SYS_openat
        | libc::SYS_openat2
        | libc::SYS_newfstatat
        | libc::SYS_statx
        | libc::SYS_faccessat
        | libc::SYS_faccessat2 => (arguments[0] as c_int, arguments[1]),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open if (arguments[1] as c_int) & libc::O_ACCMODE != libc::O_RDONLY => {
            return Ok(None);
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => {
            (libc::AT_FDCWD, arguments[0])
        }
        _ => return Ok(None),
    };
    let path = PathBuf::from(OsString::from_vec(text_at(pid, address)?));
    if path.as_os_str().is_empty() {
        // An open file's own state.
        return Ok(None);
    }
    if directory != libc::AT_FDCWD && path.is_relative() {
        return Err(Error::other("a path below an open directory"));
    }
    Ok(Some(path))
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

fn request(request: libc::c_uint, pid: pid_t, data: usize) -> io::Result<()> {
    // SAFETY: the requests of this module take a number where others take pointers.
    let done = unsafe { libc::ptrace(request, pid, 0, data) };
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
            "test -e before; read line < first; test -e there; (test -e gone); cat there > out; :";
        let trace = |begin: &'static str| {
            let mut command = Command::new("sh");
            command
                .args(["-c", text])
                .current_dir(dir.path())
                .stdin(Stdio::null());
            paths_asked(&mut command, &|path| path == Path::new(begin))
        };
        let asked = trace("first").unwrap();
        for (name, exists) in [("first", true), ("there", true)] {
            assert_eq!(asked.get(Path::new(name)), Some(&exists), "{name}");
        }
        for name in ["before", "out"] {
            assert_eq!(asked.get(Path::new(name)), None, "{name}");
        }
        // A process that a shell starts has not begun by itself.
        assert_eq!(trace("gone").unwrap().get(Path::new("gone")), Some(&false));
    }

    #[test]
    fn a_command_that_fails_gives_an_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        assert!(paths_asked(&mut command, &|_| true).is_err());
        assert!(paths_asked(&mut Command::new("/nowhere/program"), &|_| true).is_err());
    }
}
