//! Starts commands, never more than `width` at once, and waits for them and for signals in one
//! place. The first failure ends the others.

use super::signals::{Interrupted, Signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

/// How long children may take to end by themselves after a signal, in seconds.
const GRACE: i64 = 5;

/// One process to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program's file; not looked up in PATH.
    pub program: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
    /// Receives what it prints.
    pub stdout: PathBuf,
    /// Receives what it reports.
    pub stderr: PathBuf,
}

/// Why not all commands ended well. No command is still running.
#[derive(Debug)]
pub enum Failure {
    /// The command at this index ended badly.
    Status(usize, ExitStatus),
    /// The command at this index could not be run.
    Start(usize, io::Error),
    /// A signal came.
    Interrupted(Interrupted),
}

/// Runs all commands in order, up to `width` at once, with `environment` set on top of our own.
pub fn run_all(
    commands: &[Command],
    environment: &[(OsString, OsString)],
    width: usize,
    signals: &Signals,
) -> Result<(), Failure> {
    let mut crew = Crew {
        running: Vec::new(),
    };
    let mut next = 0;
    while next < commands.len() || !crew.running.is_empty() {
        if let Some(signal) = signals.pending() {
            crew.stop(signal.signal());
            return Err(Failure::Interrupted(signal));
        }
        while next < commands.len() && crew.running.len() < width.max(1) {
            let started = start(&commands[next], environment);
            crew.running
                .push((next, started.map_err(|error| Failure::Start(next, error))?));
            next += 1;
        }
        crew.wait(signals)?;
    }
    Ok(())
}

/// A child that leads a process group of its own, so that a compiler driver's children end with it.
struct Running {
    child: Child,
    pid: Pid,
    ended: OwnedFd,
}

fn start(command: &Command, environment: &[(OsString, OsString)]) -> io::Result<Running> {
    let child = std::process::Command::new(&command.program)
        .args(&command.args)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output(&command.stdout)?)
        .stderr(output(&command.stderr)?)
        .process_group(0)
        .spawn()?;
    let pid = Pid::from_child(&child);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(ended) => Ok(Running { child, pid, ended }),
        Err(error) => {
            end(&mut Running {
                child,
                pid,
                ended: File::open("/dev/null")?.into(),
            });
            Err(error.into())
        }
    }
}

fn output(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn end(running: &mut Running) {
    // A group that is gone already is what we want.
    let _ = kill_process_group(running.pid, Signal::KILL);
    let _ = running.child.wait();
}

struct Crew {
    running: Vec<(usize, Running)>,
}

impl Crew {
    /// Waits until a child has ended or a signal has come, and collects the children that ended.
    fn wait(&mut self, signals: &Signals) -> Result<(), Failure> {
        let wake = signals.wake();
        let mut polled: Vec<_> = self
            .running
            .iter()
            .map(|(_, running)| PollFd::from_borrowed_fd(running.ended.as_fd(), PollFlags::IN))
            .collect();
        polled.push(PollFd::from_borrowed_fd(wake, PollFlags::IN));
        // EINTR is as good as a wake-up: the caller looks for signals next.
        let _ = poll(&mut polled, None);
        let mut index = 0;
        while index < self.running.len() {
            let (number, running) = &mut self.running[index];
            match running.child.try_wait() {
                Ok(None) => index += 1,
                Ok(Some(status)) if status.success() => drop(self.running.remove(index)),
                Ok(Some(status)) => {
                    let failure = Failure::Status(*number, status);
                    drop(self.running.remove(index));
                    return Err(signals.pending().map_or(failure, Failure::Interrupted));
                }
                Err(error) => return Err(Failure::Start(*number, error)),
            }
        }
        Ok(())
    }

    /// Sends `signal` to every child's group, and ends whatever outlives the grace.
    fn stop(&mut self, signal: Signal) {
        for (_, running) in &self.running {
            let _ = kill_process_group(running.pid, signal);
        }
        let patience = Timespec {
            tv_sec: GRACE,
            tv_nsec: 0,
        };
        for (_, running) in &self.running {
            let mut ended = [PollFd::from_borrowed_fd(
                running.ended.as_fd(),
                PollFlags::IN,
            )];
            let _ = poll(&mut ended, Some(&patience));
        }
        self.running.clear();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Failure, run_all};
    use crate::exec::Signals;
    use std::path::Path;

    fn shell(dir: &Path, name: &str, script: &str) -> Command {
        Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            stdout: dir.join(format!("{name}.out")),
            stderr: dir.join(format!("{name}.err")),
        }
    }

    #[test]
    fn output_goes_to_the_files_and_the_environment_to_the_child() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let signals = Signals::install().expect("handlers");
        let commands = [shell(dir.path(), "a", "echo $WORD; echo bad >&2")];
        let environment = [("WORD".into(), "good".into())];
        run_all(&commands, &environment, 1, &signals).expect("success");
        let read = |name| std::fs::read_to_string(dir.path().join(name)).expect("a file");
        assert_eq!(read("a.out"), "good\n");
        assert_eq!(read("a.err"), "bad\n");
    }

    #[test]
    fn the_first_failure_ends_the_others_and_starts_no_more() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let signals = Signals::install().expect("handlers");
        let late = dir.path().join("late");
        let commands = [
            shell(dir.path(), "a", "sleep 600 & wait"),
            shell(dir.path(), "b", "exit 3"),
            shell(dir.path(), "c", &format!("touch {}", late.display())),
        ];
        let failure = run_all(&commands, &[], 2, &signals).expect_err("b fails");
        assert!(matches!(failure, Failure::Status(1, status) if status.code() == Some(3)));
        assert!(!late.exists());
    }

    #[test]
    fn a_program_that_is_not_there_is_named_by_its_index() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let signals = Signals::install().expect("handlers");
        let mut missing = shell(dir.path(), "a", "");
        missing.program = dir.path().join("nothing");
        let failure = run_all(&[missing], &[], 1, &signals).expect_err("no such program");
        assert!(matches!(failure, Failure::Start(0, _)));
    }
}
