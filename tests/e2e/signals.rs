//! Ctrl-C and SIGTERM in the midst of a compile: nvcc's status, no child left running, no
//! temporary file left, nothing half-made in the store.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::outcome::Outcome;
use crate::support::poll;
use crate::support::tree::Tree;
use crate::support::workspace::{Workspace, make_executable};

const ARGS: &[&str] = &["-c", "slow.cu", "-o", "slow.o"];

/// A unit that keeps every stage busy long enough to be caught in it.
fn slow() -> Workspace {
    Workspace::with(
        "slow.cu",
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    )
}

/// Whether a command line is `tool` working on the source, rather than answering a question.
fn is_at_work(line: &str, tool: &str) -> bool {
    let name = line
        .split(' ')
        .next()
        .and_then(|path| path.rsplit('/').next());
    name == Some(tool) && line.contains("slow.")
}

/// Processes that run in this workspace, by the workspace's own name in their environment:
/// numbers and command lines.
fn processes(ws: &Workspace) -> Vec<(u32, String)> {
    let mark = format!("HOME={}\0", ws.root().join("home").display());
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environ = fs::read(entry.path().join("environ")).ok()?;
            let ours = environ.windows(mark.len()).any(|w| w == mark.as_bytes());
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            ours.then(|| (pid, String::from_utf8_lossy(&command).replace('\0', " ")))
        })
        .collect()
}

/// Whom a signal goes to.
#[derive(Clone, Copy)]
enum Target {
    /// The whole foreground group, as with Ctrl-C at a terminal.
    Group,
    /// The one process, as with `kill`.
    Process,
}

/// The command with the signals as a terminal's foreground job has them: whoever runs the tests in
/// the background has made them ignored.
fn in_foreground(ws: &Workspace, command: &Command) -> Command {
    let mut fresh = ws.command("/usr/bin/env");
    fresh
        .arg("--default-signal=INT,HUP,TERM")
        .arg(command.get_program())
        .args(command.get_args());
    fresh
}

/// Starts a compile, waits for `tool` to run, sends the signal, waits for the end.
#[track_caller]
fn interrupted(
    ws: &Workspace,
    command: Command,
    tool: &str,
    (signal, target): (Signal, Target),
) -> Outcome {
    let before = Tree::read(&ws.work());
    let mut command = in_foreground(ws, &command);
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child: Child = command.spawn().expect("start a compile");
    poll::until(&format!("{tool} runs"), || {
        assert_eq!(
            child.try_wait().expect("wait"),
            None,
            "ended before {tool} was seen"
        );
        processes(ws)
            .iter()
            .any(|(_, line)| is_at_work(line, tool))
            .then_some(())
    });
    let pid = Pid::from_child(&child);
    match target {
        Target::Group => kill_process_group(pid, signal).expect("kill the group"),
        Target::Process => kill_process(pid, signal).expect("kill the process"),
    }
    let output = child.wait_with_output().expect("its end");
    let outputs = Tree::read(&ws.work()).since(&before);
    Outcome::new(output, outputs, Default::default())
}

/// Ends with the status that nvcc has in the same plight, leaves nothing, and the next build is
/// whole.
#[track_caller]
fn leaves_nothing(tool: &str, how: (Signal, Target)) -> Outcome {
    let theirs = slow();
    let expected = interrupted(&theirs, theirs.theirs(ARGS), tool, how).status;
    // nvcc leaves its children alone when it is terminated.
    poll::until("nvcc's last child is gone", || {
        processes(&theirs).is_empty().then_some(())
    });
    let ws = slow();
    let ours = interrupted(&ws, ws.ours(ARGS), tool, how);
    assert_eq!(ours.status, expected, "saying:\n{}", ours.err());
    poll::until("the last child is gone", || {
        processes(&ws).is_empty().then_some(())
    });
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
    assert_eq!(ours.outputs.names(), [""; 0], "left behind");
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    ours
}

#[test]
fn ctrl_c_in_the_preprocessor_leaves_nothing() {
    let ours = leaves_nothing("cc1plus", (Signal::INT, Target::Group));
    assert_eq!(ours.status, 2);
}

#[test]
fn ctrl_c_in_the_front_end_leaves_nothing() {
    let ours = leaves_nothing("cudafe++", (Signal::INT, Target::Group));
    assert_eq!(ours.status, 2);
}

#[test]
fn terminating_the_group_leaves_nothing() {
    let ours = leaves_nothing("cudafe++", (Signal::TERM, Target::Group));
    assert_eq!(ours.status, 255);
}

#[test]
fn terminating_the_process_ends_its_children() {
    let ours = leaves_nothing("cudafe++", (Signal::TERM, Target::Process));
    assert_eq!(ours.status, 255);
    assert!(ours.err().ends_with("nvcc: Terminated\n"), "{}", ours.err());
}

#[test]
fn ctrl_c_while_nvcc_plans_leaves_nothing() {
    let mut ws = slow();
    let dir = ws.side("scripts");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in *' --dryrun '*)\n\
         : > \"$TMPDIR/left by nvcc\"; exec tail -f slow.cu >/dev/null;;\nesac\n\
         exec {} \"$@\"\n",
        ws.real_nvcc().display()
    );
    fs::write(dir.join("nvcc"), text).expect("a script");
    make_executable(&dir.join("nvcc"));
    ws.use_nvcc(dir.join("nvcc"));
    let ours = interrupted(&ws, ws.ours(ARGS), "tail", (Signal::INT, Target::Group));
    assert_ne!(ours.status, 0);
    poll::until("the last child is gone", || {
        processes(&ws).is_empty().then_some(())
    });
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let ws = slow();
    let mut ours = ws.command("/usr/bin/env");
    ours.args(["--default-signal=TERM", "--ignore-signal=HUP"])
        .arg(ws.ours(ARGS).get_program())
        .args(ARGS)
        .process_group(0);
    let mut child = ours.spawn().expect("start a compile");
    poll::until("cudafe++ runs", || {
        let running = processes(&ws);
        let seen = running.iter().any(|(_, line)| is_at_work(line, "cudafe++"));
        seen.then_some(())
    });
    // As when the terminal of a nohup'ed build is closed.
    kill_process(Pid::from_child(&child), Signal::HUP).expect("hang up");
    assert!(child.wait().expect("its end").success());
    assert!(ws.path("slow.o").exists());
}
