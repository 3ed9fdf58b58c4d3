//! The helper program: missing, stopped, killed, deaf; and a build ends though the helper goes on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use rustix::process::Signal;

use super::farm::Farm;
use crate::support::servers::Server;
use crate::support::workspace::program;

/// When a file was written.
#[track_caller]
fn time(path: &Path) -> (i64, i64) {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn without_the_helper_program_builds_are_as_ever() {
    let server = Server::redis(&[]);
    let farm = Farm::with_stubs(&server.url("redis", ""));
    let alone = farm.ws.side("alone").join("pcache-nvcc");
    fs::copy(program("pcache-nvcc"), &alone).expect("a copy");
    let directory = farm.helper_dir();
    let mut attempts = Vec::new();
    for number in 0..2 {
        farm.ws
            .write("unit.cu", format!("int number = {number};\n"));
        let mut command = farm.ws.command(&alone);
        command.args(["-c", "unit.cu", "-o", "unit.o"]);
        let args = ["-c", "unit.cu", "-o", "unit.o"];
        farm.ws
            .try_run(command)
            .misses(1)
            .same_as(&farm.ws.kept(&args));
        attempts.push(time(&directory.join("silent")));
    }
    // The second compile has not tried.
    assert_eq!(attempts[0], attempts[1]);
    let counted = farm.counted();
    assert_eq!(
        counted.failures.into_iter().collect::<Vec<_>>(),
        [("helper".to_owned(), 2)]
    );
    assert_eq!(
        fs::read_dir(directory.join("queue"))
            .expect("a queue")
            .count(),
        2
    );
    // What waits is sent once there is a helper.
    farm.flush();
    assert!(farm.counted().sent > 0);
}

#[test]
fn a_helper_that_was_stopped_costs_one_wait() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").ws.set_env("PCACHE_REMOTE_WAIT", "4000");
    farm.start_helper();
    let silent = farm.helper_dir().join("silent");
    farm.signal(Signal::STOP);
    farm.compile(2).misses(1);
    let first = time(&silent);
    for number in 3..6 {
        farm.compile(number).misses(1);
    }
    assert_eq!(first, time(&silent), "a later compile has asked");
    farm.signal(Signal::CONT);
    let failures: Vec<_> = farm.counted().failures.into_iter().collect();
    assert_eq!(failures, [("helper".to_owned(), 4)]);
    // As if the pause were over.
    let old = std::time::SystemTime::UNIX_EPOCH;
    let file = fs::File::options()
        .write(true)
        .open(&silent)
        .expect("a file");
    file.set_modified(old).expect("a time");
    farm.ws.set_env("PCACHE_REMOTE_WAIT", "4000");
    farm.compile(1).hits_directly(1);
    assert!(!silent.exists());
    farm.flush();
}

/// A socket whose queue is full makes a connection wait without end.
#[test]
fn a_helper_that_accepts_nothing_is_left_alone() {
    let mut farm = Farm::with_stubs("redis://127.0.0.1:1");
    farm.ws.set_env("PCACHE_REMOTE_WAIT", "200");
    let directory = farm.helper_dir();
    fs::create_dir_all(&directory).expect("a directory");
    let deaf = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    let address = SocketAddrUnix::new(directory.join("socket")).expect("an address");
    bind(&deaf, &address).expect("a name");
    listen(&deaf, 0).expect("a listener");
    for number in 0..4 {
        farm.compile(number).misses(1);
        // As if the pause were over each time.
        let _ = fs::remove_file(directory.join("silent"));
    }
    assert_eq!(farm.counted().failures["helper"], 4);
}

#[test]
fn a_helper_that_was_killed_is_started_again() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    for number in 0..4 {
        farm.compile(number).misses(1);
        farm.signal(Signal::KILL);
    }
    farm.flush();
    farm.on("b");
    for number in 0..4 {
        farm.compile(number).hits_directly(1);
        farm.signal(Signal::KILL);
    }
}

#[test]
fn a_queue_that_cannot_be_written_costs_no_build() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.start_helper();
    fs::write(farm.helper_dir().join("queue"), "").expect("a file");
    farm.compile(1).misses(1);
    assert_eq!(farm.counted().failures["queue"], 1);
    assert_eq!(farm.counted().sent, 0);
}

#[test]
fn a_cache_that_is_only_read_takes_nothing() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").ws.set_env("PCACHE_READONLY", "1");
    let args = ["-c", "unit1.cu", "-o", "unit.o"];
    farm.ws.build(&args).succeeds();
    assert_eq!(farm.counted(), Default::default());
    assert!(farm.helpers().len() < 2);
}

/// What the helper has open: neither the pipes of make nor those of the one who reads what make prints.
#[track_caller]
fn holds_nothing_of_its_caller(farm: &Farm) {
    let helpers = farm.helpers();
    assert_eq!(helpers.len(), 1);
    let folder = format!("/proc/{}/fd", helpers[0].as_raw_nonzero());
    for entry in fs::read_dir(folder).expect("descriptors").flatten() {
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy();
        assert!(
            !target.contains("pipe:") && !target.contains("/work"),
            "{target}"
        );
    }
}

#[test]
fn a_build_ends_though_the_helper_goes_on() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    let ours = program("pcache-nvcc");
    let mut rules = String::from("all: a.o b.o c.o d.o\n");
    for name in ["a", "b", "c", "d"] {
        farm.ws
            .write(&format!("{name}.cu"), format!("int {name};\n"));
        // With the plus, make hands its job slots on.
        rules += &format!("{name}.o: {name}.cu\n\t+{} -c $< -o $@\n", ours.display());
    }
    farm.ws.write("Makefile", &rules);
    let lines = [
        "make -j4",
        "make -j4 -B | cat",
        "(make -j4 -B) 5>&1 6>&1 | cat",
    ];
    for (number, line) in lines.into_iter().enumerate() {
        farm.signal(Signal::KILL);
        farm.on(&format!("machine-{number}"));
        let mut shell = farm.ws.command("sh");
        shell.args(["-c", line]);
        // Returns when the last process has closed the pipes.
        let output = shell.output().expect("a shell");
        assert!(output.status.success(), "{output:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!words.contains("INTERNAL"), "{words}");
        farm.flush();
        holds_nothing_of_its_caller(&farm);
        let counted = farm.counted();
        assert!(counted.sent + counted.hits > 0, "{counted:?}");
    }
}
