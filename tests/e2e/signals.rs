//! Ctrl-C and SIGTERM in the midst of a compile: nvcc's status, no child left running, no
//! temporary file left, nothing half-made in the store.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::outcome::Outcome;
use crate::support::poll;
use crate::support::tree::Tree;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "slow.cu", "-o", "slow.o"];

/// A unit that keeps every stage busy long enough to be caught in it.
fn slow() -> Workspace {
    Workspace::with(
        "slow.cu",
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    )
}

/// Processes that run in this workspace, by the workspace's own name in their environment.
fn processes(ws: &Workspace) -> Vec<(u32, String)> {
    let mark = format!("HOME={}\0", ws.root().join("home").display());
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environ = fs::read(entry.path().join("environ")).ok()?;
            let ours = environ.windows(mark.len()).any(|w| w == mark.as_bytes());
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            ours.then(|| (pid, name.trim().to_owned()))
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

/// Starts a compile, waits for `tool` to run, sends the signal, waits for the end.
#[track_caller]
fn interrupted(
    ws: &Workspace,
    mut command: Command,
    tool: &str,
    (signal, target): (Signal, Target),
) -> Outcome {
    let before = Tree::read(&ws.work());
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
            .any(|(_, name)| name == tool)
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
    // nvcc dies of the signal here, and with status 2 in its own tools.
    assert_eq!(ours.status, -2);
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
