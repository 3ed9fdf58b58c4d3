//! Machines that share servers: what a program had compiled on one, a program on another gets. A machine is a home
//! directory of its own.

use super::scene::{Scene, libnvrtc, text};
use super::servers::Server;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const VERSION: &str = "13.2";

/// Machines with the same program, and the end of their helpers.
struct Machines {
    scene: Scene,
    client: PathBuf,
    url: String,
}

impl Machines {
    fn new(url: &str) -> Self {
        let scene = Scene::new();
        fs::hard_link(
            env!("CARGO_BIN_EXE_pcache-remote"),
            scene.path("bin/pcache-remote"),
        )
        .unwrap();
        let client = scene.client(&[]);
        let url = url.to_owned();
        Self { scene, client, url }
    }

    fn on<'a>(&self, machine: &str, command: &'a mut Command) -> &'a mut Command {
        let home = self.scene.path(machine);
        fs::create_dir_all(&home).unwrap();
        command
            .env("HOME", home)
            .env("PCACHE_REMOTE", &self.url)
            .env("PCACHE_REMOTE_WAIT", "100000")
    }

    /// What the program prints on a machine with the cache.
    #[track_caller]
    fn run(&self, machine: &str) -> String {
        let mut command = self.scene.cached(&self.client);
        command.args([&libnvrtc(VERSION), "basic"]);
        text(self.on(machine, &mut command))
    }

    #[track_caller]
    fn pcache(&self, machine: &str, words: &[&str]) -> String {
        let mut command = self.scene.command(self.scene.pcache());
        text(self.on(machine, command.args(words)))
    }

    #[track_caller]
    fn json(&self, machine: &str, words: &[&str]) -> Value {
        serde_json::from_str(&self.pcache(machine, words)).unwrap()
    }

    /// Hits, misses and hits from servers of a machine.
    #[track_caller]
    fn counts(&self, machine: &str) -> [u64; 3] {
        let stats = self.json(machine, &["stats", "--json"]);
        let failures = stats["remote"]["failures"].as_object().unwrap();
        assert!(failures.values().all(|n| *n == 0), "{failures:?}");
        let counts = [
            &stats["nvrtc"]["hits"],
            &stats["nvrtc"]["misses"],
            &stats["remote"]["served"],
        ];
        counts.map(|count| count.as_u64().unwrap())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in ["a", "b"] {
            let mut command = self.scene.command(self.scene.pcache());
            let _ = self.on(machine, command.args(["remote", "stop"])).output();
        }
    }
}

#[track_caller]
fn another_machine_hits(url: &str) {
    let machines = Machines::new(url);
    let mut plain = machines.scene.command(&machines.client);
    let plain = text(plain.args([&libnvrtc(VERSION), "basic"]));
    assert_eq!(machines.run("a"), plain);
    assert_eq!(machines.counts("a"), [0, 1, 0]);
    machines.pcache("a", &["remote", "flush", "--timeout", "600s"]);
    assert_eq!(machines.run("b"), plain);
    assert_eq!(machines.counts("b"), [1, 0, 1]);
    let explained = machines.json("b", &["explain", "--json"]);
    assert_eq!(explained[0]["compile"]["remote"], true, "{explained}");
    // Now it is here, and no server is asked.
    let asked = || machines.json("b", &["stats", "--json"])["remote"]["hits"].clone();
    let before = asked();
    assert_eq!(machines.run("b"), plain);
    assert_eq!(machines.counts("b"), [2, 0, 1]);
    assert_eq!(asked(), before);
}

#[test]
fn another_machine_hits_by_redis() {
    let server = Server::redis(&[]);
    another_machine_hits(&server.url("redis", ""));
}

#[test]
fn another_machine_hits_by_a_directory() {
    let share = tempfile::tempdir().unwrap();
    another_machine_hits(&format!("file://{}", share.path().display()));
}

/// Only `pcache run` starts the helper. Without it, a program's results wait in the queue.
#[test]
fn a_program_starts_no_helper_of_its_own() {
    let share = tempfile::tempdir().unwrap();
    let machines = Machines::new(&format!("file://{}", share.path().display()));
    let mut command = machines.scene.command(&machines.client);
    command.args([&libnvrtc(VERSION), "basic"]);
    let library = machines.scene.library();
    let command = command
        .env("LD_AUDIT", &library)
        .env("LD_PRELOAD", &library);
    text(machines.on("a", command));
    assert_eq!(machines.counts("a"), [0, 1, 0]);
    let status = machines.json("a", &["remote", "status", "--json"]);
    assert!(
        status["helper"].is_null() && status["queued"] == 1,
        "{status}"
    );
    machines.pcache("a", &["remote", "flush", "--timeout", "600s"]);
    machines.run("b");
    assert_eq!(machines.counts("b"), [1, 0, 1]);
}
