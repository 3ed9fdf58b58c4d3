//! The same compile in many processes at once: one compiles, the others wait and take its result.
//! Every output is nvcc's own, whatever becomes of the one that compiles.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use pcache_nvcc::store::{Flight, Flights, LeadGuard};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::counters::Counters;
use crate::support::poll;
use crate::support::workspace::Workspace;

const PROCESSES: u64 = 16;

/// For the tests that take long.
const MANY_PROCESSES: u64 = 64;

fn kernel() -> Workspace {
    Workspace::with("k.cu", "__global__ void k(int *p) { *p = 1; }\n")
}

/// A unit whose stages take long enough for others to wait for them.
fn slow() -> Workspace {
    Workspace::with(
        "k.cu",
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    )
}

/// The same in a cache that has nothing, not even what the toolkit is.
fn slow_in_a_new_cache() -> Workspace {
    let mut ws = slow();
    ws.set_env("PCACHE_DIR", ws.root().join("new-cache"));
    ws
}

/// Starts the same compile so many times, each with an output of its own.
fn start_all(ws: &Workspace, processes: u64) -> Vec<Child> {
    (0..processes)
        .map(|n| start(ws.ours(&["-c", "k.cu", "-o", &format!("{n}.o")])))
        .collect()
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("start a compile")
}

/// What nvcc itself makes of the source.
fn expected(ws: &Workspace) -> Vec<u8> {
    let mut command = ws.theirs(&["-c", "k.cu", "-o", "theirs.o", "--keep", "--keep-dir"]);
    command.arg(ws.fresh("kept"));
    ws.run(command).succeeds();
    ws.read("theirs.o")
}

/// The compile that has reached `tool`: who leads, as the others never start it.
fn leader_at(tool: &str, children: &[Child]) -> Pid {
    poll::until(&format!("{tool} runs"), || {
        let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let mut parents = entries.filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, tail) = stat.rsplit_once(')')?;
            let name = head.split_once('(')?.1;
            let parent: u32 = tail.split_whitespace().nth(1)?.parse().ok()?;
            (name == tool).then_some(parent)
        });
        let led = |parent: &u32| children.iter().any(|child| child.id() == *parent);
        parents.find(led)
    })
    .try_into()
    .ok()
    .and_then(Pid::from_raw)
    .expect("its number")
}

/// The flight of the unit, held by the test itself: a leader as slow as the test likes. A first
/// compile tells the key, in a cache that is cleared again.
fn lead(ws: &mut Workspace) -> LeadGuard {
    let log = ws.root().join("log");
    ws.set_env("PCACHE_LOG", &log);
    ws.build(ARGS).misses(1);
    fs::remove_dir_all(ws.root().join("cache/manifests/results")).expect("forget the result");
    let text = fs::read_to_string(&log).expect("the log");
    let (_, tail) = text.split_once("miss (").expect("a miss");
    let (key, _) = tail.split_once(')').expect("its key");
    let key = hex::decode(key).expect("a digest");
    let flights = Flights::new(Some(&ws.root().join("cache")));
    match flights.join(&key, Instant::now(), &mut || None::<()>) {
        Flight::Leader(guard) => guard,
        other => panic!("{other:?}"),
    }
}

const ARGS: &[&str] = &["-c", "k.cu", "-o", "k.o"];

/// Waits until the compile has nothing left to do but to wait: the lock file is open, and no child
/// runs.
fn wait_until_it_waits(child: &Child) {
    let files = format!("/proc/{}/fd", child.id());
    poll::until("it waits", || {
        let open = fs::read_dir(&files).expect("its files").flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets
            .any(|target| target.ends_with("locks/flights"))
            .then_some(())
    });
}

/// Starts so many compiles, all of which end well, with nvcc's object.
fn one_compiles(ws: &Workspace, processes: u64) {
    let expected = expected(ws);
    for child in start_all(ws, processes) {
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stderr, b"");
    }
    let counted = ws.counters();
    assert_eq!(counted.misses, 1);
    assert_eq!(counted.hits + counted.coalesced, processes - 1);
    assert!(counted.coalesced > 0, "{counted:?}");
    assert_eq!(counted.events(), processes);
    assert_eq!(counted.errors, 0);
    for n in 0..processes {
        assert_eq!(ws.read(&format!("{n}.o")), expected, "{n}.o");
    }
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
}

/// The files of locks: there are no more of them, however many keys there were.
fn locks(cache: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(cache.join("locks")).expect("a folder of locks");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn of_many_processes_at_once_one_compiles() {
    one_compiles(&slow(), PROCESSES);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn of_sixty_four_processes_in_a_new_cache_one_compiles() {
    let ws = slow_in_a_new_cache();
    one_compiles(&ws, MANY_PROCESSES);
    assert_eq!(locks(&ws.root().join("new-cache")), ["flights", "slots"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn when_the_one_that_compiles_is_killed_another_takes_over() {
    let ws = slow_in_a_new_cache();
    let expected = expected(&ws);
    let children = start_all(&ws, MANY_PROCESSES);
    let leader = leader_at("cudafe++", &children);
    kill_process(leader, Signal::KILL).expect("kill the leader");
    for (n, child) in children.into_iter().enumerate() {
        let is_leader = Pid::from_child(&child) == leader;
        let output = child.wait_with_output().expect("its end");
        if is_leader {
            assert_eq!(output.status.signal(), Some(Signal::KILL.as_raw()));
            assert!(!ws.path(format!("{n}.o")).exists());
        } else {
            assert!(output.status.success(), "{output:?}");
            assert_eq!(ws.read(&format!("{n}.o")), expected, "{n}.o");
        }
    }
    let counted = ws.counters();
    assert_eq!(counted.misses, 1);
    assert_eq!(counted.hits + counted.coalesced, MANY_PROCESSES - 2);
    assert_eq!(counted.events(), MANY_PROCESSES - 1);
    assert_eq!(counted.errors, 0);
    assert_eq!(locks(&ws.root().join("new-cache")), ["flights", "slots"]);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn sources_in_error_are_reported_by_all() {
    let ws = Workspace::with("k.cu", "__global__ void k() { nonsense; }\n");
    let theirs = ws.plain(ARGS);
    assert_ne!(theirs.status, 0);
    for child in start_all(&ws, PROCESSES) {
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(theirs.status));
        assert_eq!(output.stderr, theirs.stderr);
    }
    let counted = ws.counters();
    assert_eq!(counted.fallbacks["stage_failed"], PROCESSES);
    assert_eq!(counted.events(), PROCESSES);
}

#[test]
fn waiting_ends_with_the_leader_and_no_sooner() {
    let mut ws = kernel();
    let guard = lead(&mut ws);
    let before = ws.counters();
    let mut child = start(ws.ours(ARGS));
    wait_until_it_waits(&child);
    assert_eq!(child.try_wait().expect("wait"), None);
    // Nothing was stored: it compiles after all.
    drop(guard);
    assert!(child.wait().expect("its end").success());
    assert_eq!(ws.counters().since(&before), Counters::misses(1));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn impatient_compile_goes_on_alone() {
    let mut ws = kernel();
    let _guard = lead(&mut ws);
    for patience in ["0", "1"] {
        ws.set_env("PCACHE_WAIT", patience);
        ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
        fs::remove_dir_all(ws.root().join("cache/manifests/results")).expect("forget it");
    }
}

#[test]
fn ctrl_c_ends_the_wait_as_it_ends_a_compile() {
    for (signal, status) in [(Signal::INT, 2), (Signal::TERM, 255)] {
        let mut ws = kernel();
        let _guard = lead(&mut ws);
        let before = ws.counters();
        // Whoever runs the tests in the background has made the signals ignored.
        let mut command = ws.command("/usr/bin/env");
        command.arg("--default-signal=INT,TERM");
        command.arg(ws.ours(ARGS).get_program()).args(ARGS);
        let mut child = start(command);
        wait_until_it_waits(&child);
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        let ended = child.wait().expect("its end");
        assert_eq!(ended.code(), Some(status));
        assert!(!ws.path("k.o").exists());
        assert_eq!(ws.temporaries(), [""; 0], "left behind");
        assert_eq!(ws.counters(), before);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn who_stores_or_looks_up_nothing_takes_no_lock() {
    let mut ws = kernel();
    let flights = ws.root().join("cache/locks/flights");
    for variable in ["PCACHE_READONLY", "PCACHE_RECACHE"] {
        ws.set_env(variable, "1");
        ws.build(ARGS).succeeds();
        assert!(!flights.exists(), "{variable}");
        ws.unset_env(variable);
    }
    fs::remove_dir_all(ws.root().join("cache/manifests/results")).expect("forget the result");
    ws.build(ARGS).misses(1);
    assert!(flights.exists());
}

#[test]
fn lock_that_cannot_be_taken_is_an_error_and_no_obstacle() {
    let ws = kernel();
    let elsewhere = ws.side("elsewhere");
    let locks = ws.root().join("cache/locks");
    std::os::unix::fs::symlink(&elsewhere, locks).expect("a symlink");
    let expected = Counters {
        errors: 1,
        ..Counters::misses(1)
    };
    let ours = ws.build(ARGS);
    ours.succeeds().counts(&expected).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits(1);
    assert!(fs::read_dir(elsewhere).expect("a folder").next().is_none());
}
