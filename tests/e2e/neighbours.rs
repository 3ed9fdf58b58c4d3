//! Other processes that stop, damage what is shared, or leave things behind. What other users may do is in
//! scripts/neighbours, which needs root.

use std::fs::{self, File, FileTimes};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

use crate::support::poll;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "k.cu", "-o", "k.o"];

fn kernel() -> Workspace {
    Workspace::with("k.cu", "__global__ void k(int *p) { *p = 1; }\n")
}

/// A compile in the background.
fn start(ws: &Workspace, source: &str) -> Child {
    let output = format!("{source}.o");
    let mut command = ws.ours(&["-c", source, "-o", &output]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("start a compile")
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().try_into().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("its number"), signal).expect("it lives");
}

/// Waits until a process holds a lock in a file of locks.
fn wait_for_lock(ws: &Workspace, child: &Child, name: &str) {
    let place = ws.root().join("cache/locks").join(name);
    poll::until(&format!("a lock in {name}"), || {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id())).ok()?;
        let ours = descriptors
            .flatten()
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == place));
        let mut locks = ours.filter_map(|entry| {
            let number = entry.file_name().into_string().ok()?;
            fs::read_to_string(format!("/proc/{}/fdinfo/{number}", child.id())).ok()
        });
        locks.any(|text| text.contains("lock:")).then_some(())
    });
}

#[test]
fn stopped_compiles_that_hold_all_slots_hold_up_no_other() {
    let mut ws = Workspace::new();
    ws.set_env("PCACHE_JOBS", "2");
    for name in ["a", "b", "c"] {
        ws.write(
            &format!("{name}.cu"),
            format!("#include <regex>\n__global__ void {name}(int *p) {{ *p = 1; }}\n"),
        );
    }
    let mut stopped = [start(&ws, "a.cu"), start(&ws, "b.cu")];
    for child in &stopped {
        wait_for_lock(&ws, child, "slots");
        signal(child, Signal::STOP);
    }
    ws.run(ws.ours(&["-c", "c.cu", "-o", "c.o"])).succeeds();
    for child in &mut stopped {
        signal(child, Signal::CONT);
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn stopped_leader_holds_up_no_other() {
    let ws = Workspace::with(
        "k.cu",
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    );
    let mut leader = start(&ws, "k.cu");
    wait_for_lock(&ws, &leader, "flights");
    signal(&leader, Signal::STOP);
    // Longer than this the leader would be waited for.
    let began = SystemTime::now();
    ws.run(ws.ours(ARGS)).succeeds();
    let patience = Duration::from_secs(300);
    assert!(began.elapsed().is_ok_and(|took| took < patience));
    signal(&leader, Signal::CONT);
    assert!(leader.wait().expect("it ends").success());
}

#[test]
fn files_that_shrink_end_no_compile() {
    let ws = kernel();
    let first = ws.build(ARGS);
    let expected = first.misses(1).outputs.bytes("k.o");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                for name in ["counters", "shards", "digests"] {
                    let file = File::options()
                        .write(true)
                        .open(ws.root().join("cache").join(name));
                    if let Ok(file) = file {
                        let _ = file.set_len(0);
                    }
                }
                // Often within each compile, and not all of the processor's time.
                thread::sleep(Duration::from_micros(300));
            }
        });
        for round in 0..12 {
            let output = ws.ours(ARGS).output().expect("it runs");
            assert_eq!(output.status.signal(), None, "round {round}");
            assert!(output.status.success(), "round {round}");
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(ws.read("k.o") == expected);
}

#[test]
fn read_only_cache_hits_directly() {
    let mut ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    ws.set_env("PCACHE_READONLY", "1");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn what_a_killed_compile_left_beside_its_output_goes_with_the_next_one() {
    let ws = kernel();
    ws.build(ARGS).misses(1);
    let name = hex::encode(&Sha256::digest("k.o")[..8]);
    let left = ws.write(&format!(".pcache-{name}"), "half an object");
    // A younger one may be of a compile at work.
    ws.run(ws.ours(ARGS)).succeeds();
    assert!(left.exists());
    let old = SystemTime::now() - Duration::from_secs(3600);
    let file = File::options().write(true).open(&left).expect("it opens");
    file.set_times(FileTimes::new().set_modified(old))
        .expect("times");
    // One that is stopped still has its file, however old.
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    ws.run(ws.ours(ARGS)).succeeds();
    assert!(left.exists());
    drop(file);
    ws.run(ws.ours(ARGS)).succeeds();
    assert!(!left.exists());
}

#[test]
fn work_directories_of_killed_compiles_go() {
    let ws = kernel();
    let temporary = ws.fresh("tmp");
    let make = |name: &str, age: u64| {
        let place = temporary.join(name);
        fs::create_dir_all(place.join("t")).expect("made");
        let directory = File::open(&place).expect("opened");
        let time = SystemTime::now() - Duration::from_secs(age);
        directory
            .set_times(FileTimes::new().set_modified(time))
            .expect("times");
        (place, directory)
    };
    let days = 3 * 86_400;
    let (dead, _) = make("pcache-nvcc-dEAd01", days);
    let (held, directory) = make("pcache-nvcc-hELd01", days);
    let lock = rustix::fs::FlockOperation::LockExclusive;
    rustix::fs::flock(&directory, lock).expect("locked");
    let (young, _) = make("pcache-nvcc-yOUng1", 7200);
    let (foreign, _) = make("other", days);
    // A checkout of this program has such a name, too.
    let (checkout, _) = make("pcache-nvcc-master", days);
    fs::create_dir(checkout.join("src")).expect("made");
    let time = SystemTime::now() - Duration::from_secs(days);
    let times = FileTimes::new().set_modified(time);
    let opened = File::open(&checkout).expect("opened");
    opened.set_times(times).expect("times");
    let mut command = ws.ours(ARGS);
    command.env("TMPDIR", &temporary);
    ws.run(command).succeeds();
    let is_there = [&dead, &held, &young, &foreign, &checkout].map(|place| place.exists());
    assert_eq!(is_there, [false, true, true, true, true]);
}

#[test]
fn messages_through_a_pipe_that_does_not_block_arrive_whole() {
    // More than a pipe holds.
    let warnings: String = (0..900)
        .map(|number| {
            format!(
                "#warning number {number} of those that fill a pipe, with words to make it long\n"
            )
        })
        .collect();
    let ws = Workspace::with("k.cu", &format!("{warnings}__global__ void k() {{}}\n"));
    let first = ws.build(ARGS);
    first.misses(1);
    assert!(first.err().len() > 100_000);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(writer.as_fd(), OFlags::NONBLOCK).expect("non-blocking");
    let mut command: Command = ws.ours(ARGS);
    command.stderr(writer);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    // So that the pipe is full when it writes on; without, the test passes too.
    thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(text, first.err());
}
