//! Machines that share servers. Each is a cache and a home of its own; the sources are in one workspace. The helpers of
//! all of them end with the test.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stub_walks::stub_toolkit;
use crate::support::outcome::Outcome;
use crate::support::poll::until;
use crate::support::workspace::{Workspace, program};

/// Waits that only a hang can reach.
const PATIENT: &str = "600s";
const PATIENT_MILLISECONDS: &str = "100000";

/// Machines and their sources.
pub(super) struct Farm {
    pub(super) ws: Workspace,
    /// What nvcc gives for a unit and a header.
    known: HashMap<(usize, Vec<u8>), Outcome>,
}

impl Farm {
    /// Machines with the sources of `ws` that share what `url` names. The first one is called `a`.
    pub(super) fn new(ws: Workspace, url: &str) -> Self {
        let known = HashMap::new();
        let mut farm = Self { ws, known };
        farm.ws.set_env("PCACHE_REMOTE", url);
        farm.ws.set_env("PCACHE_REMOTE_WAIT", PATIENT_MILLISECONDS);
        farm.on("a");
        farm
    }

    /// As [`Farm::new`], with a toolkit whose tools cost nothing.
    pub(super) fn with_stubs(url: &str) -> Self {
        let mut ws = Workspace::new();
        let toolkit = stub_toolkit(&ws);
        ws.use_nvcc(toolkit.join("bin/nvcc"));
        fs::create_dir(ws.path(".git")).expect("a checkout");
        ws.write("value.h", "#define VALUE 1\n");
        Self::new(ws, url)
    }

    /// Compiles a unit of which there are as many as there are numbers, on the present machine. The object must be
    /// nvcc's.
    #[track_caller]
    pub(super) fn compile(&mut self, number: usize) -> Outcome {
        let source = format!("unit{number}.cu");
        let args = ["-c", &source, "-o", "unit.o"];
        let text = format!(
            "#include \"value.h\"\n#define SEEN 0\n#warning a message\n\
             int host() {{ return VALUE + {number}; }}\n__global__ void k(int *p) {{ *p = {number}; }}\n"
        );
        self.ws.write(&source, text);
        let outcome = self.ws.build(&args);
        let value = self.ws.read("value.h");
        let (ws, known) = (&self.ws, &mut self.known);
        let expected = known
            .entry((number, value))
            .or_insert_with(|| ws.kept(&args));
        outcome.same_as(expected);
        outcome
    }

    /// Makes `machine` the one that compiles from now on.
    pub(super) fn on(&mut self, machine: &str) -> &mut Self {
        self.ws.use_machine(machine);
        self
    }

    /// Runs `pcache remote` with these words.
    pub(super) fn remote(&self, words: &[&str]) -> Output {
        let mut command = self.ws.command(program("pcache"));
        let output = command.arg("remote").args(words).output();
        output.expect("pcache runs")
    }

    /// Waits until all that the present machine has made is sent.
    #[track_caller]
    pub(super) fn flush(&self) -> &Self {
        let output = self.remote(&["flush", "--timeout", PATIENT]);
        let status = || self.remote(&["status"]);
        assert!(output.status.success(), "{output:?}\n{:?}", status());
        self
    }

    /// The directory of the present helper.
    pub(super) fn helper_dir(&self) -> PathBuf {
        let output = self.remote(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        status["directory"].as_str().expect("a path").into()
    }

    /// What the present machine has counted of servers.
    pub(super) fn counted(&self) -> Shared {
        let (_, stats) = self.ws.pcache(&["stats"]);
        let remote = &stats["remote"];
        let number = |name: &str| remote[name].as_u64().expect("a number");
        let failures = remote["failures"].as_object().into_iter().flatten();
        let failures = failures.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0)));
        Shared {
            hits: number("hits"),
            misses: number("misses"),
            unchanged: number("unchanged"),
            sent: number("sent"),
            unsent: number("unsent"),
            failures: failures.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// The helpers of all machines.
    pub(super) fn helpers(&self) -> Vec<Pid> {
        let root = self.ws.root().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").expect("processes").flatten();
        let helpers = processes.filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let words = fs::read(process.path().join("cmdline")).ok()?;
            let words = String::from_utf8_lossy(&words).into_owned();
            let is_ours = words.contains("pcache-remote\0") && words.contains(&root);
            is_ours.then(|| Pid::from_raw(pid)).flatten()
        });
        helpers.collect()
    }

    /// Sends every helper a signal.
    pub(super) fn signal(&self, signal: Signal) {
        for helper in self.helpers() {
            let _ = kill_process(helper, signal);
        }
    }

    /// What the present helper says of itself.
    pub(super) fn status(&self) -> Value {
        let output = self.remote(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        status["helper"].clone()
    }

    /// Starts a helper for the present machine, so that its compiles need not wait for that.
    pub(super) fn start_helper(&self) -> &Self {
        let directory = self.helper_dir();
        // Has the settings written.
        self.remote(&["test"]);
        let helper = program("pcache").with_file_name("pcache-remote");
        let mut command = self.ws.command(helper);
        let status = command.arg("start").arg(&directory).status();
        assert!(status.expect("a helper").success());
        until("a helper answers", || {
            self.status().is_object().then_some(())
        });
        self
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// What one machine has counted of servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) unchanged: u64,
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) failures: BTreeMap<String, u64>,
}
