//! One child process. Its output goes to files, and it is killed together with the processes that it has started.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, kill_process_group, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, waitpgid,
};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus, Stdio};

/// How long a child may take to end after a signal, in seconds.
const GRACE: i64 = 5;

/// One process to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The path of the program; not looked up in PATH.
    pub program: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
    /// The file for its standard output.
    pub stdout: PathBuf,
    /// The file for its standard error.
    pub stderr: PathBuf,
}

/// A child that leads a process group of its own, so that a compiler driver's children are killed with it. Dropping
/// it kills the group if the child still runs.
#[derive(Debug)]
pub(super) struct Child {
    child: process::Child,
    pid: Pid,
    ended: OwnedFd,
}

impl Child {
    /// Starts `command` with `environment` added to our own. It and all processes that it starts inherit the
    /// descriptor `inherited`.
    pub(super) fn start(
        command: &Command,
        environment: &[(OsString, OsString)],
        inherited: Option<BorrowedFd<'_>>,
    ) -> io::Result<Self> {
        let mut prepared = process::Command::new(&command.program);
        prepared
            .args(&command.args)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output(&command.stdout)?)
            .stderr(output(&command.stderr)?)
            .process_group(0);
        before_exec(&mut prepared, inherited)?;
        let mut child = prepared.spawn()?;
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(ended) => Ok(Self { child, pid, ended }),
            Err(error) => {
                end(&mut child);
                Err(error.into())
            }
        }
    }

    /// The exit status, if the child has ended.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// A descriptor that becomes readable when the child has ended.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Sends `signal` to its process group, which may have ended already.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// Waits until the child ends, at most for the grace period.
    pub(super) fn have_patience(&self) {
        let patience = Timespec {
            tv_sec: GRACE,
            tv_nsec: 0,
        };
        let mut ended = [PollFd::from_borrowed_fd(self.ended(), PollFlags::IN)];
        let _ = poll(&mut ended, Some(&patience));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end(&mut self.child);
        }
    }
}

fn output(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Kills the group, and waits until none of its processes can write to a file any more: the caller may be about to
/// write it. Processes whose parents are killed become children of this process, which waits for them as well.
fn end(child: &mut process::Child) {
    let group = Pid::from_child(child);
    let _ = set_child_subreaper(Some(getpid()));
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
    // Until all of them are gone.
    while let Ok(_) | Err(Errno::INTR) = waitpgid(group, WaitOptions::empty()) {}
    let _ = set_child_subreaper(None);
}

/// Has the kernel kill the child when the thread that starts it has ended. That thread normally waits for it, and
/// after `kill -9` nothing uses the child's output. Processes that a compiler driver has started run on even
/// then, which is why they have `inherited`.
fn before_exec(
    command: &mut process::Command,
    inherited: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let parent = getpid();
    let inherited = inherited.map(|fd| fd.try_clone_to_owned()).transpose()?;
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the request.
        if getppid() != Some(parent) {
            return Err(io::Error::from(Errno::SRCH));
        }
        if let Some(inherited) = &inherited {
            fcntl_setfd(inherited, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
    unsafe { command.pre_exec(prepare) };
    Ok(())
}
