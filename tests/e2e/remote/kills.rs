//! The queue under fire: the helper is killed at random moments while compiles run, and the server comes and goes. In the
//! end everything is on the server, and no process is left.

use std::env;
use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::farm::Farm;
use crate::support::poll::until;
use crate::support::random::Random;
use crate::support::servers::Server;

/// Compiles at once.
const WIDTH: usize = 8;

/// Units that are compiled; each again and again, with other contents.
fn text(number: usize) -> String {
    format!(
        "int host() {{ return {number}; }}\n__global__ void k(int *p) {{ *p = {number}; }}\n#define SEEN 0\n"
    )
}

/// Compiles a round's units side by side, and kills what `random` says meanwhile.
fn round(farm: &Farm, server: &mut Server, random: &mut Random, first: usize) {
    let mut compiles = Vec::new();
    for number in first..first + WIDTH {
        let name = format!("unit{number}");
        farm.ws.write(&format!("{name}.cu"), text(number));
        let (source, object) = (format!("{name}.cu"), format!("{name}.o"));
        let mut command = farm.ws.ours(&["-c", &source, "-o", &object]);
        compiles.push(command.spawn().expect("a compile"));
    }
    if random.chance(30) {
        server.kill();
    }
    for _ in 0..random.below(4) {
        thread::sleep(Duration::from_millis(random.below(120) as u64));
        farm.signal(Signal::KILL);
    }
    for mut compile in compiles {
        assert!(compile.wait().expect("a status").success());
    }
    if random.chance(60) {
        server.restart();
    }
}

fn rounds(count: usize, seed: u64) {
    let mut server = Server::nginx("", "");
    let mut farm = Farm::with_stubs(&server.url("http", ""));
    // A helper that is killed while it starts costs a compile so much.
    farm.ws.set_env("PCACHE_REMOTE_WAIT", "2000");
    let silent = farm.helper_dir().join("silent");
    let mut random = Random(seed);
    for number in 0..count {
        round(&farm, &mut server, &mut random, number * WIDTH);
        // As if the pause were over.
        let _ = fs::remove_file(&silent);
    }
    server.restart();
    farm.flush();
    let counted = farm.counted();
    assert_eq!(counted.unsent, 0, "{counted:?}");
    let before = farm.ws.counters();
    assert_eq!(before.misses, (count * WIDTH) as u64, "{before:?}");
    farm.ws.set_env("PCACHE_REMOTE_WAIT", "100000");
    for (machine, direct) in [("b", "1"), ("c", "0")] {
        farm.on(machine).ws.set_env("PCACHE_DIRECT", direct);
        // Of the second machine a few are enough.
        let step = if direct == "1" { 1 } else { 7 };
        let mut asked = 0;
        for number in (0..count * WIDTH).step_by(step) {
            let (source, object) = (format!("unit{number}.cu"), format!("unit{number}.o"));
            let made = farm.ws.read(&object);
            farm.ws.remove(&object);
            let mut command = farm.ws.ours(&["-c", &source, "-o", &object]);
            assert!(command.status().expect("a compile").success());
            assert!(farm.ws.read(&object) == made, "{object}");
            asked += 1;
        }
        let counted = farm.ws.counters();
        let hits = if direct == "1" {
            counted.direct_hits
        } else {
            counted.hits
        };
        assert_eq!((hits, counted.misses), (asked, 0), "{machine}: {counted:?}");
    }
    for (machine, wait) in [("a", "2000"), ("b", "100000"), ("c", "100000")] {
        farm.on(machine).ws.set_env("PCACHE_REMOTE_WAIT", wait);
        farm.remote(&["stop"]);
    }
    until("no helper is left", || {
        farm.helpers().is_empty().then_some(())
    });
    let unfinished = fs::read_dir(server.dir().join("data/main/ac")).expect("values");
    assert!(unfinished.count() >= count * WIDTH);
}

#[test]
fn nothing_is_lost_when_the_helper_and_the_server_are_killed() {
    rounds(3, 1);
}

/// `PCACHE_TEST_ROUNDS` and `PCACHE_TEST_SEED` set their number and the seed.
#[test]
#[ignore = "long: scripts/test-long"]
fn nothing_is_lost_in_many_rounds() {
    let number = |name: &str, default| match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    };
    let count = usize::try_from(number("PCACHE_TEST_ROUNDS", 1000)).expect("a number of rounds");
    rounds(count, number("PCACHE_TEST_SEED", 2));
}
