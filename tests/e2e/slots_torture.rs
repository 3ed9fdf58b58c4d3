//! Many compiles at once, two of each source, in a pool of two slots and under jobservers as GNU make would start
//! them, for many rounds. In some rounds one that is at work is killed, in others two are stopped as by Ctrl-Z. All the
//! time the heavy tools that run at one moment are counted: never may there be more than slots, and one more for each
//! compile that was stopped: it keeps its slot, and others get another one (`src/exec/slots.rs`).
//!
//! `PCACHE_TEST_ROUNDS` sets the number of rounds, `PCACHE_TEST_SEED` what happens in them.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::jobserver::{Jobserver, Style};
use crate::support::poll;
use crate::support::random::Random;
use crate::support::workspace::Workspace;

const HEAVY: [&str; 4] = ["cc1plus", "cudafe++", "cicc", "ptxas"];

/// To preprocess next to nothing is to ask: pcache-nvcc, where headers are looked for; nvcc, before it shows its plan,
/// what the host compiler is. No stage has such a file.
const QUESTIONS: [&str; 2] = ["\0/dev/null\0", "/tmpxft_"];

/// The slots of the pool.
const POOL: usize = 2;

/// What no sixteen compiles take: beyond it, nothing moves any more.
const HANG: Duration = Duration::from_secs(300);

/// Between two looks, so that looking does not take a core.
const PAUSE: Duration = Duration::from_millis(2);

/// What gives out slots: the pool of the cache, or a jobserver with so many tokens.
#[derive(Clone, Copy, Debug)]
enum Slots {
    Pool,
    Make(Style, usize),
}

impl Slots {
    fn all() -> Vec<Self> {
        let make = |style| [1, 2, 4].map(|tokens| Self::Make(style, tokens));
        let makes = [Style::Pipe, Style::Fifo].into_iter().flat_map(make);
        [Self::Pool].into_iter().chain(makes).collect()
    }

    fn count(self) -> usize {
        match self {
            Self::Pool => POOL,
            Self::Make(_, tokens) => tokens,
        }
    }
}

/// One look at all processes.
#[derive(Default)]
struct Sight {
    parents: BTreeMap<u32, u32>,
    /// The heavy tools of this test that run, by number and time of start.
    heavy: BTreeSet<(u32, String)>,
}

impl Sight {
    fn now(mark: &str) -> Self {
        let mut sight = Self::default();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let number = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            // Some end while they are looked at.
            number.and_then(|number| sight.add(number, mark));
        }
        sight
    }

    fn add(&mut self, number: u32, mark: &str) -> Option<()> {
        let read = |what: &str| {
            let bytes = fs::read(format!("/proc/{number}/{what}")).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let stat = read("stat")?;
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<_> = tail.split_whitespace().collect();
        self.parents.insert(number, fields[1].parse().ok()?);
        let name = head.split_once('(')?.1;
        if !HEAVY.contains(&name) || "ZXT".contains(fields[0]) || !read("environ")?.contains(mark) {
            return None;
        }
        let command = read("cmdline")?;
        if !QUESTIONS.iter().any(|word| command.contains(word)) {
            self.heavy.insert((number, fields[19].to_owned()));
        }
        Some(())
    }

    /// Which of the compiles it works for; `None` if that one is gone.
    fn owner(&self, mut number: u32, compiles: &BTreeSet<u32>) -> Option<u32> {
        while !compiles.contains(&number) {
            number = *self.parents.get(&number)?;
        }
        Some(number)
    }
}

fn pid(number: u32) -> Pid {
    let number = number.try_into().expect("the number of a process");
    Pid::from_raw(number).expect("the number of a process")
}

/// What all rounds have in common.
struct Torture {
    ws: Workspace,
    compiles: usize,
    /// How many are stopped in each round.
    stops: usize,
    /// The object of each source, as nvcc makes it.
    objects: Vec<Vec<u8>>,
    random: Random,
}

/// One compile.
struct Compile {
    number: usize,
    child: Child,
    /// The jobserver's token that make would hold for it.
    token: Option<u8>,
}

impl Torture {
    fn new(compiles: usize, stops: usize, seed: u64) -> Self {
        let ws = Workspace::new();
        let object = |number: usize| {
            let text = format!(
                "__global__ void scale{number}(float *x) {{ x[threadIdx.x] *= {number}.5f; }}\n"
            );
            ws.write(&format!("{number}.cu"), text);
            let source = format!("{number}.cu");
            let kept = ws.kept(&["-arch=sm_80", "-c", &source, "-o", "theirs.o"]);
            kept.succeeds().outputs.bytes("theirs.o").to_vec()
        };
        let objects = (0..compiles.div_ceil(2)).map(object).collect();
        Self {
            objects,
            ws,
            compiles,
            stops,
            random: Random(seed),
        }
    }

    /// Runs one round in a new cache; what was wrong in it.
    fn round(&mut self, slots: Slots) -> Vec<String> {
        self.ws.new_cache();
        for number in 0..self.compiles {
            let _ = fs::remove_file(self.ws.path(format!("{number}.o")));
        }
        let kills = self.stops == 0 && self.random.chance(40);
        let server = match slots {
            Slots::Pool => None,
            Slots::Make(style, tokens) => {
                Some(Jobserver::new(style, tokens, &self.ws.fresh("make")))
            }
        };
        let round = Round {
            slots,
            server,
            is_killing: kills,
            to_stop: self.stops,
            waiting: (0..self.compiles).collect(),
            running: Vec::new(),
            ended: Vec::new(),
            stopped: Vec::new(),
            killed: None,
            wrong: Vec::new(),
            torture: self,
        };
        round.run()
    }
}

struct Round<'t> {
    torture: &'t mut Torture,
    slots: Slots,
    server: Option<Jobserver>,
    is_killing: bool,
    to_stop: usize,
    waiting: Vec<usize>,
    running: Vec<Compile>,
    ended: Vec<(usize, ExitStatus)>,
    stopped: Vec<Pid>,
    /// The number of the compile that was killed.
    killed: Option<usize>,
    wrong: Vec<String>,
}

impl Round<'_> {
    fn run(mut self) -> Vec<String> {
        let share = (self.torture.compiles / 16).max(1);
        let deadline = Instant::now() + HANG * u32::try_from(share).expect("a small number");
        while !self.waiting.is_empty() || !self.running.is_empty() {
            self.start();
            self.look();
            self.collect();
            if self.waiting.is_empty() && self.running.len() == self.stopped.len() {
                self.go_on();
            }
            thread::sleep(PAUSE);
            if Instant::now() > deadline {
                self.give_up();
            }
        }
        self.check();
        self.wrong
    }

    fn start(&mut self) {
        while let Some(&number) = self.waiting.last() {
            let token = self.server.as_mut().map(Jobserver::take);
            if token == Some(None) {
                return;
            }
            self.waiting.pop();
            let (source, output) = (format!("{}.cu", number / 2), format!("{number}.o"));
            let mut command = self
                .torture
                .ws
                .ours(&["-arch=sm_80", "-c", &source, "-o", &output]);
            match &self.server {
                Some(server) => command.env("MAKEFLAGS", server.flags()),
                None => command.env("PCACHE_JOBS", POOL.to_string()),
            };
            if self.torture.stops > 0 {
                // A group of its own, as a shell gives it, which can be stopped with all its tools.
                command.process_group(0);
            }
            command.stdout(Stdio::null()).stderr(Stdio::inherit());
            self.running.push(Compile {
                number,
                child: command.spawn().expect("start a compile"),
                token: token.flatten(),
            });
        }
    }

    /// A tool that is seen twice was there in between, at one moment with all others that are seen twice.
    fn look(&mut self) {
        let mark = self.torture.ws.root().to_str().expect("a UTF-8 path");
        let (before, after) = (Sight::now(mark), Sight::now(mark));
        let is_at_work = |compile: &mut Compile| matches!(compile.child.try_wait(), Ok(None));
        let at_work = self
            .running
            .iter_mut()
            .filter_map(|compile| is_at_work(compile).then(|| compile.child.id()));
        let at_work: BTreeSet<u32> = at_work.collect();
        let heavy: Vec<_> = before.heavy.intersection(&after.heavy).collect();
        let owners: Vec<_> = heavy
            .iter()
            .map(|(number, _)| after.owner(*number, &at_work))
            .collect();
        // The pool counts what a killed compile leaves behind; make's tokens go back at once.
        let counted = match self.slots {
            Slots::Pool => heavy.len(),
            Slots::Make(..) => owners.iter().flatten().count(),
        };
        // A stopped compile keeps its slot, which others have one more of; it goes on in it.
        let stopped = self.torture.stops - self.to_stop;
        if counted > self.slots.count() + stopped {
            self.wrong.push(format!("{counted} heavy tools at once"));
        }
        let victims: BTreeSet<u32> = owners.into_iter().flatten().collect();
        let victims: Vec<u32> = victims.into_iter().collect();
        if victims.is_empty() {
            return;
        }
        let random = &mut self.torture.random;
        if self.to_stop > 0 && random.chance(10) {
            let victim = pid(*random.pick(&victims));
            kill_process_group(victim, Signal::STOP).expect("stop a compile");
            self.to_stop -= 1;
            self.stopped.push(victim);
        }
        if self.is_killing && self.killed.is_none() && random.chance(10) {
            let victim = *random.pick(&victims);
            kill_process(pid(victim), Signal::KILL).expect("kill a compile");
            let compile = self
                .running
                .iter()
                .find(|compile| compile.child.id() == victim);
            self.killed = compile.map(|compile| compile.number);
        }
    }

    /// Those that were stopped go on, once all others have ended.
    fn go_on(&mut self) {
        for group in self.stopped.drain(..) {
            kill_process_group(group, Signal::CONT).expect("let it go on");
        }
    }

    fn collect(&mut self) {
        let mut left = Vec::new();
        for mut compile in self.running.drain(..) {
            match compile.child.try_wait().expect("a child") {
                None => left.push(compile),
                Some(status) => {
                    self.ended.push((compile.number, status));
                    if let (Some(server), Some(token)) = (&mut self.server, compile.token) {
                        server.give_back(token);
                    }
                }
            }
        }
        self.running = left;
    }

    /// Nothing moves any more.
    fn give_up(&mut self) {
        let (running, waiting) = (self.running.len(), self.waiting.len());
        self.wrong
            .push(format!("hangs: {running} at work, {waiting} not begun"));
        self.go_on();
        self.waiting.clear();
        for mut compile in self.running.drain(..) {
            let _ = compile.child.kill();
            let _ = compile.child.wait();
        }
    }

    fn check(&mut self) {
        for (number, status) in &self.ended {
            if Some(*number) == self.killed {
                continue;
            }
            if !status.success() {
                self.wrong.push(format!("{number} ended with {status}"));
            }
            let object = fs::read(self.torture.ws.path(format!("{number}.o")));
            if object.ok().as_ref() != Some(&self.torture.objects[number / 2]) {
                self.wrong.push(format!("{number}.o is not nvcc's"));
            }
        }
        if self.to_stop > 0 {
            self.wrong
                .push(format!("{} were never stopped", self.to_stop));
        }
        let counted = self.torture.ws.counters();
        if counted.errors > 0 || !counted.bypassed.is_empty() || !counted.fallbacks.is_empty() {
            self.wrong
                .push(format!("not all through the cache: {counted:?}"));
        }
        if let Some(server) = self.server.take() {
            let (left, tokens) = server.end();
            let is_subset = left.iter().all(|token| tokens.contains(token));
            let is_good = match self.killed {
                // Its tokens are lost but for the one that make held for it.
                Some(_) => is_subset && !left.is_empty(),
                None => left == tokens,
            };
            if !is_good {
                self.wrong
                    .push(format!("tokens {left:?} are left of {tokens:?}"));
            }
        }
        let mark = self.torture.ws.root().to_str().expect("a UTF-8 path");
        poll::until("no heavy tool is left running", || {
            Sight::now(mark).heavy.is_empty().then_some(())
        });
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// A seed that differs from run to run.
fn any_seed() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    u64::from(since.subsec_nanos())
}

/// So many rounds, unless told otherwise.
fn rounds(rounds: u64, slots: &[Slots], compiles: usize, stops: usize) {
    let seed = number("PCACHE_TEST_SEED").unwrap_or_else(any_seed);
    let mut torture = Torture::new(compiles, stops, seed);
    let rounds = number("PCACHE_TEST_ROUNDS").unwrap_or(rounds);
    for (round, slots) in (0..rounds).zip(slots.iter().cycle()) {
        let wrong = torture.round(*slots);
        assert!(
            wrong.is_empty(),
            "seed {seed}, round {round}, {slots:?}: {wrong:#?}"
        );
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn never_do_more_heavy_tools_run_than_there_are_slots() {
    rounds(35, &Slots::all(), 16, 0);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn stopped_compiles_hold_no_others_up() {
    rounds(2, &[Slots::Pool], 64, 2);
}
